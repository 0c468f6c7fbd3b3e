"""Measure the bias of a model on your own photographs, and write tables and a figure to a folder."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from crosseyed.data.captions import CaptionSet, read_captions
from crosseyed.data.coco import CocoSet, read_coco
from crosseyed.data.left_out import NothingUsableError, first_faults
from crosseyed.errors import InputError, shorten
from crosseyed.files import (
    MARK,
    atomic_write,
    claim_folder,
    exchange,
    expand,
    files_made,
    note_files,
    require_file,
)
from crosseyed.measure import bootstrap, protocols
from crosseyed.measure.mixed_logit import COVARIATES, mixed_slope
from crosseyed.measure.recognition import Recognition, recognise
from crosseyed.models.clip import ClipModel
from crosseyed.report.figures import curves, intervals
from crosseyed.tables import write_table

MAKER = "own-data"
"""What the mark of an output folder says."""

_FIGURE = "bias.png"
_TABLES = ("objects", "left_out", "average_precision", "effects", "categories", "captions", "bias", "rings")
_FAILED = "left_out_failed.csv"
_RESULTS = {_FIGURE, *(f"{name}.csv" for name in _TABLES)}
_DAMAGED = "its pixels are damaged or cut off, or use too few of 16 bits"


def measure(
    clip: ClipModel | Callable[[], ClipModel],
    data: str | os.PathLike,
    images: str | os.PathLike,
    output: str | os.PathLike,
) -> str:
    """Measure a model on annotated photographs; return the finding in a few sentences.

    Parameters
    ----------
    clip : ClipModel or callable
        The model, or a function that loads it: that is called when data and output are known to be in order.
    data : path
        Annotations in the COCO format (``.json``), or a table of image, caption, x, y (``.csv``, ``.tsv`` or
        ``.txt``).
    images : path
        Folder with the images.
    output : path
        Folder for the tables and the figure: a new or empty one, or that of an earlier run, whose results are replaced
        when the new ones are complete.

    Raises
    ------
    InputError
        The data cannot be read or offer no choice, or `output` holds other files or cannot be written to.
    NothingUsableError
        Nothing in the data can be used. ``left_out.csv`` is written all the same; where the results of an earlier run
        are, they stay, and it is called ``left_out_failed.csv``.

    Warns
    -----
    LeftOutWarning, UnreadableImagesWarning, EstimateWarning
        As by `crosseyed.data.coco.read_coco`, `crosseyed.data.captions.read_captions`, the model,
        `crosseyed.measure.mixed_logit.mixed_slope`.
    """
    file = require_file(data, "a COCO-format JSON file, or a CSV file with image, caption, x and y")
    is_table = file.suffix.lower() in (".csv", ".tsv", ".txt")
    try:
        content = read_captions(data, images) if is_table else read_coco(data, images)
        _check_choice(content)
        with _claimed(output, file, images) as folder:
            clip = clip if isinstance(clip, ClipModel) else clip()
            finding, tables, figure = (
                _measure_captions(clip, content) if is_table else _measure_objects(clip, content)
            )
    except NothingUsableError as error:
        try:
            place = _write_reasons(_claim(output, file, images), error.left_out)
            where = f"All are listed in {str(place)!r}."
        except InputError as obstacle:
            where = f"They could not be listed: {obstacle}"
        raise NothingUsableError(f"{error} {where}", error.left_out) from error
    told = {name: table.assign(weights=clip.digest) for name, table in tables.items() if name != "left_out"}
    _replace(folder, tables | told, figure)
    return f"{clip.name} on {os.fspath(data)}: {finding} Tables and figure are in {folder}."


def _check_choice(content: CocoSet | CaptionSet) -> None:
    """Raise InputError for data with which no model can be measured."""
    of_captions = isinstance(content, CaptionSet)
    choices = set(content.table["object"]) if of_captions else content.categories
    if len(choices) < 2:
        what = "caption" if of_captions else "category"
        raise InputError(
            f"There is nothing to choose among but one {what}, {shorten(*choices)}; give at least two. "
            f"{content.summary}"
        )
    if of_captions:
        _check_contrast(content)


def _check_contrast(content: CaptionSet) -> None:
    """Raise InputError for objects that are all at the center, or all off-center."""
    if content.table["center"].nunique() < 2:
        side = "at the center" if content.table["center"].all() else "off-center"
        raise InputError(f"All objects are {side}; give images of both kinds. {content.summary}")


@contextmanager
def _claimed(output: str | os.PathLike, file: Path, images: str | os.PathLike) -> Iterator[Path]:
    """Yield the output folder as by `_claim`, and leave no new one behind if nothing comes of it."""
    new = not os.path.lexists(expand(output))
    folder = _claim(output, file, images)
    try:
        yield folder
    except BaseException:
        with suppress(OSError):
            if new and os.listdir(folder) == [MARK]:
                (folder / MARK).unlink()
                folder.rmdir()
        raise


def _claim(output: str | os.PathLike, file: Path, images: str | os.PathLike) -> Path:
    """Claim the output folder; raise InputError if results would lie among the input or replace something else."""
    folder = claim_folder(output, MAKER)
    if folder.resolve() in (file.resolve().parent, expand(images).resolve()):
        raise InputError(f"The folder {str(folder)!r} holds the input; give another one for the results.")
    there, made = {name for name in _RESULTS if os.path.lexists(folder / name)}, files_made(folder)
    if made is None:
        made = there
        note_files(folder, made)
    for name in sorted(there):
        if name not in made or (folder / name).is_dir():
            raise InputError(
                f"{str(folder / name)!r} is not a result of 'crosseyed {MAKER}' and would be replaced; move it to "
                "another folder, or give another one for the results."
            )
    return folder


def _write_reasons(folder: Path, left_out: pd.DataFrame) -> Path:
    """Write why nothing could be used, and leave the results of an earlier run as they are."""
    earlier = any((folder / name).exists() for name in _RESULTS - {"left_out.csv"})
    place = folder / (_FAILED if earlier else "left_out.csv")
    if not earlier:
        note_files(folder, {place.name})
    write_table(left_out, place)
    return place


def _replace(folder: Path, tables: Mapping[str, pd.DataFrame], figure: Figure | None) -> None:
    """Write the results beside those of an earlier run, and put them into their place together."""
    new = folder / ".new"
    shutil.rmtree(new, ignore_errors=True)
    for name, table in tables.items():
        write_table(table, new / f"{name}.csv")
    if figure is not None:
        with atomic_write(new / _FIGURE) as temporary:
            figure.savefig(temporary, dpi=150)
    written = {path.name for path in new.iterdir()}
    note_files(folder, _RESULTS)  # until the last is in its place, a run that is killed leaves some of both
    for name in sorted(written):
        exchange(new / name, folder / name)
    new.rmdir()
    for name in {*_RESULTS, _FAILED} - written:  # of an earlier run about other data
        (folder / name).unlink(missing_ok=True)
    note_files(folder, written)


def _measure_objects(clip: ClipModel, data: CocoSet) -> tuple[str, dict[str, pd.DataFrame], Figure | None]:
    """Score every annotated object; return the finding, the tables and the figure."""
    _check_told_apart(clip, protocols.captions_of(data.categories, None, "category"))
    found = recognise(clip, data)
    data, found = _without_unreadable(data, found)
    # where a model sees whole images, no part of an object is lost to the crop
    covariates = [name for name in COVARIATES if name != "in_crop" or clip.resize == "crop"]
    slope = mixed_slope(found.objects, covariates)
    tables = {
        "objects": found.objects,
        "left_out": data.left_out,
        "average_precision": found.categories,
        "effects": slope.effects,
        "categories": slope.categories,
    }
    first = slope.effects.iloc[0]
    used = data.summary + _not_estimated(first)
    if first["note"]:
        finding = f"there is no estimate of the bias, because {first['note']}. {used}"
        return finding, tables, None
    reached = (
        f"each 0.1 of eccentricity multiplies the odds of recognition by {first['odds_ratio']:.2f} "
        f"({100 * first['confidence']:g} % interval {first['low']:.2f} to {first['high']:.2f}), other things being "
        f"equal ({first['n']} objects of {first['n_categories']} categories in {first['n_images']} images)."
    )
    worst = ", ".join(f"{row.object} ({row.odds_ratio:.2f})" for row in slope.categories.head(5).itertuples())
    precision = found.categories["average_precision"].mean()
    finding = f"{reached} Worst affected: {worst}. Mean average precision {precision:.1f} %. {used}"
    return finding, tables, intervals.odds_ratios(slope.effects, slope.categories)


def _check_told_apart(clip: ClipModel, texts: Sequence[str]) -> None:
    """Raise InputError for two texts that are one to the model, so that its choice between them says nothing."""
    first: dict[bytes, str] = {}
    for text, tokens in zip(texts, clip.tokenizer(list(texts)), strict=True):
        other = first.setdefault(tokens.numpy().tobytes(), text)
        if other != text:
            raise InputError(
                f"To {clip.name} the texts {shorten(other)} and {shorten(text)} are one: it drops what exceeds its "
                "context length and some signs. Give texts that differ in their first words."
            )


def _not_estimated(effect: pd.Series) -> str:
    """Say how many of the objects that are used are not in the estimate, and why."""
    reasons = {
        "shared": "share their image with others of their category",
        "unanswered": "are in images that show every category",
    }
    return "".join(
        f" {effect[name]} objects {reason} and are not in the estimate."
        for name, reason in reasons.items()
        if effect[name]
    )


def _without_unreadable(data: CocoSet, found: Recognition) -> tuple[CocoSet, Recognition]:
    """Move objects in images that turn out to be damaged when they are read to what is left out."""
    lost, left_out = _unreadable(found.objects, data.left_out)
    objects = found.objects[~lost].reset_index(drop=True)
    return replace(data, objects=objects, left_out=left_out), replace(found, objects=objects)


def _unreadable(answers: pd.DataFrame, left_out: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    """Say which answers lack an image that can be read, and add them to what is left out."""
    lost = answers["rank"].isna()  # `choice` may say "unreadable" because that is the name of a category
    entry = left_out.columns[0]
    rows = answers.loc[lost, [entry, "image"]].assign(reason="image file unreadable", detail=_DAMAGED)
    left_out = pd.concat([left_out, rows.astype(object)], ignore_index=True)
    if lost.all():
        first = first_faults(left_out.tail(len(rows)))
        raise NothingUsableError(f"None of the images can be read: {first}.", left_out)
    return lost, left_out


def _measure_captions(clip: ClipModel, data: CaptionSet) -> tuple[str, dict[str, pd.DataFrame], Figure]:
    """Find the caption that fits each image best; return the finding, the tables and the figure."""
    labels = list(dict.fromkeys(data.table["object"]))
    _check_told_apart(clip, labels)
    found = protocols.zero_shot(clip, list(data.table["path"]), data.table, labels, "{}", protocol="own")
    lost, left_out = _unreadable(found, data.left_out)
    found = found[~lost].reset_index(drop=True)
    data = replace(data, table=found, left_out=left_out)
    _check_contrast(data)
    rings = bootstrap.accuracy_by_eccentricity(found)
    bias = bootstrap.center_bias(found)
    row = bias.iloc[0]
    finding = (
        f"{row['center_accuracy']:.1f} % recognised at the center, {row['off_center_accuracy']:.1f} % off-center; gap "
        f"{row['gap']:.1f} points ({100 * row['confidence']:g} % interval {row['gap_low']:.1f} to "
        f"{row['gap_high']:.1f}). {data.summary}"
    )
    tables = {"captions": found, "left_out": left_out, "bias": bias, "rings": rings}
    return finding, tables, curves.accuracy_by_eccentricity(rings, chance=100 / len(labels))
