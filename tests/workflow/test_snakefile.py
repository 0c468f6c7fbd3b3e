"""The workflow on small notebooks that need no model: what runs, what does not, what a fault leaves."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked_snakemake
import pandas as pd
import psutil
import pytest
from small_notebooks import write_notebook

from crosseyed.editions import Description, Edition

ROOT = Path(__file__).parents[2]
NOTEBOOKS = Path("_build/editions/pocketclip-centered/notebooks")
RESULTS = Path("_build/editions/pocketclip-centered/results")


MODULES = (
    *("errors", "cli", "data/scenes", "models/checkpoints", "measure/bootstrap", "internals/trace"),
    *("mitigations/base", "report/family_table", "workflow/results", "workflow/sweep", "workflow/book"),
)


@pytest.fixture
def project(tmp_path):
    """Return a folder that looks to the Snakefile like the repository, with a model that counts as loaded.

    The families of towers count as tabulated, which takes longer than all the rest.
    """
    for module in MODULES:
        file = tmp_path / "lib" / "crosseyed" / f"{module}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("one = 1\n")
    for file in (
        "data/models/pocketclip-centered/weights",
        "data/objects/cup.webp",
        "book/intro.md",
        "_config.yml",
        "CITATION.cff",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("first")
    (tmp_path / "Snakefile").symlink_to(ROOT / "Snakefile")
    pretend_loaded(tmp_path, Edition())
    (tmp_path / "_build/families.csv").write_text("family\n")
    return tmp_path


TOWER = {
    "kind": "VisionTransformer",
    "pooling": "class token",
    "image_size": [100, 100],
    "patch_size": [10, 10],
    "grid": [10, 10],
    "layers": 6,
}


def pretend_loaded(project, edition):
    """Write what loading the model would have written."""
    description = Description(edition, edition.model, "crosseyed", 7, TOWER, "cpu", "1a2b3c4d")
    description.write(project / "_build" / "models" / f"{edition.name}.json")


def environment(project):
    return {
        **os.environ,
        "CROSSEYED_DATA": str(project / "data"),
        "PYTHONPATH": str(ROOT / "lib"),
        "PATH": f"{project / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def start(project, *command, **keywords):
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=project,
        env=environment(project),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **keywords,
    )


def run(project, *command):
    process = start(project, *command)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


SNAKEMAKE = (
    "--cores",
    "2",
    "--keep-going",
    "--rerun-incomplete",
    "--scheduler",
    "greedy",
    "--nolock",
)


def snakemake(project, *arguments):
    return forked_snakemake.run(project, environment(project), *SNAKEMAKE, "--until", "notebook", *arguments)


def jobs_due(project, *arguments):
    code, output = snakemake(project, "--dry-run", "--quiet", "rules", *arguments)
    assert code == 0, output
    found = re.search(r"^notebook +(\d+)$", output, flags=re.MULTILINE)
    return int(found.group(1)) if found else 0


COPY = """#!/bin/sh
# stands in for: python -m crosseyed.cli execute MODEL NOTEBOOK FOLDER DIGEST
name=$(basename "$5" .ipynb)
mkdir -p "$6/notebooks" "$6/results/$name" "$6/done"
cp "$5" "$6/notebooks"
printf '%s\\n' "$7" > "$6/done/$name"
"""


@pytest.fixture
def copied(project):
    """Return the project, in which notebooks are copied to their place and not executed."""
    (project / "bin").mkdir()
    (project / "bin" / "python").write_text(COPY)
    (project / "bin" / "python").chmod(0o755)
    return project


def test_runs_notebooks_side_by_side_and_again_only_what_changed(project):
    cell = (
        "import os, pathlib\npathlib.Path(output, 't.csv').write_text(model + os.environ['OMP_NUM_THREADS'])"
    )
    write_notebook(project / "notebooks/01_first.ipynb", cell)
    write_notebook(project / "notebooks/02_second.ipynb", cell)
    code, output = snakemake(project)
    assert code == 0, output
    # two notebooks on two cores: a core for each
    for name in ("01_first", "02_second"):
        assert (project / RESULTS / name / "t.csv").read_text() == "pocketclip-centered1"
        assert 'output = "results"' in (project / NOTEBOOKS / f"{name}.ipynb").read_text().replace("\\", "")
    assert not (project / "_build/editions/pocketclip-centered/running").exists()
    assert jobs_due(project) == 0

    def due_after_changing(*files):
        before = [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in map(project.joinpath, files)]
        for path, _, _ in before:
            path.write_text("changed = True")
        due = jobs_due(project)
        for path, content, mtime in before:
            path.write_bytes(content)
            os.utime(path, ns=(mtime, mtime))
        return due

    assert due_after_changing("lib/crosseyed/measure/bootstrap.py") == 2
    assert due_after_changing("lib/crosseyed/errors.py") == 2
    assert due_after_changing("lib/crosseyed/models/checkpoints.py") == 2
    assert due_after_changing("data/objects/cup.webp") == 2
    assert due_after_changing("data/models/pocketclip-centered/weights") == 2
    # these do not decide what a notebook computes
    others = [
        f"lib/crosseyed/{name}.py" for name in ("cli", "workflow/sweep", "workflow/book", "workflow/results")
    ]
    assert due_after_changing(*others, "book/intro.md") == 0
    (project / "lib/crosseyed/measure/bootstrap.py").touch()  # as it was, only younger
    write_notebook(project / "notebooks/02_second.ipynb", cell, "1 + 1")
    assert jobs_due(project) == 1


def test_names_a_failing_notebook_with_its_cell_and_goes_on_with_the_others(project):
    write_notebook(project / "notebooks/01_bad.ipynb", "x = 0", "# divide by it\n1 / x")
    write_notebook(project / "notebooks/02_good.ipynb", "1 + 1")
    code, output = run(project, "-m", "crosseyed.cli", "book", "--cores", "1")
    assert code == 1
    assert "notebooks/01_bad.ipynb failed in cell [4], which begins with `# divide by it`" in output
    assert "ZeroDivisionError: division by zero" in output
    assert "pocketclip-centered is not complete (01_bad failed)" in output
    assert "Traceback" not in output
    assert "Exception" not in output
    assert not (project / NOTEBOOKS / "01_bad.ipynb").exists()
    assert not (project / RESULTS / "01_bad").exists()
    assert (project / NOTEBOOKS / "02_good.ipynb").exists()
    kept = project / "_build/editions/pocketclip-centered/failed/01_bad.ipynb"
    assert "ZeroDivisionError" in kept.read_text()

    write_notebook(project / "notebooks/01_bad.ipynb", "1 + 1")
    assert jobs_due(project) == 1
    code, output = snakemake(project)
    assert code == 0, output
    assert not kept.exists()


@pytest.mark.parametrize("blow", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_goes_on_after_an_interruption_and_leaves_nothing_half_written(project, blow):
    waiting = "import pathlib, time\nwhile not pathlib.Path({!r}).exists():\n    time.sleep(0.05)"
    write_table = "pathlib.Path(output, 't.csv').write_text('half')"
    started = project / "started"
    write_notebook(project / "notebooks/01_quick.ipynb", "1 + 1")
    code, output = snakemake(project)
    assert code == 0, output
    write_notebook(
        project / "notebooks/02_slow.ipynb",
        "import pathlib\n" + write_table,
        f"pathlib.Path({str(started)!r}).touch()",
        waiting.format(str(project / "go")),
    )
    process = start(project, "-m", "crosseyed.cli", "book", "--cores", "2", start_new_session=True)
    deadline = time.monotonic() + 60
    while not started.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, blow)
    output, _ = process.communicate(timeout=60)
    assert started.exists(), output
    assert process.returncode not in (0, 1)
    if blow == signal.SIGINT:
        assert "interrupted; what is done is kept" in output
        assert "Traceback" not in output
    assert not (project / NOTEBOOKS / "02_slow.ipynb").exists()
    assert not (project / RESULTS / "02_slow").exists()

    (project / "go").touch()
    assert jobs_due(project) == 1
    code, output = snakemake(project)
    assert code == 0, output
    assert (project / RESULTS / "02_slow" / "t.csv").read_text() == "half"


# --- sweeps ---

CHAPTER = """
import pathlib, pandas as pd
from crosseyed.measure import bootstrap
from crosseyed.report import tables
with pathlib.Path({log!r}).open("a") as log:
    print("01", model, seed, file=log)
