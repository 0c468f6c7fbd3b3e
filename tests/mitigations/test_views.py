"""Views of an image against slow references, and the gate against decisions made by hand."""

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.special import softmax

from crosseyed.errors import InputError
from crosseyed.mitigations.base import Mitigation
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.views import Crops, CyclicShifts, Gated, Padding, Tiles, places
from crosseyed.models.scorer import UnreadableImagesWarning

TEXTS = ["a photo of a dog", "a photo of a cat", "two trees"]


@dataclass(frozen=True)
class Louder(Mitigation):
    """Changes the model: multiplies the class token."""

    label: ClassVar[str] = "louder"
    factor: float = 5.0

    @contextmanager
    def applied(self, model):
        original = model.clip.visual.class_embedding
        model.clip.visual.class_embedding = torch.nn.Parameter(original * self.factor, requires_grad=False)
        try:
            yield
        finally:
            model.clip.visual.class_embedding = original


def some_images(n_images=4):
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (40, 50 - 3 * number % 20, 3), np.uint8) for number in range(n_images)]


def numbered(height, width):
    """An image in which no two pixels are equal."""
    return np.stack(np.broadcast_arrays(*np.ogrid[:height, :width], 7), axis=-1).astype(np.uint8)


# --- strength zero ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nothing",
    [
        CyclicShifts(side=1),
        Crops(scale=1),
        Tiles(side=1, aggregate="logsumexp"),
        Padding(border=0),
        Padding(border=0, plain=False),
        Gated(CyclicShifts(side=3), threshold=0),
        Gated(Louder(), threshold=0),
        compose(CyclicShifts(side=1), Padding(border=0)),
    ],
    ids=lambda mitigation: mitigation.name,
)
def test_strength_zero_gives_the_plain_model_bit_for_bit(tiny_clip, nothing):
    images = [*some_images(35), "missing.png", *some_images(2)]
    mitigated = mitigate(tiny_clip, nothing)
    assert nothing.passes == nothing.n_views == 1 and not nothing.moves
    with pytest.warns(UnreadableImagesWarning, match="1 of 38"):
        np.testing.assert_array_equal(
            mitigated.similarities(images, TEXTS), tiny_clip.similarities(images, TEXTS)
        )
    with pytest.warns(UnreadableImagesWarning, match="1 of 38"):
        np.testing.assert_array_equal(mitigated.encode_images(images), tiny_clip.encode_images(images))


@pytest.mark.parametrize(
    ("mitigation", "count"),
    [
        (CyclicShifts(side=2), 5),
        (CyclicShifts(side=3), 9),
        (Crops(side=1), 2),
        (Crops(side=3), 10),
        (Tiles(side=2), 5),
        (Padding(), 2),
        (Padding(plain=False), 1),
        (Gated(CyclicShifts(side=3)), 9),
        (Gated(Padding(plain=False)), 2),
        (Gated(compose(CyclicShifts(side=2), Tiles(side=2))), 26),
        (Gated(Louder()), 2),
    ],
    ids=lambda value: getattr(value, "name", value),
)
@pytest.mark.parametrize("shape", [(40, 50, 3), (1, 1, 3), (3, 2, 3)])
def test_there_are_as_many_views_as_passes_for_images_of_any_size(mitigation, count, shape):
    views = mitigation.views(np.zeros(shape, np.uint8), None)
    assert mitigation.passes == mitigation.n_views == count == len(views)
    assert all(view.size > 0 and view.dtype == np.uint8 and view.shape[2] == 3 for view in views)


# --- cyclic shifts ----------------------------------------------------------------------------------------


def test_places_are_the_middle_and_the_other_cells():
    assert places(1) == [(0.5, 0.5)]
    assert places(2) == [(0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)]
    thirds = (1 / 6, 0.5, 5 / 6)
    assert len(places(3)) == 9 and places(3)[0] == (0.5, 0.5)
    np.testing.assert_allclose(sorted(places(3)), sorted(product(thirds, thirds)))


