import numpy as np
import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap
from crosseyed.measure.checks import EstimateWarning
from crosseyed.measure.retrieval import ranks, recall

LABELS = ["ant", "bee", "cow", "dog", "elk"]


def shown(seed=0, n=40):
    """Similarities on a coarse scale, so that there are ties, and the object of each image."""
    rng = np.random.default_rng(seed)
    objects = rng.choice(LABELS[:4], n)
    return rng.integers(0, 6, (n, len(LABELS))).astype(float), list(objects)


def slow_ranks(similarities, objects, rivals_of):
    found = []
    for image, name in enumerate(objects):
        own = similarities[image][LABELS.index(name)]
        place = 1
        for rival in rivals_of(name):
            if similarities[rival][LABELS.index(name)] >= own:
                place += 1
        found.append(place)
    return found


def test_ranks_among_all_images_of_other_objects_are_those_of_a_slow_loop():
    similarities, objects = shown()
    others = lambda name: [image for image, each in enumerate(objects) if each != name]  # noqa: E731
    assert ranks(similarities, objects, LABELS, 1000).tolist() == slow_ranks(similarities, objects, others)


def test_all_images_of_an_object_are_looked_for_among_the_same_others():
    similarities, objects = shown(1)
    found = ranks(similarities, objects, LABELS, 7, seed=3)
    assert found.max() <= 7
    for name in set(objects):
        column = LABELS.index(name)
        own = [image for image, each in enumerate(objects) if each == name]
        order = np.argsort(similarities[own, column])
        assert (np.diff(found[own][order]) <= 0).all()
    better = similarities.copy()
    for image, name in enumerate(objects):
        better[image, LABELS.index(name)] += 10
    assert ranks(better, objects, LABELS, 7, seed=3).min() == 1


def test_a_smaller_search_is_part_of_a_larger_one_and_the_seed_decides_it():
    similarities, objects = shown(2)
    few, many, other = (
        ranks(similarities, objects, LABELS, n, seed) for n, seed in ((5, 0), (20, 0), (5, 1))
    )
    assert (few <= many).all()
    assert (few != other).any()


def test_the_rank_of_a_random_guess_is_spread_evenly():
    rng = np.random.default_rng(0)
    objects = np.repeat(LABELS, 400)
    found = ranks(rng.normal(size=(2000, 5)), objects, LABELS, 10)
    assert found.mean() == pytest.approx(5.5, abs=0.9)


def test_images_that_cannot_be_read_are_neither_found_nor_in_the_way():
    similarities = np.array([[0.5, 0], [np.nan, np.nan], [0.9, 0.2], [0.1, 0.3]])
    objects = ["ant", "ant", "bee", "bee"]
    np.testing.assert_array_equal(ranks(similarities, objects, LABELS[:2], 9), [2, np.nan, 1, 1])
    similarities[2] = np.nan
    np.testing.assert_array_equal(ranks(similarities, objects, LABELS[:2], 9), [1, np.nan, np.nan, 1])


def test_recall_at_each_number_by_hand():
    table = pd.DataFrame(
        {"object": ["ant", "ant", "bee", "bee"], "center": [True, False] * 2, "rank": [1, 3, 2, np.nan]}
    )
    found = recall(table, [1, 2, 5])
    assert found["first"].tolist() == [1] * 4 + [2] * 4 + [5] * 4
    assert found["correct"].tolist() == [
        *(True, False, False, pd.NA),
        *(True, False, True, pd.NA),
        *(True, True, True, pd.NA),
    ]
    with pytest.warns(EstimateWarning, match="fewer than two objects"):  # one is readable off-center
        gaps = bootstrap.center_bias(found, by="first", resamples=20)
    assert gaps["center_accuracy"].tolist() == [50, 100, 100]
    assert gaps["off_center_accuracy"].tolist() == [0, 0, 100]


def test_a_search_needs_another_object():
    with pytest.raises(InputError, match="images of 1 object"):
        ranks(np.ones((2, 2)), ["ant", "ant"], LABELS[:2], 5)
    with pytest.raises(InputError, match="1 are to be searched"):
        ranks(np.ones((2, 2)), ["ant", "bee"], LABELS[:2], 1)
    with pytest.raises(InputError, match="rank"):
        recall(pd.DataFrame({"object": ["ant"]}), [1])
