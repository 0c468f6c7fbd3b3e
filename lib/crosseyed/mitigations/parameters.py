"""Hyper-parameters of mitigations and poolings: default, range and meaning of each in one declaration."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from numbers import Integral, Real
from typing import Any

from crosseyed.errors import InputError, check_choice


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A hyper-parameter; a number unless `choices` are given, and a whole one if its default is.

    Attributes
    ----------
    default : object
        Its value where none is given; None if there need not be one.
    meaning : str
        What it is, with its unit.
    low, high : float
        Smallest and largest value.
    above : float
        It is larger than this.
    whole : bool
        Whether it is a whole number.
    choices : iterable of str, optional
        What it can be instead of a number.
    grid, coarse : tuple
        Values that chapter 4 tries, and fewer ones for chapter 5.
    """

    default: Any
    meaning: str
    low: float = -inf
    high: float = inf
    above: float = -inf
    whole: bool = False
    choices: Iterable[str] | None = None
    grid: tuple[float, ...] = ()
    coarse: tuple[float, ...] = ()

    @property
    def valid(self) -> str:
        """What values it takes, in words."""
        if self.choices is not None:
            return f"one of {', '.join(self.choices)}"
        both = self.low > -inf and self.high < inf
        limits = [
            f"from {self.low:g} to {self.high:g}" if both else "",
            f"at least {self.low:g}" if self.low > -inf and not both else "",
            f"above {self.above:g}" if self.above > -inf else "",
            f"at most {self.high:g}" if self.high < inf and not both else "",
        ]
        stated = " and ".join(limit for limit in limits if limit)
        kind = "a whole number" if self.whole else "" if stated else "a finite number"
        return ", ".join(part for part in (kind, stated) if part)

    @property
    def described(self) -> str:
        """Meaning and default, in words."""
        default = "" if self.default is None else f"; by default {self.default!r}"
        return f"{self.meaning[0].upper()}{self.meaning[1:]}{default}."

    def check(self, name: str, value: object, owner: str) -> None:
        """Raise InputError unless a value of the parameter `name` of `owner` is valid."""
        if value is None and self.default is None:
            return
        if self.choices is not None:
            check_choice(name, value, self.choices)
        elif not self._holds(value):
            raise InputError(f"{name} is {self.valid}, not {value!r}, in {owner} ({self.meaning}).")

    def _holds(self, value: object) -> bool:
        number = isinstance(value, Integral if self.whole else Real) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and self.above < value < inf


def parameter(default: Any, meaning: str, **declared: Any) -> Any:
    """Declare a field of a mitigation as a hyper-parameter; `declared` are attributes of `Parameter`."""
    whole = isinstance(default, int)
    about = Parameter(default=default, meaning=meaning, **({"whole": whole} | declared))
    return field(default=default, metadata={"parameter": about})


def documented(doc: str, parameters: dict[str, Parameter]) -> str:
    """Add the parameters to a docstring."""
    lines = [
        line
        for name, each in parameters.items()
        for line in (f"{name} : {each.valid}", f"    {each.described}")
    ]
    return "\n".join([doc.rstrip(), "", "Parameters", "----------", *lines]) if lines else doc
