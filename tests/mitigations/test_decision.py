import numpy as np
import pandas as pd
import pytest
from small_mitigations import answered

from crosseyed.mitigations.decision import COLUMNS, QUANTITIES, decide, summarize
from crosseyed.mitigations.evaluation import compare
from crosseyed.mitigations.protocol import read_protocol
from crosseyed.mitigations.scoring import BASELINE

GAINS = {"off_center_change_low": 1.0, "off_center_change_high": 9.0, "off_center_p": 0.01}
LOSES = {"off_center_change_low": -9.0, "off_center_change_high": -1.0, "off_center_p": 0.01}
PLAIN = {
    "passes": 2.0,
    "acts": 50.0,
    "off_center_change_low": -1.0,
    "off_center_change_high": 2.0,
    "off_center_p": 0.6,
    "center_loss": 0.0,
    "control_loss": 0.0,
}
UNMEASURED = dict.fromkeys(PLAIN, np.nan)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (PLAIN, "harmless"),
        (PLAIN | GAINS, "helps"),
        (PLAIN | GAINS | {"off_center_p": 0.05}, "harmless"),  # of many, it is no longer certain
        (PLAIN | GAINS | {"off_center_change_low": 0.0}, "harmless"),
        (PLAIN | GAINS | {"center_loss": 2.0}, "helps"),
        (PLAIN | GAINS | {"center_loss": 2.0 + 1e-12}, "helps"),  # as much as is allowed, but for rounding
        (PLAIN | GAINS | {"center_loss": 2.1}, "trades"),
        (PLAIN | GAINS | {"control_loss": 2.1}, "trades"),
        (PLAIN | GAINS | {"control_loss": np.nan}, "helps"),
        (PLAIN | {"center_loss": 2.1}, "costs"),
        (PLAIN | {"control_loss": 2.1}, "costs"),
        (PLAIN | {"center_loss": -5.0}, "harmless"),
        (PLAIN | LOSES, "costs"),
        (PLAIN | LOSES | {"off_center_p": 0.2}, "harmless"),
        (PLAIN | GAINS | {"acts": 0.0}, "not testable"),
        (PLAIN | GAINS | {"passes": 10.0}, "helps"),
        (PLAIN | GAINS | {"passes": 10.5}, "over budget"),
        (UNMEASURED | {"passes": 26}, "over budget"),
    ],
)
def test_the_rule_of_the_study_by_hand(row, verdict):
    agreed = read_protocol()
    assert decide(row, agreed.rule, agreed.limits).verdict == verdict


def test_one_row_for_each_candidate_with_what_other_tasks_say():
    grid = answered(
        none=[[True, False, False], [True, True, False]], a=[[False, True, True], [True, True, False]]
    )
    pair = answered(
        none=[[True, False, False], [True, False, False]], a=[[True, True, False], [True, False, False]]
    )
    control = answered(
        none=[[True, True, True], [True, True, True]], a=[[False, True, True], [True, False, True]]
    )
    parts = [grid, pair.assign(protocol="pair"), control.assign(protocol="control", center=True)]
    compared = compare(pd.concat(parts, ignore_index=True), resamples=50)
    row = summarize(compared).set_index("candidate").loc["a"]
    assert (row["off_center_change"], row["center_change"], row["center_loss"]) == (50, -50, 50)
    assert row["pair_change"] == 25
    assert row["control_change"] == pytest.approx(-100 / 3)
    assert row["control_loss"] == -row["control_change"]
    of_pairs = compared.set_index(["protocol", "candidate"]).loc[("pair", "a")]
    assert row["pair_change_low"] == of_pairs["off_center_change_low"]
    assert row["n_objects"] == 2


def test_what_was_not_asked_is_missing():
    compared = compare(answered(none=[[True, False]] * 2, a=[[True, True]] * 2), resamples=50)
    rows = summarize(compared)
    assert list(rows) == list(COLUMNS) and set(QUANTITIES) < set(COLUMNS)
    assert list(rows["candidate"]) == ["a"] and BASELINE not in set(rows["candidate"])
    assert rows[["pair_change", "control_change_low", "control_loss"]].isna().all(axis=None)
