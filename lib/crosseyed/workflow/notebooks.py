"""What a notebook states about itself. Reads JSON alone, because every job of the workflow does this first."""

import json
import os
from pathlib import Path


def reads(notebook: str | os.PathLike) -> list[str]:
    """Return the paths in the repository that a notebook's metadata, under `crosseyed.reads`, state that it reads."""
    metadata = json.loads(Path(notebook).read_text(encoding="utf-8"))["metadata"]
    return metadata.get("crosseyed", {}).get("reads", [])
