"""The verdict of the chapter on center bias."""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.report.verdicts.words import is_certain, named_span, span


def summary(name: str, bias: pd.DataFrame, control_bias: pd.DataFrame, crop: pd.DataFrame) -> str:
    """Say how large the center bias of a model is, and in which controls it is confirmed.

    Parameters
    ----------
    name : str
        Name of the model.
    bias, control_bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias`: one row for the model, and one for each control condition.
    crop : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.paired_difference`: the gap with the crop minus that of squashed images.

    Returns
    -------
    str
        Markdown.
    """
    name = markdown(name)
    row, share = bias.iloc[0], crop.iloc[0]
    held = (control_bias["gap_low"] > 0).sum()
    return (
        f"For **{name}** the center-bias gap is **{row['gap']:.1f} percentage points** ({named_span(row, 'gap')}): "
        f"{row['center_accuracy']:.1f} % at the center, {row['off_center_accuracy']:.1f} % off-center. "
        f"In {held} of {len(control_bias)} control conditions the interval of the gap lies above zero. "
        f"The crop accounts for {share['difference']:.1f} points ({span(share)}) of the gap in 4:3 images."
    )


def phase(control_bias: pd.DataFrame) -> str:
    """Say how much it matters how objects lie on the patches of the tower.

    Parameters
    ----------
    control_bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias`, with the control ``"phase"`` among others.

    Returns
    -------
    str
        Markdown.
    """
    rows = control_bias[control_bias["control"] == "phase"]
    (least, most), (low, high) = ((rows[name].min(), rows[name].max()) for name in ("center_accuracy", "gap"))
    return (
        "By where on the patches the same objects stand, from the middle of a patch to a corner, accuracy at the "
        f"center runs from {least:.1f} to {most:.1f} %, and the gap to the corners from {low:.1f} to {high:.1f} "
        "points; all other numbers of this chapter are means over such phases."
    )


def place_or_relation(name: str, separated: pd.DataFrame) -> str:
    """Say whether What'sUp's relations differ by the places of the objects or by how they stand to each other.

    Parameters
    ----------
    name : str
        Name of the model.
    separated : pandas.DataFrame
        Of `crosseyed.measure.dyadic.place_and_relation`, for the model.

    Returns
    -------
    str
        Markdown.
    """
    rows = separated.set_index("effect")
    certain = [
        words
        for effect, words in (("place alone", "the place"), ("relation alone", "the relation"))
        if is_certain(rows.loc[effect], "difference")
    ]
    verdict = {
        0: "neither the place nor the relation alone makes a certain difference",
        1: f"of place and relation, {''.join(certain)} alone makes a certain difference",
        2: "both the place and the relation make a difference of their own",
    }[len(certain)]
    place, relation, both = (
        f"{rows.loc[effect, 'difference']:+.1f} points ({span(rows.loc[effect], 'difference')})"
        for effect in ("place alone", "relation alone", "as in What'sUp")
    )
    return (
        f"With two objects, {verdict} for **{markdown(name)}**: both around the center instead of one at the border, "
        f"in the same relations, changes how often the caption with both wins by {place}; *on* instead of the other "
        f"relations, at the same places, by {relation}; both at once, as in What'sUp, by {both}."
    )
