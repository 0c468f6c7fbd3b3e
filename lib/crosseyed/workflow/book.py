"""Make one edition of the book: describe its model, copy the pages and notebooks together, render them.

The pages in ``book/`` are the same for every edition. What differs is filled in as MyST substitutions, such
as ``{{ model }}`` or ``{{ first_screen }}``, and as the banner above each page.
"""

import ast
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from crosseyed.editions import PRECISIONS, Description
from crosseyed.errors import CrosseyedError
from crosseyed.escapes import markdown
from crosseyed.files import DATA, atomic_write, exchange
from crosseyed.models.scorer import RANDOM, SHIPPED
from crosseyed.report import family_table
from crosseyed.report.figures import headline as figures
from crosseyed.report.figures import style
from crosseyed.settings import PROTOCOL_VERSION, SIGNIFICANCE, settings
from crosseyed.workflow import (
    addresses,
    chapter_pages,
    citation,
    course_timings,
    headline,
    launch,
    page_heads,
    summary,
)
from crosseyed.workflow.findings import (
    first_screen,
    list_beyond,
    read_coverage,
    tabulate_accuracy,
    tabulate_coverage,
    tabulate_families,
    tabulate_rules,
    tabulate_tests,
)
from crosseyed.workflow.page_images import give_sizes
from crosseyed.workflow.results import check_weights
from crosseyed.workflow.verdict_pages import copy_tables, describe, judge, tabulate

PAGES = Path("book")

PACKAGE = Path("lib/crosseyed")

EXPLORER = "09_move_it_yourself"
"""The notebook whose page lets readers move an object; an edition may be made without it."""

_JUPYTER_BOOK = (sys.executable, "-c", "from jupyter_book.cli.main import main; main()")

_WARNINGS_ARE_ERRORS = ("--warningiserror", "--keep-going", "--all")


class BookError(CrosseyedError):
    """The pages of a book could not be rendered without a warning."""


