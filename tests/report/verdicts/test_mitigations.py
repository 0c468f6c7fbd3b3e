"""The verdict on mitigations: what to use, what it costs, what remains, and what is no gain."""

import pandas as pd
import pytest

from crosseyed.mitigations.outcomes import OUTCOMES
from crosseyed.mitigations.protocol import read_protocol
from crosseyed.report.verdicts import mitigations

LEVELS = {"gap": 30.0, "center": 90.0, "off_center": 60.0}


def row(family, off_center=0.0, center=0.0, **given):
    """A candidate with its changes in points; the interval of each ends a point below and above."""
    about = {"protocol": "grid", "family": family, "candidate": f"{family}: 1", "kind": "mitigation"}
    off = {"off_center_change": off_center, "off_center_p": 0.0123}
    off |= {"off_center_change_low": off_center - 1, "off_center_change_high": off_center + 1}
    price = {"oracle": False, "acts": 90.0, "passes": 2.0, "cost": 1.96, "validation_rank": 9.0}
    return LEVELS | about | off | price | {"center_change": center, "center_p": 0.0123} | given


PLAIN = row("none", candidate="none", kind="none", off_center_change_low=0.0, passes=1.0, center_p=None)
PLAIN |= {"validation_rank": None, "acts": 0.0}
SHIFTS = row("cyclic shifts", 10.0, -1.0, passes=9.0, validation_rank=1.0)
WEAK = row("tiles", 4.0, -0.5, validation_rank=7.0)
HARSH = row("crops", 6.0, -2.1)
TOLD = row("visual prompt: crop", 25.0, 5.0, oracle=True, passes=1.0, validation_rank=2.0)
LUCKY = row("visual prompt: blur", 26.0, 5.0, oracle=True, passes=1.0, validation_rank=3.0)
POOLED = row("pooling: max", 5.0, kind="pooling", passes=1.0)


def paired(*families):
    return [row(family, -3.0, 0.04, protocol="pair") for family in families]


def summary(winner, *rows, became=None, most_loss=2.0):
    settled = pd.DataFrame([PLAIN, *rows, *paired(winner["family"], "tiles")])
    return mitigations.summary("ViT", pd.Series(winner), settled, became, most_loss).splitlines()


def test_a_change_is_said_with_interval_and_corrected_p_value():
    assert mitigations.change(pd.Series(WEAK)) == (
        "+4.0 points off-center (3.0 to 5.0, corrected p = 0.012), -0.5 at the center"
    )
    assert "corrected p < 0.001)" in mitigations.change(pd.Series(WEAK | {"off_center_p": 0.00099}))


def test_the_summary_of_a_gain_has_a_line_for_each_question():
    lines = summary(SHIFTS, SHIFTS, WEAK, HARSH, LUCKY, TOLD, POOLED)
    assert lines == [
        "For **ViT**, whose gap is 30.0 points (90.0 % at the center, 60.0 % off-center):",
        "",
        "- The best that is not told, chosen on the validation images, is **cyclic shifts**: +10.0 points off-center "
        "(9.0 to 11.0, corrected p = 0.012), -1.0 at the center, at 9 passes (2.0 times the time).",
        # crops gain more in two passes, but other objects picked tiles; a pooling is not a mitigation
        "- With at most two passes: tiles, +4.0 points off-center (3.0 to 5.0, corrected p = 0.012), -0.5 at the "
        "center.",
        "- Told where the object is: visual prompt: crop, +25.0 points off-center (24.0 to 26.0, corrected p = "
        "0.012), +5.0 at the center.",
        "- In pairs, cyclic shifts: -3.0 points off-center (-4.0 to -2.0, corrected p = 0.012), +0.0 at the center.",
        "- What certainly harms large objects at the center: none.",
    ]


@pytest.mark.parametrize("gain", [1.0, 0.5, -10.0])
def test_what_is_no_certain_gain_is_not_recommended(gain):
    weak = SHIFTS | {"off_center_change": gain, "off_center_change_low": gain - 1}
    lines = summary(weak, weak)
    assert lines[2].endswith("There is no certain gain: use the model without a mitigation.")
    assert not any("two passes" in line or "Told where" in line for line in lines)


