"""A lab for Gradescope: the zip that sets up its machine and grades one submission there.

Gradescope unpacks the zip into ``/autograder/source``, runs ``setup.sh`` once, and ``run_autograder`` for each
submission, which lies in ``/autograder/submission``. The grading itself is this project's: ``crosseyed grade``, which
writes Gradescope's ``results.json``, too.
"""

import shutil
from pathlib import Path

from crosseyed.course import archives
from crosseyed.course.labs import Lab

_SETUP = """#!/bin/sh
# Runs once, when Gradescope builds the machine, with a network.
set -eu
cd /autograder/source
apt-get update
apt-get install --yes --no-install-recommends python3-venv bubblewrap
python=python3
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then # as in Ubuntu 22.04
    python=python3.11
    apt-get install --yes --no-install-recommends python3.11 python3.11-venv
fi
$python -m venv /autograder/venv
/autograder/venv/bin/python -m pip install --no-input "$(ls install/*.whl)[course]"
"""

_RUN = """#!/bin/sh
# Runs for each submission.
set -eu
export CROSSEYED_DATA=/autograder/source/data
cd "$(mktemp -d)"
mkdir -p /autograder/results
exec /autograder/venv/bin/python -m crosseyed.cli grade /autograder/submission \\
    --lab /autograder/source/lab --output grades --gradescope /autograder/results/results.json
"""


def write(folder: Path, lab: Lab, wheel: Path) -> Path:
    """Write what grades a lab into a folder, and the zip of it that Gradescope takes beside it; return the zip.

    Parameters
    ----------
    folder : path
        New; its name is that of the zip.
    lab : Lab
        Which.
    wheel : path
        The library.
    """
    for place in ("install", "lab"):
        (folder / place).mkdir(parents=True)
    shutil.copyfile(wheel, folder / "install" / wheel.name)
    shutil.copyfile(lab.folder / "lab.py", folder / "lab" / "lab.py")
    for file in lab.data:
        place = folder / "data" / "course" / file.resolve().relative_to(lab.data_folder.resolve())
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    archives.copy_data(folder / "data", lab.models)
    for name, text in (("setup.sh", _SETUP), ("run_autograder", _RUN)):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    return archives.write_zip(folder, folder.with_name(f"{folder.name}.zip"))