@pytest.mark.parametrize("side", [2, 3])
def test_each_place_comes_to_the_middle_and_pixels_wrap_around(side):
    image = numbered(36, 60)
    plain, *shifted = CyclicShifts(side=side).views(image, None)
    assert plain is image
    for (y, x), found in zip(places(side)[1:], shifted, strict=True):
        np.testing.assert_array_equal(found[18, 30], image[int(y * 36), int(x * 60)])
        down, right = 18 - int(y * 36), 30 - int(x * 60)
        for row, column in product(range(36), range(60)):
            np.testing.assert_array_equal(found[row, column], image[(row - down) % 36, (column - right) % 60])


def test_shifting_back_gives_the_image():
    for image in (numbered(36, 60), numbered(37, 61)):
        shifted = CyclicShifts(side=3).views(image, None)
        opposite = [CyclicShifts(side=3).views(view, None) for view in shifted]
        for there in range(1, 9):  # the places are symmetric: the last brings back what the first moved
            np.testing.assert_array_equal(opposite[there][9 - there], image)


# --- crops, tiles, padding --------------------------------------------------------------------------------


def test_crops_have_the_scale_and_reach_every_border():
    image = numbered(10, 20)
    _, *crops = Crops(side=2, scale=0.6).views(image, None)
    windows = [(rows, columns) for rows in ((0, 6), (4, 10)) for columns in ((0, 12), (8, 20))]
    for crop, ((top, bottom), (left, right)) in zip(crops, windows, strict=True):
        np.testing.assert_array_equal(crop, image[top:bottom, left:right])
    starts = [crop[0, 0, 0] for crop in Crops(side=3, scale=0.4).views(image, None)[1::3]]
    assert starts == [0, 3, 6]


def test_a_single_crop_is_in_the_middle():
    _, crop = Crops(side=1, scale=0.5).views(numbered(8, 12), None)
    np.testing.assert_array_equal(crop, numbered(8, 12)[2:6, 3:9])


@pytest.mark.parametrize(("height", "width", "side"), [(10, 20, 2), (11, 23, 3), (7, 7, 7)])
def test_tiles_make_up_the_image(height, width, side):
    image = numbered(height, width)
    _, *tiles = Tiles(side=side).views(image, None)
    rows = [np.concatenate(tiles[row * side : (row + 1) * side], axis=1) for row in range(side)]
    np.testing.assert_array_equal(np.concatenate(rows), image)
    assert max(len(tile) for tile in tiles) - min(len(tile) for tile in tiles) <= 1


def clamp(index, length):
    return min(max(index, 0), length - 1)


def mirror(index, length):
    period = 2 * (length - 1)
    index %= period
    return min(index, period - index)


@pytest.mark.parametrize(("fill", "source"), [("edge", clamp), ("reflect", mirror)])
def test_padding_continues_the_image(fill, source):
    image = numbered(8, 12)
    plain, padded = Padding(border=0.5, fill=fill).views(image, None)
    assert plain is image and padded.shape == (16, 24, 3)
    for row, column in product(range(16), range(24)):
        np.testing.assert_array_equal(padded[row, column], image[source(row - 4, 8), source(column - 6, 12)])


@pytest.mark.parametrize(("fill", "color"), [("red", (255, 0, 0)), ("#0102fe", (1, 2, 254))])
def test_padding_with_a_color(fill, color):
    image = numbered(8, 12)
    (padded,) = Padding(border=0.25, fill=fill, plain=False).views(image, None)
    assert padded.shape == (12, 18, 3)
    np.testing.assert_array_equal(padded[2:10, 3:15], image)
    padded[2:10, 3:15] = color
    assert (padded == color).all()


# --- the gate ---------------------------------------------------------------------------------------------


