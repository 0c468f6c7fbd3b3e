import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from drawn_cutouts import coverage, dark_background, disc, flag, write_cutout
from PIL import Image

from crosseyed.data.backgrounds import Background, draw_background
from crosseyed.data.cutouts import (
    sample_objects,
)
from crosseyed.data.layouts import grid, pair
from crosseyed.data.scenes import Placement, Scene, eccentricity, pair_table, scene_table
from crosseyed.errors import InputError


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squares")

    def square(u, v):
        return np.maximum(abs(u), abs(v)) <= 1

    colors = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    return {name: write_cutout(folder / f"{name}.png", square, color=color) for name, color in colors.items()}


def alpha_of(scene):
    """Read the alpha of white objects off an image with a dark plain background."""
    ground = draw_background(scene.background, 1, 1).astype(float)
    return ((scene.render() - ground) / (255 - ground)).mean(axis=2)


def centroid(alpha):
    rows, cols = np.indices(alpha.shape) + 0.5
    return np.array([(cols * alpha).sum(), (rows * alpha).sum()]) / alpha.sum()


@pytest.mark.parametrize("shape", ["disc", "flag"])
@pytest.mark.parametrize(
    ("x", "y", "size"), [(0.5, 0.5, 0.4), (0.4137, 0.6212, 0.283), (0.7, 0.25, 0.091), (0.52, 0.49, 0.93)]
)
def test_an_object_covers_what_a_supersampled_reference_covers(shapes, shape, x, y, size):
    side = 96
    scene = Scene("one", dark_background(), (Placement(shapes[shape], x, y, size),), height=side, width=side)
    drawn, expected = alpha_of(scene), coverage(x, y, size, side, {"disc": disc, "flag": flag}[shape])
    assert np.abs(centroid(drawn) - centroid(expected)).max() < 0.03  # pixels
    assert drawn.sum() == pytest.approx(expected.sum(), rel=0.01)
    assert np.abs(drawn - expected).max() < 0.3
    assert (scene.masks()[0] != (expected >= 0.5)).sum() <= 0.02 * expected.sum() + 4


@pytest.mark.parametrize(("dx", "dy"), [(0.1, 0), (0.25, -0.5), (1 / 3, 0.7), (3.4, -2.9)])
def test_an_object_moves_by_the_fraction_of_a_pixel_that_is_asked_for(shapes, dx, dy):
    def at(x, y):
        placement = Placement(shapes["cloud"], x / 100, y / 100, 0.31)
        return centroid(alpha_of(Scene("one", dark_background(), (placement,), height=100, width=100)))

    assert at(47.3 + dx, 52.1 + dy) - at(47.3, 52.1) == pytest.approx([dx, dy], abs=0.005)


@pytest.mark.parametrize("factor", [1.003, 1.1, 2.5])
def test_an_object_grows_by_the_factor_that_is_asked_for(shapes, factor):
    def spread(size):
        alpha = alpha_of(Scene("one", dark_background(), (Placement(shapes["disc"], 0.5, 0.5, size),)))
        return np.sqrt(alpha.sum())

    assert spread(0.3 * factor) / spread(0.3) == pytest.approx(factor, rel=1e-3)


def test_size_is_a_fraction_of_the_shorter_side(shapes):
    scene = Scene(
        "wide", dark_background(), (Placement(shapes["disc"], 0.25, 0.5, 0.5),), height=100, width=300
    )
    rows, cols = np.nonzero(scene.masks()[0])
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (25, 74, 50, 99)


def test_moving_by_a_whole_pixel_moves_the_same_pixels(shapes):
    def at(x, y):
        placement = Placement(shapes["flag"], x / 128, y / 128, 0.25)
        return Scene("one", dark_background(), (placement,), height=128, width=128).render()

    assert (at(64.3 + 7, 60.8 - 11) == np.roll(at(64.3, 60.8), (-11, 7), axis=(0, 1))).all()


def test_the_border_cuts_an_object_off_without_changing_what_remains(shapes):
    def at(x, y):
        placement = Placement(shapes["flag"], x, y, 0.5)
        return Scene("one", dark_background(), (placement,), height=64, width=64).render()

    assert (at(0, 0.5)[:, :32] == at(0.5, 0.5)[:, 32:]).all()
    assert (at(0.5, 1)[32:] == at(0.5, 0.5)[:32]).all()


def test_an_object_outside_the_image_is_not_drawn(shapes):
    placement = Placement(shapes["disc"], 1.5, 0.5, 0.3)
    scene = Scene("none", dark_background(), (placement,))
    assert (scene.render() == draw_background(scene.background, 224, 224)).all()
    assert not scene.masks().any()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_is_counterclockwise_around_the_center_of_the_object(shapes, turns):
    def at(rotation):
        placement = Placement(shapes["flag"], 0.5, 0.5, 0.6, rotation)
        return Scene("one", dark_background(), (placement,), height=80, width=80).render()

    # the filter runs over rows first and then over columns, which rounds differently once they are exchanged
    assert np.abs(at(90 * turns).astype(int) - np.rot90(at(0), turns)).max() <= 12


@pytest.mark.parametrize("rotation", [-15, 4.2, 37, 111])
def test_rotation_keeps_area_and_center(shapes, rotation):
    def at(rotation):
        return alpha_of(
            Scene("one", dark_background(), (Placement(shapes["flag"], 0.43, 0.56, 0.3, rotation),))
        )

    offset = centroid(at(0)) - 224 * np.array([0.43, 0.56])
    turn = np.deg2rad(rotation)  # y points down, so that counterclockwise is this matrix
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) @ offset
    assert centroid(at(rotation)) - 224 * np.array([0.43, 0.56]) == pytest.approx(turned, abs=0.05)
    assert at(rotation).sum() == pytest.approx(at(0).sum(), rel=0.005)


