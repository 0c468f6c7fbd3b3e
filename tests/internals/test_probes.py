import numpy as np
import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.internals import probes
from crosseyed.internals.probes import probe_layers, readout
from crosseyed.measure import bootstrap

OBJECTS = ["cup", "dog", "key", "owl"]


def scenes(n_scenes=6):
    """Return a table in which every object stands in every scene."""
    rows = [(scene, name, scene % 2 == 0) for scene in range(n_scenes) for name in OBJECTS]
    table = pd.DataFrame(rows, columns=["scene", "object", "center"])
    return table.set_index(np.arange(len(table)) + 100)


def vectors(table, noise, scale=1.0, seed=0):
    """Return vectors that point to the object, in a layer of dimensions with unequal scales."""
    rng = np.random.default_rng(seed)
    means = pd.DataFrame(rng.normal(size=(len(OBJECTS), 10)), index=OBJECTS)
    rows = means.loc[table["object"]].to_numpy() + noise * rng.normal(size=(len(table), 10))
    return rows * np.geomspace(1, scale, 10)


# Probes


@pytest.mark.parametrize("classifier", ["centroid", "logistic"])
def test_what_a_layer_holds_is_found_and_what_it_does_not_hold_is_not(classifier):
    table = scenes(20)
    layers = np.stack([vectors(table, 1e3), vectors(table, 0.1)])
    result = probe_layers(layers, table, "scene", classifier=classifier)
    assert len(result) == 2 * len(table)
    accuracy = bootstrap.accuracy(result, by="layer", resamples=10).set_index("layer")["accuracy"]
    assert accuracy[1] == 100
    assert accuracy[0] < 50  # chance is 25 of 80, give or take 5
    assert list(result.loc[result["layer"] == 1, "choice"]) == list(table["object"])
    for column in table:
        assert list(result[column]) == 2 * list(table[column])


def test_predictions_are_those_of_a_centroid_probe_written_out():
    table = scenes(7)
    layer = vectors(table, noise=1.5, scale=1e3)
    result = probe_layers(layer[None], table, "scene", folds=7)  # each scene is a fold
    for scene in range(7):
        asked = (table["scene"] == scene).to_numpy()
        mean, deviation = layer[~asked].mean(axis=0), layer[~asked].std(axis=0)
        standard = (layer - mean) / deviation
        centroids = [standard[~asked & (table["object"] == name).to_numpy()].mean(axis=0) for name in OBJECTS]
        distances = np.linalg.norm(standard[asked][:, None] - np.array(centroids), axis=2)
        expected = [OBJECTS[index] for index in distances.argmin(axis=1)]
        assert list(result["choice"][asked]) == expected
    assert 0 < result["correct"].mean() < 1
    assert list(result["correct"]) == list(result["choice"].to_numpy() == table["object"].to_numpy())


def test_rows_of_one_scene_never_teach_about_each_other():
    # a vector holds its scene and nothing else, and a scene shows one object: to know the scene is to know the object
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"scene": np.repeat(np.arange(40), 5), "object": np.repeat(OBJECTS * 10, 5)})
    layer = 10 * rng.normal(size=(40, 60))[table["scene"]] + 0.01 * rng.normal(size=(200, 60))
    honest = probe_layers(layer[None], table, "scene", classifier="logistic")["correct"].mean()
    leaking = probe_layers(layer[None], table, np.arange(200), classifier="logistic")["correct"].mean()
    assert leaking == 1
    assert honest < 0.6


def test_unreadable_rows_are_neither_learned_from_nor_judged():
    table = scenes(6)
    layers = np.stack([vectors(table, 0.1), vectors(table, 0.1, seed=1)])
    layers[1, 5] = np.nan
    result = probe_layers(layers, table, "scene", seed=3)
    rest = np.arange(len(table)) != 5
    expected = probe_layers(layers[:, rest], table[rest], "scene", seed=3)
    assert result["correct"].isna().sum() == 2
    assert list(result.loc[result["correct"].isna(), "choice"]) == ["unreadable", "unreadable"]
    pd.testing.assert_frame_equal(result.dropna().reset_index(drop=True), expected, check_dtype=False)
    assert bootstrap.accuracy(result, resamples=10)["unreadable"].item() == 2


def test_the_seed_decides_the_split():
    table = scenes(9)
    layers = vectors(table, noise=2)[None]
    first, same = (probe_layers(layers, table, "scene", seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(first, same)
    others = [probe_layers(layers, table, "scene", seed=seed)["choice"] for seed in range(2, 8)]
    assert any(list(choice) != list(first["choice"]) for choice in others)


def test_bad_input_to_probes_is_named():
    table = scenes(6)
    layers = vectors(table, 0.1)[None]
    for arguments, message in [
        ((layers[0], table, "scene"), r"give \(n_layers, 24, width\)"),
        ((layers[:, 1:], table, "scene"), r"give \(n_layers, 24, width\)"),
        ((layers, table, "scenes"), r"\['scenes'\] are missing from the table.*did you mean 'scene'"),
        ((layers, table, [1, 2]), "2 groups but 24 rows"),
        ((layers, table, np.zeros(24)), "1 scenes cannot make 5 folds"),
        (
            (layers, table, table["scene"].where(table["object"] != "dog", 99)),
            "All rows of 'dog' fall into one",
        ),
    ]:
        with pytest.raises(InputError, match=message):
            probe_layers(*arguments)
    with pytest.raises(InputError, match="Unknown classifier 'logistics'; did you mean 'logistic'"):
        probe_layers(layers, table, "scene", classifier="logistics")
    with pytest.raises(InputError, match="1 different labels"):
        probe_layers(layers, table.assign(object="cup"), "scene")


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
