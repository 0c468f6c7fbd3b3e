"""What requirements.lock requires of this Python, and where the installed packages differ.

environment.sh runs this file by its path to decide whether an active conda environment can be used, before
anything of the project is installed; so it imports only the standard library and `packaging`:

    python -I lib/crosseyed/workflow/lock.py requirements.lock
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def pins(lock: str) -> dict[str, str]:
    """Return version by normalised package name, of the lines of a lock whose marker applies here.

    Parameters
    ----------
    lock : str
        The text of requirements.lock: ``name==version`` with an optional environment marker on each line.

    Raises
    ------
    ValueError
        A line is not a pin to one version.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found = {}
    for line in lock.splitlines():
        text = line.split("#")[0].strip()
        if not text:
            continue
        requirement = Requirement(text)
        clauses = list(requirement.specifier)
        if len(clauses) != 1 or clauses[0].operator != "==" or requirement.url:
            raise ValueError(f"{text!r} in the lock is not of the form name==version")
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = clauses[0].version
    return found


def differences(lock: str) -> list[str]:
    """Return a clause for each package of the text of a lock that is missing or has another version."""
    from packaging.version import Version

    found = []
    for name, wanted in pins(lock).items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            found.append(f"{name} {wanted} is missing")
            continue
        if Version(installed).public != wanted:  # a local build such as 2.14.1+cpu is the same version
            found.append(f"{name} is {installed} instead of {wanted}")
    return found


if __name__ == "__main__":
    try:
        clauses = differences(Path(sys.argv[1]).read_text())
    except ImportError as error:
        clauses = [str(error)]
    if clauses:
        sys.exit("; ".join(clauses[:3]) + (f"; and {len(clauses) - 3} more" if len(clauses) > 3 else ""))
