"""Phrases that several verdicts use."""

from collections.abc import Mapping

from crosseyed.settings import settings


def span(row: Mapping[str, float], name: str = "", digits: int = 1) -> str:
    """Return an interval such as ``"3.1 to 5.0"``, from `low` and `high` or those that begin with a name."""
    low, high = (row[f"{name}_{end}" if name else end] for end in ("low", "high"))
    return f"{low:.{digits}f} to {high:.{digits}f}"


def p_number(p_value: float) -> str:
    """Return a p-value as text, such as ``"0.012"`` or ``"< 0.001"``."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def p_text(p_value: float) -> str:
    """Return the same with its name, such as ``"p = 0.012"`` or ``"p < 0.001"``."""
    number = p_number(p_value)
    return f"p {number}" if number.startswith("<") else f"p = {number}"


def is_certain(row: Mapping[str, float], name: str) -> bool:
    """Say whether the interval of a difference, between the columns that begin with a name, excludes zero."""
    return bool(row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0)


def named_span(row: Mapping[str, float], name: str = "", digits: int = 1) -> str:
    """Return the same with the name of the interval, such as ``"95 % interval 3.1 to 5.0"``."""
    return f"{settings.interval} {span(row, name, digits)}"
