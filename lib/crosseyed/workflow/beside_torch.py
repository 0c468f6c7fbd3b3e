"""Install what the study needs into an environment that has a torch of its own, and leave that torch as it is.

Google Colab and Binder bring torch: another one would take minutes to download and may not fit the machine's graphics
card. The ranges of ``pyproject.toml`` say which will do; the lock is for environments that are made afresh. Before
anything of the project is installed, this runs with the standard library and `packaging` alone, in the repository:

    PYTHONPATH=lib python -m crosseyed.workflow.beside_torch
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from crosseyed.errors import CrosseyedError

KEPT = ("torch", "torchvision")
"""Packages that are never installed, upgraded or replaced here."""


class InstallationError(CrosseyedError, RuntimeError):
    """An environment lacks what the study needs, and it cannot be added; the message says what to do."""


def complete(repository: str | os.PathLike = ".") -> str:
    """Install the packages that the study needs and this environment lacks; say in a sentence what was done.

    Parameters
    ----------
    repository : path
        Folder of the repository.

    Raises
    ------
    InstallationError
        The torch or torchvision that is there does not do, or there is none, or pip fails. Nothing, or not all, was
        installed.
    """
    file = Path(repository) / "pyproject.toml"
    requirements = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"]
    lacking = unmet(requirements)
    before = {name: _installed(name) for name in KEPT}
    for name in KEPT:
        if name in lacking:
            raise InstallationError(
                f"The study needs {lacking[name]}, and here is {before[name] or 'none'}. Choose a machine or runtime "
                "that has it; it is not replaced here."
            )
    if lacking:
        _install(lacking.values(), [f"{name}=={kept}" for name, kept in before.items()])
    if (after := {name: _installed(name) for name in KEPT}) != before:
        raise InstallationError(f"The installation replaced {before} by {after}; restart the runtime.")
    kept = " and ".join(f"{name} {kept}" for name, kept in before.items())
    added = ", ".join(lacking) or "nothing"
    return f"{kept} are as they were; added: {added}."


def unmet(requirements: Iterable[str]) -> dict[str, str]:
    """Return by name those of the requirements that the installed packages do not satisfy.

    Parameters
    ----------
    requirements : iterable of str
        Such as ``"numpy>=2.0"``, perhaps with an environment marker; one whose marker does not hold is met.
    """
    from packaging.requirements import Requirement

    found = {}
    for text in requirements:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        there = _installed(needed.name)
        if there is None or not needed.specifier.contains(there, prereleases=True):
            found[needed.name] = text
    return found


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _install(requirements: Iterable[str], constraints: list[str]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "constraints.txt"
        file.write_text("\n".join(constraints) + "\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--no-input", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--constraint", str(file), *requirements]
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode:
        raise InstallationError(f"pip could not install what is missing:\n{run.stderr.strip()[-2000:]}")


if __name__ == "__main__":
    try:
        print(complete(*sys.argv[1:2]))
    except InstallationError as error:
        sys.exit(f"error: {error}")
