"""Execute one notebook for one edition with papermill, whole or not at all."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from crosseyed.errors import CrosseyedError, shorten
from crosseyed.files import CACHE_VARIABLE, exchange, require_file, require_writable
from crosseyed.report import tables
from crosseyed.workflow import caches, processes
from crosseyed.workflow.heartbeats import beating
from crosseyed.workflow.stamps import stamp

QUIET = (
    "--log-level=CRITICAL",
    "--IPKernelApp.exec_lines=__import__('logging').getLogger('tornado').setLevel('CRITICAL')",
)
"""Arguments of a kernel, which logs much when it starts and stops; the errors of a cell are in the notebook.

Its event loop has a log of its own, to which a kernel that is being stopped writes tracebacks.
"""

UNCOLLECTED = ("--IPKernelApp.exec_lines=__import__('gc').disable()",)
"""Arguments of a kernel, which looks for garbage only from `crosseyed.report.chapter.begin` on: imports make much that
stays, and to look through it again and again takes a fifth of their time."""


class NotebookError(CrosseyedError):
    """A notebook did not run to its end."""


def execute(
    notebook: str | os.PathLike, folder: str | os.PathLike, parameters: dict[str, object], made_from: str = ""
) -> None:
    """Execute a notebook into the folder of an edition, whole or not at all.

    The notebook runs in a folder of its own, ``<folder>/running/<name>``, with its tables going to
    ``results`` there. Only when its last cell is done do the executed notebook and its tables move to
    ``<folder>/notebooks/<name>.ipynb`` and ``<folder>/results/<name>``, in place of earlier ones, and the file
    ``<folder>/done/<name>`` is written, by which the workflow knows that they are whole. If a cell fails, earlier
    ones stay, and the notebook as far as it ran is kept as ``<folder>/failed/<name>.ipynb`` until its next run.

    Parameters
    ----------
    notebook : path
        The notebook; its cell tagged ``parameters`` states the defaults.
    folder : path
        Folder of the edition.
    parameters : dict
        Values of the notebook's parameters; `output` is added, the folder for its tables.
    made_from : str
        For the note that it is done (`crosseyed.workflow.stamps.stamp`).

    Raises
    ------
    NotebookError
        A cell failed, or the kernel died; the message names notebook, cell and error. Or it is not a notebook.
    MissingTableError
        The notebook ended without a table that it declares.
    InputError
        The folder cannot be written to.
    """
    notebook, folder = Path(notebook), Path(folder)
    running = folder / "running" / notebook.stem
    failed = folder / "failed" / notebook.name
    failed.unlink(missing_ok=True)
    shutil.rmtree(running, ignore_errors=True)
    for place in ("results", "notebooks", "done"):
        require_writable(folder / place)
    _require_notebook(notebook)
    results = running / "results"
    results.mkdir(parents=True)
    partial = running / notebook.name
    try:
        _run(notebook, partial, {**parameters, "output": results.name})
        if notebook.stem in tables.TABLES:
            tables.check_complete(results, notebook.stem)
        exchange(results, folder / "results" / notebook.stem)
        exchange(partial, folder / "notebooks" / notebook.name)
        stamp(folder, notebook.stem, made_from)
    except (PapermillExecutionError, DeadKernelError) as error:
        message = f"{notebook} failed {_place_and_reason(error, partial)}"
        exchange(partial, failed)
        raise NotebookError(f"{message}\n  The notebook as far as it ran: {failed}") from error
    finally:
        shutil.rmtree(running, ignore_errors=True)
        for parent in (running.parent, failed.parent):
            with suppress(OSError):  # another notebook uses the folder
                parent.rmdir()


def _require_notebook(path: Path) -> None:
    try:
        nbformat.validate(nbformat.read(require_file(path, "a notebook"), as_version=4))
    except CrosseyedError:
        raise
    except Exception as error:  # nbformat raises whatever its steps raise
        reason = shorten(next(iter(str(error).splitlines()), type(error).__name__), 200)
        raise NotebookError(f"{path} is not a notebook: {reason}") from error


def _run(notebook: Path, executed: Path, parameters: dict[str, object]) -> None:
    os.environ[CACHE_VARIABLE] = caches.folder()  # notebooks share embeddings
    code = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    cells, aloud = len(code) + 1, not processes.is_shown()  # papermill adds one with the parameters
    with beating(executed.parent, notebook.stem, cells, aloud=aloud) as start_cell:
        papermill.execute_notebook(
            notebook,
            executed,
            parameters,
            kernel_name="python3",  # that of this Python, whatever its name on the machine of the author
            language="python",
            cwd=executed.parent,
            progress_bar=False,
            on_cell_start=start_cell,
            extra_arguments=[*QUIET, *UNCOLLECTED],
        )


def _place_and_reason(error: PapermillExecutionError | DeadKernelError, partial: Path) -> str:
    if isinstance(error, PapermillExecutionError):
        number, source, reason = error.exec_count, error.source, f"{error.ename}: {error.evalue}"
    else:
        cells = [cell for cell in nbformat.read(partial, as_version=4).cells if cell.cell_type == "code"]
        number = sum(cell.metadata.papermill.start_time is not None for cell in cells)
        source = cells[number - 1].source
        reason = "the kernel died, most often for lack of memory"
    first_line = next(iter(source.strip().splitlines()), "")
    return f"in cell [{number}], which begins with `{first_line}`:\n  {reason}"
