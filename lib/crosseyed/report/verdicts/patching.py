"""The verdict on which activations carry the difference between an object at the center and off-center."""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.report.verdicts.words import named_span, span


def carried(name: str, budget: pd.DataFrame) -> str:
    """Say what of the difference the object's tokens move, from which layer on the class token does, and which head.

    Parameters
    ----------
    name : str
        The model that the table is about.
    budget : pandas.DataFrame
        Of `crosseyed.measure.shares.share` about the similarity in `crosseyed.internals.patching.Exchange`, by
        `receiver`, `part`, `layer` and `head`.
    """
    name, into = markdown(name), budget[budget["receiver"] == "off-center"]
    whole = into.iloc[0]
    difference = f"{whole['whole']:.2f}, {named_span(whole, 'whole', 2)}"
    if into["share"].isna().all():
        return (
            f"In **{name}** the similarity to the own caption is as large off-center as at the center in these "
            f"pairs, as far as can be told ({difference}), so there is no difference whose way could be followed."
        )
    by_layer = into.pivot_table(index="layer", columns="part", values="share")
    before = by_layer.index[0]
    later = by_layer.index[by_layer["class token"] > by_layer["object"]]
    back = budget[
        (budget["receiver"] == "center") & (budget["part"] == "object") & (budget["layer"] == before)
    ]
    head = into[into["part"] == "head"].nlargest(1, "moved").iloc[0]
    side = "larger" if whole["whole"] > 0 else "smaller"
    return (
        f"In **{name}** the similarity to the own caption is {side} at the center than off-center ({difference}). The "
        f"object's tokens of the center image, put in their place before the first block, bring back "
        f"{_share(_row(into, 'object', before))} of the difference, all other patches "
        f"{_share(_row(into, 'others', before))}; the other way round, the object's tokens take away "
        f"{_share(back.iloc[0])}. From layer {later[0]} on the class token moves more than the object's tokens. The "
        f"head that moves most by itself is head {head['head']} of layer {head['layer']}: {_share(head)}."
    )


def _row(budget: pd.DataFrame, part: str, layer: int) -> pd.Series:
    return budget[(budget["part"] == part) & (budget["layer"] == layer)].iloc[0]


def _share(row: pd.Series) -> str:
    percent = row[["share", "share_low", "share_high"]] * 100
    return f"{percent['share']:.0f} % ({span(percent, 'share', 0)})"
