"""Disks that are full, folders that cannot be written to, and clocks that were set back."""

import contextlib
import os
import shutil
import subprocess
import time

import pytest
from faults import workbench

KIND = "disks and clocks"

MOMENTS = {"book": 3, "own-data": 4, "training": 3}
"""How often the disk is full while a command works."""

PEAKS = {"training": 15_000_000}
"""Bytes that a command needs at a time, where it removes some in the end: two states of a training."""

PLACES = {"book": "_build", "sweep": "_build", "own-data": "own", "training": "trained"}
"""Where each command writes."""

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def mounted(folder, size):
    """Put a file system of a size in bytes, in memory, at a folder, with what the folder holds; skip if forbidden."""
    held = folder.with_name(f"{folder.name}-held")
    folder.mkdir(exist_ok=True)
    shutil.move(folder, held)
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    if told.returncode:
        pytest.skip(f"nothing can be mounted here: {told.stderr.strip()}")
    try:
        shutil.copytree(held, folder, dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(held)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def size_of(folder):
    """Return the bytes that the files below a folder take in pages of a file system in memory."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


def make_due(project, command):
    """Let a command that has ended have something to do."""
    if command in ("book", "sweep"):
        notebook = project / "notebooks" / f"{workbench.CHAPTER}.ipynb"
        notebook.write_text(
            notebook.read_text().replace("import time", f"import time  # {time.monotonic_ns()}")
        )
    if command == "training":
        for path in (project / "trained").iterdir():
            path.unlink()


def fill(folder, free):
    """Fill a file system but for some bytes; return the file that does it."""
    ballast, state = folder / ".ballast", os.statvfs(folder)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(4096, state.f_bavail * state.f_frsize - free))
    return ballast


@pytest.fixture(scope="module", params=MOMENTS)
def filled(request, tmp_path_factory):
    """Return the name of a command, and what went wrong with it on a disk with several amounts of free space."""
    project, command = workbench.make(tmp_path_factory.mktemp(request.param) / "project"), request.param
    code, said = workbench.run(project, command)
    assert code == 0, said
    return command, _full(project, command)


def test_a_full_disk_is_told_in_a_sentence_and_the_old_results_stay_until_there_is_space(
    filled, record_property
):
    command, faults = filled
    record_property("times", MOMENTS[command])
    assert not faults, "\n".join(faults)


def _full(project, command):
    place, expected, faults = project / PLACES[command], workbench.results(project, command), []
    needed = max(size_of(place), PEAKS.get(command, 0))
    with mounted(place, 4 * needed + 2**22):
        for number in range(MOMENTS[command]):
            make_due(project, command)
            before = workbench.results(project, command)
            free = int(needed * (number + 0.5) / MOMENTS[command])
            ballast = fill(place, free)
            code, said = workbench.run(project, command)
            what = f"{command} with {free:,} of {needed:,} bytes"
            if code == 0:
                if workbench.results(project, command) != expected:
                    faults.append(f"{what} ends well with other results")
            else:
                faults += [f"{what}: {fault}" for fault in _badly_told(said, place)]
                lost = [
                    name for name in before if workbench.results(project, command).get(name) != before[name]
                ]
                if lost and command != "training":
                    faults.append(f"{what}: old results are lost: {lost[:3]}")
            workbench.end(project)
            ballast.unlink()
            code, said = workbench.run(project, command)
            if code or workbench.results(project, command) != expected:
                faults.append(f"{what}: it does not go on when there is space: {code} {said[-300:]!r}")
            if left := workbench.temporary_files(project):
                faults.append(f"{what}: leaves {left[:3]}")
    return faults


def _badly_told(said, place):
    faults = []
    if "Traceback" in said:
        faults.append(f"a traceback: {said[-300:]!r}")
    if "No space left" not in said and "disk may be full" not in said:
        faults.append(f"the reason is not told: {said[-300:]!r}")
    if place.name not in said:
        faults.append(f"the place is not told: {said[-300:]!r}")
    return faults


@pytest.mark.parametrize("command", PLACES)
def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_computed(tmp_path, command):
    project = workbench.make(tmp_path / "project")
    place = project / PLACES[command]
    with mounted(place, 2**26):
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        code, said = workbench.run(project, command)
        assert code == 1, said
        assert "Read-only file system" in said and place.name in said
        assert "Traceback" not in said and "executing" not in said
        assert len(said.splitlines()) <= 3


def test_a_home_and_a_cache_that_cannot_be_written_to_do_not_matter(tmp_path):
    project = workbench.make(tmp_path / "project")
    more = {"HOME": "/proc/nowhere", "CROSSEYED_CACHE": "/proc/nowhere/cache"}
    code, said = workbench.run(
        project, "sweep", **more, XDG_CACHE_HOME="/proc/nowhere", MPLCONFIGDIR="/proc/nowhere"
    )
    assert code == 0, said
    assert said.count("Embeddings are not kept, and each notebook computes its own") == 1
    assert workbench.results(project, "sweep")


def test_a_cache_that_is_full_is_told_and_changes_no_result(tmp_path):
    project, cache = workbench.make(tmp_path / "project"), tmp_path / "cache"
    code, said = workbench.run(project, "sweep")
    assert code == 0, said
    assert "Embeddings are" not in said
    expected = workbench.results(project, "sweep")
    assert expected.pop("data/results/costs.csv") and expected.pop("data/results/coverage.csv")  # given
    workbench.forget(project, "sweep")
    with mounted(cache, 2**20):
        ballast = fill(cache, 0)
        code, said = workbench.run(project, "sweep", CROSSEYED_CACHE=str(cache))
        assert code == 0, said
        assert f"the disk of '{cache}' has 0 MB free" in said
        assert [*cache.iterdir()] == [ballast]
    assert workbench.results(project, "sweep") == expected


def test_a_disk_that_is_too_small_for_a_book_is_told_before_anything_is_executed(tmp_path):
    project = workbench.make(tmp_path / "project")
    for name in ("editions", "models"):  # of what was begun, nobody knows how much it still needs
        shutil.rmtree(project / "_build" / name)
    with mounted(project / "_build", 2**27):
        code, said = workbench.run(project, "book")
    assert code == 1, said
    assert "executing" not in said and "Traceback" not in said
    (sentence,) = (line for line in said.splitlines() if "The disk of" in line)
    assert "MB free, and the edition tiny-" in sentence and "needs about 1" in sentence


YEARS = 10 * 365 * 24 * 3600


@pytest.mark.parametrize("command", ["book", "own-data"])
def test_a_clock_that_was_set_back_changes_no_result(tmp_path, command, record_property):
    project = workbench.make(tmp_path / "project")
    code, said = workbench.run(project, command)
    assert code == 0, said
    expected = workbench.results(project, command)
    inputs = ["notebooks", "lib", "book", "tiny", "photographs"]
    outputs = [PLACES[command]]
    times = [(outputs, -YEARS), (inputs, YEARS), ([*inputs, *outputs], -YEARS)]
    record_property("times", len(times))
    for folders, shift in times:
        moment = time.time() + shift
        for path in (path for folder in folders for path in (project / folder).rglob("*")):
            os.utime(path, (moment, moment), follow_symlinks=False)
        code, said = workbench.run(project, command)
        assert code == 0, said
        assert workbench.results(project, command) == expected
