"""Every mitigation by its name, and the list that chapter 5 evaluates.

The list has a few settings of each family, so that the best can be chosen on validation images
(`crosseyed.mitigations.evaluation`). Each class says in `candidates` what is tried of it, each pooling in the
`coarse` grids of its parameters. Settings that share their views cost next to nothing beside one another; those that
need passes of their own are few.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from crosseyed.data.scenes import Scene
from crosseyed.errors import InputError, check_choice
from crosseyed.mitigations import head_suppression, positions, redistribution, views, visual_prompts
from crosseyed.mitigations.base import MITIGATIONS, Location, Mitigation
from crosseyed.mitigations.head_suppression import HeadSuppression
from crosseyed.mitigations.pooling import PooledModel, native, pool
from crosseyed.mitigations.pooling_methods import POOLINGS
from crosseyed.mitigations.scoring import family_of
from crosseyed.mitigations.views import Gated
from crosseyed.models.clip import ClipModel

_ORDER = [each.__name__ for each in (views, visual_prompts, redistribution, head_suppression, positions)]


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
    model: ClipModel, heads: Sequence[tuple[int, int]] = ()
) -> tuple[list[Mitigation | PooledModel], dict[str, str]]:
    """List what is evaluated by default, as far as the model's tower can do it.

    The tower's own pooling is not among them: it is the plain model.

    Parameters
    ----------
    model : ClipModel
        The model.
    heads : sequence of tuple of int
        Layer and head of the center-biased heads, from
        `crosseyed.mitigations.head_suppression.center_biased_heads`; without any, no head is suppressed.

    Returns
    -------
    candidates : list of Mitigation or PooledModel
        For `crosseyed.mitigations.evaluation.evaluate`: mitigations that are not told where the object is, those
        that are, and poolings; several settings of each family.
    left_out : dict of str to str
        By name what the tower does not support, and why, in words.
    """
    candidates, left_out = [], {}
    if not heads:
        left_out[HeadSuppression.label] = "No center-biased heads were given."
    for mitigation in _mitigations(heads):
        try:
            mitigation.check(model)
        except InputError as error:
            left_out[mitigation.name] = str(error)
        else:
            candidates.append(mitigation)
    for name, make in _poolings(model):
        try:
            candidates.append(make())
        except InputError as error:
            left_out[f"pooling: {name}"] = str(error)
    return candidates, left_out


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


def _mitigations(heads: Sequence[tuple[int, int]]) -> list[Mitigation]:
    """Return the candidates of all registered mitigations, the oracles last."""
    known = [each for each in MITIGATIONS.values() if each.__module__ in _ORDER]
    every = []
    for mitigation in sorted(known, key=lambda each: _ORDER.index(each.__module__)):
        settings = list(mitigation.candidates(heads))
        every += settings
        if mitigation.gated:
            every += Gated.each(settings)
    return sorted(every, key=lambda each: each.needs_location)


def _poolings(model: ClipModel) -> Iterator[tuple[str, Callable[[], PooledModel]]]:
    try:
        own = {native(model)}
    except InputError:  # a tower whose tokens are unknown supports none of them, as each will say
        own = set()
    for name, method in POOLINGS.items():
        if name not in own:
            for setting in method.settings("coarse"):
                yield name, partial(pool, model, name, **setting)
