import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from statsmodels.discrete.discrete_model import Logit
from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM

from crosseyed.errors import InputError
from crosseyed.measure import mixed_logit
from crosseyed.measure.checks import EstimateWarning
from crosseyed.measure.mixed_logit import COVARIATES, mixed_slope

SLOPE = -0.2  # change of the log odds for each 0.1 of eccentricity


def simulate(seed, *, n_categories=30, n_images=400, per_image=2, spread=0.2, image_spread=0.0):
    """Draw a table from the model: objects further out are smaller and more often cut off."""
    rng = np.random.default_rng(seed)
    n_rows = n_images * per_image
    image, category = np.repeat(np.arange(n_images), per_image), rng.integers(n_categories, size=n_rows)
    slopes = SLOPE + spread * rng.normal(size=n_categories)
    distance = rng.beta(2, 3, n_rows)
    area = np.exp(rng.normal(-3 - distance, 1))
    truncated = rng.random(n_rows) < 0.6 * distance
    logit = rng.normal(size=n_categories)[category] + slopes[category] * 10 * (distance - 0.4)
    logit += 0.3 * (np.log2(area) + 4.5) - 0.5 * truncated + image_spread * rng.normal(size=n_images)[image]
    return pd.DataFrame(
        {
            "image": image,
            "object": [f"category {number}" for number in category],
            "instances": 1,
            "correct": pd.array(rng.random(n_rows) < expit(logit), dtype="boolean"),
            "eccentricity": distance,
            "area": area,
            "truncated": truncated,
            "n_objects": 1 + (image % 3),
            "in_crop": rng.random(n_rows),
        }
    )


@pytest.fixture(scope="module")
def table():
    return simulate(0)


def arrays(table):
    """Return what the fit is given: right answers, standardised covariates, categories, images."""
    values = [10 * table["eccentricity"], np.log2(table["area"])]
    standard = [(column - column.mean()) / column.std(ddof=0) for column in values]
    fixed = np.column_stack([np.ones(len(table)), *standard])
    correct = table["correct"].to_numpy(dtype=float)
    return correct, fixed, pd.factorize(table["object"])[0], pd.factorize(table["image"])[0]


def test_effects_are_at_the_mode_of_the_posterior_of_statsmodels(table):
    correct, fixed, categories, images = arrays(table)
    fit = mixed_logit._fit(correct, fixed, categories, images)
    member = np.eye(categories.max() + 1)[categories]
    random = np.hstack([member, member * fixed[:, [1]]])
    kinds = np.repeat([0, 1], member.shape[1])
    model = BinomialBayesMixedGLM(correct, fixed, random, kinds, fe_p=5.0)
    effects, own = fit.estimate[: fixed.shape[1]], fit.estimate[fixed.shape[1] :]
    gradient = model.logposterior_grad(np.concatenate([effects, np.log(fit.variances) / 2, own]))
    np.testing.assert_allclose(np.delete(gradient, [3, 4]), 0, atol=1e-6)


def test_variances_are_where_the_restricted_likelihood_is_highest(table):
    """The reference maximises Laplace's approximation of the likelihood, in which all effects are integrated out."""
    correct, fixed, categories, images = arrays(table)
    fit = mixed_logit._fit(correct, fixed, categories, images)
    member = np.eye(categories.max() + 1)[categories]
    design = np.hstack([fixed, member, member * fixed[:, [1]]])
    weights = (p := expit(design @ fit.estimate)) * (1 - p)
    working = design @ fit.estimate + (correct - p) / weights  # of the linear model that the fit ends with

    def restricted_likelihood(variances):
        penalty = np.concatenate([np.full(3, 1 / 25), np.repeat(1 / np.asarray(variances), member.shape[1])])
        covariance = np.diag(1 / weights) + (design / penalty) @ design.T
        return -np.linalg.slogdet(covariance)[1] - working @ np.linalg.solve(covariance, working)

    best = restricted_likelihood(fit.variances)
    for factors in ((1.2, 1), (1 / 1.2, 1), (1, 1.2), (1, 1 / 1.2)):
        assert restricted_likelihood(fit.variances * factors) < best


def test_without_differences_between_categories_it_is_a_plain_logistic_regression():
    table = simulate(1, n_categories=2, n_images=600, spread=0.0)
    # the categories differ in nothing: the same rows under both names
    table = pd.concat([table.assign(object="a"), table.assign(object="b", image=table["image"] + 600)])
    effects = mixed_slope(table, ["eccentricity", "area"]).effects
    design = np.column_stack([np.ones(len(table)), 10 * table["eccentricity"], np.log2(table["area"])])
    reference = Logit(table["correct"].to_numpy(dtype=float), design).fit(disp=False)
    np.testing.assert_allclose(np.log(effects["odds_ratio"]), reference.params[1:], rtol=5e-3)
    assert effects["between_sd"].iloc[0] < 0.01


def test_the_interval_covers_the_truth_and_is_not_too_wide():
    draws = [simulate(seed, n_categories=15, n_images=250) for seed in range(20)]
    rows = pd.concat([mixed_slope(draw, ["area", "truncated"]).effects.iloc[[0]] for draw in draws])
    low, middle, high = np.log(rows[["low", "odds_ratio", "high"]].to_numpy()).T
    assert ((low <= SLOPE) & (high >= SLOPE)).mean() >= 0.85
    assert (high - middle).mean() < 3 * middle.std()


