"""The three descriptions of the environment agree, and environment.sh makes the one it should."""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import psutil
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import crosseyed
from crosseyed.workflow.lock import differences, pins

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(text)
    for texts in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for text in texts
]


def test_the_lock_satisfies_every_requirement_of_pyproject():
    locked = pins(LOCK)
    for requirement in REQUIREMENTS:
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def test_the_lock_holds_all_that_its_packages_require():
    locked = pins(LOCK)
    for name in locked:
        for text in requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed = canonicalize_name(requirement.name)
                assert needed in locked, f"{name} requires {text}"
                assert requirement.specifier.contains(locked[needed], prereleases=True), (
                    f"{name} requires {text}"
                )


def test_the_installed_versions_are_the_locked_ones():
    assert differences(LOCK) == []


def test_the_lock_names_no_place_to_get_packages_from():
    for line in LOCK.splitlines():
        assert not re.search(r"://|file:|/(tmp|home|root)", line), line
        assert not line.startswith("-"), line


def test_the_lock_pins_each_package_once_for_all_platforms():
    names = [line.split("==")[0] for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(names) == len(set(names))
    for name in ("torch", "torchvision", "jupyter-book", "snakemake"):
        assert re.search(rf"^{name}==[^;]+$", LOCK, flags=re.MULTILINE), f"{name} depends on the platform"


def test_the_conda_environment_is_the_lock_under_a_python_that_it_is_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert pip["pip"] == ["--requirement requirements.lock", "--editable ."]
    (python,) = [text for text in conda if text.startswith("python=")]
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))
    # conda itself brings nothing that pip would bring too
    assert not {text.split("=")[0] for text in conda} & set(pins(LOCK))


def test_pyproject_declares_what_the_library_imports():
    declared = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS}
    # what comes with a declared package by that package's own promise
    declared |= {"ipython", "nbclient", "pydantic-core"}
    distributions = packages_distributions()
    for file in (ROOT / "lib/crosseyed").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for top in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"crosseyed"}:
                owners = {canonicalize_name(name) for name in distributions[top]}
                assert owners & declared, f"{file.name} imports {top}"


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == crosseyed.__version__
    assert citation["license"] == PROJECT["license"] == "MIT"


@pytest.mark.parametrize(
    "file", ["README.md", "CONTRIBUTING.md", *(f"book/{path.name}" for path in ROOT.glob("book/*.md"))]
)
def test_pages_name_only_targets_of_the_makefile(file):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / file).read_text(), flags=re.MULTILINE)) <= targets


def test_pins_are_those_whose_marker_holds():
    lock = "a-b==1.0\n    # via c\nC.d==2 ; python_full_version >= '3.11'\ne==3 ; sys_platform == 'none'\n# end\n"
    assert pins(lock) == {"a-b": "1.0", "c-d": "2"}
    with pytest.raises(ValueError, match="'a>=1' in the lock"):
        pins("a>=1")


def test_differences_are_named():
    assert differences("no-such-package==1\npip==0.1\n")[0] == "no-such-package 1 is missing"
    assert re.fullmatch(r"pip is \S+ instead of 0\.1", differences("pip==0.1")[0])


# environment.sh, with a Python that only writes down what it is asked for

PYTHON = """#!/bin/sh
echo "{name} $*" >> "$LOG"
case "$*" in
    --version) echo Python {version} ;;
    "-c import sys"*) exec "{python}" -c "import sys; sys.version_info = ({tuple}); $2" ;;
    "-m venv"*) mkdir -p .venv/bin && rm -rf .venv/* && mkdir .venv/bin && cp "$0" .venv/bin/python ;;
    "-m pip install"*) exit ${{PIP_STATUS:-0}} ;;
    "-I lib/crosseyed/workflow/lock.py"*) echo "torch 2 is missing"; exit ${{LOCK_STATUS:-0}} ;;
esac
"""


