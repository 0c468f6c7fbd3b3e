"""Find the mitigations that a user names: those of the study by their labels, and the user's own as Python code.

This is the one place where code of a user is run. It is run because the user names it, as ``module:Class`` or
``file.py:Class``; a name without a colon runs nothing.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from crosseyed.errors import CrosseyedError, InputError, suggest
from crosseyed.files import content_digest, require_file
from crosseyed.mitigations import registry
from crosseyed.mitigations.base import MITIGATIONS, Mitigation

OWN = "crosseyed"
"""The source of the mitigations of the study."""

_LONGEST = 200  # characters of an error of a user's code that are repeated


@dataclass(frozen=True)
class Given:
    """A mitigation as it was named."""

    kind: type[Mitigation]
    source: str
    """`OWN`, or where the class comes from: ``module:Class``, or ``file.py:Class`` without its folder."""
    code: str
    """Digest of the file that defines the class."""

    @property
    def label(self) -> str:
        """The label of the class."""
        return self.kind.label

    @property
    def file(self) -> Path:
        """The file that defines the class."""
        return Path(inspect.getfile(self.kind))

    @contextmanager
    def answering(self, doing: str) -> Iterator[None]:
        """Turn an error of the class into one that names it; `doing` says what it was doing, such as ``"a test"``.

        Raises
        ------
        InputError
            Of an error in the block. One of the study's own mitigations that is no `CrosseyedError` is passed on.
        """
        try:
            yield
        except CrosseyedError as error:
            raise InputError(f"The mitigation {self.label!r} fails in {doing}: {error}") from error
        except Exception as error:
            if self.source == OWN:
                raise
            raise InputError(
                f"The mitigation {self.label!r} of {self.source} fails in {doing}: {_told(error, self.file)}. "
                "Mend it there."
            ) from error


def find(name: str) -> Given:
    """Find a mitigation by its label, or import a class.

    Parameters
    ----------
    name : str
        The label of a mitigation of the study, such as ``"padding"``; ``module:Class``, of a module on Python's path or
        in the current folder; or ``file.py:Class``.

    Raises
    ------
    InputError
        There is no such label, module, file or class; the file cannot be imported; or the class is not a mitigation.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon:
        try:
            kind = registry.find(name)
        except InputError as error:
            raise InputError(f"{error} A class of yours is named as module:Class or file.py:Class.") from None
        return _given(kind, OWN)
    if not place or not attribute:
        raise InputError(f"{name!r} names no class; give module:Class or file.py:Class.")
    known = dict(MITIGATIONS)
    in_file = place.endswith(".py")
    try:
        module = _of_file(place) if in_file else _of_module(place)
    finally:  # a class of the user is none of the study, whether it says @register or not
        MITIGATIONS.clear()
        MITIGATIONS.update(known)
    kind = _checked(getattr(module, attribute, None), module, name, attribute)
    if known.get(kind.label, kind) is not kind:
        raise InputError(
            f"The class {attribute!r} of {place!r} has the label {kind.label!r}, which is that of a mitigation of the "
            "study; give it one of its own."
        )
    return _given(kind, f"{Path(place).name}:{attribute}" if in_file else name)


def _given(kind: type[Mitigation], source: str) -> Given:
    return Given(kind, source, content_digest([Path(inspect.getfile(kind))]))


def _of_module(place: str) -> ModuleType:
    _look_into("")  # the current folder, which an installed command does not look into
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(f"{error.name}.")):
            raise InputError(
                f"There is no module {place!r}, neither on Python's path nor in the current folder; give module:Class, "
                "or file.py:Class with the path of the file."
            ) from None
        raise _unimportable(place, error, None) from error
    except (Exception, SystemExit) as error:
        raise _unimportable(place, error, None) from error


def _of_file(place: str) -> ModuleType:
    file = require_file(place, "a Python file with a mitigation").resolve()
    name = f"given_{content_digest([file])}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    _look_into(str(file.parent))  # so that it can import what lies beside it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _unimportable(place, error, file) from error
    return module


def _look_into(folder: str) -> None:
    """Let Python look for modules in a folder, after all other places."""
    if folder not in sys.path:
        sys.path.append(folder)
    importlib.invalidate_caches()


def _unimportable(place: str, error: BaseException, file: Path | None) -> InputError:
    return InputError(f"{place!r} cannot be imported: {_told(error, file)}. Mend it there.")


def _checked(kind: object, module: ModuleType, name: str, attribute: str) -> type[Mitigation]:
    """Return the class if it is a mitigation that can be made."""
    if kind is None:
        found = [each for each, value in vars(module).items() if _is_mitigation(value)]
        near = suggest(attribute, found) or "."
        has = f" It has {', '.join(found)}." if found else " It has no mitigation."
        raise InputError(f"{name!r} names no class of the module{near}{has}")
    if not _is_mitigation(kind):
        raise InputError(
            f"{name!r} is not a class that derives from crosseyed.mitigations.base.Mitigation; the page 'Benchmark "
            "your mitigation' has one to begin with."
        )
    if inspect.isabstract(kind):
        raise InputError(
            f"{name!r} lacks {', '.join(sorted(kind.__abstractmethods__))}; define it in the class."
        )
    label = getattr(kind, "label", None)
    if not isinstance(label, str) or not label.strip():
        raise InputError(
            f'{name!r} has no label; give the class one, such as label: ClassVar[str] = "my mitigation".'
        )
    return kind


def _is_mitigation(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Mitigation) and value is not Mitigation


def _told(error: BaseException, file: Path | None) -> str:
    """Say what an error is, and in which line of the user's file it arose."""
    words = " ".join(str(error).split()).rstrip(".")
    words = words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if file is not None and frame.filename == str(file)
    ]
    line = (
        f" (line {lines[-1]})"
        if lines
        else f" (line {error.lineno})"
        if isinstance(error, SyntaxError)
        else ""
    )
    return f"{type(error).__name__}: {words}{line}"