table = pd.DataFrame({{"object": list("abcd") * 2, "center": [True] * 4 + [False] * 4}})
table["correct"] = [True] * 4 + [True] * (1 + seed) + [False] * (3 - seed)
bias = bootstrap.center_bias(table).assign(model=model, pretrained="crosseyed")
folder, missing = pathlib.Path(output), set(tables.TABLES["01_center_bias"]) - {{"bias"}}
tables.write_record(folder, tables.Record("1a2b3c4d", unavailable=dict.fromkeys(missing, "it is made up")))
tables.write(folder, "bias", bias)
"""
LATER = """
import pathlib, time
with pathlib.Path({log!r}).open("a") as log:
    print("02", model, seed, file=log)
while seed == 1 and not pathlib.Path({go!r}).exists():
    time.sleep(0.05)
"""


@pytest.fixture
def swept(project):
    """Return the project with two notebooks, of which the second waits for the file ``go``, and ``models.yml``."""
    pretend_loaded(project, Edition("pocketclip-uniform"))
    pretend_loaded(project, Edition(seed=1))
    places = {"log": str(project / "log"), "go": str(project / "go")}
    write_notebook(project / "notebooks/01_center_bias.ipynb", CHAPTER.format(**places))
    write_notebook(project / "notebooks/02_later.ipynb", LATER.format(**places))
    models = "models: [{model: pocketclip-centered}]\nseeds: [0, 1]\n"
    (project / "models.yml").write_text(models)
    return project


def sweep(project, *arguments):
    return run(project, "-m", "crosseyed.cli", "sweep", "models.yml", "--cores", "2", *arguments)


def kept_results(project):
    tables = {file.stem: pd.read_csv(file) for file in (project / "data/results/models").glob("*")}
    return {name: table.drop(columns=["date", "commit"]) for name, table in tables.items()}


def runs_of(project):
    return sorted((project / "log").read_text().splitlines())


def killed_and_started_again(swept):
    """Kill a sweep of which something is done, and let it go on to its end; return its results."""
    process = start(
        swept, "-m", "crosseyed.cli", "sweep", "models.yml", "--cores", "2", start_new_session=True
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        begun = (swept / "log").exists() and "02 pocketclip-centered 1" in runs_of(swept)
        if begun and list(swept.glob("_build/editions/*/done/0*")):
            break
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    notes = swept.glob("_build/editions/*/done/0*")
    finished = {path.parents[1].relative_to(swept) / "notebooks" / f"{path.name}.ipynb" for path in notes}
    assert finished
    (swept / "go").touch()
    before = {path: (swept / path).stat().st_mtime_ns for path in finished}
    code, output = sweep(swept)
    assert code == 0, output
    assert "2 of 2 editions are done" in output
    assert {path: (swept / path).stat().st_mtime_ns for path in finished} == before
    return kept_results(swept)


GAPS = {"pocketclip-centered": 75.0, "pocketclip-centered--seed1": 50.0}


def test_a_sweep_killed_and_started_again_goes_on_to_its_end(swept):
    results = killed_and_started_again(swept)
    assert {name: table["gap"].item() for name, table in results.items()} == GAPS


@pytest.mark.slow
def test_a_sweep_killed_and_started_again_ends_like_an_uninterrupted_one(swept):
    killed = killed_and_started_again(swept)
    shutil.rmtree(swept / "_build/editions")
    shutil.rmtree(swept / "data/results")
    code, output = sweep(swept)
    assert code == 0, output
    uninterrupted = kept_results(swept)
    assert sorted(killed) == sorted(uninterrupted)
    for name, table in uninterrupted.items():
        pd.testing.assert_frame_equal(killed[name], table)
    assert {name: table["gap"].item() for name, table in uninterrupted.items()} == GAPS


def test_a_sweep_goes_on_past_what_fails_and_names_it(swept):
    (swept / "go").touch()
    (swept / "models.yml").write_text(
        "models:\n- {model: pocketclip-centered}\n- {model: ViT-B-23, pretrained: openai}\n"
        "- {model: pocketclip-uniform}\n- {model: ViT-B-32, checkpoint: missing.pt}\n"
    )
    write_notebook(
        swept / "notebooks/02_later.ipynb", "assert model != 'pocketclip-uniform', 'no disk space'"
    )
    code, output = sweep(swept)
    assert code == 1
    assert "1 of 4 editions are done" in output
    assert "pocketclip-centered: done" in output
    assert "did you mean 'ViT-B-32'" in output
    assert "ViT-B-23--openai: its model could not be loaded" in output
    assert "no disk space" in output
    assert "pocketclip-uniform: failed in 02_later" in output
    assert "ViT-B-32: There is no 'missing.pt'" in output
    assert "`make sweep MODELS=models.yml` continues with the rest" in output
    assert "Traceback" not in output
    assert sorted(kept_results(swept)) == ["pocketclip-centered", "pocketclip-uniform"]


def test_hands_parameters_on_as_data(project):
    name = """a'b"c $(touch hacked) `touch hacked`; {x} \\n # é"""
    (project / "editions.json").write_text(
        json.dumps({"editions": [{"model": name, "pretrained": "x'; touch hacked"}]})
    )
    pretend_loaded(project, Edition(name, "x'; touch hacked"))
    write_notebook(
        project / "notebooks/01_first.ipynb",
        "import json, pathlib\npathlib.Path(output, 't.json').write_text(json.dumps([model, pretrained]))",
    )
    code, output = snakemake(project, "--configfile", "editions.json")
    assert code == 0, output
    (table,) = project.glob("_build/editions/*/results/01_first/t.json")
    assert json.loads(table.read_text()) == [name, "x'; touch hacked"]
    assert not list(project.rglob("hacked"))


