import numpy as np
import pandas as pd
import pytest
from simulated_answers import simulate, two_models
from statsmodels.discrete.conditional_models import ConditionalLogit
from statsmodels.discrete.discrete_model import Logit

from crosseyed.errors import InputError
from crosseyed.measure import regression
from crosseyed.measure.checks import EstimateWarning


def test_slope_recovers_the_simulated_one():
    # Log odds fall by 3 over the whole range, so by 0.3 for each 0.1 of eccentricity.
    result = regression.eccentricity_slope(simulate(n_objects=60, k=7)).iloc[0]
    assert result["low"] < np.exp(-0.3) < result["high"]
    assert result["odds_ratio"] == pytest.approx(np.exp(-0.3), rel=0.05)
    assert result["p_value"] < 1e-10
    assert result["n"] == 60 * 49


def test_slope_without_effect_is_significant_as_rarely_as_it_should_be():
    p_values = [
        regression.eccentricity_slope(simulate(n_objects=25, k=3, slope=0.0, per_object=1.0, seed=seed))[
            "p_value"
        ].item()
        for seed in range(60)
    ]
    assert np.mean(np.array(p_values) < 0.05) < 0.15
    assert 0.3 < np.mean(p_values) < 0.7


def test_slope_of_small_objects_equals_conditional_logistic_regression():
    table = simulate(n_objects=20, k=3)
    result = regression.eccentricity_slope(table).iloc[0]
    informative = table.groupby("object")["correct"].transform("nunique") == 2
    rows = table[informative]
    fit = ConditionalLogit(
        rows["correct"].to_numpy(float), rows[["eccentricity"]].to_numpy(), groups=rows["object"].to_numpy()
    ).fit(disp=False)
    assert np.log(result["odds_ratio"]) == pytest.approx(0.1 * fit.params[0], rel=1e-3)
    assert result["n_informative"] == rows["object"].nunique() < result["n_objects"] == 20


def test_slope_of_large_objects_equals_logistic_regression_with_dummies():
    table = simulate(n_objects=10, k=8)
    result = regression.eccentricity_slope(table).iloc[0]
    design = pd.get_dummies(table["object"], dtype=float).assign(slope=10 * table["eccentricity"])
    fit = Logit(table["correct"].astype(float), design).fit(
        disp=False, cov_type="cluster", cov_kwds={"groups": pd.factorize(table["object"])[0]}
    )
    assert np.log(result["odds_ratio"]) == pytest.approx(fit.params["slope"])
    width = np.log(result["high"] / result["low"]) / 2
    assert width == pytest.approx(2.262 * fit.bse["slope"], rel=1e-3)  # Student's t, 9 degrees of freedom


def test_both_likelihoods_agree_on_slope_and_error(monkeypatch):
    table = simulate(n_objects=30, k=7)
    monkeypatch.setattr(regression, "_MAX_CONDITIONAL_ROWS", 49)
    conditional = regression.eccentricity_slope(table).iloc[0]
    monkeypatch.setattr(regression, "_MAX_CONDITIONAL_ROWS", 0)
    dummies = regression.eccentricity_slope(table).iloc[0]
    # The dummies overstate the slope by about one part in the 49 rows an object.
    ratio = np.log(dummies["odds_ratio"]) / np.log(conditional["odds_ratio"])
    assert ratio == pytest.approx(1 + 1 / 48, abs=0.005)
    widths = [np.log(result["high"] / result["low"]) for result in (dummies, conditional)]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)


def test_slope_ignores_objects_that_are_always_right_or_wrong():
    table = simulate(n_objects=20, k=5)
    known = simulate(n_objects=10, k=5).assign(
        object=lambda rows: "always " + rows["object"], correct=lambda rows: rows["object"] > "always object5"
    )
    result = regression.eccentricity_slope(pd.concat([table, known])).iloc[0]
    alone = regression.eccentricity_slope(table).iloc[0]
    assert result[["odds_ratio", "low", "high"]].tolist() == alone[["odds_ratio", "low", "high"]].tolist()
    assert result["n_objects"] == 30


def test_size_is_a_covariate_when_it_varies_within_objects():
    # Small objects stand further out and are recognised less, whatever the position: no effect of position.
    table = simulate(n_objects=80, k=5, slope=0.0, sizes=(0.1, 0.3), size_slope=2.0)
    keep = (table["size"] == 0.3) == (table["eccentricity"] < 0.5)
    keep |= np.random.default_rng(0).random(len(table)) < 0.3
    table = table[keep]
    adjusted = regression.eccentricity_slope(table).iloc[0]
    naive = regression.eccentricity_slope(table.drop(columns="size")).iloc[0]
    assert adjusted["size_covariate"] and not naive["size_covariate"]
    assert adjusted["low"] < 1 < adjusted["high"]
    assert naive["high"] < 1
    fixed = table.assign(size=pd.factorize(table["object"])[0] + 1.0)
    assert regression.eccentricity_slope(fixed)["odds_ratio"].item() == naive["odds_ratio"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.assign(correct=True), "0 of 12 objects are both right and wrong"),
        (lambda table: table.assign(correct=table["eccentricity"] < 0.1), "separates right from wrong"),
        (lambda table: table.assign(correct=table["eccentricity"] > 0.5), "separates right from wrong"),
        (
            lambda table: table.assign(correct=table["eccentricity"] < 0.1).drop(4),
            "separates right from wrong",
        ),
        (lambda table: table.assign(eccentricity=0.5), "more than one eccentricity"),
        (lambda table: table.assign(size=np.exp(2 + table["eccentricity"])), "in step with eccentricity"),
        (
            lambda table: table.assign(size=1 + table["correct"].astype(float) + table["eccentricity"] / 9),
            "separates right from wrong",
        ),
    ],
)
def test_slope_that_cannot_be_estimated_is_nan_with_the_reason(change, reason):
    table = change(simulate(n_objects=12, k=3))
    with pytest.warns(EstimateWarning, match=reason):
        result = regression.eccentricity_slope(table).iloc[0]
    assert reason in result["note"]
    assert result[["odds_ratio", "low", "high", "p_value"]].isna().all()


def test_one_exception_ends_the_separation():
    table = simulate(n_objects=12, k=3)
    table["correct"] = table["eccentricity"] < 0.1
    table.loc[table["object"] == "object0", "correct"] = [True] + [False] * 8  # right in a corner alone
    result = regression.eccentricity_slope(table).iloc[0]
    assert result["note"] == ""
    assert result["odds_ratio"] < 1


def test_slopes_of_groups_are_those_of_their_tables():
    table = two_models()
    result = regression.eccentricity_slope(table, by="model")
    for _, row in result.iterrows():
        alone = regression.eccentricity_slope(table[table["model"] == row["model"]]).iloc[0]
        assert row["odds_ratio"] == alone["odds_ratio"]


def test_sizes_must_be_positive():
    with pytest.raises(InputError, match="'size' holds 0"):
        regression.eccentricity_slope(simulate(n_objects=2, k=3).assign(size=0))
