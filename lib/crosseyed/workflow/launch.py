"""Launch a notebook of the book elsewhere: buttons on its page, and the cell with which it begins in Google Colab."""

from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from crosseyed.errors import InputError, shorten
from crosseyed.files import atomic_write, visible_files
from crosseyed.workflow.addresses import Addresses

TAG = "colab"
"""Tag of the cell that fetches the study in Google Colab; everywhere else it does nothing."""

# no plain value is left behind, which a chapter would take for a parameter; an address may be longer than a line
_CELL = """\
import os
import sys
from subprocess import run

if "COLAB_RELEASE_TAG" in os.environ:  # fetch the study, and what it needs beside Colab's torch
    if not os.path.exists("crosseyed"):
        clone = "git", "clone", "--depth=1", "--branch={branch}"
        run([*clone, {address}, "crosseyed"], check=True)  # fmt: skip
    sys.path.insert(0, os.path.abspath("crosseyed/lib"))
    from crosseyed.workflow.beside_torch import complete

    print(complete("crosseyed"))
"""

_ASK = 'input("Address of the repository of this notebook: ")'

_SERVICES = {"binderhub_url": "Binder", "colab_url": "Google Colab", "jupyterhub_url": "JupyterHub"}


def configure(configuration: dict[str, Any], addresses: Addresses) -> None:
    """Leave in a configuration of the book the launch buttons that lead somewhere.

    Parameters
    ----------
    configuration : dict
        Of Jupyter Book; it is changed. Pages get a button for each service that has an address, if the repository has
        one.
    addresses : Addresses
        Where the repository is.
    """
    services = _services(configuration, addresses)
    buttons = configuration.pop("launch_buttons", None) or {}
    configuration.pop("repository", None)
    if services:
        kept = {name: text for name, text in buttons.items() if name not in _SERVICES or name in services}
        configuration["launch_buttons"] = kept
        configuration["repository"] = {"url": addresses.repository, "branch": addresses.branch}


def describe(configuration: dict[str, Any], addresses: Addresses) -> str:
    """Say in Markdown where the chapters of an edition can be launched, or how that is switched on."""
    names = list(_services(configuration, addresses).values())
    if not names:
        return (
            "This edition was made without the address of its repository, so its pages have no launch buttons. "
            "Whoever publishes it sets `url` of `repository` in `_config.yml`, runs `make launch` and commits both."
        )
    where = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
    return (
        f"The rocket above each chapter opens its notebook in {where}, from the branch `{addresses.branch}` of "
        f"<{addresses.repository}>."
    )


def cell_source(addresses: Addresses) -> str:
    """Return the code of the cell that fetches the study in Google Colab; it asks for an address that is not set."""
    address = f'"{addresses.repository}"' if addresses.repository else _ASK
    return _CELL.format(address=address, branch=addresses.branch).rstrip("\n")


def with_cell(notebook: NotebookNode, addresses: Addresses) -> NotebookNode:
    """Give a notebook the cell for Google Colab before its first code cell, or renew the one it has; it is changed."""
    cells = [cell for cell in notebook.cells if TAG not in cell.metadata.get("tags", [])]
    first = next((number for number, cell in enumerate(cells) if cell.cell_type == "code"), len(cells))
    cell = nbformat.v4.new_code_cell(cell_source(addresses), metadata={"tags": [TAG, "remove-cell"]})
    cell.id = TAG
    notebook.cells = [*cells[:first], cell, *cells[first:]]
    return notebook


def outdated(folder: Path, addresses: Addresses) -> list[Path]:
    """Return the notebooks of a folder whose cell for Google Colab is missing or names another repository."""
    return [file for file in visible_files(folder, ".ipynb") if not _is_current(file, addresses)]


def write_cells(folder: Path, addresses: Addresses) -> list[Path]:
    """Give every notebook of a folder its cell for Google Colab; return those that were changed."""
    changed = outdated(folder, addresses)
    for file in changed:
        notebook = with_cell(_read(file), addresses)
        with atomic_write(file) as temporary:
            temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return changed


def require_cells(folder: Path, addresses: Addresses) -> None:
    """Raise InputError if the repository has an address, and a notebook does not know it."""
    unknowing = outdated(folder, addresses) if addresses.repository else []
    if unknowing:
        raise InputError(
            f"_config.yml names the repository {addresses.repository}, and {unknowing[0]} does not. Run 'make launch' "
            "and commit what it changes, so that Google Colab knows where to fetch the study."
        )


def _services(configuration: dict[str, Any], addresses: Addresses) -> dict[str, str]:
    """Return the names of the services that a notebook can be launched in, by the key of their address."""
    if not addresses.repository:
        return {}
    buttons = configuration.get("launch_buttons") or {}
    return {
        key: name
        for key, name in _SERVICES.items()
        if buttons.get(key) and (key != "colab_url" or addresses.on_github)
    }


def _is_current(file: Path, addresses: Addresses) -> bool:
    cells = [cell for cell in _read(file).cells if TAG in cell.metadata.get("tags", [])]
    return [cell.source for cell in cells] == [cell_source(addresses)]


def _read(file: Path) -> NotebookNode:
    try:
        return nbformat.read(file, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise InputError(f"{str(file)!r} is not a notebook ({shorten(str(error))}); restore it.") from error
