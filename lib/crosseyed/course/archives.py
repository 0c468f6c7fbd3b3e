"""Archives that are equal byte by byte when their content is: zips, and the library as a wheel; and data for zips."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from crosseyed.errors import CrosseyedError, InputError
from crosseyed.files import DATA, atomic_write, visible_files

_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can state
_SECONDS = 315532800  # the same, for setuptools
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
_NO_CACHES = shutil.ignore_patterns("__pycache__", ".*")
_ALWAYS = ("objects", "protocols")  # of the repository's data
_METADATA = ("pyproject.toml", "README.md", "LICENSE")


def write_zip(folder: Path, archive: Path, inside: str = "") -> Path:
    """Write a zip of a folder, whole or not at all.

    Parameters
    ----------
    folder : path
        What is packed, with all below it; hidden files are left out.
    archive : path
        The zip.
    inside : str
        Name of the folder in the zip; without one, the content stands at its top.

    Returns
    -------
    path
        `archive`. Equal content gives equal bytes: members are sorted, and have a fixed time. Those that the owner may
        execute can be executed by all.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    with atomic_write(archive) as temporary, zipfile.ZipFile(temporary, "w") as target:
        for path in files:
            member = zipfile.ZipInfo(Path(inside, path.relative_to(folder)).as_posix(), _TIME)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix, which has permissions
            member.external_attr = (0o100755 if os.access(path, os.X_OK) else 0o100644) << 16
            target.writestr(member, path.read_bytes(), compresslevel=9)
    return archive


def copy_data(folder: Path, models: Iterable[str]) -> None:
    """Copy what an installed library needs into a folder that is to be its ``data``.

    Parameters
    ----------
    folder : path
        Has no cut-outs, protocols or models yet.
    models : iterable of str
        Names of the shipped models that go with the cut-outs and the protocols of mitigations.
    """
    for name in (*_ALWAYS, *(f"models/{model}" for model in sorted(set(models)))):
        shutil.copytree(DATA / name, folder / name, ignore=_NO_CACHES)


def build_wheel(repository: Path, folder: Path) -> Path:
    """Build the library's wheel with the setuptools at hand, without a network; return its path in `folder`.

    Parameters
    ----------
    repository : path
        The folder with ``pyproject.toml`` and ``lib/``; nothing is written there.
    folder : path
        Where the wheel goes.

    Raises
    ------
    InputError
        The folder is not this project's repository.
    CrosseyedError
        setuptools fails.
    """
    if not (repository / "lib" / "crosseyed" / "__init__.py").is_file():
        raise InputError(
            f"{str(repository)!r} has no lib/crosseyed; give the folder of the crosseyed repository."
        )
    with TemporaryDirectory() as place:
        source, made = Path(place, "source"), Path(place, "made")
        made.mkdir()
        shutil.copytree(repository / "lib" / "crosseyed", source / "lib" / "crosseyed", ignore=_NO_CACHES)
        for name in _METADATA:
            shutil.copy(repository / name, source / name)
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(_SECONDS), "PYTHONPATH": ""}
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, str(made)],
            cwd=source,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise CrosseyedError(
                f"setuptools cannot build the library's wheel: {last}\n  The environment may lack setuptools; make it "
                "anew with: rm -r .venv; make test"
            )
        wheel = visible_files(made, ".whl")[0]
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / wheel.name) as temporary:
            shutil.copyfile(wheel, temporary)
    return folder / wheel.name
