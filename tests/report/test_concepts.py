"""Which concepts appear in more or fewer sums off-center."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from crosseyed.measure.permutation import sign_flip_test
from crosseyed.report.concepts import changes


def images(n_objects, off_center=2):
    """Return a table with one image of each object at the center and some off-center."""
    names = [f"object {number}" for number in range(n_objects)]
    rows = [(name, side) for name in names for side in [True] + [False] * off_center]
    return pd.DataFrame(rows, columns=["object", "center"])


def test_uses_by_hand_without_the_objects_own_name():
    about = images(2)  # images 0 and 3 at the center
    about["object"] = ["cup"] * 3 + ["dog"] * 3
    sparse = pd.DataFrame(
        {"image": [0, 0, 1, 2, 4, 5, 3], "concept": ["cup", "red", "sky", "sky", "sky", "cup", "red"]}
    )
    table = changes(sparse, about).set_index("concept")
    # sky: of the cup 0 and 100 %, of the dog 0 and 50 %; red: 100 and 0 % of both; cup: of the dog alone 0 and 50 %
    assert table.loc["sky", ["center", "off_center", "difference"]].tolist() == [0, 75, 75]
    assert table.loc["red", ["center", "off_center", "difference"]].tolist() == [100, 0, -100]
    assert table.loc["cup", ["center", "off_center", "difference"]].tolist() == [0, 50, 50]
    assert table["n_objects"].to_dict() == {"red": 2, "sky": 2, "cup": 1}
    assert list(table.index) == ["red", "sky", "cup"]


def test_p_values_are_those_of_sign_flips_over_objects_corrected_for_all_concepts():
    about, rng = images(12), np.random.default_rng(0)
    drawn = [
        (image, f"word {word}") for image in range(len(about)) for word in range(6) if rng.random() < 0.4
    ]
    drawn += [(image, "sky") for image in np.flatnonzero(~about["center"])]
    sparse = pd.DataFrame(drawn, columns=["image", "concept"])
    table = changes(sparse, about, seed=3).set_index("concept")
    pairs = []
    for concept in table.index:
        uses = about.assign(used=about.index.isin(sparse.loc[sparse["concept"] == concept, "image"]))
        rates = 100 * uses.groupby(["object", "center"])["used"].mean().unstack("center")
        pairs.append(pd.DataFrame({"change": rates[False] - rates[True], "concept": concept}).reset_index())
    tested = sign_flip_test(pd.concat(pairs), "change", "concept", seed=3).set_index("concept")
    expected = pd.Series(multipletests(tested["p_value"], method="holm")[1], index=tested.index)
    pd.testing.assert_series_equal(table["p_value"].sort_index(), expected.sort_index(), check_names=False)
    assert table.loc["sky", "p_value"] < 0.05
    assert (table["p_value"].drop("sky") > 0.05).all()


def test_of_many_concepts_that_come_and_go_at_random_none_changes_certainly():
    about, rng = images(20), np.random.default_rng(1)
    drawn = [
        (image, f"word {word}") for image in range(len(about)) for word in range(100) if rng.random() < 0.1
    ]
    table = changes(pd.DataFrame(drawn, columns=["image", "concept"]), about)
    assert table["difference"].abs().max() > 10  # the one that happens to change most
    assert (table["p_value"] > 0.05).all()


@pytest.mark.parametrize("concept", [[], ["object 0"]])
def test_without_other_concepts_there_are_no_rows(concept):
    table = changes(pd.DataFrame({"image": [0] * len(concept), "concept": concept}), images(1))
    assert table.empty
    assert "p_value" in table
