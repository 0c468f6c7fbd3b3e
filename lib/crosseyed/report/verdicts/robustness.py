"""The verdicts of the chapter on robustness: how much the answer depends on decisions of the study."""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.measure.specifications import OWN
from crosseyed.report.verdicts.words import named_span, span
from crosseyed.settings import SIGNIFICANCE


def specifications(name: str, table: pd.DataFrame) -> str:
    """Say in which range the gap lies under all decisions, and which of them change it.

    Parameters
    ----------
    name : str
        Name of the model.
    table : pandas.DataFrame
        Of `crosseyed.measure.specifications.estimate`.

    Returns
    -------
    str
        Markdown.
    """
    row = table[table["decision"] == OWN].iloc[0]
    lowest, highest = table.loc[table["gap"].idxmin()], table.loc[table["gap"].idxmax()]
    above, below = (table["gap_low"] > 0).sum(), (table["gap_high"] < 0).sum()
    sure = table[table["change_p"] < SIGNIFICANCE]
    changed = "; ".join(
        f"{_named(each)} ({each['change']:+.1f} points, {span(each, 'change')})"
        for _, each in sure.iterrows()
    )
    return (
        f"**Decisions.** As the study asks, the gap of {markdown(name)} on these objects is "
        f"**{row['gap']:.1f} points** ({named_span(row, 'gap')}). Under {len(table)} specifications "
        f"it runs from {lowest['gap']:.1f} ({_named(lowest)}) to {highest['gap']:.1f} ({_named(highest)}); its interval "
        f"lies above zero in {above} of them and below zero in {below}. "
        + (
            f"Decisions that change it (corrected p < {SIGNIFICANCE:g}): {changed}."
            if changed
            else f"No single decision changes it (corrected p < {SIGNIFICANCE:g})."
        )
    )


def caption_order(n_changed: int, n_images: int) -> str:
    """Say whether the order in which captions are listed matters, which it must not.

    Parameters
    ----------
    n_changed : int
        Images of which the answer is another when the captions are listed in reverse.
    n_images : int
        Images asked about.
    """
    if n_changed == 0:
        return (
            f"Listed in reverse, the captions give the same answer for all {n_images:,} images, as they must."
        )
    return (
        f"Listed in reverse, the captions give another answer for {n_changed:,} of {n_images:,} images: there, "
        "captions fit equally well to the rounding of numbers."
    )


def _named(row: pd.Series) -> str:
    return markdown(OWN if row["decision"] == OWN else f"{row['decision']}: {row['option']}")
