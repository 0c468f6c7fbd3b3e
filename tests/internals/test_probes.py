import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crosseyed.errors import InputError
from crosseyed.internals import probes
from crosseyed.internals.probes import CLASSIFIERS, PLACES, STRENGTHS, probe, readout, shuffled_names
from crosseyed.measure import bootstrap

OBJECTS = ["cup", "dog", "key", "owl"]


def scenes(styles=("a", "b", "c"), objects=OBJECTS, cells=((0, 0), (0, 2), (1, 1), (2, 0), (2, 2))):
    """Return a table in which every rendering shows every object in every cell."""
    rows = [(style, name, *cell) for style in styles for name in objects for cell in cells]
    table = pd.DataFrame(rows, columns=["style", "object", "row", "col"])
    table["center"] = (table["row"] == 1) & (table["col"] == 1)
    table["image"] = [f"{number:03}" for number in range(len(table))]
    return table.set_index(np.arange(len(table)) + 100)


def codes(keys, width=10, seed=0):
    """Return a random code for each distinct key."""
    rng = np.random.default_rng(seed)
    numbers, names = pd.factorize(pd.Series(list(keys)))
    return rng.normal(size=(len(names), width))[numbers]


def noise(table, size, width=10, seed=1):
    return size * np.random.default_rng(seed).normal(size=(len(table), width))


# Probes


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("place", PLACES)
def test_what_vectors_hold_is_found_and_what_they_do_not_hold_is_not(classifier, place):
    table = scenes(objects=[f"object {number}" for number in range(20)])
    held = probe(
        codes(table["object"], 30) + noise(table, 0.1, 30), table, classifier=classifier, place=place
    )
    assert list(held["choice"]) == list(table["object"])
    for column in table:
        assert list(held[column]) == list(table[column])
    lacking = probe(noise(table, 1, 30), table, classifier=classifier, place=place)
    assert lacking["correct"].mean() < 0.12  # chance is 0.05 of 300, give or take 0.013


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_what_is_coded_differently_in_each_cell_is_found_by_the_probe_of_the_cell_alone(classifier):
    table = scenes(objects=[f"object {number}" for number in range(20)])
    own = zip(table["object"], table["row"], table["col"], strict=True)
    vectors = codes(own, 30) + noise(table, 0.1, 30)
    matched, from_center = (probe(vectors, table, classifier=classifier, place=place) for place in PLACES)
    assert matched["correct"].all()
    assert from_center.loc[from_center["center"], "correct"].all()
    assert from_center.loc[~from_center["center"], "correct"].mean() < 0.15


@pytest.mark.parametrize("place", PLACES)
def test_a_probe_never_learns_from_the_rendering_that_it_is_asked_about(place):
    # every rendering has codes of its own, so that there is nothing to learn from the others
    table = scenes(objects=[f"object {number}" for number in range(20)])
    vectors = codes(zip(table["object"], table["style"], strict=True), 30)
    assert probe(vectors, table, place=place)["correct"].mean() < 0.15


def lessons(table):
    """Yield what is learned from and what is asked, for each rendering and cell."""
    for (style, row, col), asked in table.groupby(["style", "row", "col"]).groups.items():
        cell = (table["row"] == row) & (table["col"] == col)
        yield (cell & (table["style"] != style)).to_numpy(), table.index.isin(asked)


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_ has at least 1 zero")  # as it is meant to have
def test_the_nearest_mean_is_that_of_scikit_learn():
    table = scenes()
    vectors = (codes(table["object"]) + noise(table, 1.0)) * np.geomspace(1, 1e3, 10)
    vectors[:, 3] = 7.0  # a dimension that does not vary
    result = probe(vectors, table, classifier="nearest mean")
    names = table["object"].to_numpy()
    for learned, asked in lessons(table):
        expected = make_pipeline(StandardScaler(), NearestCentroid()).fit(vectors[learned], names[learned])
        assert list(result["choice"][asked]) == list(expected.predict(vectors[asked]))
    assert 0 < result["correct"].mean() < 1


def test_the_strength_of_the_linear_probe_is_chosen_within_what_it_learns_from():
    table = scenes(cells=((1, 1),))
    vectors = codes(table["object"]) + noise(table, 1.5)
    result, chosen, names = probe(vectors, table), set(), table["object"].to_numpy()
    for learned, asked in lessons(table):
        mean, deviation = vectors[learned].mean(axis=0), vectors[learned].std(axis=0)
        known, codes_of = (vectors[learned] - mean) / deviation, np.array(OBJECTS) == names[learned][:, None]
        errors = []
        for strength in STRENGTHS:
            each = [np.arange(len(known)) == number for number in range(len(known))]
            predicted = [
                Ridge(strength).fit(known[~one], 2 * codes_of[~one] - 1).predict(known[one]) for one in each
            ]
            errors.append(((np.concatenate(predicted) - (2 * codes_of - 1)) ** 2).mean())
        chosen.add(STRENGTHS[int(np.argmin(errors))])
        fitted = RidgeClassifier(STRENGTHS[int(np.argmin(errors))]).fit(known, names[learned])
        assert list(result["choice"][asked]) == list(fitted.predict((vectors[asked] - mean) / deviation))
    assert 0 < result["correct"].mean() < 1
    assert chosen != {STRENGTHS[0]}