def render_book(
    model: Description, families: str | os.PathLike, folder: str | os.PathLike, code_shown: bool = False
) -> str:
    """Render an edition whose notebooks are executed as HTML, whole or not at all.

    Parameters
    ----------
    model : Description
        The model that the notebooks were executed for.
    families : path
        The table of `crosseyed.report.family_table.what_works`, as a CSV file.
    folder : path
        Folder of the edition, with ``notebooks`` and ``results``; gets ``source``, ``html`` and ``book.log``.
    code_shown : bool
        Whether chapters show their code at once; otherwise a reader unfolds it.

    Returns
    -------
    str
        A sentence about what could not be made on this machine; empty if all was.

    Raises
    ------
    BookError
        Sphinx warned of something; the message holds its warnings.
    MissingTableError
        A table that the introduction needs is not there.
    InputError
        A chapter was executed with other weights.
    """
    folder = Path(folder)
    check_weights(folder / "results", model)
    source, output = folder / "source", folder / "html"
    remark = stage_pages(model, families, folder, source, code_shown)
    run = subprocess.run(
        [*_JUPYTER_BOOK, "build", source, "--config", source / "_config.yml", *_WARNINGS_ARE_ERRORS],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    report = re.sub(r"\x1b\[[0-9;]*m", "", run.stdout)  # Sphinx colors its warnings
    with atomic_write(folder / "book.log") as file:
        file.write_text(report, encoding="utf-8")
    if run.returncode:
        problems = [line for line in report.splitlines() if re.search("WARNING|ERROR|Error:", line)]
        told = "\n".join(dict.fromkeys(problems)) or report[-2000:]
        raise BookError(
            f"the pages of {model.edition.name} have faults (all in {folder / 'book.log'}):\n{told}"
        )
    give_sizes(source / "_build" / "html")
    exchange(source / "_build" / "html", output)
    return remark


def stage_pages(
    model: Description, families: str | os.PathLike, folder: Path, source: Path, code_shown: bool = False
) -> str:
    """Put the pages, the executed notebooks and the configuration of an edition into one new folder for Sphinx.

    Returns
    -------
    str
        As of `render_book`.
    """
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(PAGES, source, ignore=shutil.ignore_patterns(".*"))
    chapter_pages.stage(folder / "notebooks", folder / "results", source, code_shown)
    write_api_pages(PACKAGE, source / "api")
    results = folder / "results"
    first = headline.read(results, model)
    finding = style.save(figures.both_sides(first.sides), source / "finding").name
    judged, coverage = judge(results, model), read_coverage()
    copy_tables(judged, results, source)
    configuration = yaml.safe_load(addresses.CONFIGURATION.read_text(encoding="utf-8"))
    known = addresses.from_configuration(configuration)
    launched = launch.describe(configuration, known)
    launch.configure(configuration, known)
    address = known.of_edition(model.edition.name)
    page_heads.configure(configuration, citation.read(), model.edition.name, address)
    made = source / chapter_pages.EXTRA
    no_pdf = summary.write(made, model, origin(model), results, first, judged, address and f"{address}/")
    configuration["html"]["announcement"] = banner(model)
    configuration["sphinx"]["config"]["html_extra_path"] = [chapter_pages.EXTRA]
    configuration["sphinx"]["config"]["myst_substitutions"] = {
        "edition": markdown(model.edition.name),
        "size": model.edition.size,
        "model": markdown(model.model),
        "origin": markdown(origin(model)),
        "parameters": model.parameters_in_words,
        "launch": launched,
        "modules": module_table(PACKAGE),
        "first_screen": first_screen(
            first, finding, summary.in_words(first), _next_pages(source, not no_pdf)
        ),
        "interval": settings.interval,
        "claims": tabulate(judged),
        "tests": describe(judged),
        "protocol_version": str(PROTOCOL_VERSION),
        "rules": tabulate_rules(),
        "coverage": tabulate_coverage(coverage),
        "beyond_coverage": list_beyond(coverage),
        "families_of_tests": tabulate_tests(),
        "significance": f"{SIGNIFICANCE:g}",
        "course_timings": course_timings.tabulate(),
        "families": tabulate_families(family_table.read(families)),
        "pocketclip_figures": tabulate_accuracy(
            {file.parent.name: file for file in sorted(DATA.glob("models/pocketclip-*/accuracy.csv"))}
        ),
    }
    (source / "_config.yml").write_text(yaml.safe_dump(configuration, allow_unicode=True), encoding="utf-8")
    return f"{summary.PDF} is not made: {no_pdf}." if no_pdf else ""


def _next_pages(source: Path, has_pdf: bool) -> list[str]:
    """Return links from the first screen to the pages beside the introduction that an edition has."""
    links = [f'<a href="{summary.PAGE}">The summary on one page</a>']
    links += [f'<a href="{summary.PDF}">PDF</a>'] if has_pdf else []
    if (source / "notebooks" / f"{EXPLORER}.ipynb").is_file():
        links.insert(0, f"{{doc}}`Move it yourself </notebooks/{EXPLORER}>`")
    return links


def origin(model: Description) -> str:
    """Say in words which model the numbers of an edition come from: a clause that fits after "computed with"."""
    if model.pretrained == SHIPPED:
        return f"{model.model}, a small model of this project's own and not a published CLIP"
    if model.pretrained == RANDOM:
        return f"{model.model} with random weights, which has learned nothing"
    return f"{model.model} with the weights {model.pretrained}"


def banner(model: Description) -> str:
    """Return the HTML of the banner above each page: the size of the edition, its model, and the model's weights.

    The precision is named if it is not the first of `crosseyed.editions.PRECISIONS`.
    """
    precision = model.edition.precision
    rounded = f", in {precision}" if precision != PRECISIONS[0] else ""
    made_with = f"computed with {html.escape(origin(model))} (digest of the weights: {model.weights})"
    # a page's own text is kept from MathJax by MyST
    return (
        f'<span class="mathjax_ignore">Edition <b>{html.escape(model.edition.name)}</b>, '
        f"size {model.edition.size}{rounded}: {made_with}</span>"
    )


def module_table(package: Path) -> str:
    """Return a MyST table of the modules of a package with the first sentences of their docstrings.

    The modules of each package inside it stand below a row about that package.
    """
    rows, heading = [], ""
    for name, docstring in _modules(package).items():
        folder = name.rpartition(".")[0]
        if folder != heading:
            heading = folder
            about = _docstring(package.joinpath(*folder.split("."), "__init__.py"))
            rows.append(f"| **{folder}** | *{_first_sentence(about)}* |")
        rows.append(f"| {{doc}}`{name} </api/{name}>` | {_first_sentence(docstring)} |")
    return "\n".join(["| module | its one job |", "|---|---|", *rows])


def write_api_pages(package: Path, folder: Path) -> None:
    """Write a page for each module of a package, with a directive that takes its content from the docstrings.

    The pages are in no table of contents, which Sphinx copies anew for each of all pages.
    """
    folder.mkdir(parents=True)
    for name in _modules(package):
        title = f"{package.name}.{name}"
        directive = f"```{{eval-rst}}\n.. automodule:: {title}\n   :members:\n```\n"
        page = f"---\norphan: true\n---\n\n# {title}\n\n{directive}"
        (folder / f"{name}.md").write_text(page, encoding="utf-8")


def _modules(package: Path) -> dict[str, str]:
    """Return the docstrings of all public modules by name, those of the package itself first."""
    files = [path for path in package.rglob("*.py") if not path.stem.startswith(("_", "."))]
    parts = sorted(
        (path.relative_to(package).with_suffix("").parts for path in files), key=lambda p: (p[:-1], p)
    )
    return {".".join(each): _docstring(package.joinpath(*each).with_suffix(".py")) for each in parts}


def _docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", paragraph)[0].replace("|", r"\|")
