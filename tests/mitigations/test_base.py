"""Mitigations in front of models, against the same done by hand, one view at a time."""

import math

import numpy as np
import pytest
from mitigations_by_hand import TEXTS, Darker, Doubtful, Louder, Nothing, Turned, by_hand, some_images

from crosseyed.errors import InputError
from crosseyed.mitigations.base import AGGREGATES, Location, portions
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.mitigated import mitigate


def test_one_view_of_an_ensemble_is_not_aggregated(tiny_clip):
    single = mitigate(tiny_clip, Turned(turns=1, aggregate="logsumexp"))
    np.testing.assert_array_equal(
        single.similarities(some_images(), TEXTS), tiny_clip.similarities(some_images(), TEXTS)
    )
    np.testing.assert_array_equal(single.encode_images(some_images()), tiny_clip.encode_images(some_images()))


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
    found = mitigate(tiny_clip, mitigation).similarities(some_images(), TEXTS)
    views = by_hand(tiny_clip, lambda image: [np.rot90(image, turn) for turn in range(3)], some_images())
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
            for image in some_images()
        ]
    )
    vectors = mitigated.encode_images(some_images())
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, means / lengths, atol=1e-6)
    cosines = vectors.astype(float) @ mitigated.encode_texts(TEXTS).astype(float).T
    np.testing.assert_allclose(mitigated.similarities(some_images(), TEXTS), lengths * cosines, atol=1e-6)


def test_names_tell_all_parameters_that_matter():
    assert Nothing(0.25).name == "nothing (strength=0.25)"
    assert (
        Turned(turns=2, aggregate="logsumexp").name == "turned (turns=2, aggregate=logsumexp, temperature=1)"
    )
    assert compose(Nothing(), Turned()).name == "nothing (strength=0) + turned (turns=3, aggregate=max)"


def test_only_views_is_about_the_model():
    assert Turned().only_views and compose(Turned(), Darker()).only_views
    assert not Louder(1.0, []).only_views and not Doubtful().only_views
    assert not compose(Turned(), Doubtful()).only_views


@pytest.mark.parametrize("place", [(math.nan, 0.5, 0.3), (0.5, math.inf, 0.3), (0.5, 0.5, 0.0)])
def test_a_location_is_a_place(place):
    with pytest.raises(InputError, match="is not a location"):
        Location(*place)


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
