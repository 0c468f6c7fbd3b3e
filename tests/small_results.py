"""Results of a small first chapter, made up."""

import pandas as pd

from crosseyed.editions import Description, Edition
from crosseyed.report import tables
from crosseyed.workflow.results import collect

WEIGHTS = "1a2b3c4d"

TOWER = {
    "kind": "VisionTransformer",
    "pooling": "class token",
    "image_size": (224, 224),
    "patch_size": (32, 32),
    "grid": (7, 7),
    "layers": 12,
}


def bias(model, center, off_center):
    """The row of a model in a table of the first chapter, with intervals of ±1 (the index: ±0.1) where they can be."""
    levels = {
        "center_accuracy": center,
        "off_center_accuracy": off_center,
        "gap": center - off_center,
        "bias_index": (center - off_center) / center,
    }
    reach = {"gap": (1, -100, 100), "bias_index": (0.1, -1, 1)}
    ends = {}
    for name, value in levels.items():
        by, least, most = reach.get(name, (1, 0, 100))
        ends |= {f"{name}_low": max(value - by, least), f"{name}_high": min(value + by, most)}
    counts = {"n_center": 4, "n_off_center": 4, "n_objects": 4, "unreadable": 0, "confidence": 0.95}
    return {"model": model, "pretrained": "openai", **levels, **ends, **counts}


def write_results(folder):
    """Write the tables of a first chapter about ViT-B-32 and another model, and return the folder of results."""
    chapter = folder / "01_center_bias"
    chapter.mkdir(parents=True)
    for name, off_center in (("bias", 25), ("pair_bias", 50)):
        rows = pd.DataFrame([bias("another", 100, 90), bias("ViT-B-32", 100, off_center)])
        if name == "pair_bias":  # which is about objects together and apart
            rows.columns = rows.columns.str.replace("off_center", "apart").str.replace("center", "together")
        tables.write(chapter, name, rows)
    record = tables.read_record(chapter)
    record.weights, record.unavailable["whatsup_bias"] = WEIGHTS, "the photographs are not here"
    tables.write_record(chapter, record)
    return folder


def collected(results, tower=TOWER):
    """Return the result of the edition ViT-B-32--openai--seed2."""
    edition = Edition("ViT-B-32", "openai", seed=2)
    return collect(results, Description(edition, "ViT-B-32", "openai", 151, tower, "cpu", WEIGHTS))
