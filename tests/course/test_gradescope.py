"""Gradescope's machine is set up with a Python that the library runs on, whatever the machine brings."""

import os
import subprocess
from pathlib import Path

import pytest

from crosseyed.course import gradescope, source

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("fit", "python"), [(True, "python3"), (False, "python3.11")], ids=["new enough", "too old"]
)
def test_the_environment_is_made_by_a_python_that_is_new_enough(tmp_path, fit, python):
    (lab,) = source.read_all(HERE, ["example_lab"], HERE / "example_data")
    wheel = tmp_path / "crosseyed-0-py3-none-any.whl"
    wheel.write_bytes(b"")
    gradescope.write(tmp_path / "machine" / "source", lab, wheel)
    tools, log = tmp_path / "tools", tmp_path / "log"
    tools.mkdir()
    for name in ("apt-get", "python3", "python3.11", "machine/venv/bin/python"):
        tool = (tmp_path if "/" in name else tools) / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        refuses = f'case "$1" in -c) exit {int(not fit)};; esac\n' if name == "python3" else ""
        tool.write_text(f'#!/bin/sh\n{refuses}echo "{tool.name} $*" >> "{log}"\n')
        tool.chmod(0o755)
    script = tmp_path / "machine" / "source" / "setup.sh"
    script.write_text(script.read_text().replace("/autograder", str(tmp_path / "machine")))
    paths = os.pathsep.join((str(tools), "/usr/bin", "/bin"))
    subprocess.run(["sh", str(script)], check=True, env={"PATH": paths}, timeout=60)
    done = log.read_text().splitlines()
    assert f"{python} -m venv {tmp_path / 'machine' / 'venv'}" in done
    assert any("python3.11-venv" in line for line in done) == (not fit)
    assert done[-1].endswith(f"install/{wheel.name}[course]")
