import warnings

import numpy as np
import pandas as pd
import pytest
from mitigations_by_hand import (
    MIDDLE,
    TEXTS,
    Darker,
    Doubtful,
    Louder,
    Marked,
    Nothing,
    Turned,
    by_hand,
    some_images,
)

from crosseyed.errors import InputError
from crosseyed.measure import protocols
from crosseyed.mitigations.base import Location
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.mitigated import clip_model_of, mitigate
from crosseyed.mitigations.pooling import pool
from crosseyed.models.scorer import Encoder, Scorer, UnreadableImagesWarning


def test_doing_nothing_gives_the_plain_model_bit_for_bit_across_batches_and_unreadable_images(tiny_clip):
    images = [*some_images(20), "missing.png", *some_images(20)]
    for unchanged in (mitigate(tiny_clip, Nothing()), mitigate(mitigate(tiny_clip, Nothing()), Nothing())):
        with pytest.warns(UnreadableImagesWarning):
            np.testing.assert_array_equal(
                unchanged.similarities(images, TEXTS), tiny_clip.similarities(images, TEXTS)
            )
        with pytest.warns(UnreadableImagesWarning):
            np.testing.assert_array_equal(unchanged.encode_images(images), tiny_clip.encode_images(images))


def test_each_image_is_read_once_however_many_views_it_has(tiny_clip):
    read = []

    def source(number):
        def make():
            read.append(number)
            return some_images()[number]

        return make

    images = (source(number) for number in range(4))  # a generator: it has no length
    mitigate(tiny_clip, compose(Turned(turns=3), Turned(turns=2))).similarities(images, TEXTS)
    assert sorted(read) == [0, 1, 2, 3]


def test_unreadable_images_are_counted_as_images_and_reported_once(tiny_clip, tmp_path):
    good = some_images(3)
    empty = tmp_path / "empty.png"
    empty.touch()
    images = [good[0], str(empty), good[1], tmp_path / "missing.png", good[2]]
    mitigated = mitigate(tiny_clip, compose(Turned(turns=2), Turned(turns=3, aggregate="mean")))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = mitigated.similarities(images, TEXTS)
    (warning,) = [each for each in caught if each.category is UnreadableImagesWarning]
    assert str(warning.message).startswith("2 of 5 images")
    assert "empty.png (the file is empty)" in str(warning.message) and "missing.png" in str(warning.message)
    assert warning.filename == __file__
    assert np.isnan(found[[1, 3]]).all()
    np.testing.assert_allclose(found[[0, 2, 4]], mitigated.similarities(good, TEXTS), atol=1e-6)


def test_no_image_gives_no_row(tiny_clip):
    assert mitigate(tiny_clip, Turned(turns=3)).similarities([], TEXTS).shape == (0, 3)


def test_the_change_is_in_force_while_images_are_encoded_and_undone_after(tiny_clip):
    diary, original = [], tiny_clip.clip.visual.class_embedding
    mitigated = mitigate(tiny_clip, Louder(5.0, diary))
    found = mitigated.encode_images(some_images())
    assert diary == [("enter", 5.0), ("leave", 5.0)]
    assert tiny_clip.clip.visual.class_embedding is original
    with Louder(5.0, diary).applied(tiny_clip):
        np.testing.assert_array_equal(found, tiny_clip.encode_images(some_images()))
    assert not np.allclose(found, tiny_clip.encode_images(some_images()))


def test_the_change_is_undone_if_an_image_is_no_image(tiny_clip):
    original = tiny_clip.clip.visual.class_embedding
    mitigated = mitigate(tiny_clip, compose(Louder(5.0, []), Louder(2.0, [])))
    for ask in (mitigated.encode_images, lambda images: mitigated.similarities(images, TEXTS)):
        with pytest.raises(InputError, match="must be a file name"):
            ask([*some_images(), 7])
        assert tiny_clip.clip.visual.class_embedding is original