def test_rows_that_say_the_same_about_one_image_make_nothing_surer():
    table = simulate(6, n_categories=15, spread=0.0)

    def half_width(rows):
        first = mixed_slope(rows).effects.iloc[0]
        return np.log(first["high"] / first["odds_ratio"])

    same_images = half_width(pd.concat([table, table]))
    other_images = half_width(pd.concat([table, table.assign(image=table["image"] + 1000)]))
    assert same_images > 0.95 * half_width(table)
    assert other_images < 0.85 * same_images


def test_the_mean_field_interval_of_statsmodels_is_narrower_where_categories_differ():
    table = simulate(3, n_categories=12, spread=0.4)
    correct, fixed, categories, images = arrays(table)
    member = np.eye(12)[categories]
    random, kinds = np.hstack([member, member * fixed[:, [1]]]), np.repeat([0, 1], 12)
    theirs = BinomialBayesMixedGLM(correct, fixed, random, kinds, fe_p=5.0).fit_vb()
    ours = mixed_logit._fit(correct, fixed, categories, images)
    assert ours.estimate[1] == pytest.approx(theirs.fe_mean[1], abs=0.1)
    assert np.sqrt(ours.robust[1, 1]) > 1.5 * theirs.fe_sd[1]


def test_what_further_out_changes_besides_is_not_laid_to_eccentricity():
    table = simulate(4, n_images=2000, spread=0.0)
    truth = np.exp(SLOPE)
    alone = mixed_slope(table, ["eccentricity"]).effects.iloc[0]
    adjusted = mixed_slope(table).effects
    assert adjusted["effect"].tolist() == list(COVARIATES)
    assert alone["high"] < truth
    assert adjusted["low"].iloc[0] < truth < adjusted["high"].iloc[0]
    by_name = adjusted.set_index("effect")
    assert by_name.loc["area", "low"] < np.exp(0.3) < by_name.loc["area", "high"]
    assert by_name.loc["truncated", "low"] < np.exp(-0.5) < by_name.loc["truncated", "high"]
    assert by_name.loc["n_objects", "low"] < 1 < by_name.loc["n_objects", "high"]


def test_the_worst_category_comes_first_and_few_rows_are_drawn_to_the_mean():
    table = simulate(5, n_images=1500, n_categories=10, spread=0.0)
    rng = np.random.default_rng(0)
    worst = table["object"] == "category 3"
    table.loc[worst, "correct"] = rng.random(worst.sum()) < expit(3 - 10 * table.loc[worst, "eccentricity"])
    both = mixed_slope(table)
    assert both.categories["object"].iloc[0] == "category 3"
    assert both.categories["high"].iloc[0] < both.categories["low"].iloc[-1]
    assert both.categories["n"].sum() == both.effects["n"].iloc[0] == 3000
    right = table.groupby("object")["correct"].mean()
    for row in both.categories.itertuples():
        assert row.accuracy == pytest.approx(100 * right[row.object])
    few = pd.concat([table[~worst], table[worst].head(12)])
    drawn = mixed_slope(few).categories.set_index("object")["odds_ratio"]
    assert drawn["category 3"] > both.categories["odds_ratio"].iloc[0]


def test_shared_categories_and_unanswered_rows_are_left_out_and_counted(table):
    extra = table.head(7).assign(instances=2, correct=False)
    missing = table.head(5).assign(correct=pd.NA)
    whole = mixed_slope(table)
    more = mixed_slope(pd.concat([table, extra, missing], ignore_index=True))
    assert (more.effects["shared"] == 7).all()
    assert (more.effects["unanswered"] == 5).all()
    columns = ["odds_ratio", "low", "high", "n", "n_images", "n_categories"]
    pd.testing.assert_frame_equal(more.effects[columns], whole.effects[columns])


def test_a_covariate_that_does_not_vary_is_not_in_the_result(table):
    effects = mixed_slope(table.assign(in_crop=1.0, truncated=False)).effects
    assert effects["effect"].tolist() == ["eccentricity", "area", "n_objects"]


def test_separated_rows_give_finite_numbers(table):
    separated = table.assign(correct=table["truncated"])
    effects = mixed_slope(separated, ["truncated"]).effects.set_index("effect")
    assert effects.loc["truncated", "low"] > 1
    assert np.isfinite(effects[["odds_ratio", "low", "high"]].to_numpy()).all()


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"object": "one"}, "1 categories"),
        ({"correct": pd.NA}, "0 categories"),
        ({"correct": True}, "all 800 answers are right"),
        ({"eccentricity": 0.5}, "same eccentricity"),
        ({"area": lambda rows: 2 ** rows["eccentricity"]}, "in step"),
    ],
)
def test_where_there_is_no_estimate_a_note_says_why(table, change, note):
    with pytest.warns(EstimateWarning, match=note):
        found = mixed_slope(table.assign(**change))
    assert found.categories.empty
    assert note in found.effects["note"].item()
    assert np.isnan(found.effects["odds_ratio"].item())


def test_wrong_arguments_are_named(table):
    with pytest.raises(InputError, match=r"'eccentricty'.*did you mean 'eccentricity'"):
        mixed_slope(table, ["eccentricty"])
    with pytest.raises(InputError, match=r"\['instances'\] are missing from the table of recognition"):
        mixed_slope(table.drop(columns="instances"))
    with pytest.raises(InputError, match="confidence is 95"):
        mixed_slope(table, confidence=95)
    with pytest.raises(InputError, match="'area' has missing or impossible"):
        mixed_slope(table.assign(area=0.0))
