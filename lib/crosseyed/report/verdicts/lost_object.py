"""The verdict of the chapter on embeddings: where the off-center object is lost.

Throughout, `name` is the name of the model that a table is about.
"""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.report.verdicts.words import span


def found(name: str, loss: pd.DataFrame, lost: pd.DataFrame, top: int) -> str:
    """Say how often the object is found in its tokens and in the embedding, and how the gap changes between them.

    Parameters
    ----------
    name : str
        See the module.
    loss : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias` by `reader` and `source`, for this model.
    lost : pandas.DataFrame
        One row per `reader` of `crosseyed.measure.bootstrap.paired_difference`, embedding minus object tokens.
    top : int
        Up to which rank the logit lens counts a name as found.
    """
    name = markdown(name)
    rows = loss.set_index(["reader", "source"])
    steps = [
        f"{row['difference']:+.0f} points ({span(row, digits=0)}) for the {row['reader']}"
        for row in lost.to_dict("records")
    ]
    return (
        f"For **{name}**, a probe finds the object in its own tokens in {_sides(rows.loc['probe', 'object'])}; the "
        f"embedding has its name among the first {top} in **{_sides(rows.loc['logit lens', 'embedding'])}**. From the "
        f"object's tokens to the embedding the center-bias gap changes by {' and '.join(steps)}."
    )


def contributions(name: str, shares: pd.DataFrame) -> str:
    """Say what the object's own tokens contribute to the similarity at the center and off-center.

    Parameters
    ----------
    name : str
        See the module.
    shares : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_difference` by `part`, for this model.
    """
    name = markdown(name)
    row = shares.set_index("part").loc["on_object"]
    return (
        f"In **{name}**, the object's own tokens contribute {row['center_mean']:.3f} to the similarity at the center "
        f"and **{row['off_center_mean']:.3f}** off-center."
    )


def ablation(name: str, layer: int, head: int, bias: pd.DataFrame, changes: pd.DataFrame) -> str:
    """Say which head loses most, and what the gap is without the heads that do, on other objects.

    Parameters
    ----------
    name : str
        See the module.
    layer, head : int
        The head whose direct effect drops most.
    bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias` by `ablated`: ``"none"``, ``"top n"`` and ``"random n"``.
    changes : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_difference` by `contrast`, of
        `crosseyed.internals.head_ablation.ablation_changes`.
    """
    name, gap = markdown(name), bias.set_index("ablated")["gap"]["none"]
    top, random, against = changes.to_dict("records")
    certain = against["difference_low"] > 0 or against["difference_high"] < 0
    return (
        f"The head of {name} that loses most is head {head} of layer {layer}. On objects that the ranking did not see, "
        f"the gap of {gap:.0f} points changes by {_by(top)} without the {top['contrast']} heads, and by {_by(random)} "
        "without as many others of the same layers, drawn at random. "
        f"The two {'differ' if certain else 'do not certainly differ'} ({_by(against)}); without the heads at the top "
        f"off-center accuracy changes by {top['off_center_mean']:+.0f} points."
    )


def instead(name: str, use: pd.DataFrame) -> str:
    """Say which concept is used more often when the object is off-center.

    Parameters
    ----------
    name : str
        See the module.
    use : pandas.DataFrame
        Of `crosseyed.internals.splice.concepts_instead`.
    """
    name = markdown(name)
    if use.empty:
        return f"In {name} no concept takes the object's place."
    row = use.iloc[0]
    return (
        f"In {name} the concept that gains most off-center is *{markdown(row['concept'])}* "
        f"({row['center']:.0f} → {row['off_center']:.0f} % of the images)."
    )


def _sides(row: pd.Series) -> str:
    return f"{row['center_accuracy']:.0f} % at the center, {row['off_center_accuracy']:.0f} % off-center"


def _by(row: dict[str, float]) -> str:
    return f"{row['difference']:+.0f} points ({span(pd.Series(row), 'difference', digits=0)})"
