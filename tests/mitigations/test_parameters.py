import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from crosseyed.errors import InputError
from crosseyed.mitigations.base import Mitigation
from crosseyed.mitigations.parameters import Parameter, parameter


@dataclass(frozen=True)
class Strong(Mitigation):
    """Strong."""

    label: ClassVar[str] = "strong"
    strength: float = parameter(0.5, "how strong", low=0, high=1)
    times: int = parameter(1, "how often", low=1)
    kind: str = parameter("first", "which", choices=("first", "second"))


def test_ranges_include_their_ends_and_nothing_else():
    assert Strong(0).strength == 0 and Strong(1).strength == 1
    for value in (-0.1, 1.1, math.nan, math.inf, "much", None, True):
        with pytest.raises(InputError, match=r"strength is from 0 to 1, not .*strong .how strong"):
            Strong(value)


def test_an_open_end_is_not_included():
    fraction = Parameter(default=0.5, meaning="share", above=0, high=1)
    fraction.check("share", 1, "it")
    with pytest.raises(InputError, match="share is above 0 and at most 1, not 0"):
        fraction.check("share", 0, "it")


def test_whole_numbers_are_whole():
    assert Strong(times=np.int64(3)).times == 3
    for value in (1.5, 0, True, "2"):
        with pytest.raises(InputError, match="times is a whole number, at least 1, not"):
            Strong(times=value)


def test_a_choice_is_one_of_them():
    with pytest.raises(InputError, match="Unknown kind 'secnd'; did you mean 'second'"):
        Strong(kind="secnd")


def test_what_may_be_left_out_is_not_checked():
    Parameter(default=None, meaning="width", low=0).check("width", None, "it")


def test_docstrings_explain_the_parameters():
    assert "strength : from 0 to 1\n    How strong; by default 0.5." in Strong.__doc__
