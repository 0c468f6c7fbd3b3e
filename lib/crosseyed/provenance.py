"""Where a result comes from: versions, commit, device and date, as columns of its table."""

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd

COLUMNS = ("crosseyed", "commit", "python", "torch", "open_clip", "device", "date")
"""What `stamp` adds to a table."""


def stamp(table: pd.DataFrame, device: str) -> pd.DataFrame:
    """Add to every row of a table how it was made, in the columns `COLUMNS`.

    These are the versions of this package, Python, torch and open_clip; `commit`, the first twelve digits of the git
    commit, with a ``+`` if files differ from it, empty outside a checkout; `device`, what computed the table (such as
    ``"cpu"``); `date` (UTC, year-month-day).
    """
    return table.assign(
        crosseyed=version("crosseyed"),
        commit=_commit(),
        python=platform.python_version(),
        torch=version("torch").split("+")[0],
        open_clip=version("open_clip_torch"),
        device=device,
        date=datetime.now(UTC).date().isoformat(),
    )


def _commit() -> str:
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
