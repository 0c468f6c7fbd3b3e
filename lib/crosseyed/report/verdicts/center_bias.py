"""The verdict of the chapter on center bias."""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.report.verdicts.words import named_span, span


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
