"""Measure the bias of a model on your own photographs, and write tables and a figure to a folder."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from crosseyed.data.captions import read_captions
from crosseyed.data.coco import CocoSet, read_coco
from crosseyed.data.left_out import NothingUsableError
from crosseyed.files import atomic_write, claim_folder, exchange, require_file
from crosseyed.measure import bootstrap, protocols
from crosseyed.measure.mixed_logit import COVARIATES, mixed_slope
from crosseyed.measure.recognition import UNREADABLE, Recognition, recognise
from crosseyed.models.clip import ClipModel
from crosseyed.report.figures import curves, intervals
from crosseyed.tables import write_table

MAKER = "own-data"
"""What the mark of an output folder says."""

_FIGURE = "bias.png"
_TABLES = ("objects", "left_out", "average_precision", "effects", "categories", "captions", "bias", "rings")
_RESULTS = {_FIGURE, *(f"{name}.csv" for name in _TABLES)}
_DAMAGED = "its pixels are damaged or cut off"


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
        Annotations in the COCO format (``.json``), or a table of image, caption, x, y (``.csv``).
    images : path
        Folder with the images.
    output : path
        Folder for the tables and the figure: a new or empty one, or that of an earlier run, whose results are replaced
        when the new ones are complete.

    Raises
    ------
    InputError
        The data cannot be read, nothing in them can be used (``left_out.csv`` is written all the same), or `output`
        holds other files or cannot be written to.

    Warns
    -----
    LeftOutWarning, SkippedRowsWarning, UnreadableImagesWarning, EstimateWarning
        As by `crosseyed.data.coco.read_coco`, `crosseyed.data.captions.read_captions`, the model,
        `crosseyed.measure.mixed_logit.mixed_slope`.
    """
    is_table = Path(data).suffix.lower() == ".csv"
    require_file(data, "a COCO-format JSON file, or a CSV file with image, caption, x and y")
    try:
        content = read_captions(data, images) if is_table else read_coco(data, images)
    except NothingUsableError as error:
        _replace(claim_folder(output, MAKER), {"left_out": error.left_out}, None)
        raise
    folder = claim_folder(output, MAKER)
    clip = clip if isinstance(clip, ClipModel) else clip()
    finding, tables, figure = (
        _measure_captions(clip, content) if is_table else _measure_objects(clip, content)
    )
    _replace(folder, tables, figure)
    return f"{clip.name} on {os.fspath(data)}: {finding} Tables and figure are in {folder}."


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
    for name in sorted(written):
        exchange(new / name, folder / name)
    new.rmdir()
    for name in _RESULTS - written:  # of an earlier run about other data
        (folder / name).unlink(missing_ok=True)


def _measure_objects(clip: ClipModel, data: CocoSet) -> tuple[str, dict[str, pd.DataFrame], Figure | None]:
    """Score every annotated object; return the finding, the tables and the figure."""
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
    if first["note"]:
        finding = f"there is no estimate of the bias, because {first['note']}. {data.summary}"
        return finding, tables, None
    reached = (
        f"each 0.1 of eccentricity multiplies the odds of recognition by {first['odds_ratio']:.2f} "
        f"({100 * first['confidence']:g} % interval {first['low']:.2f} to {first['high']:.2f}), other things being "
        f"equal ({first['n']} objects of {first['n_categories']} categories in {first['n_images']} images)."
    )
    worst = ", ".join(f"{row.object} ({row.odds_ratio:.2f})" for row in slope.categories.head(5).itertuples())
    precision = found.categories["average_precision"].mean()
    finding = f"{reached} Worst affected: {worst}. Mean average precision {precision:.1f} %. {data.summary}"
    return finding, tables, intervals.odds_ratios(slope.effects, slope.categories)


def _without_unreadable(data: CocoSet, found: Recognition) -> tuple[CocoSet, Recognition]:
    """Move objects in images that turn out to be damaged when they are read to what is left out."""
    lost = found.objects["choice"] == UNREADABLE
    rows = found.objects.loc[lost, ["annotation", "image"]].assign(
        reason="image file unreadable", detail=_DAMAGED
    )
    left_out = pd.concat([data.left_out, rows.astype(object)], ignore_index=True)
    kept = ~data.objects["image"].isin(rows["image"])
    objects = found.objects[~lost].reset_index(drop=True)
    if objects.empty:
        raise NothingUsableError(f"None of the {len(data.images)} images can be read: {_DAMAGED}.", left_out)
    return replace(data, objects=data.objects[kept], left_out=left_out), replace(found, objects=objects)


def _measure_captions(clip: ClipModel, table: pd.DataFrame) -> tuple[str, dict[str, pd.DataFrame], Figure]:
    """Find the caption that fits each image best; return the finding, the tables and the figure."""
    labels = list(dict.fromkeys(table["object"]))
    found = protocols.zero_shot(clip, list(table["path"]), table, labels, "{}", protocol="own")
    rings = bootstrap.accuracy_by_eccentricity(found)
    bias = bootstrap.center_bias(found)
    row = bias.iloc[0]
    finding = (
        f"{row['center_accuracy']:.1f} % recognised at the center, {row['off_center_accuracy']:.1f} % off-center; gap "
        f"{row['gap']:.1f} points ({100 * row['confidence']:g} % interval {row['gap_low']:.1f} to "
        f"{row['gap_high']:.1f})."
    )
    tables = {"captions": found, "bias": bias, "rings": rings}
    return finding, tables, curves.accuracy_by_eccentricity(rings, chance=100 / len(labels))
