"""The types that the scripts of the explorer state, checked by TypeScript where it is installed."""

import shutil
import subprocess

import pytest
from browsing import STATIC

from crosseyed.explorer import server
from crosseyed.explorer.notebook import CODE

LIVE = server.PAGE["live.js"][0]
_CHECK = (
    "--allowJs",
    "--checkJs",
    "--strict",
    "--noEmit",
    "--target",
    "es2020",
    "--lib",
    "es2020,dom,dom.iterable",
)


def compiler():
    """TypeScript's compiler; `npx` runs one that it has, and fetches none."""
    if found := shutil.which("tsc"):
        return [found]
    if npx := shutil.which("npx"):
        there = [npx, "--no-install", "tsc"]
        answer = subprocess.run([*there, "--version"], capture_output=True, text=True)
        if answer.returncode == 0 and answer.stdout.startswith("Version"):
            return there
    pytest.skip("no tsc on this machine; install it as .ci/run does, apt-get install node-typescript")


def check(files):
    return subprocess.run([*compiler(), *_CHECK, *files], capture_output=True, text=True)


@pytest.mark.parametrize(
    "files", [[STATIC / name for name in CODE], [STATIC / CODE[0], LIVE]], ids=["book", "live"]
)
def test_types_hold(files):
    checked = check(files)
    assert checked.returncode == 0, checked.stdout


def test_a_wrong_type_is_found(tmp_path):
    wrong = tmp_path / "wrong.js"
    wrong.write_text("crosseyedView.percent('half');\n")
    checked = check([*(STATIC / name for name in CODE), wrong])
    assert checked.returncode != 0
    assert "wrong.js" in checked.stdout
