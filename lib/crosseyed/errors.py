"""The errors this package raises on purpose.

Everything a user can cause and fix (a misspelt name, a missing download, a damaged checkpoint) is a
`CrosseyedError`; the command line prints only its message. Any other exception is a defect of the package
and keeps its traceback. Each class is also the built-in error that a caller would expect.
"""

import difflib
import reprlib
from collections.abc import Iterable


class CrosseyedError(Exception):
    """Base of every error whose message is meant for a user: what was given, what was expected, what next."""


class InputError(CrosseyedError, ValueError):
    """An argument, file or folder is not what was expected."""


class DownloadError(CrosseyedError, OSError):
    """Something must be downloaded, and the download fails."""


class CheckpointError(CrosseyedError, ValueError):
    """A checkpoint file is damaged, unsafe to read, or belongs to another architecture."""


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x' or 'y'?"`` with at most three choices near a word, or ``""``; ignore case."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), list(by_lower), n=3, cutoff=0.6)
    return "; did you mean " + " or ".join(repr(by_lower[match]) for match in near) + "?" if near else ""


def check_choice(argument: str, value: str, choices: Iterable[str]) -> None:
    """Raise InputError, with the nearest choices and all, for a value that is not among the choices of an argument."""
    if value not in choices:
        near = suggest(value, choices) or "."
        raise InputError(f"Unknown {argument} {value!r}{near} Choose from {', '.join(choices)}.")


def shorten(value: object, limit: int = 80) -> str:
    """Return the `repr` of a value for a message, cut to about `limit` characters, whatever the value's size."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 3, limit, limit, limit
    text = short.repr(value)  # looks at the first entries only, so that a huge value costs nothing
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
