"""Every mitigation by its name, and the list that chapter 5 evaluates.

The list has a few settings of each family, so that the best can be chosen on validation images
(`crosseyed.mitigations.evaluation`). Each class says in `candidates` what is tried of it, each pooling in the
`coarse` grids of its parameters. Settings that share their views cost next to nothing beside one another; those that
need passes of their own are few.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import inf

import numpy as np

from crosseyed.data.scenes import Scene
from crosseyed.errors import InputError, check_choice
from crosseyed.mitigations import (
    adaptvis,
    falip,
    locate_then_correct,
    positions,
    redistribution,
    rf_clip,
    views,
    visual_prompts,
)
from crosseyed.mitigations.base import MITIGATIONS, Location, Mitigation
from crosseyed.mitigations.pooling import PooledModel, native, pool
from crosseyed.mitigations.pooling_methods import POOLINGS
from crosseyed.mitigations.scoring import family_of
from crosseyed.mitigations.tasks import Task
from crosseyed.mitigations.views import Gated
from crosseyed.models.clip import ClipModel

_ORDER = [
    each.__name__
    for each in (
        *(views, visual_prompts, redistribution, adaptvis, rf_clip, locate_then_correct),
        *(falip, positions),
    )
]


def find(name: str) -> type[Mitigation]:
    """Return a mitigation's class by its label; its fields are the hyper-parameters.

    Raises
    ------
    InputError
        There is no such mitigation; the message offers the nearest names and lists all.

    Examples
    --------
    >>> find("cyclic shifts")(side=3, aggregate="mean").passes
    9
    """
    check_choice("mitigation", name, MITIGATIONS)
    return MITIGATIONS[name]


def default_candidates(
    model: ClipModel, validation: Task | None = None, most_passes: float = inf
) -> tuple[list[Mitigation | PooledModel], dict[str, str]]:
    """List what is evaluated by default, as far as the model's tower can do it.

    The tower's own pooling is not among them: it is the plain model.

    Parameters
    ----------
    model : ClipModel
        The model.
    validation : Task, optional
        Scenes of one object each, of other objects than the test's, on which mitigations are fitted that have to be;
        without it they are left out.
    most_passes : float
        Passes that a mitigation may take; one with more is left out.

    Returns
    -------
    candidates : list of Mitigation or PooledModel
        For `crosseyed.mitigations.evaluation.evaluate`: mitigations that are not told where the object is, those
        that are, and poolings; several settings of each family.
    left_out : dict of str to str
        By name what the tower does not support, and why, in words.
    """
    left_out: dict[str, str] = {}
    candidates: list[Mitigation | PooledModel] = []
    candidates += applicable(_mitigations(model, validation, left_out), model, left_out, most_passes)
    for name, make in _poolings(model):
        try:
            candidates.append(make())
        except InputError as error:
            left_out[f"pooling: {name}"] = str(error)
    return candidates, left_out


def settings_of(
    mitigation: type[Mitigation], model: ClipModel, validation: Task | None, left_out: dict[str, str]
) -> list[Mitigation]:
    """List the candidates of one mitigation, fitted ones among them; note in `left_out` why those cannot be fitted.

    Parameters are as of `default_candidates`; no candidate is checked yet.
    """
    settings = list(mitigation.candidates())
    if _is_fitted(mitigation):
        settings += _fitted(mitigation, model, validation, left_out)
    return settings


def applicable(
    candidates: Iterable[Mitigation], model: ClipModel, left_out: dict[str, str], most_passes: float = inf
) -> list[Mitigation]:
    """Return the candidates that can be applied to a model within a number of passes; note the others in `left_out`."""
    kept = []
    for each in candidates:
        try:
            each.check(model)
        except InputError as error:
            left_out[each.name] = str(error)
            continue
        if each.passes > most_passes:
            left_out[each.name] = (
                f"It takes {each.passes} passes for an image, and {most_passes:g} are allowed."
            )
        else:
            kept.append(each)
    return kept


def views_of(candidates: Sequence[Mitigation | PooledModel], scene: Scene) -> dict[str, np.ndarray]:
    """Return by family the first view after the plain one that a candidate shows the model, uint8 (h, w, 3).

    Parameters
    ----------
    candidates : sequence of Mitigation or PooledModel
        What changes attention, positions or pooling shows the plain image and is left out; so are gates.
    scene : Scene
        The first object is the one that oracles are told of.
    """
    placed, image, shown = scene.placements[0], scene.render(), {}
    place = Location(placed.x, placed.y, placed.size)
    for each in candidates:
        if isinstance(each, Mitigation) and each.only_views and not isinstance(each, Gated):
            views = each.views(image, place if each.needs_location else None)
            shown.setdefault(family_of(each), views[min(1, len(views) - 1)])
    return shown


def gates_of(
    candidates: Sequence[Mitigation | PooledModel], ensembles: Sequence[Mitigation | PooledModel]
) -> list[Gated]:
    """Return the gates among candidates whose views are those of one of the ensembles."""
    return [each for each in candidates if isinstance(each, Gated) and each.ensemble in ensembles]


def _mitigations(model: ClipModel, validation: Task | None, left_out: dict[str, str]) -> list[Mitigation]:
    """Return the candidates of all registered mitigations, the oracles last; note what cannot be fitted."""
    known = [each for each in MITIGATIONS.values() if each.__module__ in _ORDER]
    every = []
    for mitigation in sorted(known, key=lambda each: _ORDER.index(each.__module__)):
        settings = settings_of(mitigation, model, validation, left_out)
        every += settings
        if mitigation.gated:
            every += Gated.each(settings)
    return sorted(every, key=lambda each: each.needs_location)


def _is_fitted(mitigation: type[Mitigation]) -> bool:
    return mitigation.fitted.__func__ is not Mitigation.fitted.__func__


def _fitted(
    mitigation: type[Mitigation], model: ClipModel, validation: Task | None, left_out: dict[str, str]
) -> Iterable[Mitigation]:
    if validation is None:
        left_out[mitigation.label] = "No validation images were given to fit it on."
        return []
    try:
        return mitigation.fitted(model, validation.images, validation.table, validation.labels)
    except InputError as error:
        left_out[mitigation.label] = str(error)
        return []


def _poolings(model: ClipModel) -> Iterator[tuple[str, Callable[[], PooledModel]]]:
    try:
        own = {native(model)}
    except InputError:  # a tower whose tokens are unknown supports none of them, as each will say
        own = set()
    for name, method in POOLINGS.items():
        if name not in own:
            for setting in method.settings("coarse"):
                yield name, partial(pool, model, name, **setting)
