"""Measure the bias of a model on your own photographs, and write tables and a figure to a folder."""

import os
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from crosseyed.data.coco import read_coco
from crosseyed.data.whatsup import read_captions
from crosseyed.files import atomic_write
from crosseyed.measure import bootstrap, protocols
from crosseyed.measure.mixed_logit import COVARIATES, mixed_slope
from crosseyed.measure.recognition import recognise
from crosseyed.models.clip import ClipModel
from crosseyed.report.figures import curves, intervals
from crosseyed.tables import write_table


def measure(
    clip: ClipModel, data: str | os.PathLike, images: str | os.PathLike, output: str | os.PathLike
) -> str:
    """Measure a model on annotated photographs; return the finding in a few sentences.

    Parameters
    ----------
    clip : ClipModel
        The model.
    data : path
        Annotations in the COCO format (``.json``), or a table of image, caption, x, y (``.csv``).
    images : path
        Folder with the images.
    output : path
        Folder for the tables and the figure; created if it is missing.

    Raises
    ------
    InputError
        The data cannot be read, nothing in them can be used, or `output` cannot be written to.

    Warns
    -----
    LeftOutWarning, SkippedRowsWarning, UnreadableImagesWarning, EstimateWarning
        As by `crosseyed.data.coco.read_coco`, `crosseyed.data.whatsup.read_captions`, the model,
        `crosseyed.measure.mixed_logit.mixed_slope`.
    """
    measure_one = _measure_captions if Path(data).suffix.lower() == ".csv" else _measure_objects
    finding, tables, figure = measure_one(clip, data, images)
    output = Path(output)
    for name, table in tables.items():
        write_table(table, output / f"{name}.csv")
    if figure is not None:
        with atomic_write(output / "bias.png") as temporary:
            figure.savefig(temporary, dpi=150)
    return f"{clip.name} on {data}: {finding} Tables and figure are in {output}."


def _measure_objects(
    clip: ClipModel, annotations: str | os.PathLike, images: str | os.PathLike
) -> tuple[str, dict[str, pd.DataFrame], Figure | None]:
    """Score every annotated object; return the finding, the tables and the figure."""
    data = read_coco(annotations, images)
    found = recognise(clip, data)
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
        return f"there is no estimate of the bias, because {first['note']}.", tables, None
    reached = (
        f"each 0.1 of eccentricity multiplies the odds of recognition by {first['odds_ratio']:.2f} "
        f"({100 * first['confidence']:g} % interval {first['low']:.2f} to {first['high']:.2f}), other things being "
        f"equal ({first['n']} objects of {first['n_categories']} categories in {first['n_images']} images)."
    )
    worst = ", ".join(f"{row.object} ({row.odds_ratio:.2f})" for row in slope.categories.head(5).itertuples())
    precision = found.categories["average_precision"].mean()
    finding = f"{reached} Worst affected: {worst}. Mean average precision {precision:.1f} %."
    return finding, tables, intervals.odds_ratios(slope.effects, slope.categories)


def _measure_captions(
    clip: ClipModel, file: str | os.PathLike, images: str | os.PathLike
) -> tuple[str, dict[str, pd.DataFrame], Figure]:
    """Find the caption that fits each image best; return the finding, the tables and the figure."""
    table = read_captions(file, images)
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
