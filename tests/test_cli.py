"""What holds for every command, whatever the terminal and the home are like."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crosseyed import cli
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
def test_a_signal_stops_a_training_with_a_word(tmp_path, monkeypatch, capsys, command, number, code, word):
    monkeypatch.setattr(train, "train", lambda *_, **__: signal.raise_signal(number))
    monkeypatch.setattr(sys, "argv", ["crosseyed", *command, "--folder", str(tmp_path / "new")])
    monkeypatch.setattr(cli, "keep_caches", lambda folder: None)
    former = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as caught:
            cli.main()
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
    assert caught.value.code == code
    assert f"{word}; what is done is kept, and the same command continues" in capsys.readouterr().err
