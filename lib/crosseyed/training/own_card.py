"""Measure a PocketCLIP of a user's own recipe on the objects that it was trained on, and write its model card."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from crosseyed.data.cutouts import Cutout, objects_of
from crosseyed.data.renderings import HELD_OUT_STYLE, read_renderings
from crosseyed.escapes import markdown
from crosseyed.measure import bootstrap
from crosseyed.models.loading import load
from crosseyed.settings import settings
from crosseyed.training.model_card import check_folder, evaluate, format_accuracy, write_files
from crosseyed.training.recipes import StudioRecipe, world_of


def measure_and_write(folder: Path, recipe: StudioRecipe) -> Path:
    """Measure a model on its own cut-outs and write its card.

    Parameters
    ----------
    folder : path
        Folder of the model; the card becomes its ``README.md`` and the figures its ``accuracy.csv``.
    recipe : StudioRecipe
        What it was trained with.

    Returns
    -------
    pathlib.Path
        The card.

    Raises
    ------
    InputError
        As `crosseyed.training.model_card.check_folder`.
    """
    folder = check_folder(folder, recipe)
    trained = world_of(recipe)
    held_out = [] if recipe.cutout_folder else _held_out(recipe, set(objects_of(trained)))
    table = evaluate(load(f"local-dir:{folder}"), recipe, cutouts=[*trained, *held_out])
    return write_card(folder, recipe, table)


def write_card(folder: Path, recipe: StudioRecipe, table: pd.DataFrame) -> Path:
    """Write the card, given the answers of `crosseyed.training.model_card.evaluate`."""
    figures = bootstrap.accuracy(table, ["style", "zone"])
    return write_files(folder, table, figures, _text(folder.name, recipe, table, figures))


def _held_out(recipe: StudioRecipe, objects: set[str]) -> list[Cutout]:
    styles = [style for style in (HELD_OUT_STYLE,) if style not in recipe.styles]
    return [cutout for cutout in read_renderings(styles) if cutout.object in objects]


def _text(name: str, recipe: StudioRecipe, table: pd.DataFrame, figures: pd.DataFrame) -> str:
    values = asdict(recipe)
    unused = {
        "color_jitter",
        "photographer",
        "stages",
        "styles" if recipe.cutout_folder else "cutout_folder",
    }
    return _CARD.format(
        title=markdown(name),
        objects=table["object"].nunique(),
        chance=f"{100 / table['object'].nunique():.1f} %",
        k=int(table["row"].max()) + 1,
        size=f"{100 * table['size'].iloc[0]:.0f} %",
        interval=settings.interval,
        held_out=(
            f"The rendering {HELD_OUT_STYLE} was held out."
            if HELD_OUT_STYLE in set(table["style"]) - set(recipe.styles)
            else "No rendering was held out, so they do not say whether it knows other drawings of the same objects."
        ),
        figures="\n".join(
            f"| {markdown(str(row['style']))} | {row['zone']} | {format_accuracy(row)} |"
            for _, row in figures.iterrows()
        ),
        settings=_rows({key: value for key, value in values.items() if key not in unused}),
        stages=_stages(recipe),
    )


def _rows(values: dict[str, object]) -> str:
    return "\n".join(f"| {name} | {_shown(value)} |" for name, value in values.items())


def _stages(recipe: StudioRecipe) -> str:
    """Tabulate what each stage is like: a column each, that of the whole task last."""
    last = recipe.stage_at(recipe.steps - 1)
    columns = []
    for stage in (*recipe.stages, last):
        values = asdict(stage)
        habits = values.pop("photographer")
        columns.append(values | habits)
    titles = [f"stage {number}" for number in range(1, len(columns))] + ["whole task"]
    lines = [("habit", *titles), ("---",) * (1 + len(titles))]
    lines += [(name, *(_shown(column[name]) for column in columns)) for name in columns[0]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return markdown(value) if isinstance(value, str) else "all" if value is None else str(value)


_CARD = """\
# {title}

A small CLIP, trained from scratch by `crosseyed train --recipe` on images that the studio composed from cut-outs of
{objects} objects.

## Figures

Zero-shot accuracy over these objects (chance {chance}): one object at {size} of the image's side on a {k} × {k} grid,
four kinds of background; in brackets the {interval} of a bootstrap over objects. {held_out}

| rendering | position | accuracy |
|---|---|---|
{figures}

## Recipe

| setting | value |
|---|---|
{settings}

What a step sees, and the photographer:

{stages}

## Limits

It knows the names of {objects} objects and a handful of other words. It is a model for questions about position, and
not for use on photographs.
"""
