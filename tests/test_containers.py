"""The files by which others make an environment: they agree with the project's own, and run nothing as root."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = {each.name: each.specifier for each in map(Requirement, PROJECT["dependencies"])}
DOCKER = (ROOT / "Dockerfile").read_text()


def test_binder_brings_the_torch_that_the_project_allows_and_no_other_channel():
    environment = yaml.safe_load((ROOT / "binder/environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    conda = dict(re.fullmatch(r"([\w-]+) ?=?(.*)", text).groups() for text in environment["dependencies"])
    assert SpecifierSet(conda["pytorch-cpu"]) == NEEDED["torch"]
    assert SpecifierSet(conda["torchvision"]) == NEEDED["torchvision"]
    assert SpecifierSet(PROJECT["requires-python"]).contains(conda["python"])
    assert {"pip", "packaging"} <= conda.keys()  # what beside_torch needs before it has installed anything


def test_binder_runs_its_last_step_and_stops_at_a_failure():
    step = ROOT / "binder/postBuild"
    assert os.access(step, os.X_OK)
    assert "set -euo pipefail" in step.read_text()
    subprocess.run(["bash", "-n", step], check=True)
    (module,) = re.findall(r"python -m (crosseyed\.\S+)", step.read_text())
    assert (ROOT / "lib" / f"{module.replace('.', '/')}.py").is_file()


def test_the_image_runs_as_a_user_and_holds_the_book():
    users = re.findall(r"^USER (.*)$", DOCKER, flags=re.MULTILINE)
    assert users == ["1000"]
    assert DOCKER.index("USER 1000") < DOCKER.index("environment.sh true") < DOCKER.index("RUN make book")
    copied = {
        name
        for line in re.findall(r"^COPY \S+ (.*)$", DOCKER, flags=re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert all((ROOT / name).exists() for name in copied)
    version = re.search(r"^FROM python:(\d+\.\d+)-", DOCKER, flags=re.MULTILINE)[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)


def test_what_is_made_on_this_machine_does_not_go_into_the_image():
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in (ROOT / ".gitignore").read_text().split():
        assert line.rstrip("/") in ignored or f"**/{line.rstrip('/')}" in ignored, line


def test_the_editors_container_makes_the_environment_and_points_to_it():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["postCreateCommand"] == "sh environment.sh true"
    assert container["remoteUser"] != "root"
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")


def test_no_file_names_a_package_index_or_downloads_by_hand():
    for name in (
        "Dockerfile",
        "binder/environment.yml",
        "binder/postBuild",
        ".devcontainer/devcontainer.json",
    ):
        assert not re.search(r"index-url|find-links|curl|wget|://", (ROOT / name).read_text()), name