def test_a_loss_that_only_the_test_images_show_is_said():
    assert summary(HARSH, HARSH)[2].endswith(
        "The test images show a loss of more than 2 points at the center."
    )
    assert summary(HARSH, HARSH, most_loss=2.5)[2].endswith("(2.0 times the time).")


def test_what_remains_is_told_by_the_outcomes_off_center():
    shares = {True: [90.0, 1.0, 2.0, 3.0, 4.0], False: [40.0, 15.4, 5.0, 25.0, 14.6]}
    became = pd.DataFrame(
        [
            {"center": center, "outcome": outcome, "share": share}
            for center, of_place in shares.items()
            for outcome, share in zip(OUTCOMES, of_place, strict=True)
        ]
    )
    assert (
        "- Of the off-center images, cyclic shifts: 15 % repaired; 25 % still lost although a probe finds the object "
        "in its tokens; 15 % lost and not found by the probe, which is no ceiling."
    ) in summary(SHIFTS, SHIFTS, became=became)


def test_harm_is_named_from_the_worst_on_if_it_is_certain():
    large = [
        row("none", protocol="control", center_p=None),
        row("blur", protocol="control", center=-3.0, center_p=0.049),
        row("crops", protocol="control", center=-20.0, center_p=0.001),
        row("tiles", protocol="control", center=-30.0, center_p=0.05),
        row("padding", protocol="control", center=3.0, center_p=0.001),
    ]
    assert summary(SHIFTS, SHIFTS, *large)[-1] == (
        "- What certainly harms large objects at the center: crops, blur."
    )


def test_what_changes_no_score_is_not_testable_and_neither_picked_nor_counted():
    idle = row("sinks", 0.0, acts=0.0, validation_rank=0.5)
    lines = summary(SHIFTS, SHIFTS, WEAK, idle)
    assert lines[-1] == "- Not testable here, as it changes no score: sinks."
    assert any(line.startswith("- With at most two passes: tiles") for line in lines)
    assert not any("Not testable" in line for line in summary(SHIFTS, SHIFTS, WEAK))


def test_each_claim_has_the_candidates_of_its_families_in_the_grid():
    families = [
        "visual prompt: circle",
        "visual prompt: crop",
        "proposed prompts: crop",
        "uniform mix",
        "crops",
        "AdaptVis",
    ]
    others = [row("uniform mix", protocol="pair"), row("radial attention", acts=0.0)]
    table = pd.DataFrame([PLAIN, *map(row, families), *others])
    claims = mitigations.by_claim(table)
    assert {name: list(rows["family"]) for name, rows in claims.items()} == {
        "visual_prompts": ["visual prompt: circle"],
        "zoom": ["visual prompt: crop"],
        "attention_changes": ["uniform mix", "AdaptVis"],
    }
    assert set(claims["attention_changes"]["protocol"]) == {"grid"}


def test_a_tower_without_attention_leaves_a_claim_empty():
    claims = mitigations.by_claim(pd.DataFrame([PLAIN, TOLD]))
    assert len(claims["zoom"]) == 1
    assert claims["attention_changes"].empty


def test_work_counts_what_was_computed_and_what_candidates_would_make_alone():
    answers = pd.DataFrame({"computed": [1.0, 1.0, 0.25, 0.25], "passes": [1.0, 1.0, 1.0, 500.0]})
    text = mitigations.work(answers)
    assert "took 2 passes" in text
    assert "would take 503." in text


def test_a_run_says_whether_it_is_by_the_protocol():
    registered = read_protocol()
    same = mitigations.by_protocol(registered, registered.altered(n_test=registered.splits.n_test))
    assert f"follows version {registered.version}" in same and registered.digest in same
    other = mitigations.by_protocol(registered, registered.altered(seed=3, styles=["noto"]))
    assert "**This run is not by the protocol**" in other
    assert "seed 3 (not 0)" in other and "noto" in other
