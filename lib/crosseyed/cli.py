"""The command line, ``crosseyed``: each command is a short function that calls one module.

The modules are imported inside the commands, so that ``crosseyed --help`` need not wait for torch. The commands that
only the workflow calls stand in `crosseyed.workflow.steps` and are hidden from the help.
"""

import errno
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosseyed.editions import BUILD, DEFAULT_MODEL, Edition
from crosseyed.errors import CrosseyedError, InputError
from crosseyed.files import DISK_FULL, keep_caches, require_writable
from crosseyed.workflow import caches, notebooks, processes, snakemake, steps
from crosseyed.workflow.steps import Code

if TYPE_CHECKING:
    from crosseyed.models.clip import ClipModel

app = typer.Typer(
    help="Measure center bias in CLIP models, find it, and repair it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_MODEL = "Model, as crosseyed.models.loading.load takes it."
ModelArgument = Annotated[str, typer.Argument(help=_MODEL)]
ModelOption = Annotated[str, typer.Option(help=_MODEL)]
Tag = Annotated[str, typer.Option(help="Pretrained tag of the model.")]
Weights = Annotated[str, typer.Option(help="File with the weights of the model.")]
RecipeName = Annotated[str, typer.Argument(help="centered or uniform.")]
PrecisionName = Annotated[str, typer.Option(help="fp32, bf16 or fp16: in which numbers the model computes.")]
SizeName = Annotated[str, typer.Option(help="quick, standard or full: how much the notebooks take.")]
Cores = Annotated[int | None, typer.Option(help="Cores to use; all, if not given.", min=1, max=4096)]


_NO_SPACE_OR_RIGHT = (*DISK_FULL, errno.EROFS, errno.EACCES, errno.EPERM)


def main() -> None:
    """Run the command line; of an error that is meant for the user, print only the message."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        # a name may hold what the terminal's encoding lacks
        getattr(sys, name).reconfigure(errors="backslashreplace")
    keep_caches(BUILD / "caches")
    processes.stop_by_signals()
    processes.end_with_command()
    try:
        app(prog_name="crosseyed")
    except CrosseyedError as error:
        sys.exit(f"error: {error}")
    except processes.Stopped as stop:
        sys.exit(processes.report_stop(stop))
    except Exception as error:
        if stop := processes.received_stop():
            sys.exit(processes.report_stop(stop))
        if isinstance(error, OSError) and error.errno in _NO_SPACE_OR_RIGHT:
            where = f" at {str(error.filename)!r}" if error.filename else ""
            sys.exit(
                f"error: {error.strerror}{where}; free some space or change permissions there, and start again."
            )
        traceback.print_exc()
        sys.exit(
            "error: this is a defect of crosseyed and not of what you gave. Please report it in the project's issue "
            "tracker with the lines above and the command."
        )


def _edition(*given: str) -> Edition:
    names = ("model", "pretrained", "checkpoint", "size", "precision")
    return Edition.from_mapping(dict(zip(names, given, strict=True)))


@app.callback()
def _group() -> None:
    """Measure center bias in CLIP models, find it, and repair it."""


@app.command()
def book(
    model: ModelOption = DEFAULT_MODEL,
    pretrained: Tag = "",
    checkpoint: Weights = "",
    size: SizeName = "",
    precision: PrecisionName = "",
    code: Annotated[Code, typer.Option(help="Whether pages show their code at once.")] = Code.folded,
    cores: Cores = None,
) -> None:
    """Execute every notebook for a model and build its edition of the book."""
    from crosseyed.workflow import addresses, costs, launch, plan

    edition = _edition(model, pretrained, checkpoint, size, precision)
    _require_repository()
    present = notebooks.names()
    launch.require_cells(notebooks.FOLDER, addresses.read())
    with _at_work_on([edition]):
        typer.echo(f"making the edition {edition.name}, size {edition.size}")
        cores = cores or _available_cores()
        if not all((edition.folder / "done" / name).exists() for name in present):
            plan.announce(edition, cores, typer.echo)
            caches.announce(partial(typer.echo, err=True))
        configuration = {"editions": [edition.configuration], "code": code.value}
        status = snakemake.run([], configuration, cores, planned=costs.planned([edition]))
    if status:
        failed = [name for name in present if (edition.folder / "failed" / f"{name}.ipynb").exists()]
        names = f" ({', '.join(failed)} failed)" if failed else ""
        raise CrosseyedError(
            f"the edition {edition.name} is not complete{names}; what is done is kept. "
            "When the cause named above is fixed, the same command continues from there."
        )
    typer.echo(f"the book is {edition.folder / 'html' / 'index.html'}")


@app.command()
def plan(
    model: ModelArgument,
    pretrained: Tag = "",
    checkpoint: Weights = "",
    size: SizeName = "",
    precision: PrecisionName = "",
    cores: Cores = None,
) -> None:
    """Say what an edition will take on this machine: minutes, memory, disk and download. Downloads no weights."""
    from crosseyed.models.loading import load
    from crosseyed.models.sources import is_at_hand
    from crosseyed.workflow import costs, speed
    from crosseyed.workflow import plan as plans
    from crosseyed.workflow.requests import threads_of

    edition = _edition(model, pretrained, checkpoint, size, precision)
    _require_repository()
    costs.of(edition)  # refuses a table that is missing or cut off
    cores = cores or _available_cores()
    at_hand = is_at_hand(edition.model, edition.pretrained, edition.checkpoint)
    options = {"checkpoint": edition.checkpoint, "precision": edition.precision, "untrained": True}
    clip = load(edition.model, edition.pretrained, **options)
    threads = threads_of(len(notebooks.names()), cores)
    speed.measure(clip, threads, download=not at_hand).write(edition)
    plans.announce(edition, cores, typer.echo)


@app.command()
def sweep(
    models: Annotated[Path, typer.Argument(help="A YAML file with models, such as models.yml.")],
    cores: Cores = None,
    gpus: Annotated[int, typer.Option(help="Notebooks that may use a GPU at a time.", min=0)] = 0,
    profile: Annotated[str, typer.Option(help="Snakemake profile, such as profiles/slurm.")] = "",
    size: SizeName = "",
) -> None:
    """Execute the notebooks for many models and keep their results in data/results/models."""
    from crosseyed.report.kept_results import FOLDER
    from crosseyed.workflow import costs, elsewhere, sweep

    _require_repository()
    size = size.strip()
    measuring, explorers = sweep.measuring(notebooks.FOLDER), sweep.explorers(notebooks.FOLDER)
    plan = sweep.read_sweep(models, measuring, size, explorers)
    options = ["--resources", f"gpu={gpus}", "loading=1"] if gpus else []
    resume = f"make sweep MODELS={shlex.quote(str(models))}" + (f" SIZE={size}" if size else "")
    chosen = [edition.configuration for edition in plan.editions]
    configuration = {"editions": chosen, "notebooks": list(plan.notebooks)}
    cores, alone = cores or _available_cores(), nullcontext
    if profile := profile.strip():
        there = elsewhere.prepare(profile, plan, typer.echo)
        resume += f" PROFILE={shlex.quote(profile)}"
        options, configuration = [*options, *there.options], configuration | there.configuration
        cores, alone = there.cores or cores, there.alone
    require_writable(FOLDER)
    code, due = 1, set()
    with _at_work_on(plan.editions):
        typer.echo(f"{len(plan.editions)} editions, {len(plan.notebooks)} notebooks each")
        if note := sweep.other_sizes(plan, FOLDER):
            typer.echo(note)
        caches.announce(partial(typer.echo, err=True))
        if plan.editions:
            with alone():
                planned = costs.planned(plan.editions)
                code = snakemake.run(["results", *options], configuration, cores, planned=planned)
            due = snakemake.unfinished(["results"], configuration) if code else set()
    sweep.publish(plan, FOLDER, due)
    typer.echo(sweep.summarize(plan, resume, due))
    done = sweep.is_done(plan, due)
    if code and done:
        typer.echo("The run ended with an error all the same; the message above says which.")
    if code or not done:
        raise typer.Exit(1)


@app.command()
def publish() -> None:
    """Prepare a folder for any static host: all editions that are whole and current, and a page that lists them."""
    from crosseyed.workflow import addresses, launch, site

    def due(editions: list[Edition], code: str) -> set[Path]:
        chosen = {"editions": [edition.configuration for edition in editions], "code": code}
        return snakemake.unfinished([], chosen)

    _require_repository()
    known = addresses.read()
    launch.require_cells(notebooks.FOLDER, known)
    typer.echo(site.publish(site.FOLDER, known, due))


@app.command("launch")
def prepare_launch() -> None:
    """Write the repository's address, which _config.yml states, into the first code cell of each notebook."""
    from crosseyed.workflow import addresses, launch

    _require_repository()
    known = addresses.read()
    changed = launch.write_cells(notebooks.FOLDER, known)
    typer.echo(f"repository: {known.repository or 'not set; see _config.yml'}")
    typer.echo("\n".join(f"changed {file}" for file in changed) or "every notebook is as it should be")


@app.command()
def compare(
    editions: Annotated[list[str] | None, typer.Argument(help="Names of two editions that are made.")] = None,
) -> None:
    """Put two editions side by side on one page, with the paired differences."""
    from crosseyed.workflow.compare import compare

    _require_repository()
    typer.echo(f"the comparison is {compare(editions or [])}")


@app.command("own-data")
def own_data(
    data: Annotated[Path, typer.Argument(help="COCO-format JSON, or CSV with image, caption, x, y.")],
    images: Annotated[Path, typer.Argument(help="Folder of the images.")],
    model: ModelOption = DEFAULT_MODEL,
    pretrained: Tag = "",
    checkpoint: Weights = "",
    output: Annotated[Path, typer.Option(help="Folder for tables and figure.")] = BUILD / "own_data",
) -> None:
    """Measure the bias of a model on annotated photographs of your own."""
    from crosseyed.report.own_data import measure

    def load() -> "ClipModel":
        from crosseyed.models.loading import load

        return load(model, pretrained or None, checkpoint=checkpoint or None)

    typer.echo(measure(load, data, images, output))


@app.command()
def benchmark(
    model: ModelArgument,
    mitigation: Annotated[
        list[str],
        typer.Option(
            help="module:Class or file.py:Class, whose code is run, or a name such as padding; may come several times."
        ),
    ],
    pretrained: Tag = "",
    checkpoint: Weights = "",
    output: Annotated[Path, typer.Option(help="Table to write, or to add rows to.")] = Path("benchmark.csv"),
    protocol: Annotated[
        Path | None, typer.Option(help="Another protocol than the study's, to try out.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Measure mitigations, also of your own, by the protocol of the chapter on mitigations."""
    from crosseyed.models.loading import load
    from crosseyed.workflow import benchmark

    benchmark.run(
        partial(load, model, pretrained or None, checkpoint=checkpoint or None, device=device),
        mitigation,
        output,
        protocol=protocol,
        say=typer.echo,
    )
    typer.echo(f"the table is {output}")


class Dataset(StrEnum):
    """The data sets that can be downloaded."""

    whatsup = "whatsup"


@app.command()
def explore(
    model: ModelArgument = DEFAULT_MODEL,
    pretrained: Tag = "",
    checkpoint: Weights = "",
    port: Annotated[
        int, typer.Option(help="Port of the page; a free one, if not given.", min=0, max=65535)
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Whether to open the page in a browser.")] = True,
) -> None:
    """Ask a model about images and captions of your own, in a browser, while you move and crop them."""
    from tempfile import TemporaryDirectory

    from crosseyed.explorer import live, server, uploads
    from crosseyed.models.loading import load

    try:
        with server.bind(port) as page, TemporaryDirectory(prefix="crosseyed-") as folder:
            typer.echo(f"loading {model}")
            clip = load(model, pretrained or None, checkpoint=checkpoint or None)
            page.live = live.Live(clip, live.shipped_objects(), uploads.Uploads(Path(folder)))
            typer.echo(f"{clip.name} answers at {page.url} (Ctrl-C ends it)")
            if browser:
                page.open_browser(Path(folder))
            page.serve_forever()
    except processes.Stopped as stop:
        typer.echo("\nthe explorer has ended; nothing of it is kept")
        if stop.number != signal.SIGINT:
            raise typer.Exit(128 + stop.number) from None


@app.command()
def download(
    dataset: Annotated[Dataset, typer.Argument(help="Data set to fetch.")],
    folder: Annotated[Path | None, typer.Option(help="Where it goes; data/<data set>, if not given.")] = None,
) -> None:
    """Fetch a published data set, unless it is on disk."""
    from crosseyed.data.whatsup import download_whatsup
    from crosseyed.files import DATA

    typer.echo(f"{dataset} is in {download_whatsup(folder or DATA / dataset)}")


@app.command()
def train(
    name: Annotated[str | None, typer.Argument(help="centered or uniform.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe of your own, in place of a name.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where the model goes.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Train a PocketCLIP from scratch, or continue an interrupted training; write its model card."""
    from crosseyed.training.own_recipes import choose_recipe

    chosen = choose_recipe(name, recipe)  # a misspelt name need not wait for torch
    from crosseyed.models.loading import choose_device
    from crosseyed.training import model_card, train

    folder = folder or BUILD / "training" / (recipe.stem if recipe else f"pocketclip-{name}")
    if train.is_finished(chosen, folder):
        typer.echo(f"the model in {folder} is finished")
    train.train(chosen, folder, device=str(choose_device(device)))
    typer.echo(model_card.measure_and_write(folder, chosen, name).read_text(encoding="utf-8"))


@app.command()
def card(
    recipe: RecipeName,
    folder: Annotated[Path | None, typer.Option(help="Folder of the model.")] = None,
) -> None:
    """Measure a PocketCLIP and write its model card; without a folder, that of the repository."""
    from crosseyed.training.recipes import find_recipe

    chosen = find_recipe(recipe)
    from crosseyed.files import DATA
    from crosseyed.training import model_card

    folder = folder or DATA / "models" / f"pocketclip-{recipe}"
    typer.echo(model_card.measure_and_write(folder, chosen, recipe).read_text(encoding="utf-8"))


@app.command()
def experiment(
    name: Annotated[str, typer.Argument(help="pooling or origins.")],
    folder: Annotated[Path | None, typer.Option(help="Where the models go.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Train and measure the models of an experiment, or continue it; update its table in data/results."""
    from crosseyed.models.loading import choose_device
    from crosseyed.tables import write_table
    from crosseyed.training import experiments

    trials, results = experiments.find_trials(name), experiments.results_of(name)
    folder = folder or BUILD / "experiments" / name
    table = experiments.run(trials, folder, device=str(choose_device(device)))
    write_table(table, results)
    typer.echo(f"{results} holds the answers of {len(trials)} models")


@app.command()
def grade(
    submissions: Annotated[Path, typer.Argument(help="Folder or zip of what students handed in.")],
    lab: Annotated[str, typer.Option(help="Name of the lab, such as measure_it, or its folder.")],
    seed: Annotated[int, typer.Option(help="Seed of what the hidden checks ask.", min=0)] = 0,
    output: Annotated[Path | None, typer.Option(help="Folder for grades, summary and feedback.")] = None,
    cores: Cores = None,
    gradescope: Annotated[
        Path | None,
        typer.Option(help="Take all for one student's, and write Gradescope's results.json here."),
    ] = None,
) -> None:
    """Grade a class's notebooks of a lab by its hidden checks: a table, a summary, and feedback for each student."""
    from crosseyed.course import class_grades, source

    chosen = source.find(lab)
    output = output or BUILD / "grades" / chosen.name
    at_a_time = cores or _available_cores()
    if gradescope is not None:
        class_grades.grade_one(submissions, chosen, output, gradescope, seed=seed)
        return
    typer.echo(
        class_grades.grade_class(submissions, chosen, output, seed=seed, at_a_time=at_a_time, say=typer.echo)
    )


@app.command()
def leaderboard(
    submissions: Annotated[Path, typer.Argument(help="Folder or zip of what students handed in of lab 5.")],
    seed: Annotated[int, typer.Option(help="Seed of the hidden checks, as the class was graded.", min=0)] = 0,
    output: Annotated[Path | None, typer.Option(help="Folder of the class's grades.")] = None,
    cores: Cores = None,
) -> None:
    """Rank a class's own mitigations by what they gain off-center, on objects that the lab does not show."""
    from crosseyed.course import leaderboard as board
    from crosseyed.course import source

    _require_repository()
    chosen = source.find(board.LAB)
    output = output or BUILD / "grades" / chosen.name
    at_a_time = cores or _available_cores()
    table = board.make(submissions, chosen, output, seed=seed, at_a_time=at_a_time, say=typer.echo)
    typer.echo(board.shown(table))


@app.command()
def course(
    lab: Annotated[list[str] | None, typer.Option(help="A lab, by its name; all, if not given.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the course goes; _build/course, if not given.")
    ] = None,
) -> None:
    """Make the course: what students get, its solutions, and what grades it."""
    from crosseyed.course import bundle, source, student

    _require_repository()
    labs = source.read_all(names=lab or ())
    project = source.LABS / student.PROJECT
    built = bundle.build(
        labs, folder or bundle.FOLDER, project=project if project.is_dir() else None, say=typer.echo
    )
    typer.echo(str(built))


def _require_repository() -> None:
    if not Path("Snakefile").is_file():
        raise InputError(
            f"{Path.cwd()} has no Snakefile; run this in the folder of the crosseyed repository."
        )


@contextmanager
def _at_work_on(editions: Sequence[Edition]) -> Iterator[None]:
    """Hold the locks of editions whose folders can be written to, and forget what an earlier run said of them."""
    from crosseyed.workflow import failures
    from crosseyed.workflow.sweep import refusal

    with ExitStack() as locks:
        for edition in editions:
            locks.enter_context(processes.only_writer(edition.name, wait=0))
            for folder in (BUILD / "models", edition.folder):
                if os.path.lexists(folder):
                    require_writable(folder)
            refusal(edition).unlink(missing_ok=True)
            failures.forget(edition)
        yield


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


app.add_typer(steps.app)

if __name__ == "__main__":
    main()