def test_a_repooled_model_can_be_mitigated(tiny_clip):
    average = pool(tiny_clip, "average")
    found = mitigate(average, Turned(turns=2)).similarities(some_images(), TEXTS)
    expected = by_hand(average, lambda image: [image, np.rot90(image)], some_images()).max(1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert clip_model_of(average) is tiny_clip
    assert clip_model_of(mitigate(average, Nothing())) is tiny_clip


def test_a_mitigation_may_ask_more_than_once(tiny_clip):
    found = mitigate(tiny_clip, compose(Turned(turns=2), Doubtful())).similarities(some_images(5), TEXTS)
    expected = 1.5 * by_hand(tiny_clip, lambda image: [image, np.rot90(image)], some_images(5)).max(1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_mitigated_model_answers_protocols_under_the_name_of_the_model(tiny_clip):
    mitigated = mitigate(tiny_clip, Turned(turns=2, aggregate="mean"))
    assert isinstance(mitigated, Scorer) and isinstance(mitigated, Encoder)
    table = protocols.zero_shot(
        mitigated, some_images(2), pd.DataFrame({"object": ["dog", "cat"]}), ["dog", "cat"]
    )
    assert set(table["model"]) == {tiny_clip.model} and set(table["pretrained"]) == {tiny_clip.pretrained}
    assert mitigated.name == f"{tiny_clip.name}, turned (turns=2, aggregate=mean)"


def test_an_oracle_is_told_the_location_of_each_image(tiny_clip):
    locations = [Location(0.5, y, 0.3) for y in (0.0, 0.3, 0.6, 0.9)]
    found = mitigate(tiny_clip, Marked(), locations).similarities(some_images(), TEXTS)
    marked = [Marked().views(image, place)[0] for image, place in zip(some_images(), locations, strict=True)]
    np.testing.assert_array_equal(found, tiny_clip.similarities(marked, TEXTS))


def test_an_oracle_sees_the_image_before_it_is_moved(tiny_clip):
    locations = [Location(0.5, 0.1, 0.3)] * 4
    composed = mitigate(tiny_clip, compose(Darker(), Marked(), Turned(turns=2)), locations)

    def views(image):
        marked = Marked().views((image * 0.5).astype(np.uint8), locations[0])[0]
        return [marked, np.rot90(marked)]

    expected = by_hand(tiny_clip, views, some_images()).max(1)
    np.testing.assert_allclose(composed.similarities(some_images(), TEXTS), expected, atol=1e-6)
    nested = mitigate(mitigate(tiny_clip, Turned(turns=2)), compose(Darker(), Marked()), locations)
    np.testing.assert_allclose(nested.similarities(some_images(), TEXTS), expected, atol=1e-6)
    with pytest.raises(InputError, match="put marked first"):
        compose(Turned(turns=2), Marked())
    with pytest.raises(InputError, match="put marked first"):
        mitigate(mitigate(tiny_clip, Marked(), locations), Turned(turns=2))


def test_an_oracle_needs_one_location_for_each_image(tiny_clip):
    with pytest.raises(InputError, match="has to be told where the object is"):
        mitigate(tiny_clip, Marked())
    with pytest.raises(InputError, match="has to be told where the object is"):
        mitigate(tiny_clip, compose(Marked(), Turned()))
    with pytest.raises(InputError, match=r"locations are Location objects, not \(0.5, 0.5\)"):
        mitigate(tiny_clip, Marked(), [(0.5, 0.5)])
    for images in (some_images(3), some_images(5)):
        mitigated = mitigate(tiny_clip, Marked(), [MIDDLE] * 4)
        for given in (images, iter(images)):
            with pytest.raises(InputError, match="told 4 locations"):
                mitigated.similarities(given, TEXTS)


def test_a_model_without_a_single_vector_says_so(tiny_clip):
    by_caption = pool(tiny_clip, "caption-conditioned")
    for mitigated in (
        mitigate(tiny_clip, Turned(turns=2)),
        mitigate(tiny_clip, Doubtful()),
        mitigate(tiny_clip, compose(Turned(turns=2, aggregate="mean"), Turned(turns=2))),
    ):
        with pytest.raises(InputError, match="no single vector"):
            mitigated.encode_images(some_images())
    with pytest.raises(InputError, match="caption"):
        mitigate(by_caption, Nothing()).encode_images(some_images())


def test_several_images_and_a_model_are_expected(tiny_clip):
    with pytest.raises(InputError, match=r"put 'a\.png' into a list"):
        mitigate(tiny_clip, Nothing()).similarities("a.png", TEXTS)
    with pytest.raises(InputError, match="A str cannot be mitigated"):
        mitigate("ViT-B-32", Nothing())


def test_the_model_is_checked_by_every_part(tiny_clip):
    class Picky(Nothing):
        def check(self, model):
            raise InputError(f"not {model.name}")

    for mitigation in (Picky(), compose(Nothing(), Picky())):
        with pytest.raises(InputError, match=f"not {tiny_clip.name}"):
            mitigate(tiny_clip, mitigation)