def test_colors_are_not_darkened_at_the_edge(tmp_path):
    # transparent pixels are black underneath; a white disc on white must stay invisible all the same
    white = write_cutout(tmp_path / "disc.png", disc)
    pixels = np.array(Image.open(white.path))
    pixels[pixels[..., 3] == 0] = 0
    Image.fromarray(pixels, "RGBA").save(white.path)
    scene = Scene("one", dark_background(), (Placement(white, 0.5, 0.5, 0.31),))
    drawn = scene.render().astype(int)
    ground = draw_background(scene.background, 1, 1)[0, 0].astype(int)
    # all three channels must tell the same alpha
    alphas = (drawn - ground) / (255 - ground)
    assert np.ptp(alphas, axis=2).max() < 0.01


def test_later_objects_hide_earlier_ones_in_image_and_masks(squares):
    placements = (
        Placement(squares["red"], 0.4, 0.5, 0.4),
        Placement(squares["green"], 0.6, 0.5, 0.4),
        Placement(squares["blue"], 0.9, 0.9, 0.1),
    )
    scene = Scene("three", dark_background(), placements, height=100, width=100)
    red, green, blue = scene.masks()
    assert (red.sum(), green.sum(), blue.sum()) == (20 * 40, 40 * 40, 10 * 10)
    assert not (red & green).any()
    image = scene.render()
    for mask, color in ((red, [255, 0, 0]), (green, [0, 255, 0]), (blue, [0, 0, 255])):
        inner = mask & np.roll(mask, 2, 0) & np.roll(mask, -2, 0) & np.roll(mask, 2, 1) & np.roll(mask, -2, 1)
        assert (image[inner] == color).all()


def test_an_empty_scene_is_its_background(squares):
    scene = Scene("one", dark_background(), (Placement(squares["red"], 0.5, 0.5, 0.2),), height=40, width=40)
    assert (
        scene.empty().render() == Scene("none", dark_background(), (), height=40, width=40).render()
    ).all()
    assert scene.empty().digest() != scene.digest()
    assert (scene.empty().render() != scene.render()).any(2)[scene.masks()[0]].all()


def test_an_object_that_is_wholly_hidden_has_an_empty_mask(squares):
    placements = (Placement(squares["red"], 0.5, 0.5, 0.2), Placement(squares["green"], 0.5, 0.5, 0.3))
    red, green = Scene("two", dark_background(), placements).masks()
    assert not red.any()
    assert green.any()


def fingerprint(scene):
    return hashlib.sha256(scene.render().tobytes() + scene.masks().tobytes()).hexdigest()


def test_a_scene_is_the_same_in_any_order_thread_and_process(few):
    scenes = [*grid(few, 3, seed=4)[::5], *pair(few, "under", seed=4)[::4]]
    expected = [fingerprint(scene) for scene in scenes]
    assert [fingerprint(scene) for scene in reversed(scenes)] == expected[::-1]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fingerprint, scenes)) == expected
    program = """
import hashlib
from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.data.layouts import grid, pair
few = sample_objects(read_catalogue(), 5, seed=0)
for scene in reversed([*grid(few, 3, seed=4)[::5], *pair(few, "under", seed=4)[::4]]):
    print(hashlib.sha256(scene.render().tobytes() + scene.masks().tobytes()).hexdigest())
"""
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.split() == expected[::-1]


def test_eccentricity_by_hand():
    assert eccentricity(0.5, 0.5) == 0
    assert eccentricity(0, 0) == eccentricity(1, 0) == pytest.approx(1)
    assert eccentricity(1, 0.5) == pytest.approx(1 / np.sqrt(2))
    assert eccentricity(1, 0.5, height=30, width=40) == pytest.approx(20 / 25)


def test_scene_table_has_a_row_for_each_object_and_pair_table_one_for_each_image(few):
    scenes = pair(few, "left_of", jitter=0, seed=1)
    rows, images = scene_table(scenes), pair_table(scenes)
    assert rows["image"].tolist() == [scene.name for scene in scenes for _ in range(2)]
    assert images["image"].tolist() == [scene.name for scene in scenes]
    assert images["object"].tolist() == rows["object"][::2].tolist()
    assert images["object2"].tolist() == rows["object"][1::2].tolist()
    assert (images["x"] == 0.16).all()
    assert (images["relation"] == "left_of").all()
    assert not images["together"].any()


def test_area_is_what_the_mask_counts(catalogue):
    scenes = grid(sample_objects(catalogue, 8, seed=2), 3, size=0.33, height=320, width=400)
    table = scene_table(scenes)
    counted = np.array([scene.masks()[0].mean() for scene in scenes])
    assert table["area"].to_numpy() == pytest.approx(counted, rel=0.05)


def test_area_of_a_disc_by_hand(shapes):
    scene = Scene(
        "one", dark_background(), (Placement(shapes["disc"], 0.5, 0.5, 0.5),), height=100, width=200
    )
    assert scene_table([scene])["area"].item() == pytest.approx(np.pi / 4 * 50**2 / (100 * 200), rel=0.005)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda few: Placement(few[0], 0.5, 0.5, 0), "size 0 is not positive"),
        (lambda few: Placement(few[0], 0.5, 0.5, float("nan")), "size nan is not positive"),
        (lambda few: Scene("none", Background("plain", 0), (), height=0), "224 × 0 pixels"),
    ],
)
def test_bad_input_is_named(few, tmp_path, monkeypatch, call, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        call(few)
    assert not list(tmp_path.iterdir())
