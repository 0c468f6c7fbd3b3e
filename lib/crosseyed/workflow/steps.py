"""The steps of the workflow as commands: what the Snakefile runs, each in a process of its own."""

import json
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from crosseyed.editions import Description, Edition
from crosseyed.errors import CrosseyedError
from crosseyed.workflow import notebooks, processes, snakemake

app = typer.Typer()

ModelFile = Annotated[Path, typer.Argument(help="Description of the edition's model.")]
MadeFrom = Annotated[str, typer.Argument(help="Digest of what it is made from.")]


class Code(StrEnum):
    """How pages show the code of a chapter."""

    folded = "folded"
    shown = "shown"


@app.command(hidden=True)
def describe(
    output: Path,
    edition: Annotated[str, typer.Option(help="The edition as JSON.")],
    cores: Annotated[int | None, typer.Option(help="Cores of a book, to say what it will take.")] = None,
) -> None:
    """Load the model of an edition, perhaps say what the edition will take, and write its description."""
    from crosseyed.files import atomic_write
    from crosseyed.report.chapter import load_edition
    from crosseyed.workflow import plan, speed
    from crosseyed.workflow.requests import threads_of
    from crosseyed.workflow.sweep import refusal

    wanted = Edition(**json.loads(edition))
    typer.echo(f"loading {wanted.name}", err=True)
    try:
        clip = load_edition({**asdict(wanted), "device": "auto"})
    except CrosseyedError as error:
        with atomic_write(refusal(wanted)) as note:
            note.write_text(str(error), encoding="utf-8", errors="backslashreplace")
        raise
    if cores is not None:
        threads = threads_of(len(notebooks.names()), cores)
        speed.measure(clip, threads).write(wanted)
        plan.announce(wanted, cores, partial(typer.echo, err=True))
    parameters = sum(parameter.numel() for parameter in clip.clip.parameters())
    tower, device = asdict(clip.tower), clip.device.type
    Description(wanted, clip.model, clip.pretrained, parameters, tower, device, clip.digest).write(output)


@app.command(hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def workflow(
    context: typer.Context,
    notes: Annotated[Path | None, typer.Option(help="Where to note what is due and done.")] = None,
) -> None:
    """Run Snakemake with the arguments that are given."""
    snakemake.main(context.args, notes)


@app.command(hidden=True)
def execute(model: ModelFile, notebook: Path, folder: Path, made_from: MadeFrom = "") -> None:
    """Execute one notebook into the folder of an edition."""
    from crosseyed.report.sizes import preset
    from crosseyed.workflow.execution import execute as execute_notebook

    typer.echo(f"executing {notebook}", err=True)
    edition = Description.read(model).edition
    parameters = edition.parameters | preset(notebook.stem, edition.size)
    with processes.only_writer(f"{folder.name}.{notebook.stem}"):
        execute_notebook(notebook, folder, parameters, made_from)
    typer.echo(f"executed {notebook}", err=True)


@app.command(hidden=True)
def result(model: ModelFile, folder: Path, made_from: MadeFrom = "") -> None:
    """Collect the result of an edition from the tables of its first chapter."""
    from crosseyed.tables import write_table
    from crosseyed.workflow.results import collect
    from crosseyed.workflow.stamps import stamp

    write_table(collect(folder / "results", Description.read(model)), folder / "result.csv")
    stamp(folder, "result", made_from)


@app.command(hidden=True)
def families(output: Path) -> None:
    """Write which analyses and mitigations each family of towers supports."""
    from crosseyed.report.family_table import what_works
    from crosseyed.tables import write_table

    write_table(what_works(), output)


@app.command(hidden=True)
def render(
    model: ModelFile, families: Path, folder: Path, made_from: MadeFrom = "", code: Code = Code.folded
) -> None:
    """Render the pages and the executed notebooks of an edition as HTML."""
    from crosseyed.workflow.book import render_book
    from crosseyed.workflow.stamps import stamp

    typer.echo("rendering the book", err=True)
    with processes.only_writer(f"{folder.name}.book"):
        remark = render_book(Description.read(model), families, folder, code == Code.shown)
        typer.echo(remark, err=True, nl=bool(remark))
        stamp(folder, "book", made_from)
