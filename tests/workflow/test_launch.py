"""Launch buttons and the cell for Google Colab: they lead to the repository, or are not there."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from crosseyed.errors import InputError
from crosseyed.workflow import launch
from crosseyed.workflow.addresses import Addresses, read

ROOT = Path(__file__).parents[2]
SET = Addresses("https://github.com/owner/name", "main")


@pytest.fixture
def configuration():
    return yaml.safe_load((ROOT / "_config.yml").read_text())


def test_without_an_address_there_is_no_button_and_the_page_says_how_to_set_it(configuration):
    told = launch.describe(configuration, Addresses())
    launch.configure(configuration, Addresses())
    assert not {"launch_buttons", "repository"} & configuration.keys()
    for word in ("no launch buttons", "`url` of `repository`", "`_config.yml`", "make launch"):
        assert word in told


def test_with_an_address_the_services_that_have_one_get_a_button(configuration):
    assert "in Binder and Google Colab, from the branch `main`" in launch.describe(configuration, SET)
    launch.configure(configuration, SET)
    assert set(configuration["launch_buttons"]) == {"notebook_interface", "binderhub_url", "colab_url"}
    assert configuration["repository"] == {"url": "https://github.com/owner/name", "branch": "main"}


def test_colab_gets_a_button_for_github_alone(configuration):
    elsewhere = Addresses("https://gitlab.com/owner/name")
    configuration["launch_buttons"]["jupyterhub_url"] = "https://hub.example.edu"
    assert "in Binder and JupyterHub," in launch.describe(configuration, elsewhere)
    launch.configure(configuration, elsewhere)
    assert set(configuration["launch_buttons"]) == {"notebook_interface", "binderhub_url", "jupyterhub_url"}


def test_every_notebook_of_the_repository_has_the_cell_with_the_address_of_the_configuration():
    assert launch.outdated(ROOT / "notebooks", read(ROOT / "_config.yml")) == [], "run: make launch"


@pytest.fixture
def notebooks(tmp_path):
    cells = [new_markdown_cell("# Title"), new_code_cell("a = 1"), new_code_cell("a")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "one.ipynb")
    return tmp_path


def test_the_cell_comes_before_all_other_code_once_and_is_renewed(notebooks):
    file = notebooks / "one.ipynb"
    before = [cell.source for cell in nbformat.read(file, 4).cells]
    assert launch.write_cells(notebooks, Addresses()) == [file]
    assert launch.write_cells(notebooks, Addresses()) == []
    assert launch.outdated(notebooks, SET) == [file]
    assert launch.write_cells(notebooks, SET) == [file]
    cells = nbformat.read(file, 4).cells
    assert [cell.source for cell in cells] == [before[0], launch.cell_source(SET), *before[1:]]
    assert cells[1].metadata.tags == ["colab", "remove-cell"]
    nbformat.validate(nbformat.read(file, 4))


def test_a_notebook_that_does_not_know_the_address_is_named(notebooks):
    launch.require_cells(notebooks, Addresses())
    launch.write_cells(notebooks, Addresses())
    with pytest.raises(InputError, match=r"owner/name, and .*one\.ipynb does not\. Run 'make launch'"):
        launch.require_cells(notebooks, SET)
    launch.write_cells(notebooks, SET)
    launch.require_cells(notebooks, SET)


def test_a_broken_notebook_is_named(tmp_path):
    (tmp_path / "two.ipynb").write_text("{")
    with pytest.raises(InputError, match=r"two\.ipynb' is not a notebook"):
        launch.write_cells(tmp_path, SET)


_VALUES = (
    "print([x for x, v in globals().items() if type(v) in (str, list, dict, bool, int) and x[0] != '_'])"
)


def run_cell(source, folder, **variables):
    kept = {
        name: value for name, value in os.environ.items() if name not in ("COLAB_RELEASE_TAG", "PYTHONPATH")
    }
    return subprocess.run(
        [sys.executable, "-c", f"{source}\nprint(sorted(os.listdir()), len(sys.path))\n{_VALUES}"],
        cwd=folder,
        env={**kept, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_cell_does_nothing_outside_colab(tmp_path):
    plain = run_cell("import os, sys", tmp_path)
    ours = run_cell(launch.cell_source(SET), tmp_path)
    assert (ours.returncode, ours.stdout) == (0, plain.stdout)
    assert ours.stderr == ""


def test_in_colab_the_cell_fetches_the_repository_and_completes_the_environment(tmp_path):
    origin = tmp_path / "origin"
    package = origin / "lib/crosseyed/workflow"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "beside_torch.py").write_text("def complete(folder):\n    return f'completed {folder}'\n")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *author, *command], cwd=origin, check=True)
    (colab := tmp_path / "content").mkdir()
    source = launch.cell_source(Addresses(f"file://{origin}"))
    for _ in range(2):  # a cell can be run again
        run = run_cell(source, colab, COLAB_RELEASE_TAG="release")
        assert run.stdout.startswith("completed crosseyed\n['crosseyed']"), run.stderr
        # a chapter takes every plain value that it finds for a parameter, and refuses those it does not know
        assert run.stdout.endswith("\n[]\n")
