"""The verdicts of the chapter on robustness: how much the answer depends on decisions of the study."""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.measure.specifications import OWN
from crosseyed.report.verdicts.words import named_span, span
from crosseyed.settings import GAP_FLOOR, SIGNIFICANCE


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
        f"it runs from {lowest['gap']:.1f} ({_named(lowest)}) to {highest['gap']:.1f} ({_named(highest)}); its "
        f"interval lies above zero in {above} of them and below zero in {below}. "
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


def sides(table: pd.DataFrame) -> str:
    """Say whether a model sees better to one side.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `crosseyed.measure.asymmetry.compare_sides`.
    """
    found = [
        f"{row['first']} minus {row['second']} {row['difference']:+.1f} points ({span(row)})"
        for _, row in table.iterrows()
    ]
    sure = table[table["p_value"] < SIGNIFICANCE]
    better = [row["first"] if row["difference"] > 0 else row["second"] for _, row in sure.iterrows()]
    answer = (
        f"objects are recognised better {' and '.join(better)}"
        if better
        else "no side is better than the other"
    )
    return (
        f"**Sides.** At equal eccentricity, {' and '.join(found)}: {answer} (corrected p < {SIGNIFICANCE:g})."
    )


def crowds(bias: pd.DataFrame) -> str:
    """Say what other objects in the image do to accuracy and gap.

    Parameters
    ----------
    bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias` by `shown`, the number of objects.
    """
    few, many = bias.loc[bias["shown"].idxmin()], bias.loc[bias["shown"].idxmax()]
    return (
        f"**Clutter.** With {few['shown']:.0f} object{'s' if few['shown'] > 1 else ''} in the image, the accuracy is "
        f"{few['center_accuracy']:.0f} % at the center and {few['off_center_accuracy']:.0f} % off-center, with "
        f"{many['shown']:.0f} it is "
        f"{many['center_accuracy']:.0f} and {many['off_center_accuracy']:.0f} %: the gap goes from "
        f"**{few['gap']:.1f}** ({span(few, 'gap')}) to **{many['gap']:.1f} points** ({span(many, 'gap')})."
    )


def calibration(rings: pd.DataFrame, told: pd.DataFrame) -> str:
    """Say whether confidence falls with accuracy from the center outwards, and whether it tells right from wrong.

    Parameters
    ----------
    rings, told : pandas.DataFrame
        Of `crosseyed.measure.calibration.by_eccentricity` and `discrimination`.
    """
    inner, outer, row = rings.iloc[0], rings.iloc[-1], told.iloc[0]
    lost = inner["accuracy"] - outer["accuracy"], inner["probability"] - outer["probability"]
    sides = {"at the center": "center_auroc", "off-center": "off_center_auroc"}
    areas = [
        f"{row[name]:.2f} ({span(row, name, 2)}) {words}"
        for words, name in sides.items()
        if pd.notna(row[name])
    ]
    return (
        f"**Confidence.** From the innermost to the outermost ring accuracy falls by {lost[0]:.0f} points and "
        f"confidence by {lost[1]:.0f}: the overconfidence goes from {inner['overconfidence']:+.0f} "
        f"({span(inner, 'overconfidence', 0)}) to **{outer['overconfidence']:+.0f} points** "
        f"({span(outer, 'overconfidence', 0)}). "
        + (
            f"Of a right and a wrong answer the right one has more confidence with probability {' and '.join(areas)}; "
            "0.5 is no better than a coin."
            if areas
            else "Answers are all right or all wrong on both sides: there is nothing that confidence could tell apart."
        )
    )


