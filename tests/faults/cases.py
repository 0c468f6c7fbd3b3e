"""What a case of a bad input is, and how the command line is called for one."""

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from crosseyed import cli
from crosseyed.errors import InputError


@dataclass(frozen=True)
class Case:
    """One bad input: `prepare` makes it in an empty folder and returns the call that must refuse it."""

    kind: str
    name: str
    prepare: Callable[[Path], Callable[[], object]]
    words: tuple[str, ...]
    error: type[BaseException] = InputError
    writes: tuple[str, ...] = ()
    """Files that may be there afterwards and were not before."""


class Refused(Exception):  # noqa: N818 (what the command line did, not a failure)
    """The command line ended with a message and a status other than 0."""


def command(*arguments: object) -> None:
    """Run the command line in this process; raise `Refused` with its message if it refuses."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(stream):
        patch.setattr(sys, "argv", ["crosseyed", *map(str, arguments)])
        patch.setattr(cli, "keep_caches", lambda folder: None)
        patch.setattr(cli.processes, "stop_by_signals", lambda: None)
        try:
            cli.main()
        except SystemExit as stop:
            if isinstance(stop.code, str):
                raise Refused(stop.code) from None
            if stop.code:
                stream.seek(0)
                raise Refused(" ".join(stream.read().split())) from None
