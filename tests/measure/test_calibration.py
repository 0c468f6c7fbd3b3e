import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit, softmax
from simulated_answers import resampled_tables, simulate, t_interval, t_reach
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, calibration, recovery
from crosseyed.measure.checks import EstimateWarning

HALVES = [0, 0.5, 1]


def sure_of_itself(n_objects=15, seed=0):
    """Answers of a model that is surer of the right ones, and too sure of all."""
    table = simulate(n_objects, 3, seed=seed)
    rng = np.random.default_rng(seed)
    probability = np.clip(
        0.7 + 0.1 * table["correct"].astype(float) + rng.normal(0, 0.12, len(table)), 0.02, 1
    )
    center = (table["row"] == 1) & (table["col"] == 1)
    return table.assign(probability=probability.round(2) - 0.003, center=center | (table["row"] == 0))


def slow_error(rows, n_bins):
    """The expected calibration error as Guo et al. write it, one bin after another."""
    correct, probability = rows["correct"].to_numpy(float), rows["probability"].to_numpy(float)
    error = 0.0
    for number in range(n_bins):
        low, high = number / n_bins, (number + 1) / n_bins
        here = (probability >= low) & ((probability < high) | (number == n_bins - 1))
        if here.any():
            error += here.mean() * abs(correct[here].mean() - probability[here].mean())
    return 100 * error


def test_the_probability_is_that_of_the_best_label():
    logits = np.array([[1.0, 3.0, 2.0], [0.0, 0.0, 0.0], [5.0, -np.inf, -np.inf]])
    expected = softmax(logits, axis=1)
    assert calibration.probability_of(logits) == pytest.approx([expected[0, 1], 1 / 3, 1])


def test_calibration_by_hand():
    table = pd.DataFrame(
        {
            "object": ["a", "a", "b", "b"],
            "correct": [True, False, True, True],
            "probability": [0.9, 0.9, 0.6, 0.8],
            "eccentricity": [0.0, 0.1, 0.2, 0.9],
        }
    )
    with pytest.warns(EstimateWarning, match="fewer than two objects"):  # one in the outer ring
        rows = calibration.by_eccentricity(table, bins=HALVES, n_bins=2, resamples=50)
        ten = calibration.by_eccentricity(table, bins=HALVES, n_bins=10, resamples=50)
    assert rows["eccentricity"].tolist() == pytest.approx([0.1, 0.9])
    assert rows["accuracy"].tolist() == pytest.approx([200 / 3, 100])
    assert rows["probability"].tolist() == pytest.approx([80, 80])
    assert rows["overconfidence"].tolist() == pytest.approx([40 / 3, -20])
    # all in the upper bin, so that the error of each ring is the size of its overconfidence
    assert rows["calibration_error"].tolist() == pytest.approx([40 / 3, 20])
    assert ten["calibration_error"][0] == pytest.approx(100 * (2 * abs(0.5 - 0.9) + abs(1 - 0.6)) / 3)


@pytest.mark.parametrize("n_bins", [1, 5, 15])
def test_the_calibration_error_is_that_of_the_formula_and_of_scikit_learn(n_bins):
    table = sure_of_itself()
    found = calibration.by_eccentricity(table, bins=HALVES, n_bins=n_bins, resamples=10)
    for row in found.itertuples():
        inside = table["eccentricity"].between(row.eccentricity_low, row.eccentricity_high)
        part = table[inside if row.eccentricity_low == 0 else inside & (table["eccentricity"] > 0.5)]
        assert row.calibration_error == pytest.approx(slow_error(part, n_bins))
        share, mean = calibration_curve(part["correct"].astype(int), part["probability"], n_bins=n_bins)
        numbers = np.histogram(part["probability"], np.linspace(0, 1, n_bins + 1))[0]
        sizes = numbers[numbers > 0] / len(part)
        assert row.calibration_error == pytest.approx(100 * (sizes * np.abs(share - mean)).sum())


def test_the_interval_of_the_calibration_error_is_that_of_tables_drawn_by_object():
    table = sure_of_itself(8)
    found = calibration.by_eccentricity(table, bins=1, n_bins=5, resamples=60, seed=3).iloc[0]
    errors = [slow_error(each, 5) for each in resampled_tables(table, 60, 3)]
    expected = t_interval(found["calibration_error"], errors, 8)
    assert [found["calibration_error_low"], found["calibration_error_high"]] == pytest.approx(list(expected))


