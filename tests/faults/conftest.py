"""Counts what the suite of injected faults found, and prints it at the end."""

import signal
from collections import Counter, defaultdict

import pytest

FAULT = "fault"
"""Property of a test's report that says which kind of fault it injects."""

TIMES = "times"
"""Property that says how many a test injects, if more than one."""

SECONDS = 60
"""After which a fast test counts as waiting for ever."""


@pytest.fixture(autouse=True)
def limited(request):
    """Let a test that waits for ever fail."""

    def late(*_):
        pytest.fail(f"it waits for more than {SECONDS} seconds")

    former = signal.signal(signal.SIGALRM, late)
    signal.alarm(0 if request.node.get_closest_marker("slow") else SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


@pytest.fixture(autouse=True)
def counted(request, record_property):
    """Note the kind of fault: that of the case, or that of the module."""
    case = getattr(request.node, "callspec", None) and request.node.callspec.params.get("case")
    record_property(FAULT, getattr(case, "kind", None) or getattr(request.module, "KIND", "other"))


def pytest_terminal_summary(terminalreporter):
    """Print for each kind of fault how many were injected and what became of them."""
    outcomes = defaultdict(Counter)
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            noted = dict(getattr(report, "user_properties", ()))
            if kind := noted.get(FAULT):
                outcomes[kind][outcome] += noted.get(TIMES, 1)
    if not outcomes:
        return
    terminalreporter.section("faults injected")
    total = sum(outcomes.values(), Counter())
    for kind, counts in [*sorted(outcomes.items()), ("all", total)]:
        told = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
        terminalreporter.write_line(f"{kind}: {counts.total()} ({told})")