def test_refuses_an_unknown_model_before_it_makes_anything_of_the_edition(project):
    write_notebook(project / "notebooks/01_first.ipynb", "1 + 1")
    code, output = run(
        project, "-m", "crosseyed.cli", "book", "--model", "ViT-B-23", "--pretrained", "openai"
    )
    assert code == 1
    assert "'ViT-B-23'" in output
    assert "did you mean 'ViT-B-32'" in output
    assert "Traceback" not in output
    assert not (project / "_build/editions").exists()
    assert not (project / "_build/models/ViT-B-23--openai.json").exists()


def test_says_that_the_output_folder_cannot_be_written(project, tmp_path_factory):
    shutil.rmtree(project / "_build")
    (project / "_build").write_text("a file where the folder should be")
    code, output = run(project, "-m", "crosseyed.cli", "book")
    assert code == 1
    assert f"error: {project / '_build'} cannot be written to" in output


def test_says_that_it_is_not_in_the_repository(tmp_path):
    code, output = run(tmp_path, "-m", "crosseyed.cli", "book")
    assert (code, "has no Snakefile" in output) == (1, True)
    assert not list(tmp_path.iterdir())


def test_what_was_whole_stays_when_its_next_execution_fails(project):
    write_notebook(
        project / "notebooks/01_first.ipynb", "import pathlib\npathlib.Path(output, 't.csv').touch()"
    )
    assert snakemake(project)[0] == 0
    before = (project / NOTEBOOKS / "01_first.ipynb").read_bytes()
    write_notebook(project / "notebooks/01_first.ipynb", "1 / 0")
    code, output = snakemake(project)
    assert code == 1 and "ZeroDivisionError" in output
    assert (project / NOTEBOOKS / "01_first.ipynb").read_bytes() == before
    assert (project / RESULTS / "01_first" / "t.csv").exists()
    assert jobs_due(project) == 1


