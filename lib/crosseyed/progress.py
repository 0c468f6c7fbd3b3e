"""How far a computation is: passes of the image tower are counted here, and long loops have bars for who watches.

A process that runs a notebook tells the count to the command above it: in the file that the environment variable
`PASSES_VARIABLE` names, at most twice a second. Telling is never worth a failure: where the file cannot be written,
nothing is told.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError

if TYPE_CHECKING:
    from tqdm import tqdm

PASSES_VARIABLE = "CROSSEYED_PASSES"
"""Environment variable that names the file to which a process tells its `Passes`; without it nothing is told."""

_PAUSE = 0.5  # seconds between two writings
_DELAY = 1.0  # seconds after which a bar appears
_LARGEST_FILE = 1_000_000  # bytes; no file of progress is nearly as large


class Passes(BaseModel):
    """Images that went through the image tower; what runs the last m of L blocks only counts m / L (no unit)."""

    model_config = ConfigDict(allow_inf_nan=False)

    computed: NonNegativeFloat = 0.0
    """Forward passes, whether or not gradients follow."""
    kept: NonNegativeFloat = 0.0
    """Passes that were not needed, because their embeddings were in the cache."""


Told = TypeVar("Told", bound=BaseModel)


@dataclass
class _Counter:
    """What this process has counted."""

    passes: Passes
    written: float = -_PAUSE
    lock: Lock = field(default_factory=Lock)  # models may run side by side


_counter = _Counter(Passes())
_share = ContextVar("share", default=1.0)  # of the blocks, in this thread


def count(images: float, *, kept: bool = False) -> None:
    """Count passes of the image tower, or such as the cache spared (`kept`), and tell of them."""
    passes = _counter.passes
    with _counter.lock:
        if kept:
            passes.kept += images
        else:
            passes.computed += images * _share.get()
    file, now = os.environ.get(PASSES_VARIABLE), time.monotonic()
    if file and now - _counter.written >= _PAUSE:
        _counter.written = now
        tell(Path(file), passes.model_dump())


def count_batch(_tower: object, _inputs: tuple, output: Any) -> None:
    """Count the images of a batch: a forward hook for an image tower."""
    count(len(output[0] if isinstance(output, tuple) else output))


@contextmanager
def partly(share: float) -> Iterator[None]:
    """Let each pass count only as the share of the tower's blocks that runs, from 0 to 1, within the context."""
    before = _share.set(share)
    try:
        yield
    finally:
        _share.reset(before)


def counted() -> Passes:
    """Return what this process has counted so far."""
    return _counter.passes.model_copy()


def tell(file: Path, content: Mapping[str, object]) -> None:
    """Write a small file of JSON whole or not at all; do nothing where that is impossible."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(OSError):
        try:
            temporary.write_text(json.dumps(content), encoding="utf-8")
            os.replace(temporary, file)
        except OSError:
            temporary.unlink(missing_ok=True)


def hear(file: Path, kind: type[Told]) -> Told | None:
    """Return what `tell` has written; None if there is nothing, or something else or only a part of it."""
    try:
        with open(file, "rb") as opened:
            return kind.model_validate_json(opened.read(_LARGEST_FILE))
    except (OSError, ValidationError):
        return None


def bar(steps: Iterable | None = None, *, total: int | None = None, unit: str, shown: bool = True) -> "tqdm":
    """Return a progress bar, for loops that may take seconds: it appears after one and vanishes at its end.

    It is shown only where somebody watches, on the standard error or as a widget, and never in a notebook that
    papermill runs.

    Parameters
    ----------
    steps : iterable, optional
        What is gone through; without it, call the bar's `update`.
    total : int, optional
        Number of steps, where they do not tell it themselves.
    unit : str
        What a step is, in the singular.
    shown : bool
        False for no bar in any case, such as within another one.
    """
    from tqdm.auto import tqdm

    hidden = not (shown and is_watched())
    return tqdm(steps, total=total, unit=unit, leave=False, delay=_DELAY, disable=hidden)


def is_watched() -> bool:
    """Tell whether somebody sees a bar: at a terminal, or in a notebook that is open.

    A notebook is open if whoever runs its cells would answer a question, as editors do and papermill does not.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return sys.stderr.isatty()
    return bool((kernel.get_parent("shell") or {}).get("content", {}).get("allow_stdin"))
