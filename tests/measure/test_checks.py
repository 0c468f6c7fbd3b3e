import numpy as np
import pandas as pd
import pytest
from simulated_answers import simulate, two_models

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, dyadic, permutation, regression
from crosseyed.measure.checks import is_center
from crosseyed.settings import settings


def test_center_is_the_column_or_else_a_seventh_of_the_eccentricity():
    eccentricity = pd.DataFrame({"eccentricity": [0, 1 / 7, 0.15, 1]}, index=[5, 6, 7, 8])
    assert is_center(eccentricity).to_dict() == {5: True, 6: True, 7: False, 8: False}
    given = eccentricity.assign(center=[False, True, True, False])
    assert is_center(given).tolist() == [False, True, True, False]


ALL = [
    bootstrap.accuracy,
    bootstrap.accuracy_by_eccentricity,
    bootstrap.center_bias,
    regression.eccentricity_slope,
    permutation.permutation_test,
    dyadic.together_gap,
    dyadic.choices,
    dyadic.left_out,
]
OF_PAIRS = (dyadic.together_gap, dyadic.choices, dyadic.left_out)


def answers():
    table = simulate(n_objects=2, k=3).assign(choice="both", object2="hat")
    return table.assign(together=table["eccentricity"] == 0)


@pytest.mark.parametrize("function", ALL)
def test_empty_table_is_refused(function):
    table = answers()
    with pytest.raises(InputError, match="no rows"):
        function(table.iloc[:0])


@pytest.mark.parametrize("function", ALL)
def test_missing_columns_are_named(function):
    table = answers()
    with pytest.raises(
        InputError, match=r"\['object'\] are missing from the table, .*; did you mean .*'objekt'"
    ):
        function(table.rename(columns={"object": "objekt"}))
    with pytest.raises(InputError, match=r"\['model'\] are missing"):
        function(table, by="model")


@pytest.mark.parametrize(
    "function", [each for each in ALL if each not in (regression.eccentricity_slope, *OF_PAIRS)]
)
@pytest.mark.parametrize("resamples", [0, -3, 2.5, True])
def test_number_of_resamples_must_be_positive(function, resamples):
    with pytest.raises(InputError, match="resamples is"):
        function(answers(), resamples=resamples)


@pytest.mark.parametrize("function", [each for each in ALL if each is not permutation.permutation_test])
@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, float("nan")])
def test_confidence_must_be_a_fraction(function, confidence):
    with pytest.raises(InputError, match="confidence is"):
        function(answers(), confidence=confidence)


@pytest.mark.parametrize("function", [bootstrap.center_bias, permutation.permutation_test])
@pytest.mark.parametrize(("center", "lacking"), [(True, "off-center"), (False, "center")])
def test_missing_half_is_named(function, center, lacking):
    table = pd.concat(
        [
            two_models().assign(center=lambda rows: rows["eccentricity"] < 0.2),
            simulate().assign(model="c", center=center),
        ]
    )
    with pytest.raises(InputError, match=f"no {lacking} rows for model = c"):
        function(table, by="model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.assign(correct="yes"), "'correct' holds yes; expected True and False"),
        (lambda table: table.assign(correct=2), "'correct' holds 2"),
        (lambda table: table.assign(correct=pd.NA), "all 18 rows of the table are unreadable"),
        (lambda table: table.assign(object=None), r"'object' is missing in 18 row\(s\)"),
        (lambda table: table.assign(eccentricity=1.5), "'eccentricity' holds 1.5"),
        (lambda table: table.assign(eccentricity=np.nan), "'eccentricity' holds nan"),
        (lambda table: table.drop(columns="eccentricity"), "neither a column 'center' nor 'eccentricity'"),
    ],
)
def test_values_that_make_no_sense_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        bootstrap.center_bias(change(answers()))
    if "eccentricity" not in message:
        with pytest.raises(InputError, match=message):
            dyadic.together_gap(change(answers()))


@pytest.mark.parametrize(
    ("function", "column"), [(bootstrap.center_bias, "center"), (dyadic.together_gap, "together")]
)
def test_a_side_that_is_missing_is_refused(function, column):
    with pytest.raises(InputError, match=f"'{column}' is missing in 18"):
        function(answers().assign(**{column: pd.NA}))
    sides = {"center": "off-center", "together": "apart"}
    with pytest.raises(InputError, match=f"no {sides[column]} rows; .*column '{column}'"):
        function(answers().assign(**{column: True}))


@pytest.mark.parametrize("values", [["a", "b"], [1.0, np.inf]])
def test_a_quantity_that_is_no_number_is_refused(values):
    table = pd.DataFrame({"object": ["cup", "dog"], "effect": values})
    with pytest.raises(InputError, match="column 'effect'"):
        bootstrap.mean(table, "effect")


def test_level_and_number_of_draws_are_those_of_the_settings_unless_given():
    table = simulate(n_objects=6, k=3)
    given = bootstrap.center_bias(table, confidence=0.5, resamples=20)
    with settings.overridden(confidence=0.5, resamples=20):
        pd.testing.assert_frame_equal(bootstrap.center_bias(table), given)
        assert regression.eccentricity_slope(simulate())["confidence"].item() == 0.5
        assert permutation.permutation_test(table)["resamples"].item() == 20
