"""Mitigations in front of models, against the same done by hand, one view at a time."""

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from crosseyed.errors import InputError
from crosseyed.measure import protocols
from crosseyed.mitigations.base import AGGREGATES, Ensemble, Location, Mitigation, portions
from crosseyed.mitigations.composition import Composed, compose
from crosseyed.mitigations.mitigated import clip_model_of, mitigate
from crosseyed.mitigations.pooling import pool
from crosseyed.models.scorer import Encoder, Scorer, UnreadableImagesWarning

TEXTS = ["a photo of a dog", "a photo of a cat", "two trees"]
MIDDLE = Location(0.5, 0.5, 0.3)


@dataclass(frozen=True)
class Nothing(Mitigation):
    label: ClassVar[str] = "nothing"
    strength: float = 0.0


@dataclass(frozen=True)
class Darker(Mitigation):
    label: ClassVar[str] = "darker"
    factor: float = 0.5

    def views(self, image, location):
        return [(image * self.factor).astype(np.uint8)]


@dataclass(frozen=True)
class Turned(Ensemble):
    """As many quarter turns as there are views, the plain picture first."""

    label: ClassVar[str] = "turned"
    moves: ClassVar[bool] = True
    turns: int = 3

    @property
    def n_views(self):
        return self.turns

    def views(self, image, location):
        return [np.rot90(image, turn) for turn in range(self.turns)]


@dataclass(frozen=True)
class Marked(Mitigation):
    """A white row at the height of the object."""

    label: ClassVar[str] = "marked"
    needs_location: ClassVar[bool] = True

    def views(self, image, location):
        marked = image.copy()
        marked[int(location.y * len(image))] = 255
        return [marked]


@dataclass(frozen=True, eq=False)
class Louder(Mitigation):
    """Multiply the class token by a factor while the context is open, and keep a diary."""

    label: ClassVar[str] = "louder"
    factor: float
    diary: list

    @contextmanager
    def applied(self, model):
        original = model.clip.visual.class_embedding
        model.clip.visual.class_embedding = torch.nn.Parameter(original * self.factor, requires_grad=False)
        self.diary.append(("enter", self.factor))
        try:
            yield
        finally:
            model.clip.visual.class_embedding = original
            self.diary.append(("leave", self.factor))


@dataclass(frozen=True)
class Zoomed(Mitigation):
    """The quarter of the picture around the object."""

    label: ClassVar[str] = "zoomed"
    needs_location: ClassVar[bool] = True
    moves: ClassVar[bool] = True

    def views(self, image, location):
        top = int(location.y * len(image) / 2)
        return [image[top : top + len(image) // 2]]


@dataclass(frozen=True)
class Doubtful(Mitigation):
    """Asks twice; the second answer counts half."""

    label: ClassVar[str] = "doubtful"

    def score(self, scorer, model, views, texts):
        answers = []
        for portion in portions(views, 4):
            first, second = (scorer.similarities(portion, texts, progress=False) for _ in range(2))
            answers.append(first + second / 2)
        return np.concatenate(answers)


def pictures(n_images=4):
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (40, 50 - 3 * number % 20, 3), np.uint8) for number in range(n_images)]


def by_hand(model, views_of, images):
    """Cosines (n_images, n_views, n_texts) of views encoded one at a time."""
    texts = model.encode_texts(TEXTS).astype(float)
    return np.array(
        [
            [texts @ model.encode_images([view])[0].astype(float) for view in views_of(image)]
            for image in images
        ]
    )


# --- strength zero ----------------------------------------------------------------------------------------


def test_doing_nothing_gives_the_plain_model_bit_for_bit_across_batches_and_unreadable_images(tiny_clip):
    images = [*pictures(20), "missing.png", *pictures(20)]
    for unchanged in (mitigate(tiny_clip, Nothing()), mitigate(mitigate(tiny_clip, Nothing()), Nothing())):
        with pytest.warns(UnreadableImagesWarning):
            np.testing.assert_array_equal(
                unchanged.similarities(images, TEXTS), tiny_clip.similarities(images, TEXTS)
            )
        with pytest.warns(UnreadableImagesWarning):
            np.testing.assert_array_equal(unchanged.encode_images(images), tiny_clip.encode_images(images))