def test_the_gate_keeps_the_plain_answer_where_it_is_confident():
    gate = Gated(CyclicShifts(side=2, aggregate="mean"), threshold=0.7)
    plain, others = [[0.2, 0.1], [0.2, 0.15]], np.full((2, 4, 2), [0.0, 0.5])
    similarities = np.concatenate([np.array(plain)[:, None], others], axis=1)
    # at scale 10 the odds are e^1 and e^0.5: probabilities 0.731 and 0.622
    np.testing.assert_allclose(
        gate.combine(similarities, 10.0), [[0.2, 0.1], [0.2 / 5, (0.15 + 4 * 0.5) / 5]]
    )


def test_the_gate_does_not_mistake_an_unreadable_image():
    similarities = np.full((1, 5, 2), np.nan)
    assert np.isnan(Gated(CyclicShifts(side=2)).combine(similarities, 10.0)).all()


@pytest.mark.parametrize(
    "ensemble",
    [
        CyclicShifts(side=2),  # shares the plain view
        Padding(plain=False),
        compose(Padding(plain=False), Tiles(side=2)),
        Louder(),  # another model for the second pass
        compose(Tiles(side=2, aggregate="mean"), Louder()),
    ],
    ids=lambda mitigation: mitigation.name,
)
def test_each_image_has_one_of_the_two_answers(tiny_clip, ensemble):
    images = some_images(20)  # more than a portion
    plain = tiny_clip.similarities(images, TEXTS)
    helped = mitigate(tiny_clip, ensemble).similarities(images, TEXTS)
    confidence = softmax(tiny_clip.logit_scale * plain, axis=1).max(1)
    threshold = float(np.median(confidence))
    chosen = np.where(confidence[:, None] > threshold, plain, helped)
    found = mitigate(tiny_clip, Gated(ensemble, threshold)).similarities(images, TEXTS)
    assert not np.allclose(found, plain) and not np.allclose(found, helped)
    np.testing.assert_allclose(found, chosen, atol=1e-6)
    always = mitigate(tiny_clip, Gated(ensemble, 1.0)).similarities(images, TEXTS)
    np.testing.assert_allclose(always, helped, atol=1e-6)


def test_the_gate_stands_behind_and_before_other_mitigations(tiny_clip):
    gate = Gated(Louder(), threshold=0.4)
    images = some_images()
    padded = [Padding(plain=False).views(image, None)[0] for image in images]
    np.testing.assert_allclose(
        mitigate(tiny_clip, compose(Padding(plain=False), gate)).similarities(images, TEXTS),
        mitigate(tiny_clip, gate).similarities(padded, TEXTS),
        atol=1e-6,
    )


def test_a_gate_says_of_itself_what_its_ensemble_says():
    assert Gated(CyclicShifts()).moves and not Gated(Louder()).moves
    assert Gated(CyclicShifts()).only_views and not Gated(Louder()).only_views
    assert not Gated(CyclicShifts(aggregate="mean")).has_vector
    assert (
        Gated(CyclicShifts(), 0.5).name
        == "gated (ensemble=cyclic shifts (side=3, aggregate=max), threshold=0.5)"
    )


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CyclicShifts(side=0), "side is a whole number"),
        (lambda: CyclicShifts(side=2.5), "side is a whole number"),
        (lambda: CyclicShifts(aggregate="median"), "Unknown aggregate"),
        (lambda: Crops(side=-1), "side is a whole number"),
        (lambda: Crops(scale=0), "scale is above 0 and at most 1"),
        (lambda: Crops(scale=1.2), "scale is above 0 and at most 1"),
        (lambda: Crops(scale=float("nan")), "scale is above 0 and at most 1"),
        (lambda: Tiles(side="2"), "side is a whole number"),
        (lambda: Padding(border=-0.1), "border is from 0 to 4"),
        (lambda: Padding(border=float("inf")), "border is from 0 to 4"),
        (lambda: Padding(fill="grey-ish"), "fill is 'edge', 'reflect' or a color"),
        (lambda: Gated(CyclicShifts(), threshold=1.5), "threshold is from 0 to 1"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