class Machine:
    """A folder with the project's set-up files and a search path with chosen Pythons."""

    def __init__(self, folder):
        self.project, self.bin, self.log = folder / "project", folder / "bin", folder / "log"
        self.bin.mkdir(parents=True)
        for tool in ("sh", "dirname", "basename", "cat", "cmp", "rm", "cp", "mkdir", "cut", "printf", "true"):
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.copy_project(self.project)

    @staticmethod
    def copy_project(folder):
        folder.mkdir()
        for file in ("environment.sh", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / file, folder)

    def add_python(self, name, version, folder=None):
        script = PYTHON.format(
            name=name, version=version, tuple=version.replace(".", ", "), python=sys.executable
        )
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
        return self

    def run(self, *command, project=None, **variables):
        self.log.write_text("")
        run = subprocess.run(
            ["sh", "environment.sh", *(command or ("true",))],
            cwd=project or self.project,
            env={"PATH": str(self.bin), "LOG": str(self.log), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return run.returncode, run.stdout, run.stderr

    def installations(self):
        return self.log.read_text().count("pip install")

    def creations(self):
        return self.log.read_text().count("-m venv")


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_makes_the_environment_once_and_runs_the_command_in_it(machine):
    machine.add_python("python3", "3.12.1")
    code, output, messages = machine.run("sh", "-c", "echo $PATH; echo $PYTHONPATH")
    assert code == 0, messages
    assert output.split() == [f"{machine.project}/.venv/bin:{machine.bin}", f"{machine.project}/lib"]
    assert "creating .venv with Python 3.12.1" in messages
    assert "installing the packages of requirements.lock" in messages
    assert (machine.creations(), machine.installations()) == (1, 2)
    assert machine.run() == (0, "", "")
    assert (machine.creations(), machine.installations()) == (0, 0)


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_brings_the_environment_up_to_date(machine, file):
    machine.add_python("python3", "3.12.1").run()
    with (machine.project / file).open("a") as text:
        text.write("# newer\n")
    assert machine.run()[0] == 0
    assert (machine.creations(), machine.installations()) == (0, 2)


def test_a_moved_project_installs_itself_again(machine, tmp_path):
    machine.add_python("python3", "3.12.1").run()
    machine.project.rename(tmp_path / "moved")
    assert machine.run(project=tmp_path / "moved")[0] == 0
    assert machine.installations() == 2


def test_starts_afresh_after_an_interrupted_installation(machine):
    machine.add_python("python3", "3.12.1")
    code, _, messages = machine.run(PIP_STATUS="1")
    assert code == 1
    assert "the installation failed" in messages
    assert machine.run()[0] == 0
    assert (machine.creations(), machine.installations()) == (1, 2)


def test_takes_a_newer_python_than_python3(machine):
    machine.add_python("python3", "3.9.2").add_python("python3.12", "3.12.1")
    code, _, messages = machine.run()
    assert code == 0
    assert "creating .venv with Python 3.12.1" in messages


def test_prefers_a_python_that_the_lock_was_resolved_for(machine):
    machine.add_python("python3", "3.14.0").add_python("python3.13", "3.13.0")
    assert "creating .venv with Python 3.13.0" in machine.run()[2]


def test_tries_a_python_that_is_newer_than_those(machine):
    machine.add_python("python3", "3.14.0")
    assert "creating .venv with Python 3.14.0" in machine.run()[2]


def test_says_which_python_is_needed(machine):
    code, _, messages = machine.run()
    assert (code, "no python3 was found" in messages) == (1, True)
    machine.add_python("python3", "3.10.4")
    code, _, messages = machine.run()
    assert (code, "3.11 or newer is needed; python3 here is 3.10.4" in messages) == (1, True)
    assert not (machine.project / ".venv").exists()


def test_says_that_the_venv_module_is_missing(machine):
    machine.add_python("python3", "3.12.1")
    python = machine.bin / "python3"
    python.write_text(python.read_text().replace("case", 'case "$*" in *ensurepip*) exit 1;; esac\ncase', 1))
    code, _, messages = machine.run()
    assert (code, "python3-venv" in messages) == (1, True)
    assert not (machine.project / ".venv").exists()


def test_uses_an_active_conda_environment_that_fits(machine, tmp_path):
    machine.add_python("python", "3.11.5", tmp_path / "conda/envs/any/bin")
    conda = str(tmp_path / "conda/envs/any")
    code, output, messages = machine.run(
        "sh", "-c", "echo $PATH", CONDA_PREFIX=conda, CONDA_DEFAULT_ENV="any"
    )
    assert (code, messages) == (0, "")
    assert output.startswith(f"{conda}/bin:")
    assert not (machine.project / ".venv").exists()


def test_passes_over_an_active_conda_environment_of_something_else(machine, tmp_path):
    machine.add_python("python3", "3.12.1").add_python("python", "3.11.5", tmp_path / "conda/bin")
    conda = {"CONDA_PREFIX": str(tmp_path / "conda"), "CONDA_DEFAULT_ENV": "base", "LOCK_STATUS": "1"}
    code, output, messages = machine.run("sh", "-c", "echo $PATH", **conda)
    assert code == 0
    assert "'base' was not made from environment.yml; using .venv" in messages
    assert output.startswith(f"{machine.project}/.venv/bin:")


def test_asks_to_update_the_conda_environment_of_the_project(machine, tmp_path):
    machine.add_python("python", "3.11.5", tmp_path / "conda/envs/crosseyed/bin")
    conda = {"CONDA_PREFIX": str(tmp_path / "conda/envs/crosseyed"), "CONDA_DEFAULT_ENV": "crosseyed"}
    code, _, messages = machine.run(LOCK_STATUS="1", **conda)
    assert code == 1
    assert "torch 2 is missing" in messages
    assert "conda env update --file environment.yml --prune" in messages
    assert not (machine.project / ".venv").exists()


@pytest.mark.parametrize("target", ["book", "sweep", "test-slow"])
def test_what_make_has_started_ends_with_it(tmp_path, target):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "environment.sh").write_text('exec "$@"\n')
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho $$ > started\nexec sleep 600\n")
    python.chmod(0o755)
    path = f"{python.parent}:{os.environ['PATH']}"
    make = subprocess.Popen(["make", target], cwd=tmp_path, env={**os.environ, "PATH": path})
    started = tmp_path / "started"
    wait_until(lambda: started.exists() and started.read_text().endswith("\n"))
    command = psutil.Process(int(started.read_text()))
    make.terminate()
    make.wait(timeout=60)
    wait_until(lambda: not command.is_running() or command.status() == psutil.STATUS_ZOMBIE)


def wait_until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_command_line_and_the_workflow_start_without_the_heavy_libraries():
    imports = "import sys, crosseyed.cli, crosseyed.workflow.notebooks"
    heavy = "print([name for name in ('numpy', 'pandas', 'torch', 'papermill') if name in sys.modules])"
    run = [sys.executable, "-c", f"{imports}; {heavy}"]
    found = subprocess.run(
        run, env={"PYTHONPATH": str(ROOT / "lib")}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_a_clone_that_converts_line_ends_gets_the_same_bytes(tmp_path):
    def git(*command):
        return subprocess.run(
            ["git", *command], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    names = [".gitattributes", "environment.sh", "Makefile", "Snakefile", "data/objects/fluent/cat.webp"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    git("init", "-q")
    git("config", "core.autocrlf", "true")
    git("add", ".")
    for name in names[1:]:
        (tmp_path / name).unlink()
    git("checkout", "--", ".")
    assert all((tmp_path / name).read_bytes() == (ROOT / name).read_bytes() for name in names)