def test_one_view_of_an_ensemble_is_not_aggregated(tiny_clip):
    single = mitigate(tiny_clip, Turned(turns=1, aggregate="logsumexp"))
    np.testing.assert_array_equal(
        single.similarities(pictures(), TEXTS), tiny_clip.similarities(pictures(), TEXTS)
    )
    np.testing.assert_array_equal(single.encode_images(pictures()), tiny_clip.encode_images(pictures()))


# --- views and their combination --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aggregate", "reference"),
    [
        ("max", lambda values, scale: max(values)),
        ("mean", lambda values, scale: sum(values) / len(values)),
        (
            "logsumexp",
            lambda values, scale: math.log(sum(math.exp(scale * v) for v in values) / len(values)) / scale,
        ),
    ],
)
def test_views_are_combined_caption_by_caption(tiny_clip, aggregate, reference):
    mitigation = Turned(turns=3, aggregate=aggregate, temperature=2.0)
    found = mitigate(tiny_clip, mitigation).similarities(pictures(), TEXTS)
    views = by_hand(tiny_clip, lambda image: [np.rot90(image, turn) for turn in range(3)], pictures())
    scale = tiny_clip.logit_scale / 2
    expected = [[reference(list(column), scale) for column in image.T] for image in views]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_log_sum_exp_of_known_values():
    similarities = np.array([[[0.1], [0.3]]])
    expected = math.log((math.exp(1) + math.exp(3)) / 2) / 10
    assert AGGREGATES["logsumexp"](similarities, 10.0) == pytest.approx(expected)
    assert AGGREGATES["logsumexp"](similarities, 1e5) == pytest.approx(0.3, abs=1e-4)
    assert AGGREGATES["logsumexp"](similarities, 1e-5) == pytest.approx(0.2, abs=1e-4)


def test_the_temperature_goes_from_the_maximum_to_the_mean():
    similarities = np.random.default_rng(0).normal(size=(2, 5, 3))
    cold, warm = (
        Turned(turns=5, aggregate="logsumexp", temperature=t).combine(similarities, 100.0)
        for t in (1e-4, 1e6)
    )
    np.testing.assert_allclose(cold, similarities.max(1), atol=1e-4)
    np.testing.assert_allclose(warm, similarities.mean(1), atol=1e-3)


def test_the_vector_of_a_mean_is_the_mean_direction_of_the_views(tiny_clip):
    mitigated = mitigate(tiny_clip, Turned(turns=3, aggregate="mean"))
    means = np.array(
        [
            tiny_clip.encode_images([np.rot90(image, turn) for turn in range(3)]).mean(0)
            for image in pictures()
        ]
    )
    vectors = mitigated.encode_images(pictures())
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, means / lengths, atol=1e-6)
    cosines = vectors.astype(float) @ mitigated.encode_texts(TEXTS).astype(float).T
    np.testing.assert_allclose(mitigated.similarities(pictures(), TEXTS), lengths * cosines, atol=1e-6)


def test_each_image_is_read_once_however_many_views_it_has(tiny_clip):
    read = []

    def source(number):
        def make():
            read.append(number)
            return pictures()[number]

        return make

    images = (source(number) for number in range(4))  # a generator: it has no length
    mitigate(tiny_clip, compose(Turned(turns=3), Turned(turns=2))).similarities(images, TEXTS)
    assert sorted(read) == [0, 1, 2, 3]


def test_unreadable_images_are_counted_as_images_and_reported_once(tiny_clip, tmp_path):
    good = pictures(3)
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


# --- the model --------------------------------------------------------------------------------------------


def test_the_change_is_in_force_while_images_are_encoded_and_undone_after(tiny_clip):
    diary, original = [], tiny_clip.clip.visual.class_embedding
    mitigated = mitigate(tiny_clip, Louder(5.0, diary))
    found = mitigated.encode_images(pictures())
    assert diary == [("enter", 5.0), ("leave", 5.0)]
    assert tiny_clip.clip.visual.class_embedding is original
    with Louder(5.0, diary).applied(tiny_clip):
        np.testing.assert_array_equal(found, tiny_clip.encode_images(pictures()))
    assert not np.allclose(found, tiny_clip.encode_images(pictures()))


def test_the_change_is_undone_if_an_image_is_no_image(tiny_clip):
    original = tiny_clip.clip.visual.class_embedding
    mitigated = mitigate(tiny_clip, compose(Louder(5.0, []), Louder(2.0, [])))
    for ask in (mitigated.encode_images, lambda images: mitigated.similarities(images, TEXTS)):
        with pytest.raises(InputError, match="must be a file name"):
            ask([*pictures(), 7])
        assert tiny_clip.clip.visual.class_embedding is original


