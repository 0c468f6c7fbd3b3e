import numpy as np
import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap
from crosseyed.measure.specifications import OWN, estimate


def answers(decision, option, center, off_center, n_objects=12, n_off_center=4, seed=0):
    """Answers of which these shares are right on each side, in another order of objects for each seed."""
    rng, parts = np.random.default_rng(seed), []
    for side, share, each in ((True, center, 1), (False, off_center, n_off_center)):
        right = np.arange(n_objects * each) < round(share * n_objects * each)
        objects = rng.permutation(np.repeat([f"o{number}" for number in range(n_objects)], each))
        parts.append(pd.DataFrame({"object": objects, "correct": right, "center": side}))
    table = pd.concat(parts, ignore_index=True).astype({"correct": "boolean"})
    return table.assign(decision=decision, option=option, image=range(len(table)))


def both(*, resamples=500, **other):
    own = answers(OWN, "the caption", 1.0, 0.5)
    changed = answers("grid", "3 × 3", 0.75, 0.5, n_off_center=2, seed=1)
    return estimate(pd.concat([own, changed, *other.values()], ignore_index=True), resamples=resamples)


def test_gaps_and_their_changes_by_hand():
    table = both()
    assert table[["decision", "option"]].to_numpy().tolist() == [[OWN, "the caption"], ["grid", "3 × 3"]]
    assert table["gap"].tolist() == pytest.approx([50, 25])
    assert table["center_accuracy"].tolist() == pytest.approx([100, 75])
    assert table["change"].tolist() == pytest.approx([np.nan, -25], nan_ok=True)
    assert np.isnan(table.loc[0, ["change_low", "change_high", "change_p"]].astype(float)).all()
    assert table["n_objects"].tolist() == [12, 12]


def test_the_interval_of_a_change_is_that_of_the_bootstrap_which_draws_both_together():
    own = answers(OWN, "a", 1.0, 0.4)
    changed = answers("names", "8", 0.8, 0.6, seed=3)
    changed["image"] = own["image"]
    changed = changed.sort_values(["center", "object"], ascending=False, ignore_index=True)
    own = own.sort_values(["center", "object"], ascending=False, ignore_index=True)
    pairs = [each.assign(image=range(len(each))) for each in (changed, own)]
    expected = bootstrap.paired_difference(
        pd.concat(pairs), "decision", ("names", OWN), quantity="gap", resamples=500, seed=4
    ).iloc[0]
    found = estimate(pd.concat([own, changed], ignore_index=True), resamples=500, seed=4).iloc[1]
    assert found["change"] == pytest.approx(expected["difference"])
    assert [found["change_low"], found["change_high"]] == pytest.approx(
        [expected["low"], expected["high"]], abs=2
    )


def test_a_specification_that_changes_no_answer_changes_nothing_for_certain():
    own = answers(OWN, "a", 1.0, 0.5)
    same = own.assign(decision="order", option="reversed")
    row = estimate(pd.concat([own, same]), resamples=300).iloc[1]
    assert row[["change", "change_low", "change_high"]].tolist() == [0, 0, 0]
    assert row["change_p"] == 1


def test_p_values_are_corrected_for_the_number_of_specifications():
    own = answers(OWN, "a", 1.0, 0.0, n_objects=10)
    other = answers("caption", "b", 0.0, 0.0, n_objects=10)
    one = estimate(pd.concat([own, other]), resamples=5000)
    harmless = [own.assign(decision="caption", option=f"c{number}") for number in range(3)]
    four = estimate(pd.concat([own, other, *harmless]), resamples=5000)
    # all ten objects change by the same: of the 1,024 flips, two are as far
    assert one["change_p"][1] == pytest.approx(2 / 1024, abs=2e-3)
    assert four["change_p"][1] == pytest.approx(4 * one["change_p"][1])
    assert four["change_p"][2:].tolist() == [1, 1, 1]


def test_images_that_cannot_be_read_are_left_out():
    blind = answers("resize", "crop", 0.75, 0.5, seed=1)
    blind.loc[blind.index[-3:], "correct"] = pd.NA
    table = both(blind=blind)
    assert table["unreadable"].tolist() == [0, 0, 3]


def test_all_specifications_need_the_same_objects_and_one_of_them_is_the_study():
    own, fewer = answers(OWN, "a", 1.0, 0.5), answers("grid", "3 × 3", 1.0, 0.5, n_objects=5)
    with pytest.raises(InputError, match="specification grid: 3 × 3 has 5 objects"):
        estimate(pd.concat([own, fewer]))
    with pytest.raises(InputError, match="0 specifications have the decision"):
        estimate(fewer)
    with pytest.raises(InputError, match="2 specifications have the decision"):
        estimate(pd.concat([own, own.assign(option="b")]))