@pytest.mark.parametrize("without_records", [False, True])
def test_what_is_due_is_told_by_content_whatever_the_dates_say(copied, without_records):
    past, future = time.time() - 10**8, time.time() + 10**8
    notebook = copied / "notebooks/01_first.ipynb"
    write_notebook(notebook, "1 + 1")
    os.utime(notebook, (future, future))
    code, output = snakemake(copied)
    assert code == 0 and jobs_due(copied) == 0, output
    for path in copied.glob("_build/**/*"):
        os.utime(path, (future, future))
    assert jobs_due(copied) == 0
    write_notebook(notebook, "2 + 2")
    os.utime(notebook, (past, past))
    if without_records:
        shutil.rmtree(copied / ".snakemake")
    code, output = snakemake(copied)
    assert code == 0, output
    assert "2 + 2" in (copied / NOTEBOOKS / "01_first.ipynb").read_text()


def test_other_requests_make_nothing_due(copied):
    write_notebook(copied / "notebooks/01_first.ipynb", "1 + 1")

    def asking(**asked):
        file = copied / "requests.json"
        file.write_text(json.dumps({"editions": [{}], "requests": {Edition().name: {"01_first": asked}}}))
        return "--configfile", str(file)

    code, output = snakemake(copied, *asking(threads=2, mem_mb=3000, runtime=40, gpu=0), "--dry-run")
    assert code == 0, output
    for words in ("threads: 2", "mem_mb=3000,", "runtime=40,", "gpu=0,"):
        assert words in output
    assert snakemake(copied, *asking(threads=2, mem_mb=3000, runtime=40, gpu=0))[0] == 0
    assert jobs_due(copied, *asking(threads=1, mem_mb=6000, runtime=80, gpu=1)) == 0
    assert jobs_due(copied) == 0