def test_a_repooled_model_can_be_mitigated(tiny_clip):
    average = pool(tiny_clip, "average")
    found = mitigate(average, Turned(turns=2)).similarities(pictures(), TEXTS)
    expected = by_hand(average, lambda image: [image, np.rot90(image)], pictures()).max(1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert clip_model_of(average) is tiny_clip
    assert clip_model_of(mitigate(average, Nothing())) is tiny_clip


def test_a_mitigation_may_ask_more_than_once(tiny_clip):
    found = mitigate(tiny_clip, compose(Turned(turns=2), Doubtful())).similarities(pictures(5), TEXTS)
    expected = 1.5 * by_hand(tiny_clip, lambda image: [image, np.rot90(image)], pictures(5)).max(1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_mitigated_model_answers_protocols_under_the_name_of_the_model(tiny_clip):
    mitigated = mitigate(tiny_clip, Turned(turns=2, aggregate="mean"))
    assert isinstance(mitigated, Scorer) and isinstance(mitigated, Encoder)
    table = protocols.zero_shot(
        mitigated, pictures(2), pd.DataFrame({"object": ["dog", "cat"]}), ["dog", "cat"]
    )
    assert set(table["model"]) == {tiny_clip.model} and set(table["pretrained"]) == {tiny_clip.pretrained}
    assert mitigated.name == f"{tiny_clip.name}, turned (turns=2, aggregate=mean)"


# --- composition ------------------------------------------------------------------------------------------


def test_composed_views_are_views_of_views_and_combined_from_the_inside(tiny_clip):
    outer, inner = Turned(turns=2, aggregate="mean"), Turned(turns=3, aggregate="max")
    nested = by_hand(
        tiny_clip,
        lambda image: [np.rot90(np.rot90(image, first), then) for first in range(2) for then in range(3)],
        pictures(),
    )
    expected = nested.reshape(4, 2, 3, 3).max(2).mean(1)
    for mitigated in (
        mitigate(tiny_clip, compose(outer, inner)),
        mitigate(mitigate(tiny_clip, inner), outer),
    ):
        assert mitigated.mitigation.n_views == mitigated.mitigation.passes == 6
        np.testing.assert_allclose(mitigated.similarities(pictures(), TEXTS), expected, atol=1e-6)


def test_composed_means_have_the_vector_of_nested_means(tiny_clip):
    mitigated = mitigate(
        tiny_clip, compose(Turned(turns=2, aggregate="mean"), Turned(turns=3, aggregate="mean"))
    )
    (image,) = pictures(1)
    outer = []
    for first in range(2):
        inner = tiny_clip.encode_images([np.rot90(np.rot90(image, first), then) for then in range(3)]).mean(0)
        outer.append(inner / np.linalg.norm(inner))
    expected = np.mean(outer, 0) / np.linalg.norm(np.mean(outer, 0))
    np.testing.assert_allclose(mitigated.encode_images([image])[0], expected, atol=1e-6)


def test_composed_changes_are_in_force_together_and_leave_in_reverse(tiny_clip):
    diary = []
    composed = compose(Louder(5.0, diary), Louder(2.0, diary))
    found = mitigate(tiny_clip, composed).similarities(pictures(), TEXTS)
    assert diary == [("enter", 5.0), ("enter", 2.0), ("leave", 2.0), ("leave", 5.0)]
    np.testing.assert_array_equal(
        found, mitigate(tiny_clip, Louder(10.0, [])).similarities(pictures(), TEXTS)
    )
    np.testing.assert_array_equal(
        mitigate(tiny_clip, composed).encode_images(pictures()),
        mitigate(tiny_clip, Louder(10.0, [])).encode_images(pictures()),
    )


def test_composition_is_flat_and_of_one_is_that_one():
    inner = compose(Nothing(), Darker())
    assert compose(inner, Nothing(1.0)).parts == (Nothing(), Darker(), Nothing(1.0))
    assert compose(Darker()) == Darker()
    with pytest.raises(InputError, match="at least one"):
        compose()


def test_names_tell_all_parameters_that_matter():
    assert Nothing(0.25).name == "nothing (strength=0.25)"
    assert (
        Turned(turns=2, aggregate="logsumexp").name == "turned (turns=2, aggregate=logsumexp, temperature=1)"
    )
    assert compose(Nothing(), Turned()).name == "nothing (strength=0) + turned (turns=3, aggregate=max)"


def test_two_that_are_told_and_move_exclude_each_other(tiny_clip):
    with pytest.raises(InputError, match="zoomed and zoomed exclude each other"):
        compose(Zoomed(), Darker(), Zoomed())
    with pytest.raises(InputError, match="exclude each other"):
        mitigate(mitigate(tiny_clip, Zoomed(), [MIDDLE]), Zoomed())
    assert compose(Marked(), Zoomed()).needs_location


def test_only_views_is_about_the_model():
    assert Turned().only_views and compose(Turned(), Darker()).only_views
    assert not Louder(1.0, []).only_views and not Doubtful().only_views
    assert not compose(Turned(), Doubtful()).only_views


# --- places -----------------------------------------------------------------------------------------------


def test_an_oracle_is_told_the_location_of_each_image(tiny_clip):
    locations = [Location(0.5, y, 0.3) for y in (0.0, 0.3, 0.6, 0.9)]
    found = mitigate(tiny_clip, Marked(), locations).similarities(pictures(), TEXTS)
    marked = [Marked().views(image, place)[0] for image, place in zip(pictures(), locations, strict=True)]
    np.testing.assert_array_equal(found, tiny_clip.similarities(marked, TEXTS))


def test_an_oracle_sees_the_picture_before_it_is_moved(tiny_clip):
    locations = [Location(0.5, 0.1, 0.3)] * 4
    composed = mitigate(tiny_clip, compose(Darker(), Marked(), Turned(turns=2)), locations)

    def views(image):
        marked = Marked().views((image * 0.5).astype(np.uint8), locations[0])[0]
        return [marked, np.rot90(marked)]

    expected = by_hand(tiny_clip, views, pictures()).max(1)
    np.testing.assert_allclose(composed.similarities(pictures(), TEXTS), expected, atol=1e-6)
    nested = mitigate(mitigate(tiny_clip, Turned(turns=2)), compose(Darker(), Marked()), locations)
    np.testing.assert_allclose(nested.similarities(pictures(), TEXTS), expected, atol=1e-6)
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
    for images in (pictures(3), pictures(5)):
        mitigated = mitigate(tiny_clip, Marked(), [MIDDLE] * 4)
        for given in (images, iter(images)):
            with pytest.raises(InputError, match="told 4 locations"):
                mitigated.similarities(given, TEXTS)


@pytest.mark.parametrize("place", [(math.nan, 0.5, 0.3), (0.5, math.inf, 0.3), (0.5, 0.5, 0.0)])
def test_a_location_is_a_place(place):
    with pytest.raises(InputError, match="is not a location"):
        Location(*place)


# --- what is refused --------------------------------------------------------------------------------------


def test_a_model_without_a_single_vector_says_so(tiny_clip):
    by_caption = pool(tiny_clip, "caption-conditioned")
    for mitigated in (
        mitigate(tiny_clip, Turned(turns=2)),
        mitigate(tiny_clip, Doubtful()),
        mitigate(tiny_clip, compose(Turned(turns=2, aggregate="mean"), Turned(turns=2))),
    ):
        with pytest.raises(InputError, match="no single vector"):
            mitigated.encode_images(pictures())
    with pytest.raises(InputError, match="caption"):
        mitigate(by_caption, Nothing()).encode_images(pictures())


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aggregate": "maximum"}, "Unknown aggregate 'maximum'"),
        ({"aggregate": "mea"}, "did you mean 'mean'"),
        ({"temperature": 0.0}, "temperature is above 0, not"),
        ({"temperature": math.inf}, "temperature is above 0, not"),
        ({"temperature": math.nan}, "temperature is above 0, not"),
    ],
)
def test_ensembles_check_their_parameters(options, message):
    with pytest.raises(InputError, match=message):
        Turned(turns=2, **options)


def test_portions_are_all_views_in_order():
    assert list(portions(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_composed_says_what_its_parts_say():
    assert (
        Composed((Nothing(), Marked())).needs_location and not Composed((Nothing(), Darker())).needs_location
    )
    assert Composed((Nothing(), Turned())).moves and not Composed((Nothing(), Darker())).moves