def test_accuracy_by_ring_is_that_of_the_bootstrap():
    table = sure_of_itself()
    table.loc[4, ["correct", "probability"]] = pd.NA
    found = calibration.by_eccentricity(table, bins=4, resamples=300, seed=1)
    expected = bootstrap.accuracy_by_eccentricity(table, bins=4, resamples=300, seed=1)
    columns = ["eccentricity", "eccentricity_low", "eccentricity_high", "accuracy"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])
    assert found[["accuracy_low", "accuracy_high"]].to_numpy() == pytest.approx(
        expected[["low", "high"]].to_numpy()
    )
    pd.testing.assert_series_equal(found["unreadable"], expected["unreadable"])


def test_a_model_that_knows_its_chances_is_calibrated_and_one_that_adds_to_them_overconfident():
    rng = np.random.default_rng(0)
    chances = rng.uniform(0.1, 0.8, 2000)
    table = pd.DataFrame({"object": np.repeat(np.arange(100), 20), "correct": rng.random(2000) < chances})
    table = table.assign(eccentricity=rng.random(2000))
    honest, proud = (
        calibration.by_eccentricity(table.assign(probability=chances + more), bins=1).iloc[0]
        for more in (0, 0.1)
    )
    assert abs(honest["overconfidence"]) < 3 and honest["calibration_error"] < 5
    assert proud["overconfidence"] == pytest.approx(honest["overconfidence"] + 10)
    assert proud["overconfidence_low"] > 0


def test_discrimination_is_the_area_of_scikit_learn_on_both_sides():
    table = sure_of_itself()
    found = calibration.discrimination(table, resamples=10).iloc[0]
    for name, rows in (("center", table[table["center"]]), ("off_center", table[~table["center"]])):
        area = roc_auc_score(rows["correct"].astype(int), rows["probability"])
        assert found[f"{name}_auroc"] == pytest.approx(area)
        assert found[f"right_{name}"] == rows["correct"].sum()
        assert found[f"wrong_{name}"] == (~rows["correct"]).sum()
    assert found["difference"] == pytest.approx(found["center_auroc"] - found["off_center_auroc"])


def test_the_intervals_of_discrimination_are_those_of_tables_drawn_by_object():
    table = sure_of_itself(10)
    found = calibration.discrimination(table, resamples=60, seed=2).iloc[0]

    def areas(rows):
        sides = [rows[rows["center"]], rows[~rows["center"]]]
        return [roc_auc_score(each["correct"].astype(int), each["probability"]) for each in sides]

    drawn = np.array([areas(each) for each in resampled_tables(table, 60, 2)])
    measured = []
    for name, values in zip(("center_auroc", "off_center_auroc"), drawn.T, strict=True):
        area = found[name]
        reach = t_reach(values / (area * (1 - area)), 10)
        measured.append([area, *expit([logit(area) - reach, logit(area) + reach])])
        assert found[[f"{name}_low", f"{name}_high"]].tolist() == pytest.approx(measured[-1][1:])
    ends = recovery.difference(*measured, np.corrcoef(drawn.T)[0, 1])
    assert [found["difference_low"], found["difference_high"]] == pytest.approx(list(ends))


def test_where_all_answers_are_right_there_is_nothing_to_tell_apart():
    table = sure_of_itself()
    table.loc[table["center"], "correct"] = True
    found = calibration.discrimination(table, resamples=20).iloc[0]
    assert found["wrong_center"] == 0
    assert found[["center_auroc", "center_auroc_low", "difference", "difference_high"]].isna().all()
    assert np.isfinite(found["off_center_auroc_low"])


def test_unreadable_images_are_left_out_and_counted():
    table = sure_of_itself()
    broken = table.astype({"probability": float})
    broken.loc[[1, 5], ["correct", "probability"]] = pd.NA
    found = calibration.discrimination(broken, resamples=20).iloc[0]
    expected = calibration.discrimination(broken.drop([1, 5]), resamples=20).iloc[0]
    assert found["unreadable"] == 2
    pd.testing.assert_series_equal(found.drop("unreadable"), expected.drop("unreadable"))
    with pytest.raises(InputError, match="all rows"):
        calibration.discrimination(table.assign(probability=np.nan))


@pytest.mark.parametrize("function", [calibration.by_eccentricity, calibration.discrimination])
def test_probabilities_are_none_beyond_one(function):
    with pytest.raises(InputError, match=r"'probability' holds 1\.5; expected 0 to 1"):
        function(sure_of_itself().assign(probability=1.5))
