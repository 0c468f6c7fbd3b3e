"""Write the model card of a PocketCLIP: what it can do, how it was made, what that took, and what it does not know."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from pydantic import Field

from crosseyed.data.renderings import HELD_OUT_STYLE
from crosseyed.documents import read_json, read_text
from crosseyed.errors import InputError
from crosseyed.escapes import markdown
from crosseyed.files import atomic_write, require_file, require_folder
from crosseyed.models.loading import load
from crosseyed.settings import settings
from crosseyed.tables import read_table, write_table
from crosseyed.training.architecture import WEIGHTS
from crosseyed.training.evaluation import FACTORS, RENDERINGS, SIZES, WHOLE, ZONES, ask, by_class, summarize
from crosseyed.training.recipes import StudioRecipe
from crosseyed.training.studio.backgrounds import HELD_OUT_KINDS, TRAINED_KINDS
from crosseyed.training.train import COST, is_finished
from crosseyed.validation import Checked, validated

FIGURES = "accuracy.csv"
CLASSES = "classes.csv"
CURVE = "loss.png"

_OURS = "A small CLIP, trained from scratch by `crosseyed train"

_KINDS = {
    **dict.fromkeys(("factor", "value", "rendering", "place"), "text"),
    **dict.fromkeys(("accuracy", "low", "high"), "number"),
    **dict.fromkeys(("n", "n_objects", "unreadable"), "whole"),
    "confidence": "number",
    "weights": "text",
}

_KEYS = ["factor", "value", "rendering", "place"]

_WATTS = 10  # of a core at work, with its share of the machine
_GRAMS = 436  # of carbon dioxide, per kilowatt-hour
_SMOOTHED = 50  # steps
_MOST_LISTED = 10
_UNKNOWN = 50  # percent: what is named less often counts as not known


class _Cost(Checked):
    """What a training took."""

    device: str
    core_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


def check_folder(folder: Path, recipe: StudioRecipe) -> Path:
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


def measure_and_write(folder: Path, recipe: StudioRecipe, name: str | None = None) -> Path:
    """Measure a model and write its card.

    Parameters
    ----------
    folder : path
        Folder of the model; beside the card, its ``README.md``, it gets the figures (``accuracy.csv``,
        ``classes.csv``) and the training curve (``loss.png``).
    recipe : StudioRecipe
        What it was trained with.
    name : str, optional
        That of the recipe; None for one of a user's own.

    Returns
    -------
    pathlib.Path
        The card.

    Raises
    ------
    InputError
        As `check_folder`.
    """
    folder = check_folder(folder, recipe)
    return write_card(folder, recipe, ask(load(f"local-dir:{folder}"), recipe), name)


def write_card(folder: Path, recipe: StudioRecipe, answers: pd.DataFrame, name: str | None = None) -> Path:
    """Write the card of `measure_and_write`, given the answers of `crosseyed.training.evaluation.ask`."""
    figures, classes = summarize(answers), by_class(answers)
    text = _text(folder, recipe, answers, figures, classes, name)
    losses = read_table(folder / "loss.csv", {"step": "whole", "loss": "number"}, "Train the model anew.")
    weights = answers["weights"].iloc[0]
    write_table(figures.round(3).assign(weights=weights), folder / FIGURES)
    write_table(classes.round(3).assign(weights=weights), folder / CLASSES)
    _draw_curve(losses, folder / CURVE)
    card = folder / "README.md"
    with atomic_write(card) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return card


def read_figures(file: str | os.PathLike) -> pd.DataFrame:
    """Read the figures of a model card, its ``accuracy.csv``; raise InputError if they are not whole."""
    advice = "Make it anew with 'crosseyed card'."
    table = read_table(file, _KINDS, advice)
    whole = table[table["factor"] == WHOLE]
    complete = len(whole) == len(ZONES) * whole["rendering"].nunique() and set(FACTORS) <= set(
        table["factor"]
    )
    if not complete or table.duplicated(_KEYS).any():
        raise InputError(f"{str(file)!r} lacks figures. {advice}")
    return table


def format_accuracy(row: pd.Series) -> str:
    """Write an accuracy with its interval, such as ``"81.2 % [77.0, 85.1]"``."""
    return f"{row['accuracy']:.1f} % [{row['low']:.1f}, {row['high']:.1f}]"


def _draw_curve(losses: pd.DataFrame, file: Path) -> None:
    """Draw the loss of every step, and its running mean."""
    with sns.axes_style("whitegrid"):
        figure, axes = plt.subplots(figsize=(6, 3), dpi=120, layout="constrained")
    sns.lineplot(
        losses, x="step", y="loss", ax=axes, color="0.75", linewidth=0.5, label="each step", errorbar=None
    )
    smooth = losses.assign(loss=losses["loss"].rolling(_SMOOTHED, min_periods=1).mean())
    sns.lineplot(smooth, x="step", y="loss", ax=axes, label=f"mean of {_SMOOTHED} steps", errorbar=None)
    axes.set(xlabel="optimizer step", ylabel="loss (nats)")
    with atomic_write(file) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    plt.close(figure)


def _text(
    folder: Path,
    recipe: StudioRecipe,
    answers: pd.DataFrame,
    figures: pd.DataFrame,
    classes: pd.DataFrame,
    name: str | None,
) -> str:
    unseen = _unseen_kinds(recipe)

    def marked(value: str) -> str:
        return f"{value}, held out" if value in unseen else value

    zones = {zone: (zone,) for zone in ZONES}
    places = {
        f"{rendering}, {place}": (rendering, place)
        for rendering in _renderings(figures)
        for place in ("center", "corner")
    }
    of = dict(iter(figures.groupby("factor")))
    asked = f"`crosseyed card {name}` computes all figures again." if name else ""
    return _CARD.format(
        title=markdown(folder.name),
        command=name or "--recipe",
        objects=answers["object"].nunique(),
        chance=f"{100 / answers['object'].nunique():.1f} %",
        interval=settings.interval,
        again=asked,
        held_out=_held_out(answers),
        zones=_accuracies(of[WHOLE], "rendering", zones, "rendering"),
        renderings=_accuracies(of["rendering"], "value", zones, "rendering"),
        factors="\n\n".join(
            _accuracies(of[factor], "value", places, factor, marked) for factor in FACTORS[1:]
        ),
        largest=f"{SIZES[-1]:g}",
        k=settings.grid_size,
        unknown=_unknown(classes),
        confusions=_confusions(classes),
        settings=_settings(recipe),
        stages=_stages(recipe),
        cost=_cost(folder / COST),
        data=_OWN_DATA if recipe.cutout_folder else _CATALOGUE,
        curve=CURVE,
    )


def _held_out(answers: pd.DataFrame) -> str:
    if len(_renderings(answers)) == 1:
        return "No rendering was held out, so they do not say whether it knows other drawings of the same objects."
    return (
        f"The rendering {HELD_OUT_STYLE} was held out: the model has never seen it, nor any by its designers."
    )


def _unseen_kinds(recipe: StudioRecipe) -> list[str]:
    """List the kinds of background that a recipe does not train on."""
    photographers = [recipe.photographer, *(stage.photographer for stage in recipe.stages)]
    seen = {kind for photographer in photographers for kind in photographer.backgrounds}
    return [kind for kind in (*TRAINED_KINDS, *HELD_OUT_KINDS) if kind not in seen]


def _accuracies(
    figures: pd.DataFrame,
    row: str,
    columns: Mapping[str, tuple[str, ...]],
    heading: str,
    shown: Callable[[str], str] = markdown,
) -> str:
    """Tabulate accuracies: a row per value of the column `row`, and under each title what these keys stand for."""
    keys = ["rendering", "place"][-len(next(iter(columns.values()))) :]
    cells = figures.assign(text=figures.apply(format_accuracy, axis=1)).set_index([row, *keys])["text"]
    rows = [(heading, *columns), ("---",) * (1 + len(columns))]
    for value in figures.sort_values("rendering", ascending=False, kind="stable")[row].unique():
        rows.append((shown(value), *(cells[(value, *key)] for key in columns.values())))
    return _table(rows)


def _renderings(table: pd.DataFrame) -> list[str]:
    """List which of the renderings, trained and held out, a table has."""
    return [each for each in RENDERINGS if (table["rendering"] == each).any()]


def _table(rows: Sequence[Sequence[object]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def _unknown(classes: pd.DataFrame) -> str:
    """Say which objects are named less often than every second time, in each kind of rendering."""
    sentences = []
    for rendering in _renderings(classes):
        of_kind = classes[classes["rendering"] == rendering]
        missed = of_kind[of_kind["accuracy"] < _UNKNOWN]["object"]
        names = f": {', '.join(map(markdown, missed))}" if len(missed) else ""
        sentences.append(f"In {rendering} renderings, {len(missed)} of {len(of_kind)} objects{names}.")
    return "\n\n".join(sentences)


def _confusions(classes: pd.DataFrame) -> str:
    rows = [("rendering", "object", "taken for", "share of images"), ("---",) * 4]
    for rendering in _renderings(classes):
        worst = classes[(classes["rendering"] == rendering) & (classes["share"] > 0)].nlargest(
            _MOST_LISTED, "share"
        )
        rows += [
            (rendering, markdown(each.object), markdown(each.taken_for), f"{each.share:.0f} %")
            for each in worst.itertuples()
        ]
    return _table(rows)


def _settings(recipe: StudioRecipe) -> str:
    unused = {"color_jitter", "photographer", "stages", "styles" if recipe.cutout_folder else "cutout_folder"}
    rows = [(name, _shown(value)) for name, value in asdict(recipe).items() if name not in unused]
    return _table([("setting", "value"), ("---", "---"), *rows])


def _stages(recipe: StudioRecipe) -> str:
    """Tabulate what each stage is like: a column each, that of the whole task last."""
    columns: list[Mapping[str, object]] = []
    for stage in (*recipe.stages, recipe.stage_at(recipe.steps - 1)):
        values = asdict(stage)
        habits = values.pop("photographer")
        columns.append(values | habits)
    titles = [f"stage {number}" for number in range(1, len(columns))] + ["whole task"]
    rows = [("habit", *titles), ("---",) * (1 + len(titles))]
    return _table([*rows, *((name, *(_shown(column[name]) for column in columns)) for name in columns[0])])


def _cost(file: Path) -> str:
    if not os.path.lexists(file):
        return "What the training took was not recorded."
    what = "what a training took"
    cost = validated(_Cost, read_json(file, what), f"{what}, {str(file)!r}")
    hours = cost.core_seconds / 3600
    energy = hours * _WATTS
    return (
        f"The training took {hours:.1f} hours of one core ({cost.device}), over all its sittings. At an assumed "
        f"{_WATTS} W a core that is {energy:.0f} Wh, or {energy / 1000 * _GRAMS:.0f} g of carbon dioxide at "
        f"{_GRAMS} g/kWh, the world's average of 2022 (Ember, Global Electricity Review 2023)."
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return markdown(value) if isinstance(value, str) else "all" if value is None else str(value)


_CATALOGUE = """\
Trained on images composed on the fly from the cut-outs in `data/objects` and `data/renderings`, whose licenses (MIT,
Apache 2.0, CC BY 4.0, CC BY-SA 4.0) and origins are stated there; on photographs bundled with scikit-image, and on
computed backgrounds. No photograph of a person, no text from the web. The weights are released under the MIT license of
this repository."""

_OWN_DATA = """\
Trained on images composed on the fly from its maker's own cut-outs, whose rights are theirs; on photographs bundled
with scikit-image, and on computed backgrounds."""

_CARD = """\
# {title}

A small CLIP, trained from scratch by `crosseyed train {command}` on images that the studio composed from cut-outs of
{objects} objects. It is an open_clip model: `open_clip.create_model_and_transforms` loads its folder as `local-dir:`,
and `open_clip.get_tokenizer` its tokenizer.

## Figures

Zero-shot accuracy over all {objects} objects (chance {chance}), one object in each image, upright; in brackets the
{interval} of a bootstrap over objects. {held_out} {again}

Where it stands, in a {k} × {k} grid, at 0.3 of the side:

{zones}

{renderings}

In the center of the image and in a corner, by size over the side (there the largest ones, up to {largest}, reach
beyond the center), kind of background, and how the object lies on the tower's patches:

{factors}

## What it does not know

Named less often than every second time in the center of an image:

{unknown}

What is most often taken for something else there (all objects are in `classes.csv`):

{confusions}

## Recipe

{settings}

What a step sees, and the photographer's habits, stage by stage:

{stages}

![The loss of the training]({curve})

## Cost

{cost}

## Data and license

{data}

## Limits

It knows the names of {objects} objects and a handful of other words. It is a model organism for questions about
position, not a model for use on photographs, and its numbers must not be read as those of a published CLIP.
"""
