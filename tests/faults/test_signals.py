"""Commands stopped at random moments: they end with a word, leave nothing behind, and go on to the same results."""

import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from faults import workbench

KIND = "signals"

MOMENTS = 10

FIRST = 2.0
"""Seconds after the start at which a command is sure to have begun."""

SHARE = 0.5
"""Of the time of an undisturbed run, in which a life is stopped: the next goes on where it was."""

PATIENCE = 15
"""Seconds in which a command and all its children have to end."""

SIGNALS = {
    signal.SIGINT: (130, "interrupted"),
    signal.SIGTERM: (143, "terminated"),
    signal.SIGKILL: (-signal.SIGKILL, ""),
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=workbench.COMMANDS)
def stopped(request, tmp_path_factory):
    """Return what went wrong with a command for each signal; a command often waits, so all signals at a time."""
    folder, command = tmp_path_factory.mktemp(request.param), request.param
    project = workbench.make(folder / "undisturbed")
    began = time.monotonic()
    code, said = workbench.run(project, command)
    seconds = time.monotonic() - began
    assert code == 0, said
    expected = workbench.results(project, command)
    assert len(expected) > 3
    projects = {number: workbench.make(folder / number.name) for number in SIGNALS}
    with ThreadPoolExecutor(len(SIGNALS)) as pool:
        series = {
            number: pool.submit(_series, projects[number], command, number, seconds, expected)
            for number in SIGNALS
        }
        return {number: each.result() for number, each in series.items()}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_command_stopped_at_ten_moments_leaves_nothing_and_ends_like_an_undisturbed_one(
    stopped, number, record_property
):
    record_property("times", MOMENTS)
    assert not stopped[number], "\n".join(stopped[number])


def _series(project, command, number, seconds, expected):
    """Stop a command ten times, each time a life after the other; then let it end, and compare."""
    rng, faults, stops = np.random.default_rng(int(number)), [], 0
    for _ in range(3 * MOMENTS):
        if stops == MOMENTS:
            break
        process = workbench.start(project, command)
        moment = rng.uniform(FIRST, FIRST + SHARE * seconds)
        try:
            process.wait(timeout=moment)
            workbench.forget(project, command)  # it was quicker than the signal
            continue
        except subprocess.TimeoutExpired:
            stops += 1
        faults += [
            f"{command}, {number.name} after {moment:.1f} s: {fault}"
            for fault in _stop(project, process, number)
        ]
        workbench.end(project)
    code, said = workbench.run(project, command)
    if code:
        faults.append(f"{command} does not go on after {number.name}: {said[-500:]}")
    found = workbench.results(project, command)
    odd = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    if odd:
        faults.append(f"{command} ends differently after {number.name}: {sorted(odd)[:5]}")
    if left := workbench.temporary_files(project):
        faults.append(f"{command} leaves {left[:3]} at its end after {number.name}")
    return faults


def _stop(project, process, number):
    """Send a signal to the command alone, and say what is wrong afterwards."""
    code, word = SIGNALS[number]
    process.send_signal(number)
    deadline = time.monotonic() + PATIENCE
    try:
        process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return ["the command goes on"]
    while (living := workbench.processes(project)) and time.monotonic() < deadline:
        time.sleep(0.1)
    said = workbench.words(project)
    faults = [f"{_name(each)} outlives it" for each in living]
    faults += [f"{name} is locked" for name in workbench.locked(project)]
    if process.returncode == 0 and not faults:
        return []  # it had just ended
    if process.returncode != code:
        faults.append(f"the status is {process.returncode}: {said[-300:]}")
    if number != signal.SIGKILL:
        if word not in said or "same command" not in said:
            faults.append(f"it does not say so: {said[-300:]!r}")
        if "Traceback" in said:
            faults.append(f"a traceback: {said[-300:]!r}")
        faults += [f"{path.name} is left" for path in workbench.temporary_files(project)]
    return faults


def _name(process):
    try:
        return " ".join(process.cmdline())[-80:]
    except psutil.Error:
        return "a process"
