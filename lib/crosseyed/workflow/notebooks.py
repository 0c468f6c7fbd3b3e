"""What a notebook states about itself. Reads JSON alone, because every job of the workflow does this first."""

import json
import os
import re
from pathlib import Path
from typing import Any

from crosseyed.errors import InputError
from crosseyed.files import visible_files

FOLDER = Path("notebooks")
"""Where the notebooks are, relative to the repository."""

LONGEST_FIRST = (
    "05_mitigations",
    "01_center_bias",
    "09_move_it_yourself",
    "03_attention_maps",
    "04_pooling_ablation",
    "02_embedding_decomposition",
    "08_robustness",
)
"""The notebooks that take longest, the longest first; begun in this order, none is left to run alone at the end."""

# Snakemake takes braces for wildcards, and the other two names for results of an edition
_NAME = re.compile(r"(?!(?:book|result)$)[^{}\x00-\x1f\ud800-\udfff]+")


def names(folder: str | os.PathLike = FOLDER) -> list[str]:
    """Return the names of the notebooks of a folder, without suffix and sorted.

    Raises
    ------
    InputError
        A name has braces, or is that of something else that an edition consists of.
    """
    files = visible_files(folder, ".ipynb")
    for path in files:
        if path.suffix != ".ipynb" or not _NAME.fullmatch(path.stem):
            raise InputError(
                f"The notebook {str(path)!r} cannot be executed under this name: rename it, without braces, not to "
                "'book' or 'result', and with the ending .ipynb; or move it to another folder."
            )
    return [path.stem for path in files]


def urgency(name: str) -> int:
    """Return how early a notebook is begun among those that are due: the larger the earlier, 0 for the short ones."""
    return len(LONGEST_FIRST) - LONGEST_FIRST.index(name) if name in LONGEST_FIRST else 0


def reads(notebook: str | os.PathLike) -> list[str]:
    """Return the paths in the repository that a notebook's metadata, under `crosseyed.reads`, state that it reads.

    What is not a notebook states nothing: its execution fails and says why, and that of others does not.
    """
    stated = _stated(notebook).get("reads")
    return [path for path in stated if isinstance(path, str)] if isinstance(stated, list) else []


def loads_model(notebook: str | os.PathLike) -> bool:
    """Tell whether a notebook's metadata, under `crosseyed.loads_model`, state that it loads a model."""
    return _stated(notebook).get("loads_model") is True


def _stated(notebook: str | os.PathLike) -> dict[str, Any]:
    """Return what a notebook states about itself; what is not a notebook states nothing."""
    try:
        stated = json.loads(Path(notebook).read_text(encoding="utf-8"))["metadata"]["crosseyed"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return stated if isinstance(stated, dict) else {}
