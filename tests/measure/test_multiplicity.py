import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from crosseyed.measure.multiplicity import FAMILIES, correct
from crosseyed.report.tables import TABLES


def test_p_values_are_corrected_as_holm_did_by_hand():
    given = pd.Series([0.01, 0.04, np.nan, 0.03], index=list("abcd"))
    # sorted: 0.01 * 3, 0.03 * 2, then 0.04 * 1, which may not be less than the one before
    np.testing.assert_allclose(correct(given), [0.03, 0.06, np.nan, 0.06])
    assert correct(given).index.tolist() == list("abcd")


def test_the_correction_is_that_of_statsmodels():
    rng = np.random.default_rng(0)
    for p_values in (np.array([0.3]), np.array([0.04, 0.01, 0.03, 0.01]), rng.random(40) ** 3):
        expected = multipletests(p_values, method="holm")[1]
        np.testing.assert_allclose(correct(pd.Series(p_values)), expected, rtol=1e-12)


def test_nothing_to_correct_stays_nothing():
    assert correct(pd.Series([np.nan, np.nan])).isna().all()
    assert correct(pd.Series(dtype=float)).empty


def test_of_true_hypotheses_few_families_have_one_that_is_rejected():
    rng = np.random.default_rng(0)
    rejected = [(correct(pd.Series(rng.random(6))) < 0.05).any() for _ in range(1000)]
    assert 0.03 <= np.mean(rejected) <= 0.07


def test_families_are_those_of_tables_that_chapters_declare():
    for family in FAMILIES:
        named = set(family.columns.replace("`", "").replace(",", "").split())
        assert named & set(TABLES[family.chapter]), family
