"""The names of candidates as readers see them: settings in words, and only those that tell a family's members apart."""

from collections import defaultdict

import pandas as pd


def in_words(candidate: str) -> str:
    """Return the name of a candidate with its settings in words.

    Parameters
    ----------
    candidate : str
        As `crosseyed.mitigations.base.Mitigation.name` gives it.

    Examples
    --------
    >>> in_words("gated (ensemble=tiles (side=2, plain=True), threshold=0.7)")
    'gated (tiles, side 2, with plain, threshold 0.7)'
    """
    label, settings = _settings(candidate)
    return _named(label, settings)


def told_apart(chosen: pd.DataFrame, among: pd.DataFrame) -> pd.Series:
    """Name each candidate by its family and those settings in which the members of the family differ.

    Parameters
    ----------
    chosen : pandas.DataFrame
        One row per candidate to name, with `candidate` and `family`.
    among : pandas.DataFrame
        All candidates that were tried, with the same columns; those of `chosen` among them.

    Returns
    -------
    pandas.Series
        Names, with the index of `chosen`.
    """
    values = defaultdict(lambda: defaultdict(set))
    tried = among[["family", "candidate"]].drop_duplicates()
    for family, candidate in tried.itertuples(index=False):
        for name, value in _settings(candidate)[1]:
            values[family][name].add(value)

    def named(row: pd.Series) -> str:
        settings = _settings(row["candidate"])[1]
        varied = values[row["family"]]
        return _named(row["family"], [each for each in settings if len(varied[each[0]]) > 1])

    return chosen.apply(named, axis=1).astype(str)


def _named(label: str, settings: list[tuple[str, str]]) -> str:
    words = {"True": "with {}", "False": "without {}", "": "{}"}
    told = [words.get(value, f"{{}} {value}").format(name) for name, value in settings]
    return f"{label} ({', '.join(told)})" if told else label


def _settings(candidate: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the label of a candidate and its settings; a candidate within another gives its label and its own."""
    label, _, rest = candidate.partition(" (")
    found = []
    for part in _parts(rest[:-1]):
        name, _, value = part.partition("=")
        if " (" in value:
            inner, settings = _settings(value)
            found += [(inner, ""), *settings]
        else:
            found.append((name, value))
    return label, found


def _parts(settings: str) -> list[str]:
    """Divide settings at the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for character in settings:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part]