def test_what_somebody_deleted_is_made_again(copied):
    write_notebook(copied / "notebooks/01_first.ipynb", "1 + 1")
    assert snakemake(copied)[0] == 0 and jobs_due(copied) == 0
    (copied / NOTEBOOKS / "01_first.ipynb").unlink()
    assert jobs_due(copied) == 1


def test_pages_show_their_code_if_told_so(project):
    write_notebook(project / "notebooks/01_first.ipynb", "1")
    dry = (project, environment(project), *SNAKEMAKE, "--dry-run", "--printshellcmds")
    assert "--code folded" in forked_snakemake.run(*dry)[1]
    assert "--code shown" in forked_snakemake.run(*dry, "--config", "code=shown")[1]
    code, output = forked_snakemake.run(*dry, "--config", "code=open")
    assert code != 0 and "'open'" in output and "folded" in output


def test_a_profile_without_its_plugin_says_how_to_install_it(swept):
    (swept / "cluster").mkdir()
    (swept / "cluster" / "config.yaml").write_text("executor: nowhere\n")
    code, output = sweep(swept, "--profile", "cluster")
    assert code == 1
    assert "pip install snakemake-executor-plugin-nowhere" in output
    assert "Traceback" not in output


def test_a_path_with_braces_is_no_wildcard(project):
    folder = project / "runs {b}"
    folder.mkdir()
    (folder / "w.pt").write_bytes(b"1")
    for file in ("book/{a}.md", "data/models/{b}/weights", "data/objects/{c}.webp"):
        (project / file).parent.mkdir(exist_ok=True)
        (project / file).touch()
    given = {"model": "ViT-B-32", "checkpoint": str(folder / "w.pt")}
    (project / "editions.json").write_text(json.dumps({"editions": [given]}))
    pretend_loaded(project, Edition.from_mapping(given))
    write_notebook(
        project / "notebooks/01_first.ipynb", "import pathlib\nassert pathlib.Path(checkpoint).exists()"
    )
    code, output = snakemake(project, "--configfile", "editions.json")
    assert code == 0, output


@pytest.mark.parametrize(
    ("blow", "word", "status"),
    [
        (signal.SIGTERM, "terminated", 143),
        (signal.SIGINT, "interrupted", 130),
        (signal.SIGHUP, "terminated", 129),
        (signal.SIGKILL, None, -9),
    ],
)
@pytest.mark.slow
def test_notebooks_do_not_outlive_the_command_alone(project, blow, word, status):
    started = project / "started"
    write_notebook(
        project / "notebooks/01_slow.ipynb",
        f"import os, pathlib, time\npathlib.Path({str(started)!r}).write_text(str(os.getpid()))\ntime.sleep(600)",
    )
    process = start(project, "-m", "crosseyed.cli", "book", "--cores", "1", start_new_session=True)
    deadline = time.monotonic() + 90
    while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(blow)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == status
    kernel = int(started.read_text())
    deadline = time.monotonic() + 15
    while psutil.pid_exists(kernel) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(kernel)
    if word:
        assert f"{word}; what is done is kept, and the same command continues from there" in output
        assert "Traceback" not in output and "rror" not in output
    write_notebook(project / "notebooks/01_slow.ipynb", "1 + 1")
    code, output = snakemake(project)
    assert code == 0, output


@pytest.mark.slow
def test_a_terminal_shows_cells_until_ctrl_c_and_ends_with_one_sentence(project):
    write_notebook(project / "notebooks/01_slow.ipynb", "import time\ntime.sleep(600)")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "crosseyed.cli", "book", "--cores", "1"],
        cwd=project,
        env=environment(project) | {"TERM": "xterm", "COLUMNS": "80"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    said, interrupted = "", False
    with contextlib.suppress(OSError):  # the end of a pseudo-terminal
        while part := os.read(master, 65536):
            said += part.decode()
            if "3 of 3" in said and not interrupted:
                interrupted = True
                process.send_signal(signal.SIGINT)
    os.close(master)
    assert process.wait(60) == 130
    assert "01_slow" in said and "0 of 1 notebooks done" in said
    assert said.endswith("interrupted; what is done is kept, and the same command continues from there\r\n")
    assert "\x1b[?25h" in said.rpartition("notebooks done")[2]  # the cursor is back
    assert "Traceback" not in said
    assert not list(project.glob("_build/editions/*/running"))
