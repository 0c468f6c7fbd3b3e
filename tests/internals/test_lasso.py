import numpy as np
import pytest
from sklearn.linear_model import Lasso

from crosseyed.errors import InputError
from crosseyed.internals import lasso
from crosseyed.internals.lasso import LassoWarning, nonnegative_lasso

WIDTH = 32


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def problem(n_targets=20, n_atoms=300, spread=1.0, seed=0):
    """Return targets made of five atoms and noise, and a dictionary of clusters of similar atoms."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(n_atoms // 10, WIDTH))
    dictionary = unit(np.repeat(middles, 10, axis=0) + spread * rng.normal(size=(n_atoms, WIDTH)))
    weights = np.zeros((n_targets, n_atoms))
    for row in weights:
        row[rng.choice(n_atoms, 5, replace=False)] = rng.random(5)
    targets = unit(unit(weights @ dictionary) + 0.4 * rng.normal(size=(n_targets, WIDTH)) / np.sqrt(WIDTH))
    return targets, dictionary


def objective(targets, dictionary, penalty, weights):
    residuals = targets - weights @ dictionary
    return np.square(residuals).sum(axis=1) / 2 + penalty * weights.sum(axis=1)


def reference(targets, dictionary, penalty):
    """Return scikit-learn's weights, one target at a time."""
    model = Lasso(
        alpha=penalty / targets.shape[1], positive=True, fit_intercept=False, tol=1e-10, max_iter=100_000
    )
    return np.array([model.fit(dictionary.T, target).coef_ for target in targets])


@pytest.mark.parametrize("penalty", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("spread", [1.0, 0.2])
def test_the_objective_is_that_of_scikit_learn(spread, penalty):
    targets, dictionary = problem(spread=spread)
    weights = nonnegative_lasso(targets, dictionary, penalty).toarray().astype(float)
    assert weights.min() >= 0
    best = objective(targets, dictionary, penalty, reference(targets, dictionary, penalty))
    np.testing.assert_allclose(objective(targets, dictionary, penalty, weights), best, rtol=2e-5)


def test_an_orthonormal_dictionary_has_the_solution_in_closed_form():
    rng = np.random.default_rng(0)
    dictionary, targets = np.eye(WIDTH), rng.normal(size=(7, WIDTH))
    weights = nonnegative_lasso(targets, dictionary, 0.5).toarray()
    np.testing.assert_allclose(weights, np.maximum(targets - 0.5, 0), atol=1e-6)


def test_planted_atoms_are_found_and_no_others():
    dictionary = unit(np.random.default_rng(1).normal(size=(40, 400)))
    weights = nonnegative_lasso((0.8 * dictionary[[3]] + 0.6 * dictionary[17]), dictionary, 0.2)
    assert sorted(weights.indices) == [3, 17]


def test_atoms_that_repeat_share_their_weight_at_the_same_objective():
    targets, dictionary = problem()
    doubled = np.concatenate([dictionary, dictionary])
    weights = nonnegative_lasso(targets, doubled, 0.05).toarray().astype(float)
    best = objective(targets, dictionary, 0.05, reference(targets, dictionary, 0.05))
    np.testing.assert_allclose(objective(targets, doubled, 0.05, weights), best, rtol=2e-5)


@pytest.mark.parametrize("ridge", [1e-5, 0.0])  # without the ridge, the Newton step fails on equal atoms
def test_a_dictionary_of_atoms_that_are_all_but_equal_is_no_harder(monkeypatch, ridge):
    monkeypatch.setattr(lasso, "_RIDGE", ridge)
    targets, dictionary = problem(n_targets=5, n_atoms=30)
    crowd = np.repeat(dictionary, 20, axis=0)
    crowd = unit(crowd + 1e-6 * np.random.default_rng(1).normal(size=crowd.shape))
    weights = nonnegative_lasso(targets, crowd, 0.05).toarray().astype(float)
    best = objective(targets, dictionary, 0.05, reference(targets, dictionary, 0.05))
    np.testing.assert_allclose(objective(targets, crowd, 0.05, weights), best, rtol=2e-5)


def test_working_sets_that_start_too_small_grow(monkeypatch):
    monkeypatch.setattr(lasso, "_SMALLEST_WORKING_SET", 2)
    monkeypatch.setattr(lasso, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(lasso, "_LARGEST_BLOCK", 100)
    targets, dictionary = problem()
    weights = nonnegative_lasso(targets, dictionary, 0.05).toarray().astype(float)
    assert (weights > 0).sum(axis=1).max() > 4
    best = objective(targets, dictionary, 0.05, reference(targets, dictionary, 0.05))
    np.testing.assert_allclose(objective(targets, dictionary, 0.05, weights), best, rtol=2e-5)


def test_no_weight_where_the_penalty_exceeds_every_scalar_product_and_for_a_target_of_zero():
    targets, dictionary = problem(n_targets=3)
    assert nonnegative_lasso(targets, dictionary, 1.01).nnz == 0
    assert nonnegative_lasso(0 * targets, dictionary, 0.01).nnz == 0
    assert nonnegative_lasso(targets, np.vstack([dictionary, 0 * dictionary[:1]]), 0.1)[:, [-1]].nnz == 0


def test_what_is_not_solved_is_said(monkeypatch):
    monkeypatch.setattr(lasso, "_ROUNDS", 1)
    monkeypatch.setattr(lasso, "_SMALLEST_WORKING_SET", 2)
    with pytest.warns(LassoWarning, match="of 20 targets may be further than 2e-05"):
        nonnegative_lasso(*problem(), 0.05)


def test_the_gap_that_is_promised_bounds_the_distance_from_the_minimum():
    targets, dictionary = problem()
    weights = nonnegative_lasso(targets, dictionary, 0.1, tolerance=0.05).toarray().astype(float)
    best = objective(targets, dictionary, 0.1, reference(targets, dictionary, 0.1))
    value = objective(targets, dictionary, 0.1, weights)
    assert np.all(value - best <= 0.05 * value)


@pytest.mark.parametrize(
    ("targets", "dictionary", "penalty", "message"),
    [
        (np.ones((2, 3)), np.ones((4, 5)), 0.1, "targets are 3 wide but the dictionary is 5"),
        (np.full((2, 3), np.nan), np.ones((4, 3)), 0.1, "targets has numbers that are not finite"),
        (np.ones((2, 3)), np.ones((0, 3)), 0.1, "dictionary has the shape"),
        (np.ones((2, 3)), np.ones((4, 3)), 0.0, "penalty is 0.0"),
        (np.ones((2, 3)), np.ones((4, 3)), np.nan, "penalty is nan"),
    ],
)
def test_bad_input_is_named(targets, dictionary, penalty, message):
    with pytest.raises(InputError, match=message):
        nonnegative_lasso(targets, dictionary, penalty)
