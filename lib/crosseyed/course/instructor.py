"""What teachers get: each lab's solutions, executed, as a notebook and as a page, with what figures show in words."""

import html
import os
import re
import shutil
from collections.abc import Callable, Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from crosseyed.course import handout
from crosseyed.course.labs import Lab
from crosseyed.errors import CrosseyedError
from crosseyed.files import atomic_write, content_digest
from crosseyed.workflow import standalone
from crosseyed.workflow.execution import QUIET

_SECONDS = 600  # that a cell may take
_BEFORE = (
    "__import__('random').seed(0)",  # by which Otter chooses how to congratulate
    # a figure's text is what it is about
    "import matplotlib.figure as _f, crosseyed.report.figures.style as _s; "
    "_f.Figure._repr_pretty_ = lambda figure, printer, cycle: printer.text(_s.describe(figure))",
)
_LEFT_OUT = "Not run for these pages, since it takes long: what follows reads the kept result.\n"
_MATHJAX = "mathjax.js"
_SETTINGS = "window.MathJax = {tex: {inlineMath: [['$', '$']], displayMath: [['$$', '$$']]}};"
_REMOTE_SCRIPT = re.compile(r"<script\b[^>]*\bsrc=\"(?:https?:[^\"]*)?\"[^>]*>\s*</script>")


def write(folder: Path, labs: Sequence[Lab], kept: Path, *, say: Callable[[str], None] = print) -> None:
    """Write the solutions of labs into a folder: for each an executed notebook and a page; and a page that lists them.

    Parameters
    ----------
    folder : path
        Where they go; new or empty.
    labs : sequence of Lab
        Which.
    kept : path
        Folder in which executed notebooks are kept, so that only what has changed is executed again.
    say : callable
        Takes a line for each lab.

    Raises
    ------
    CrosseyedError
        A solution does not run; the message names lab, cell and error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _put_mathjax(folder)
    for lab in labs:
        name = lab.folder.name
        say(f"the solutions of {name}")
        executed = execute(lab, kept)
        nbformat.write(executed, folder / f"{name}.ipynb")
        (folder / f"{name}.html").write_text(page(executed, f"{lab.title}: solutions"), encoding="utf-8")
    standalone.write_page(folder / "index.html", "solutions.html", labs=labs)


def execute(lab: Lab, kept: Path) -> NotebookNode:
    """Return a lab's notebook with solutions and rubrics, executed; cells tagged ``long`` are left out.

    Parameters
    ----------
    lab : Lab
        Which.
    kept : path
        Where executed notebooks are kept, under a digest of notebook, data and library.

    Raises
    ------
    CrosseyedError
        A cell fails, or takes more than ten minutes.
    """
    notebook = handout.solution_notebook(lab)
    with TemporaryDirectory() as place:
        name = Path(place, handout.file_name(lab))
        nbformat.write(notebook, name)
        lab.copy_data(name.parent)
        library = sorted(Path(__file__).parents[1].rglob("*.py"))
        digest = content_digest([name, *lab.data, *library])
        done = kept / f"{lab.name}-{digest}.ipynb"
        if not done.is_file():
            run(notebook, name.parent, f"the solution of the lab {lab.name!r}", lab.long)
            with atomic_write(done) as temporary:
                nbformat.write(notebook, temporary)
            _forget_older(done, lab)
    return nbformat.read(done, as_version=4)


def page(notebook: NotebookNode, title: str) -> str:
    """Return an executed notebook as an HTML page that needs no network.

    Images have the text of their output as alternative text. Formulas are set by a script that lies beside the page.
    """
    from nbconvert import HTMLExporter

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            _describe(output)
    exporter = HTMLExporter(
        mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="", exclude_input_prompt=True
    )
    made, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    scripts = f'<script>{_SETTINGS}</script>\n<script src="{_MATHJAX}" defer></script>\n</head>'
    return _REMOTE_SCRIPT.sub("", made).replace("</head>", scripts, 1)


def run(notebook: NotebookNode, folder: Path, what: str, long: Collection[str] = ()) -> None:
    """Execute a notebook in a folder; its cells get their outputs.

    Parameters
    ----------
    notebook : NotebookNode
        It is changed.
    folder : path
        The working folder.
    what : str
        What it is, for messages.
    long : collection of str
        Identifiers of cells that are left out.

    Raises
    ------
    CrosseyedError
        A cell fails, or takes more than ten minutes.
    """
    left_out = {cell.id: cell.source for cell in notebook.cells if cell.id in long}
    for cell in notebook.cells:
        if cell.id in left_out:
            cell.source = f"print({_LEFT_OUT!r}, end='')"
    client = NotebookClient(
        notebook,
        timeout=_SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=[*QUIET, *(f"--IPKernelApp.exec_lines={line}" for line in _BEFORE)],
    )
    try:
        client.execute(env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})
    except CellExecutionError as error:
        raise CrosseyedError(
            f"{what} fails: {error.ename}: {error.evalue}\n  in the cell\n{_failed_source(notebook)}"
        ) from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise CrosseyedError(f"{what} does not end: {error}") from error
    for cell in notebook.cells:
        cell.source = left_out.get(cell.id, cell.source)
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("language_info", None)


def _failed_source(notebook: NotebookNode) -> str:
    """Return the source of the first cell with an error, indented."""
    for cell in notebook.cells:
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            return "\n".join(f"    {line}" for line in cell.source.splitlines()[:12])
    return ""


def _describe(output: NotebookNode) -> None:
    """Give the image of an output, if it has one, its text as alternative text."""
    data = output.get("data", {})
    text = html.escape(" ".join("".join(data.get("text/plain", "")).split()), quote=True)
    for kind in ("image/png", "image/jpeg"):
        if kind in data and text:
            data["text/html"] = (
                f'<img alt="{text}" src="data:{kind};base64,{"".join(data.pop(kind).split())}">'
            )
    if "image/svg+xml" in data and text:
        named = f'<svg role="img" aria-label="{text}"'
        data["image/svg+xml"] = re.sub(r"<svg\b", lambda _: named, data["image/svg+xml"], count=1)


def _put_mathjax(folder: Path) -> None:
    """Put the script that sets formulas beside the pages."""
    found = find_spec("sphinx-mathjax-offline")
    if found is not None and found.origin:
        shutil.copyfile(Path(found.origin).parent / "static" / "mathjax" / "tex-svg.js", folder / _MATHJAX)


def _forget_older(done: Path, lab: Lab) -> None:
    """Remove what is kept of earlier states of a lab."""
    for path in done.parent.glob(f"{lab.name}-????????.ipynb"):
        if path != done:
            path.unlink(missing_ok=True)
