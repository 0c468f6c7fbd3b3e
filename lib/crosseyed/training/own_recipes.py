"""Read a recipe that a user wrote: a PocketCLIP of one's own, from one's own cut-outs, by a photographer of one's own.

A YAML file has `positions` (``centered``, ``uniform``, or the spread around the center as a fraction of the side) and
perhaps `cutouts` (a folder of transparent images named after what they show, relative to the file), `photographer`
(habits by name, as `crosseyed.training.studio.shots.Photographer` has them), `stages` (easier parts that come first,
as `crosseyed.training.recipes.Stage` has them) and further settings of a recipe.

.. code-block:: yaml

    positions: uniform
    cutouts: my-objects
    photographer:
      sizes: [0.2, 0.5]
      backgrounds: [plain, photo]
      occlusion: 0
    steps: 1500
    stages:
      - steps: 500
        patches: 25
        photographer: {sizes: [0.35, 0.6], pairs: 0, clutter: 0}
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, create_model

from crosseyed.data.photographer import Dose
from crosseyed.documents import read_yaml
from crosseyed.errors import InputError, shorten, suggest
from crosseyed.files import expand
from crosseyed.training.recipes import Recipe, Stage, StudioRecipe, find_recipe, world_of
from crosseyed.training.stream import check_world
from crosseyed.training.studio.shots import Photographer
from crosseyed.validation import Checked, validated

_WHAT = "a recipe: a YAML file with 'positions'"
_NOT_IN_FILES = ("positions", "photographer", "stages", "cutout_folder", "color_jitter")
_BY_HAND = ("positions", "cutouts", "photographer", "stages")


class _Text(Checked):
    """Values that are the text of a YAML file."""

    model_config = ConfigDict(strict=False)


def choose_recipe(name: str | None, file: str | os.PathLike | None) -> Recipe:
    """Return the recipe with a name, or that of a file; raise InputError unless one of them is given."""
    if (name is None) == (file is None):
        raise InputError(
            "Give the name of a recipe, centered or uniform, or a file of your own with --recipe; one of them."
        )
    return find_recipe(str(name)) if file is None else read_recipe(file)


def read_recipe(path: str | os.PathLike) -> StudioRecipe:
    """Read a recipe, and look whether its cut-outs are there.

    Parameters
    ----------
    path : path
        See the module.

    Returns
    -------
    StudioRecipe

    Raises
    ------
    InputError
        The file is missing or not such a file, a name is unknown, a value is of another kind or out of its range, the
        folder of cut-outs cannot be used, or has fewer objects than an image may show.
    """
    file, what = expand(path), f"the recipe {os.fspath(path)!r}"
    content = read_yaml(file, _WHAT)
    if not isinstance(content, Mapping) or "positions" not in content:
        raise InputError(
            f"{os.fspath(path)!r} has no 'positions'; give centered, uniform or a spread such as 0.1."
        )
    plain = [each for each in fields(StudioRecipe) if each.name not in _NOT_IN_FILES]
    _check_names(content, [*_BY_HAND, *(each.name for each in plain)], what)
    values = {name: value for name, value in content.items() if name not in _BY_HAND}
    if content.get("cutouts") is not None and "styles" in values:
        raise InputError(f"{what} has cutouts and styles; give one of them.")
    recipe = StudioRecipe(
        positions=_positions(content["positions"], what),
        photographer=_photographer(content.get("photographer"), what),
        stages=_stages(content.get("stages"), what),
        cutout_folder=_folder(content.get("cutouts"), file, what),
        **_typed(StudioRecipe, plain, values, what),
    )
    check_world(recipe, world_of(recipe))
    return recipe


def _check_names(content: Mapping[str, object], known: Sequence[str], what: str) -> None:
    for name in content:
        if name not in known:
            near = suggest(str(name), known) or "."
            raise InputError(f"{what} has no {shorten(name)}{near} It may have {', '.join(known)}.")


def _positions(value: object, what: str) -> str | Dose:
    if value in ("centered", "uniform"):
        return str(value)
    try:
        spread = float(str(value))
    except ValueError:
        near = suggest(str(value), ("centered", "uniform")) or ";"
        raise InputError(
            f"positions of {what} are {shorten(value)}{near} give centered, uniform or a spread such as 0.1."
        ) from None
    return Dose(spread=spread)


def _photographer(value: object, what: str) -> Photographer:
    if value is None:
        return Photographer()
    if not isinstance(value, Mapping):
        raise InputError(
            f"photographer of {what} is {shorten(value)}; give habits by name, such as 'occlusion: 0.1'."
        )
    return Photographer(**_typed(Photographer, fields(Photographer), value, f"the photographer of {what}"))


def _stages(value: object, what: str) -> tuple[Stage, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise InputError(
            f"stages of {what} are {shorten(value)}; give a list of settings, each with 'steps'."
        )
    return tuple(_stage(each, f"stage {number} of {what}") for number, each in enumerate(value, 1))


def _stage(value: Mapping[str, object], what: str) -> Stage:
    _check_names(value, [each.name for each in fields(Stage)], what)
    photographer = _photographer(value.get("photographer"), what)
    plain = [each for each in fields(Stage) if each.name != "photographer"]
    numbers = {name: number for name, number in value.items() if name != "photographer"}
    if "steps" not in numbers:
        raise InputError(f"{what} has no 'steps'; say how many optimizer steps it lasts.")
    return Stage(photographer=photographer, **_typed(Stage, plain, numbers, what))


def _folder(value: object, file: Path, what: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(
            f"cutouts of {what} are {shorten(value)}; give a folder of transparent PNG or WebP files."
        )
    return str(file.parent / Path(value).expanduser())


def _typed(
    kind: type, chosen: tuple[Field, ...] | list[Field], values: Mapping[str, object], what: str
) -> dict[str, Any]:
    """Take the text of a file to the types that the fields of a dataclass have."""
    hints = get_type_hints(kind)
    model = create_model(
        kind.__name__,
        __base__=_Text,
        **{
            each.name: (hints[each.name], None if each.default is MISSING else each.default)
            for each in chosen
        },
    )
    given = validated(model, values, what)
    return {name: getattr(given, name) for name in given.model_fields_set}
