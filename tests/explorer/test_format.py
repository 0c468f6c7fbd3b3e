"""What a page reads back is what the library answered, and nothing in it is markup."""

import dataclasses

import numpy as np
import pytest
from small_explorer import NAMES, SIZES, random_explorer, read_back

from crosseyed.errors import InputError
from crosseyed.explorer import format


def test_a_page_reads_back_every_array_and_name():
    explorer = random_explorer()
    page = read_back(format.script(explorer))
    for shown, given in zip(page["single"], explorer.single, strict=True):
        for name in ("rank", "own", "top", "share"):
            np.testing.assert_array_equal(shown[name], getattr(given.answers, name))
        for number, model in enumerate(explorer.models):
            if model.attention is None:
                assert shown["attention"][number] is None
                assert shown["peak"][number] is None
                assert page["models"][number]["noAttention"] == model.no_attention
            else:
                np.testing.assert_array_equal(shown["attention"][number], given.attention[number])
                np.testing.assert_array_equal(shown["peak"][number], given.peak[number])
    np.testing.assert_array_equal(page["pairs"]["share"], explorer.pairs.share)
    for mode, own in zip(page["mitigations"]["models"], explorer.mitigations.models, strict=True):
        np.testing.assert_array_equal(mode["rank"], own.answers.rank)
        assert [(each["name"], each["passes"]) for each in mode["candidates"]] == list(own.candidates)
    assert page["names"] == list(NAMES)
    assert [page["names"][each["name"]] for each in page["objects"]] == list(NAMES[:3])
    assert page["places"] == [[list(format.places(size, n)) for size in SIZES] for n in (5, 3)]


def test_a_script_has_no_character_that_markup_begins_with():
    text = format.script(random_explorer(banner="</script><script>alert(1)</script>\u2028"))
    assert "<" not in text and text.isascii() and text.count("\n") == 1
    assert read_back(text)["banner"] == "</script><script>alert(1)</script>\u2028"


def test_answers_are_those_of_sorting_each_image_by_hand():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.full(300, 0.1), (4, 3))
    truth = rng.integers(300, size=(4, 1))
    found = format.answers(probabilities, truth)
    for image in np.ndindex(4, 3):
        by_share = sorted(range(300), key=lambda name, row=probabilities[image]: -row[name])
        own = truth[image[0], 0]
        assert found.rank[image] == min(1 + by_share.index(own), 255)
        assert found.own[image] == round(1000 * probabilities[image][own])
        assert list(found.top[image]) == by_share[:5]
        assert list(found.share[image]) == [round(1000 * probabilities[image][name]) for name in by_share[:5]]
    assert found.top.dtype == np.uint16
    assert found.rank.max() == 255


def test_a_map_is_scaled_to_its_largest_patch_and_says_how_large_that_is():
    maps, peak = format.attention_maps(np.array([[[0.4, 0.2], [0.2, 0.2]], [[0.0, 0.0], [0.0, 1.0]]]))
    np.testing.assert_array_equal(maps, [[[255, 128], [128, 128]], [[0, 0], [0, 255]]])
    np.testing.assert_array_equal(peak, [160, 400])


@pytest.mark.parametrize("size", [0.1, 0.35, 1])
def test_an_object_is_inside_the_image_at_all_places_and_touches_the_border_at_the_outermost(size):
    places = np.array(format.places(size, 9))
    assert places[4] == pytest.approx(0.5)
    assert places[0] - size / 2 == pytest.approx(0)
    assert places[-1] + size / 2 == pytest.approx(1)


@pytest.mark.parametrize(("size", "n_places"), [(0.3, 8), (0.3, 1), (0, 9), (1.2, 9)])
def test_places_that_are_none_are_refused(size, n_places):
    with pytest.raises(InputError, match=r"n_places|Object size"):
        format.places(size, n_places)


def test_a_script_that_is_too_large_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match="MB is the most"):
        format.write(random_explorer(banner="b" * format.LARGEST), tmp_path / "explorer" / "data.js")
    assert not list(tmp_path.rglob("*.js"))


def test_an_array_of_another_shape_is_refused():
    explorer = random_explorer()
    pairs = dataclasses.replace(explorer.pairs, share=explorer.pairs.share[:, :1])
    for wrong in ({"pairs": pairs}, {"single": explorer.single[::-1]}):
        with pytest.raises(InputError, match="An array of the explorer"):
            format.script(dataclasses.replace(explorer, **wrong))
