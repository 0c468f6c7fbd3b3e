"""What holds for every command, whatever the terminal and the home are like."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
