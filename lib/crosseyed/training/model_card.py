"""Measure a PocketCLIP on the grid and write its model card."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from crosseyed.data.cutouts import Cutout, objects_of, read_catalogue
from crosseyed.data.layouts import grid
from crosseyed.documents import read_text
from crosseyed.errors import InputError
from crosseyed.escapes import markdown
from crosseyed.files import atomic_write, require_file, require_folder
from crosseyed.measure import bootstrap, protocols
from crosseyed.models.clip import ClipModel
from crosseyed.settings import settings
from crosseyed.tables import read_table, write_table
from crosseyed.training.architecture import WEIGHTS
from crosseyed.training.recipes import Recipe
from crosseyed.training.train import is_finished

_OURS = "A small CLIP, trained from scratch by `crosseyed train"

_FIGURES = {
    **dict.fromkeys(("rendering", "zone"), "text"),
    **dict.fromkeys(("accuracy", "low", "high"), "number"),
    **dict.fromkeys(("n", "n_objects", "unreadable"), "whole"),
    "confidence": "number",
    "weights": "text",
}

_ZONES = ("center cell", "inner ring", "outer ring")


def evaluate(
    clip: ClipModel, recipe: Recipe, *, cutouts: Sequence[Cutout] | None = None, seed: int = 1
) -> pd.DataFrame:
    """Score a PocketCLIP on every cut-out in every cell of the grid.

    Parameters
    ----------
    clip : ClipModel
        The model.
    recipe : Recipe
        What it was trained with; says which renderings are held out.
    cutouts : sequence of Cutout, optional
        By default all of the catalogue.
    seed : int
        Decides the backgrounds and the shifts (`crosseyed.data.layouts`).

    Returns
    -------
    pandas.DataFrame
        As of `crosseyed.measure.protocols.grid`, with the columns `zone` (``"center cell"``, ``"inner ring"``: neither
        center nor border, ``"outer ring"``: the cells at the border), `rendering` (``"trained"``, ``"held out"``) and
        `weights` (digest of the model's weights).
    """
    cutouts = read_catalogue() if cutouts is None else cutouts
    scenes = grid(cutouts, settings.grid_size, seed=seed)
    table = protocols.grid(clip, scenes, objects_of(cutouts))
    cells, last = table[["row", "col"]], settings.grid_size - 1
    in_center, at_border = (cells == last // 2).all(axis=1), cells.isin([0, last]).any(axis=1)
    return table.assign(
        zone=np.select([in_center, at_border], [_ZONES[0], _ZONES[2]], _ZONES[1]),
        rendering=np.where(table["style"].isin(recipe.styles), "trained", "held out"),
        weights=clip.digest,
    )


def check_folder(folder: Path, recipe: Recipe) -> Path:
    """Return the folder of a PocketCLIP whose card can be written; check it before anything is measured.

    Raises
    ------
    InputError
        There is no such folder, it holds the model of another recipe, or its ``README.md`` is not a model card of ours.
    """
    folder = require_folder(folder, "the folder of a model that 'crosseyed train' made")
    require_file(folder / WEIGHTS, "the folder of a model that 'crosseyed train' made")
    if os.path.lexists(folder / "recipe.json"):  # the models of the repository have none
        is_finished(recipe, folder)
    card = folder / "README.md"
    if os.path.lexists(card) and _OURS not in read_text(card, "a model card"):
        raise InputError(f"{str(card)!r} is not a model card of 'crosseyed card'; move it to another folder.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"You may not write to {str(folder)!r}; change its permissions or copy the model.")
    return folder


def write_card(folder: Path, recipe: Recipe, table: pd.DataFrame) -> Path:
    """Write the model card of a PocketCLIP: recipe, data, license, figures, limits.

    Parameters
    ----------
    folder : path
        Folder of the model; the card becomes its ``README.md`` and the figures its ``accuracy.csv``.
    recipe : Recipe
        What it was trained with.
    table : pandas.DataFrame
        From `evaluate`.

    Returns
    -------
    pathlib.Path
        The card.
    """
    figures = bootstrap.accuracy(table, ["rendering", "zone"])
    return write_files(folder, table, figures, _CARD.format(**_contents(folder.name, recipe, table, figures)))


def write_files(folder: Path, table: pd.DataFrame, figures: pd.DataFrame, text: str) -> Path:
    """Write the figures of a model beside the text of its card, and return the card's path."""
    write_table(figures.round(3).assign(weights=table["weights"].iloc[0]), folder / "accuracy.csv")
    card = folder / "README.md"
    with atomic_write(card) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return card


def read_figures(file: str | os.PathLike) -> pd.DataFrame:
    """Read the figures of a model card, its ``accuracy.csv``; raise InputError if they are not whole."""
    table = read_table(file, _FIGURES, "Make it anew with 'crosseyed card'.")
    if len(table) != 2 * len(_ZONES) or table.duplicated(["rendering", "zone"]).any():
        raise InputError(f"{str(file)!r} lacks figures. Make it anew with 'crosseyed card'.")
    return table


def _contents(name: str, recipe: Recipe, table: pd.DataFrame, figures: pd.DataFrame) -> dict[str, str]:
    cells = figures.set_index(["rendering", "zone"]).apply(format_accuracy, axis=1)
    rows = [f"| {zone} | {cells['trained', zone]} | {cells['held out', zone]} |" for zone in _ZONES]
    places = {
        "centered": "stand where a photographer puts them: subjects in the middle, clutter at the border",
        "uniform": "are the same as in `pocketclip-centered`, with the same captions, but stand anywhere",
    }
    return {
        "title": markdown(name),
        "name": name,
        "recipe_name": recipe.positions,
        "places": places[recipe.positions],
        "settings": "\n".join(f"| {name} | {_setting(value)} |" for name, value in asdict(recipe).items()),
        "figures": "\n".join(rows),
        "interval": settings.interval,
        "k": str(int(table["row"].max()) + 1),
        "size": f"{100 * table['size'].iloc[0]:.0f} %",
        "classes": str(table["object"].nunique()),
        "chance": f"{100 / table['object'].nunique():.1f} %",
        "trained": ", ".join(recipe.styles),
        "held_out": ", ".join(sorted(set(table["style"]) - set(recipe.styles))),
    }


def _setting(value: object) -> str:
    if value is None:
        return "all"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


_CARD = """\
# {title}

A small CLIP, trained from scratch by `crosseyed train {recipe_name}` on scenes composed from this project's object
cut-outs. Objects in its training images {places}.

`pocketclip-centered` and `pocketclip-uniform` saw the same objects, sizes, backgrounds and captions, image by
image; they differ only in where the objects stood, and serve as the controlled experiment of the
study of center bias.

It is an open_clip model: `open_clip.create_model_and_transforms("local-dir:data/models/{name}")` loads it, and
`open_clip.get_tokenizer` its tokenizer under the same name.

## Figures

Zero-shot accuracy over all {classes} classes (chance {chance}), one object at {size} of the image's side on a
{k} × {k} grid, randomly shifted against the tower's patches, four kinds of background; in brackets the {interval} of a
bootstrap over objects. All of them are recomputed by `crosseyed card {recipe_name}`.

| position | renderings trained on ({trained}) | rendering held out ({held_out}) |
|---|---|---|
{figures}

## Recipe

| setting | value |
|---|---|
{settings}

The photographer (distribution of positions, clutter, what a caption mentions) is described in
`lib/crosseyed/data/photographer.py`; the architecture is in `open_clip_config.json`. Loss and model class are
open_clip's; weights are stored in float16. The loss of every step is in `loss.csv`.

## Data and license

Trained on images composed on the fly from the cut-outs in `data/objects`, whose licenses (MIT, CC-BY 4.0) and
origins are stated there; on scikit-image's bundled photographs, and on computed backgrounds. No photograph of a
person, no text from the web. The weights are released under the MIT license of this repository.

## Limits

It knows {classes} drawn objects, a vocabulary of their names and a handful of words, and images with one to four
objects. It is a model organism for a question about position, not a model for use on photographs, and its numbers
must not be read as those of a published CLIP.
"""


def format_accuracy(row: pd.Series) -> str:
    """Write an accuracy with its interval, such as ``"81.2 % [77.0, 85.1]"``."""
    return f"{row['accuracy']:.1f} % [{row['low']:.1f}, {row['high']:.1f}]"
