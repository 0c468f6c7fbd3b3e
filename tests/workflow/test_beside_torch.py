"""What the study needs is installed, and the torch that is there stays: tried in environments with made-up packages."""

import hashlib
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from crosseyed.workflow import beside_torch

ROOT = Path(__file__).parents[2]
NEEDED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
SMALLEST = {
    each.name: next(s.version for s in each.specifier if s.operator == ">=")
    for each in map(Requirement, NEEDED)
}


def wheel(folder, name, version, requires=()):
    """Write a wheel that holds one module with its version."""
    label = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    content = {
        f"{name.replace('-', '_')}.py": f"version = {version!r}\n",
        f"{label}.dist-info/METADATA": metadata + "".join(f"Requires-Dist: {each}\n" for each in requires),
        f"{label}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{label}.dist-info/RECORD"
    with zipfile.ZipFile(folder / f"{label}-py3-none-any.whl", "w") as file:
        for path, text in content.items():
            file.writestr(path, text)
        file.writestr(record, "".join(f"{path},,\n" for path in [*content, record]))
    return folder / f"{label}-py3-none-any.whl"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder of wheels: everything that the study needs in its smallest version, and a newer torch."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, version in SMALLEST.items():
        # one that is lacking asks for torch, as packages do; its newest would do, and so does what is there
        wheel(folder, name, version, ["torch>=1"] if name == "captum" else [])
    wheel(folder, "torch", "2.99.0")
    wheel(folder, "torch", "2.1.0")
    return folder


class Runtime:
    """An environment of its own with pip, `packaging` and made-up packages."""

    def __init__(self, folder, shop):
        self.python, self.shop = folder / "bin" / "python", shop
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        (self.site,) = folder.glob("lib/python*/site-packages")
        import packaging

        real = Path(packaging.__file__).parents[1]
        for each in [real / "packaging", *real.glob("packaging-*.dist-info")]:
            (self.site / each.name).symlink_to(each)

    def pip(self, *arguments):
        options = ["--quiet", "--no-index", "--find-links", self.shop]
        subprocess.run([self.python, "-m", "pip", "install", *options, *arguments], check=True)

    def complete(self):
        variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.shop), "PYTHONPATH": str(ROOT / "lib")}
        command = [self.python, "-m", "crosseyed.workflow.beside_torch"]
        path = {"PATH": os.environ["PATH"]}
        return subprocess.run(
            command, cwd=ROOT, env=path | variables, capture_output=True, text=True, check=False
        )

    def torch(self):
        """Return the path, time and content of every file of torch and torchvision."""
        found = [path for path in self.site.glob("torch*/**/*") if path.is_file()]
        files = sorted([*found, self.site / "torch.py"])
        return [
            (path.name, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest()) for path in files
        ]

    def has(self, name):
        return (self.site / f"{name}.py").is_file()


@pytest.fixture
def runtime(tmp_path, shop):
    return Runtime(tmp_path / "runtime", shop)


def without(*names):
    return [
        f"{name}=={version}"
        for name, version in SMALLEST.items()
        if name not in {*names, "packaging", "setuptools"}
    ]


def test_installs_what_is_missing_and_keeps_another_torch_file_by_file(runtime):
    runtime.pip("--no-deps", *without("captum", "wordfreq"))
    before = runtime.torch()
    run = runtime.complete()
    assert run.returncode == 0, run.stderr
    assert (
        f"torch {SMALLEST['torch']} and torchvision {SMALLEST['torchvision']} are as they were" in run.stdout
    )
    assert "captum, wordfreq" in run.stdout
    assert runtime.has("captum")
    assert runtime.has("wordfreq")
    assert runtime.torch() == before
    assert "added: nothing" in runtime.complete().stdout


@pytest.mark.parametrize("torch", ["torch==2.1.0", None])
def test_a_torch_that_does_not_do_is_named_and_nothing_is_installed(runtime, torch):
    runtime.pip("--no-deps", *without("captum", "torch"), *([torch] if torch else []))
    run = runtime.complete()
    assert run.returncode == 1
    assert f"needs torch>={SMALLEST['torch']},<3, and here is {'2.1.0' if torch else 'none'}." in run.stderr
    assert not runtime.has("captum")


def test_a_package_that_wants_another_torch_does_not_get_it(runtime, tmp_path):
    runtime.pip("--no-deps", *without("captum"))
    before = runtime.torch()
    runtime.shop = tmp_path
    wheel(tmp_path, "captum", "0.9", ["torch>=2.9"])
    wheel(tmp_path, "torch", "2.99.0")
    run = runtime.complete()
    assert run.returncode == 1
    assert "error: pip could not install" in run.stderr
    assert runtime.torch() == before


def test_says_what_pip_says_when_a_package_cannot_be_had(runtime, tmp_path):
    runtime.pip("--no-deps", *without("captum"))
    (tmp_path / "empty").mkdir()
    runtime.shop = tmp_path / "empty"
    run = runtime.complete()
    assert run.returncode == 1
    assert "error: pip could not install what is missing:" in run.stderr
    assert "captum" in run.stderr


def test_requirements_are_met_by_versions_in_range_and_by_other_machines():
    here = beside_torch._installed("numpy")
    asked = [
        "numpy>=1",
        f"numpy=={here}",
        "numpy<1",
        "no-such-package",
        "no-such-package; python_version < '3'",
    ]
    assert beside_torch.unmet(asked[:2]) == {}
    assert beside_torch.unmet(asked[2:3]) == {"numpy": "numpy<1"}
    assert beside_torch.unmet(asked[3:]) == {"no-such-package": "no-such-package"}