def retrieval(bias: pd.DataFrame, n_images: int) -> str:
    """Say how often a caption finds the image of its object among many, at the center and off-center.

    Parameters
    ----------
    bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias` by `first`, from `crosseyed.measure.retrieval.recall`.
    n_images : int
        Images that were searched.
    """
    found = [
        f"among the first {row['first']:.0f} in {row['center_accuracy']:.0f} and {row['off_center_accuracy']:.0f} % "
        f"(difference {row['gap']:.1f} points, {span(row, 'gap')})"
        for _, row in bias.iterrows()
    ]
    return (
        f"**Retrieval.** Searching {n_images:,} images, a caption has the image with its object at the center, or with "
        f"the same object off-center, {'; '.join(found)}."
    )


def sizes(bias: pd.DataFrame) -> str:
    """Say how the gap depends on the size of the object, at the same eccentricities.

    Parameters
    ----------
    bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias` by `size`; the smallest size is that of a patch.
    """
    small, large = bias.loc[bias["size"].idxmin()], bias.loc[bias["size"].idxmax()]
    return (
        f"**Size.** At the same eccentricities, objects of one patch ({small['size']:.2f} of the side) are recognised "
        f"in {small['center_accuracy']:.0f} % at the center and {small['off_center_accuracy']:.0f} % off-center, a gap "
        f"of **{small['gap']:.1f} points** ({span(small, 'gap')}); objects of {large['size']:.2f} in "
        f"{large['center_accuracy']:.0f} and {large['off_center_accuracy']:.0f} %, a gap of "
        f"**{large['gap']:.1f} points** ({span(large, 'gap')})."
        + (
            " The smallest are hardly recognised anywhere, so that their gap says nothing."
            if small["center_accuracy"] < GAP_FLOOR
            else ""
        )
    )


def resolutions(bias: pd.DataFrame) -> str:
    """Say how the gap depends on the resolution of the input.

    Parameters
    ----------
    bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias` by `side`, the pixels of the input.
    """
    found = [
        f"{row['gap']:.1f} ({span(row, 'gap')}) at {row['side']:.0f} pixels a side"
        for _, row in bias.sort_values("side").iterrows()
    ]
    return f"**Resolution.** With interpolated positional embeddings the gap is {', '.join(found)}."


def positions(accuracy: pd.DataFrame) -> str:
    """Say what happens where the tower is told other positions.

    Parameters
    ----------
    accuracy : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.accuracy` by `positions` and `place`.
    """
    at = accuracy.set_index(["positions", "place"])
    moved = [
        f"{words} from {at.loc[('as trained', place), 'accuracy']:.0f} to "
        f"**{at.loc[('moved to the right', place), 'accuracy']:.0f} %** "
        f"({span(at.loc[('moved to the right', place)], digits=0)})"
        for place, words in {"right": "at the right", "center": "at the center"}.items()
    ]
    others = [
        f"{name} embeddings {at.loc[(name, 'center'), 'accuracy']:.0f} % at the center and "
        f"{at.loc[name].drop('center')['accuracy'].mean():.0f} % elsewhere"
        for name in ("averaged", "shuffled")
    ]
    return (
        "**Positions.** Where positional embeddings are moved so that the right is taken for the center, accuracy goes "
        f"{' and '.join(moved)}. Right are, with {'; with '.join(others)}."
    )


def receptive_field(profile: pd.DataFrame) -> str:
    """Say how much pixels count by their distance from the center.

    Parameters
    ----------
    profile : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.mean` by `images` and `eccentricity`.
    """
    found = []
    for name, rows in profile.groupby("images", sort=False):
        inner, outer = (rows.loc[rows["eccentricity"].idxmin()], rows.loc[rows["eccentricity"].idxmax()])
        found.append(
            f"in {name} a pixel of the innermost ring has {inner['mean']:.2f} times ({span(inner, digits=2)}) the "
            f"influence of the average pixel, one of the outermost {outer['mean']:.2f} times "
            f"({span(outer, digits=2)})"
        )
    return f"**Receptive field.** For the embedding, {'; '.join(found)}."


def _named(row: pd.Series) -> str:
    return markdown(OWN if row["decision"] == OWN else f"{row['decision']}: {row['option']}")
