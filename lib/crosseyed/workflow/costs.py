"""What the chapters of an edition cost, as it was measured once: a kept table, which ``bench_edition.py`` writes."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crosseyed.editions import DEFAULT_MODEL, SIZES, Edition
from crosseyed.files import DATA
from crosseyed.tables import read_table, write_table

TABLE = DATA / "results" / "costs.csv"

_KINDS = {
    "notebook": "text",
    "size": "text",
    "model": "text",
    "images": "whole",
    "passes": "whole",
    "shipped_passes": "whole",
    "other_seconds": "number",
    "memory_mb": "whole",
    "shipped_seconds": "number",
}

_OTHERS = "others"

_REMEDY = "Make it anew: python tests/benchmarks/bench_edition.py --write, and again with --model narrow."


@dataclass(frozen=True)
class Cost:
    """What one chapter costs."""

    images: float
    """Images that are shown to a model, those whose embeddings are kept included; a part of a pass counts as a part."""
    passes: float
    """Passes of the edition's image tower; a backward pass counts as two forward ones."""
    shipped_passes: float
    """The same for the PocketCLIPs that stand beside the edition's model."""
    other_seconds: float
    """Seconds of one core for all else, on the machine where they were measured."""
    memory_mb: float
    """Peak of its memory in MiB, with a model that needs next to none."""
    shipped_seconds: float
    """Seconds that one core of that machine needed for a pass of PocketCLIP: the unit of `other_seconds`."""


def of(edition: Edition) -> dict[str, Cost]:
    """Return what each chapter of an edition costs, by the notebook's name.

    Chapters that read kept tables alone are not in the table. PocketCLIP was measured itself; every other model is
    taken to need as many passes as a ViT of twelve blocks.
    """
    table = _read()
    model = DEFAULT_MODEL if edition.model.startswith("pocketclip-") else _OTHERS
    chosen = table[(table["size"] == edition.size) & (table["model"] == model)]
    return {
        row.pop("notebook"): Cost(**row) for row in chosen.drop(columns=["size", "model"]).to_dict("records")
    }


def planned(editions: Iterable[Edition]) -> dict[tuple[str, str], float]:
    """Return the images that the chapters of editions show to their models, by names of edition and notebook.

    Nothing is planned where the table is missing: an edition is made without it.
    """
    if not TABLE.exists():
        return {}
    return {
        (edition.name, notebook): cost.images
        for edition in editions
        for notebook, cost in of(edition).items()
    }


def keep(measured: Mapping[str, Mapping[str, float]], size: str, *, others: bool, path: Path = TABLE) -> None:
    """Put what chapters cost at one size into the table, in the place of what was measured before.

    Parameters
    ----------
    measured : mapping
        By notebook `seconds` of processor time, `bare` seconds of its passes, `passes` of all models and
        `shipped_passes` of PocketCLIPs, `images`, `memory_mb`, and `shipped_seconds` of one pass of PocketCLIP.
    size : str
        One of `crosseyed.editions.SIZES`.
    others : bool
        Whether the model stands for all that are no PocketCLIP.
    path : path
        The table.
    """
    model = _OTHERS if others else DEFAULT_MODEL
    rows = [
        {
            "notebook": notebook,
            "size": size,
            "model": model,
            "images": round(row["images"]),
            "passes": round(row["passes"] - (row["shipped_passes"] if others else 0)),
            "shipped_passes": round(row["shipped_passes"] if others else 0),
            "other_seconds": round(max(0.0, row["seconds"] - row["bare"]), 1),
            "memory_mb": round(row["memory_mb"]),
            "shipped_seconds": float(f"{row['shipped_seconds']:.3g}"),
        }
        for notebook, row in measured.items()
    ]
    table = pd.DataFrame(rows, columns=list(_KINDS))
    if path.exists():
        before = read_table(path, _KINDS, _REMEDY)
        same = (before["size"] == size) & (before["model"] == model) & before["notebook"].isin(measured)
        table = pd.concat([before[~same], table])
    order = {name: number for number, name in enumerate(SIZES)}
    table = table.sort_values(
        ["model", "size", "notebook"], key=lambda each: each.map(lambda x: order.get(x, x))
    )
    write_table(table, path)
    _read.cache_clear()


@functools.cache
def _read() -> pd.DataFrame:
    return read_table(TABLE, _KINDS, _REMEDY)
