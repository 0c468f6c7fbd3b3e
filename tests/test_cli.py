"""What holds for every command, whatever the terminal and the home are like."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crosseyed import cli
from crosseyed.explorer import server
from crosseyed.training import train
from crosseyed.workflow import processes

LIBRARY = Path(__file__).parents[1] / "lib"


def run_main(monkeypatch, *arguments):
    """Run the command line in this process; return the status or the message that it ends with."""
    monkeypatch.setattr(sys, "argv", ["crosseyed", *arguments])
    monkeypatch.setattr(cli, "keep_caches", lambda folder: None)
    former = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as caught:
            cli.main()
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
    return caught.value.code


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
    assert run_main(monkeypatch, *command, "--folder", str(tmp_path / "new")) == code
    assert f"{word}; what is done is kept, and the same command continues" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_explorer_with_a_word(monkeypatch, capsys, tiny_folder, number, code):
    monkeypatch.setattr(server.Server, "serve_forever", lambda _: signal.raise_signal(number))
    assert run_main(monkeypatch, "explore", f"local-dir:{tiny_folder}", "--no-browser") == code
    said = capsys.readouterr().out
    assert " answers at http://127.0.0.1:" in said and said.endswith(
        "the explorer has ended; nothing of it is kept\n"
    )


def test_a_busy_port_is_said_before_a_model_is_loaded(monkeypatch):
    with server.bind() as taken:
        said = run_main(monkeypatch, "explore", "local-dir:nowhere", "--port", str(taken.server_port))
    assert said.startswith(f"error: The port {taken.server_port} is in use; give another with --port")


def test_a_stop_that_a_compiled_module_turns_into_an_error_is_told_as_a_stop(tmp_path, monkeypatch, capsys):
    def load(*_, **__):
        try:
            signal.raise_signal(signal.SIGTERM)
        except processes.Stopped:
            raise ImportError("initialization failed") from None

    monkeypatch.setattr(train, "train", load)
    assert run_main(monkeypatch, "train", "uniform", "--folder", str(tmp_path / "new")) == 143
    told = capsys.readouterr().err
    assert "terminated" in told and "Traceback" not in told


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_does_not_matter(tmp_path, closed):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mug_on_table.jpeg").touch()
    command = '"$@" >&-' if closed == "stdout" else '"$@" 2>&-'
    arguments = ["-m", "crosseyed.cli", "download", "whatsup", "--folder", "data"]
    result = subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(LIBRARY)},
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path, monkeypatch, number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number), "a.csv")

    monkeypatch.setattr(train, "train", fail)
    said = run_main(monkeypatch, "train", "uniform", "--folder", str(tmp_path / "new"))
    assert said.startswith(f"error: {os.strerror(number)} at 'a.csv'; free some space")


@pytest.mark.parametrize("cores", ["0", "1.5", "many", "9" * 20])
def test_cores_are_a_number_that_a_machine_may_have(monkeypatch, capsys, cores):
    assert run_main(monkeypatch, "book", "--cores", cores) == 2
    assert "--cores" in capsys.readouterr().err


def test_a_plan_says_what_an_edition_would_take_and_starts_nothing(tmp_path):
    (tmp_path / "Snakefile").touch()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "05_mitigations.ipynb").touch()
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "crosseyed.cli",
            "plan",
            "pocketclip-uniform",
            "--size",
            "quick",
            "--cores",
            "1",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(LIBRARY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    head, names, row, *_ = result.stdout.splitlines()
    assert head.startswith("pocketclip-uniform--quick, size quick: about ")
    assert names.split() == ["chapter", "images", "passes", "minutes", "memory"]
    assert row.split()[0] == "05_mitigations"
    assert "download: nothing" in result.stdout
    assert "other sizes: standard about" in result.stdout
    assert [path.name for path in (tmp_path / "_build").iterdir() if path.name != "caches"] == ["models"]
