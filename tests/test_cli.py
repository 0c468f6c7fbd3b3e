"""What holds for every command, whatever the terminal and the home are like."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crosseyed.cli import app
from crosseyed.training import train

LIBRARY = Path(__file__).parents[1] / "lib"


@pytest.mark.parametrize(
    ("encoding", "name"), [("ascii", "ü"), ("latin-1", "大きい"), ("utf-8", os.fsdecode(b"no-text-\xff"))]
)
def test_any_name_is_printed_to_a_terminal_of_any_encoding(tmp_path, encoding, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "mug_on_table.jpeg").touch()
    result = subprocess.run(
        [sys.executable, "-m", "crosseyed.cli", "download", "whatsup", "--folder", name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(LIBRARY), "PYTHONIOENCODING": encoding, "HOME": "/proc/nowhere"},
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"whatsup is in" in result.stdout


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
@pytest.mark.parametrize("command", [["train", "uniform"], ["experiment", "pooling"]])
def test_a_signal_stops_a_training_with_a_word(tmp_path, monkeypatch, command, number, code, word):
    monkeypatch.setattr(train, "train", lambda *_, **__: signal.raise_signal(number))
    former = signal.getsignal(signal.SIGTERM)
    arguments = [*command, "--folder", str(tmp_path / "model"), "--device", "cpu"]
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, signal.getsignal(signal.SIGTERM)) == (code, former)
    assert f"{word}; the same command continues" in result.stderr
