"""Everything that may help: the mitigations by name, and the list that is evaluated by default.

The default list has a few settings of each family, so that the best can be chosen on validation pictures
(`crosseyed.mitigations.evaluation`). Settings that share their views cost next to nothing beside one another;
those that need
passes of their own are few.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product

from crosseyed.errors import InputError, check_choice
from crosseyed.mitigations.base import AGGREGATES, Ensemble, Mitigation
from crosseyed.mitigations.head_suppression import HeadSuppression
from crosseyed.mitigations.marks import MARGIN, MARKS, PROMPTS
from crosseyed.mitigations.pooling import PooledModel, native, pool
from crosseyed.mitigations.pooling_methods import POOLINGS
from crosseyed.mitigations.positions import AveragedPositions, PositionShifts, ShiftedPositions
from crosseyed.mitigations.redistribution import (
    AttentionTemperature,
    ConfidenceScaling,
    RadialAttention,
    SinkRedistribution,
    UniformMix,
)
from crosseyed.mitigations.views import Crops, CyclicShifts, Gated, Padding, Tiles
from crosseyed.mitigations.visual_prompts import Prompted, ProposedPrompts
from crosseyed.models.clip import ClipModel

MITIGATIONS: dict[str, type[Mitigation]] = {
    each.label: each
    for each in (
        *(CyclicShifts, Crops, Tiles, Padding, Gated),
        *(Prompted, ProposedPrompts),
        *(
            RadialAttention,
            UniformMix,
            AttentionTemperature,
            SinkRedistribution,
            ConfidenceScaling,
            HeadSuppression,
        ),
        *(ShiftedPositions, AveragedPositions, PositionShifts),
    )
}

"""The mitigations by name; their docstrings say formula, source and parameters."""

_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8)

_CROP_MARGIN = 1.0  # an object then covers a third of the crop, as it would of a photograph of it

_POOLING_GRIDS: dict[str, dict[str, Sequence[float]]] = {
    "generalised mean": {"p": (3.0, 10.0)},
    "log-sum-exp": {"temperature": (0.3, 1.0)},
    "top-k": {"k": (4, 16)},
    "sharpened attention": {"temperature": (0.25, 0.5)},
    "flattened attention": {"temperature": (2.0, 4.0)},
    "caption-conditioned": {"temperature": (0.01, 0.05)},
    "masked max": {"fraction": (0.25, 0.5)},
}


def find(name: str) -> type[Mitigation]:
    """Find a mitigation by its name.

    Parameters
    ----------
    name : str
        A key of `MITIGATIONS`, such as ``"cyclic shifts"``.

    Returns
    -------
    type
        The class; its fields are the hyper-parameters.

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

    Shifts of the positional embeddings are not among them: on a transformer they are the cyclic shifts of the
    picture, in whole patches. Nor is the tower's own pooling, which is the plain model.

    Parameters
    ----------
    model : ClipModel
        The model.
    heads : sequence of tuple of int
        Layer and head of the center-biased heads, from
        `crosseyed.mitigations.head_suppression.center_biased_heads`; without any,
        no head is suppressed.

    Returns
    -------
    candidates : list of Mitigation or PooledModel
        For `crosseyed.mitigations.evaluation.evaluate`: mitigations that are not told where the object is, those
        that are, and
        poolings; several settings of each family.
    left_out : dict of str to str
        By name what the tower does not support, and why, in words.
    """
    candidates, left_out = [], {}
    suppressed = [HeadSuppression(tuple(heads), strength) for strength in (0.5, 1.0)] if heads else []
    if not heads:
        left_out[HeadSuppression.label] = "No center-biased heads were given."
    for mitigation in [*_views(), *_proposed(), *_redistributions(), *suppressed, *_positions(), *_told()]:
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


def _combined(ensemble: Callable[..., Ensemble]) -> list[Ensemble]:
    return [ensemble(aggregate=aggregate) for aggregate in AGGREGATES]


def _gated(ensembles: Sequence[Mitigation]) -> list[Mitigation]:
    return [Gated(ensemble, threshold) for ensemble, threshold in product(ensembles, _THRESHOLDS)]


def _views() -> Iterator[Mitigation]:
    shifts, crops = _combined(CyclicShifts), _combined(partial(Crops, side=2, scale=0.6))
    yield from shifts
    yield from _gated(shifts)
    yield from crops
    yield from _gated(crops)
    yield from _combined(Tiles)
    for border, fill in ((0.15, "edge"), (0.25, "reflect")):
        yield Padding(border, fill)


def _proposed() -> Iterator[Mitigation]:
    for kind in ("circle", "crop"):
        yield from _combined(
            partial(ProposedPrompts, kind, margin=_CROP_MARGIN if kind == "crop" else MARGIN)
        )


def _redistributions() -> Iterator[Mitigation]:
    for strength, last in product((1.0, 3.0), (1, 2)):
        yield RadialAttention(strength, last=last)
    for strength in (0.5, 1.0):
        yield UniformMix(strength)
    for temperature in (0.5, 2.0):
        yield AttentionTemperature(temperature)
    yield SinkRedistribution()
    yield ConfidenceScaling()


def _positions() -> Iterator[Mitigation]:
    for strength in (0.25, 0.5, 1.0):
        yield AveragedPositions(strength)


def _told() -> Iterator[Mitigation]:
    for kind in PROMPTS:
        if kind in MARKS:
            yield from (Prompted(kind, width=width) for width in (0.02, 0.04))
        elif kind == "crop":
            yield from (Prompted(kind, margin=margin) for margin in (0.5, _CROP_MARGIN))
        else:
            yield from (Prompted(kind, strength) for strength in (0.5, 1.0))


def _poolings(model: ClipModel) -> Iterator[tuple[str, Callable[[], PooledModel]]]:
    try:
        own = {native(model)}
    except InputError:  # a tower whose tokens are unknown supports none of them, as each will say
        own = set()
    for name in POOLINGS:
        if name in own:
            continue
        settings = [{key: value} for key, values in _POOLING_GRIDS.get(name, {}).items() for value in values]
        for setting in settings or [{}]:
            yield name, partial(pool, model, name, **setting)
