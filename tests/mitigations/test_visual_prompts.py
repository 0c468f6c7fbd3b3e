"""Prompts are checked pixel by pixel against hand-worked images, the mitigations against a plain loop."""

import numpy as np
import pytest
from small_mitigations import CENTER, some_image

from crosseyed.errors import InputError
from crosseyed.mitigations import marks
from crosseyed.mitigations.base import Location
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.marks import PROMPTS
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.visual_prompts import Prompted, ProposedPrompts, proposals

TEXTS = ["a photo of a dog", "a photo of a cat", "a photo of a palm tree"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "circel"}, "'circle'"),
        ({"color": "rad"}, "'red'"),
        ({"color": "#12"}, "#rrggbb"),
        ({"strength": 1.5}, "strength .* 1.5"),
        ({"strength": -0.1}, "strength .* -0.1"),
        ({"strength": float("nan")}, "strength .* nan"),
        ({"margin": -1.0}, "margin .* -1.0"),
        ({"margin": float("inf")}, "margin .* inf"),
        ({"width": 2.0}, "width .* 2.0"),
        ({"kind": "crop", "strength": 2.0}, "strength .* 2.0"),
        ({"kind": "crop", "color": "red"}, "'crop' draws no line: leave out its color"),
        ({"kind": "dim outside", "width": 0.1}, "leave out its width"),
    ],
)
@pytest.mark.parametrize("mitigation", [Prompted, ProposedPrompts])
def test_a_prompt_that_makes_no_sense_is_refused(mitigation, options, message):
    with pytest.raises(InputError, match=message):
        mitigation(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": 0}, "at least 1, not 0"),
        ({"grid": 2.5}, "whole number"),
        ({"size": 1.01}, "size is above 0 and at most 1, not 1.01"),
        ({"size": 0.0}, "size is above 0 and at most 1, not 0.0"),
        ({"aggregate": "maximum"}, "'max'"),
    ],
)
def test_proposals_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ProposedPrompts(**options)


def test_proposals_are_cell_centers_moved_inward():
    # 0.8 of 100 pixels reaches 40 to both sides: 0.4 of the height, but only 0.2 of the width
    places = [(place.x, place.y) for place in proposals(100, 200, 2, 0.8)]
    np.testing.assert_allclose(places, [(0.25, 0.4), (0.75, 0.4), (0.25, 0.6), (0.75, 0.6)])
    assert proposals(10, 10, 1, 0.1) == [Location(0.5, 0.5, 0.1)]


def test_names_tell_all_that_matters_and_nothing_else():
    assert Prompted().name == "visual prompt (kind=circle, strength=1, margin=0.1, color=red, width=0.02)"
    assert Prompted("crop", strength=0.5).name == "visual prompt (kind=crop, strength=0.5, margin=0.1)"
    assert ProposedPrompts("crop").name.endswith("grid=3, size=0.3, plain=True)")
    assert Prompted("box", color="red") == Prompted("box")


@pytest.mark.parametrize("kind", PROMPTS)
def test_the_oracle_encodes_the_prompted_images(tiny_clip, kind):
    images = [some_image(40, 60, seed) for seed in range(3)]
    places = [Location(0.2, 0.3, 0.4), Location(0.8, 0.8, 0.2), CENTER]
    told = mitigate(tiny_clip, Prompted(kind), places)
    prompted = [PROMPTS[kind](image, place) for image, place in zip(images, places, strict=True)]
    np.testing.assert_array_equal(told.encode_images(images), tiny_clip.encode_images(prompted))
    assert told.mitigation.passes == 1


def test_the_oracle_needs_locations(tiny_clip):
    with pytest.raises(InputError, match="locations"):
        mitigate(tiny_clip, Prompted())


@pytest.mark.parametrize("aggregate", ["max", "mean"])
@pytest.mark.parametrize("plain", [False, True])
def test_proposed_prompts_combine_what_a_loop_over_the_grid_finds(tiny_clip, aggregate, plain):
    images = [some_image(40, 60, seed) for seed in range(2)]
    mitigation = ProposedPrompts("dim outside", grid=2, size=0.5, plain=plain, aggregate=aggregate)
    found = mitigate(tiny_clip, mitigation).similarities(images, TEXTS, progress=False)
    for image, row in zip(images, found, strict=True):
        views = [image] if plain else []
        for y in (0.25, 0.75):
            for x in (0.25, 0.75):
                views.append(marks.dim_outside(image, Location(x, y, 0.5)))
        each = tiny_clip.similarities(views, TEXTS, progress=False)
        np.testing.assert_allclose(row, getattr(each, aggregate)(axis=0), atol=1e-6)
    assert mitigation.passes == 4 + plain


@pytest.mark.parametrize("options", [{"strength": 0.0}, {"width": 0.0}, {"kind": "crop", "strength": 0.0}])
@pytest.mark.parametrize("aggregate", ["max", "mean", "logsumexp"])
def test_strength_zero_gives_the_plain_embedding_bit_for_bit(tiny_clip, options, aggregate):
    images = [some_image(40, 60, seed) for seed in range(3)]
    plain = tiny_clip.encode_images(images)
    told = mitigate(tiny_clip, Prompted(**options), [CENTER] * 3)
    proposed = mitigate(tiny_clip, ProposedPrompts(aggregate=aggregate, **options))
    np.testing.assert_array_equal(told.encode_images(images), plain)
    np.testing.assert_array_equal(proposed.encode_images(images), plain)
    np.testing.assert_array_equal(
        proposed.similarities(images, TEXTS, progress=False),
        tiny_clip.similarities(images, TEXTS, progress=False),
    )
    assert proposed.mitigation.passes == 1


def test_nobody_is_told_a_location_after_a_crop():
    with pytest.raises(InputError, match="moves"):
        compose(Prompted("crop"), Prompted("circle"))
    assert compose(Prompted("circle"), Prompted("crop")).needs_location
    assert compose(Prompted("crop", strength=0), Prompted("circle")).passes == 1
