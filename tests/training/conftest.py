"""Fixtures that tests of training share."""

from collections.abc import Callable

import pytest

from crosseyed.training import train


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Let the training be interrupted in a step, counted from 1; gives the list to which each step adds."""

    def arrange(number: int) -> list[int]:
        real_step, calls = train._step, []

        def step(*arguments):
            calls.append(1)
            if len(calls) == number:
                raise KeyboardInterrupt
            return real_step(*arguments)

        monkeypatch.setattr(train, "_step", step)
        return calls

    return arrange
