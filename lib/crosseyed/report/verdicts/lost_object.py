"""The verdict of the chapter on embeddings: where the off-center object is lost.

Throughout, `name` is the name of the model that a table is about.
"""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.internals.layer_answers import CONTROLS, RANDOM_WEIGHTS, SHUFFLED_NAMES
from crosseyed.report.presence import PROBE
from crosseyed.report.verdicts.words import is_certain, span
from crosseyed.settings import SIGNIFICANCE


def found(name: str, bias: pd.DataFrame, lost: pd.DataFrame) -> str:
    """Say what a probe finds in the object's tokens, the controls and the embedding, and what follows from it.

    Parameters
    ----------
    name : str
        See the module.
    bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias` by `reader` and `source`, for this model.
    lost : pandas.DataFrame
        Of `crosseyed.report.presence.conditions`.
    """
    rows = bias[bias["reader"] == PROBE].set_index("source")
    against = lost[lost["reader"] == PROBE].set_index("against")
    off_center = rows["off_center_accuracy"]
    return (
        f"For **{markdown(name)}**, a probe that is matched for position finds the object in its own tokens in "
        f"{_sides(rows.loc['object'])}. Off-center it finds it in {off_center[RANDOM_WEIGHTS]:.0f} % in the tokens of "
        f"a tower with random weights, in {off_center[SHUFFLED_NAMES]:.0f} % with shuffled names, and in "
        f"{off_center['embedding']:.0f} % in the embedding. {_present(against)} {_lost(against.loc['embedding'])} "
        "A probe is no ceiling: what it does not find may still be there."
    )


def _present(against: pd.DataFrame) -> str:
    differences = " and ".join(f"{_points(against.loc[control])}, against {control}" for control in CONTROLS)
    if (against.loc[list(CONTROLS), "low"] > 0).all():
        return f"So what the tower has learned of the object is present in its tokens ({differences})."
    return (
        f"So the tokens do not certainly tell more than a control ({differences}), and presence is not shown."
    )


def _lost(row: pd.Series) -> str:
    if row["low"] > 0:
        return f"The tokens tell it more often than the embedding does ({_points(row)})."
    if row["high"] < 0:
        return (
            f"The embedding tells it more often than the tokens do ({_points(row)}): this probe sees no loss."
        )
    return f"Tokens and embedding do not certainly differ ({_points(row)})."


def _points(row: pd.Series) -> str:
    return f"{row['difference']:+.1f} points, {span(row)}"


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
    differ = "differ" if is_certain(against, "difference") else "do not certainly differ"
    return (
        f"The head of {name} that loses most is head {head} of layer {layer}. On objects that the ranking did not see, "
        f"the gap of {gap:.0f} points changes by {_by(top)} without the {top['contrast']} heads, and by {_by(random)} "
        "without as many others of the same layers, drawn at random. "
        f"The two {differ} ({_by(against)}); without the heads at the top "
        f"off-center accuracy changes by {top['off_center_mean']:+.0f} points."
    )


def concepts(name: str, share: pd.Series, changes: pd.DataFrame) -> str:
    """Say how much of the sparse sum is the object's own name, and which other concept changes most.

    Parameters
    ----------
    name : str
        See the module.
    share : pandas.Series
        The row of `crosseyed.measure.bootstrap.center_difference` of `crosseyed.internals.splice.name_share`.
    changes : pandas.DataFrame
        Of `crosseyed.report.concepts.changes`.
    """
    own = (
        f"In the sparse sums of {markdown(name)}, the object's own name has {share['center_mean']:.1f} % of the weight "
        f"at the center and {share['off_center_mean']:.1f} % off-center, a difference of {share['difference']:+.1f} "
        f"points ({span(share, 'difference')})."
    )
    certain = changes[changes["p_value"] < SIGNIFICANCE]
    return f"{own} Of {len(changes)} other concepts, {len(certain)} certainly change{_most(certain)}."


def _most(certain: pd.DataFrame) -> str:
    if certain.empty:
        return ""
    concept, center, off_center = certain.iloc[0][["concept", "center", "off_center"]]
    return f", most of them *{markdown(concept)}* ({center:.0f} → {off_center:.0f} % of the images)"


def _sides(row: pd.Series) -> str:
    return f"{row['center_accuracy']:.0f} % at the center, {row['off_center_accuracy']:.0f} % off-center"


def _by(row: dict[str, float]) -> str:
    return f"{row['difference']:+.0f} points ({span(pd.Series(row), 'difference', digits=0)})"
