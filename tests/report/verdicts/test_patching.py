"""The verdict on exchanged activations says the numbers of its table."""

import numpy as np
import pandas as pd

from crosseyed.report.verdicts.patching import carried

SHARES = {
    ("off-center", "class token", 0, None): 0.0,
    ("off-center", "object", 0, None): 0.9,
    ("off-center", "others", 0, None): -0.1,
    ("off-center", "class token", 1, None): 0.3,
    ("off-center", "object", 1, None): 0.6,
    ("off-center", "class token", 2, None): 0.7,
    ("off-center", "object", 2, None): 0.2,
    ("off-center", "head", 1, 0): 0.05,
    ("off-center", "head", 2, 3): 0.25,
    ("center", "class token", 0, None): 0.0,
    ("center", "object", 0, None): 0.8,
}


def budget(whole=0.4, shares=SHARES):
    rows = pd.DataFrame(list(shares), columns=["receiver", "part", "layer", "head"])
    rows["share"] = list(shares.values())
    rows["head"] = rows["head"].astype("Int64")
    side = np.where(rows["receiver"] == "center", -1, 1) * whole
    rows = rows.assign(whole=side, whole_low=side - 0.1, whole_high=side + 0.1, moved=side * rows["share"])
    return rows.assign(share_low=rows["share"] - 0.05, share_high=rows["share"] + 0.1)


def test_what_moves_the_difference():
    assert carried("a_b", budget()) == (
        "In **a&#95;b** the similarity to the own caption is larger at the center than off-center (0.40, 95 % interval "
        "0.30 to 0.50). The object's tokens of the center image, put in their place before the first block, bring back "
        "90 % (85 to 100) of the difference, all other patches -10 % (-15 to 0); the other way round, the object's "
        "tokens take away 80 % (75 to 90). From layer 2 on the class token moves more than the object's tokens. The "
        "head that moves most by itself is head 3 of layer 2: 25 % (20 to 35)."
    )


def test_where_there_is_no_difference_nothing_moves_it():
    words = carried("b", budget(0.02).assign(share=np.nan))
    assert "as large off-center as at the center in these pairs" in words
    assert "(0.02, 95 % interval -0.08 to 0.12)" in words
    assert "head" not in words