def test_unreadable_rows_are_neither_learned_from_nor_judged():
    table = scenes(cells=((1, 1),) * 3)
    vectors = codes(table["object"]) + noise(table, 1.0)
    vectors[5] = np.nan
    result = probe(vectors, table)
    rest = np.arange(len(table)) != 5
    expected = probe(vectors[rest], table[rest])
    assert result["choice"][5] == "unreadable"
    assert result["correct"].isna().tolist() == [number == 5 for number in range(len(table))]
    pd.testing.assert_frame_equal(result[rest].reset_index(drop=True), expected, check_dtype=False)
    assert bootstrap.accuracy(result, resamples=10)["unreadable"].item() == 1


def test_shuffled_names_are_a_permutation_in_each_rendering_and_not_the_same():
    table = scenes(objects=[f"object {number}" for number in range(20)])
    names = shuffled_names(table, seed=1)
    given = table.assign(names=names).groupby(["style", "object"])["names"].unique()
    assert given.map(len).eq(1).all()
    by_style = given.map(lambda each: each[0]).unstack("style")
    for style in by_style:
        assert sorted(by_style[style]) == sorted(by_style.index)
        assert (by_style[style] == by_style.index).mean() < 0.3
    assert (by_style["a"] == by_style["b"]).mean() < 0.3
    assert names.equals(shuffled_names(table, seed=1))
    assert not names.equals(shuffled_names(table, seed=2))


def test_bad_input_to_probes_is_named():
    table = scenes()
    vectors = noise(table, 1.0)
    two = table[table["style"] != "c"]
    for given, message in [
        ((vectors[1:], table), r"give \(60, width\)"),
        ((vectors[None], table), r"give \(60, width\)"),
        ((vectors, table.rename(columns={"style": "styles"})), r"\['style'\] are missing from the table"),
        ((vectors[: len(two)], two), "have 2 renderings; give at least 3"),
        ((vectors, table.assign(object="cup")), "1 different concepts"),
        (
            (vectors, table.assign(object=table["object"].where(table["style"] != "b", "hat"))),
            "'hat' has one rendering only",
        ),
    ]:
        with pytest.raises(InputError, match=message):
            probe(*given)
    with pytest.raises(InputError, match="Unknown probe 'liner'; did you mean 'linear'"):
        probe(vectors, table, classifier="liner")
    with pytest.raises(InputError, match="Unknown place 'corner'"):
        probe(vectors, table, place="corner")


# Readout


def test_ranks_of_a_hand_worked_table():
    texts = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]])
    rows = np.array([[2.0, 0.0], [0.0, 3.0], [np.nan, np.nan], [2.0, 0.0], [1.0, 0.0]])
    table = pd.DataFrame({"object": ["owl", "cup", "cup", "cup", "key"]}, index=[9, 8, 7, 6, 5])
    # concepts by similarity to (2, 0): cup and owl alike (cup is first), key, dog; to (0, 3): dog, key, cup, owl
    result = readout(rows, texts, ["cup", "dog", "key", "owl"], table, top=2)
    assert result["rank"].tolist() == [2, 3, pd.NA, 1, 3]
    assert result["correct"].tolist() == [True, False, pd.NA, True, False]
    assert result["choice"].tolist() == ["cup", "dog", "unreadable", "cup", "cup"]
    assert (result["rank"].dtype, result["correct"].dtype) == ("Int64", "boolean")
    assert list(result.index) == [0, 1, 2, 3, 4]


def test_ranks_are_places_in_a_sorted_list(monkeypatch):
    monkeypatch.setattr(probes, "_SIMILARITIES_AT_ONCE", 100)
    rng = np.random.default_rng(0)
    texts, rows = rng.normal(size=(30, 8)).astype("f"), rng.normal(size=(17, 8)).astype("f")
    concepts = [f"concept {number}" for number in range(30)]
    table = pd.DataFrame({"object": rng.choice(concepts, 17)})
    result = readout(rows, texts, concepts, table, top=3)
    for row, name, rank, choice, correct in zip(
        rows, table["object"], result["rank"], result["choice"], result["correct"], strict=True
    ):
        ordered = sorted(concepts, key=lambda concept: -float(row @ texts[concepts.index(concept)]))
        assert (ordered.index(name) + 1, ordered[0]) == (rank, choice)
        assert correct == (name in ordered[:3])


def test_bad_input_to_the_readout_is_named():
    texts, table = np.eye(3), pd.DataFrame({"object": ["cup", "dog"]})
    concepts, rows = ["cup", "dog", "key"], np.eye(3)[:2]
    for arguments, top, message in [
        ((rows[:1], texts, concepts, table), 1, "each of the 2 rows"),
        ((rows[:, :2], texts, concepts, table), 1, "as wide as the 3"),
        ((rows, texts, concepts[:2], table), 1, "2 concepts but 3 embeddings"),
        ((rows, texts, ["cup", "dog", "cup"], table), 1, "'cup' is given more than once"),
        (
            (rows, texts, ["cup", "dig", "key"], table),
            1,
            "'dog' is not among the 3 concepts; did you mean 'dig'",
        ),
        (
            (rows, texts, concepts, table.rename(columns={"object": "objects"})),
            1,
            r"\['object'\] are missing",
        ),
        ((rows, texts, concepts, table), 0, "top is 0"),
        ((rows, texts, concepts, table), 4, "top is 4"),
    ]:
        with pytest.raises(InputError, match=message):
            readout(*arguments, top=top)
