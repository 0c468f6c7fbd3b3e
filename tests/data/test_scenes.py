import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from crosseyed.data.backgrounds import BACKGROUNDS, Background, draw_background
from crosseyed.data.cutouts import (
    STYLES,
    Cutout,
    objects_of,
    read_catalogue,
    read_cutout_folder,
    sample_objects,
)
from crosseyed.data.layouts import RELATIONS, grid, pair, slide, three_places
from crosseyed.data.scenes import Placement, Scene, eccentricity, pair_table, scene_table
from crosseyed.errors import InputError


def dark_background():
    """Find a plain background so dark that a white object's alpha can be read off the picture."""
    seeds = (seed for seed in range(10_000) if draw_background(Background("plain", seed), 1, 1).max() < 20)
    return Background("plain", next(seeds))


def coverage(x, y, size, side, inside, samples=16):
    """Find, the slow way, how much of each pixel an object covers: the mean of `inside` over its points.

    `inside` takes points relative to the object's center, in units of half its longer side.
    """
    points = (np.arange(side * samples) + 0.5) / samples
    radius = size * side / 2
    u, v = (points[None, :] - x * side) / radius, (points[:, None] - y * side) / radius
    return inside(u, v).reshape(side, samples, side, samples).mean(axis=(1, 3))


def disc(u, v):
    return u**2 + v**2 <= 1


def flag(u, v):
    """A pole at the left and a cloth at the top right: no symmetry."""
    return (np.maximum(abs(u), abs(v)) <= 1) & ((u < -0.6) | ((v < 0) & (u > -1)))


def cloud(u, v):
    """A soft object, brighter at its right: without edges, at which a resampling filter would overshoot."""
    return np.maximum(0, 1 - u**2 - v**2) * (0.6 + 0.4 * u)


def write_cutout(path, inside, side=200, color=(255, 255, 255)):
    """Write an object that fills its picture but for a transparent margin of a tenth on each side."""
    alpha = np.rint(255 * coverage(0.5, 0.5, 0.8, side, inside)).astype(np.uint8)
    pixels = np.dstack([np.broadcast_to(np.array(color, dtype=np.uint8), (side, side, 3)), alpha])
    Image.fromarray(pixels, "RGBA").save(path)
    return Cutout(path.stem, "shape", "own", path)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return {
        inside.__name__: write_cutout(folder / f"{inside.__name__}.png", inside)
        for inside in (disc, flag, cloud)
    }


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squares")

    def square(u, v):
        return np.maximum(abs(u), abs(v)) <= 1

    colors = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    return {name: write_cutout(folder / f"{name}.png", square, color=color) for name, color in colors.items()}


@pytest.fixture(scope="module")
def catalogue():
    return read_catalogue()


@pytest.fixture(scope="module")
def few(catalogue):
    return sample_objects(catalogue, 5, seed=0)


def alpha_of(scene):
    """Read the alpha of white objects off a picture with a dark plain background."""
    ground = draw_background(scene.background, 1, 1).astype(float)
    return ((scene.render() - ground) / (255 - ground)).mean(axis=2)


def centroid(alpha):
    rows, cols = np.indices(alpha.shape) + 0.5
    return np.array([(cols * alpha).sum(), (rows * alpha).sum()]) / alpha.sum()


# --- one object: position, size, rotation ---


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


def test_an_object_outside_the_picture_is_not_drawn(shapes):
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


# --- several objects ---


def test_later_objects_hide_earlier_ones_in_picture_and_masks(squares):
    placements = (
        Placement(squares["red"], 0.4, 0.5, 0.4),
        Placement(squares["green"], 0.6, 0.5, 0.4),
        Placement(squares["blue"], 0.9, 0.9, 0.1),
    )
    scene = Scene("three", dark_background(), placements, height=100, width=100)
    red, green, blue = scene.masks()
    assert (red.sum(), green.sum(), blue.sum()) == (20 * 40, 40 * 40, 10 * 10)
    assert not (red & green).any()
    picture = scene.render()
    for mask, color in ((red, [255, 0, 0]), (green, [0, 255, 0]), (blue, [0, 0, 255])):
        inner = mask & np.roll(mask, 2, 0) & np.roll(mask, -2, 0) & np.roll(mask, 2, 1) & np.roll(mask, -2, 1)
        assert (picture[inner] == color).all()


def test_an_object_that_is_wholly_hidden_has_an_empty_mask(squares):
    placements = (Placement(squares["red"], 0.5, 0.5, 0.2), Placement(squares["green"], 0.5, 0.5, 0.3))
    red, green = Scene("two", dark_background(), placements).masks()
    assert not red.any()
    assert green.any()


# --- backgrounds ---


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_a_background_depends_on_its_seed_and_is_the_callers_own(kind):
    first = draw_background(Background(kind, 1), 50, 70)
    assert first.shape == (50, 70, 3)
    assert first.dtype == np.uint8
    again = first.copy()
    first[:] = 0
    assert (draw_background(Background(kind, 1), 50, 70) == again).all()
    assert (draw_background(Background(kind, 2), 50, 70) != again).any()


def test_a_plain_background_has_one_color():
    picture = draw_background(Background("plain", 5), 20, 30)
    assert (picture == picture[0, 0]).all()


def test_a_gradient_runs_straight_from_one_color_to_another():
    for seed in range(5):
        picture = draw_background(Background("gradient", seed), 40, 60).astype(int)
        for channel in np.moveaxis(picture, 2, 0):
            for axis in (0, 1):
                steps = np.diff(channel, axis=axis)
                assert (steps >= 0).all() or (steps <= 0).all()
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_the_amplitude_of_noise_falls_as_one_over_the_frequency():
    picture = draw_background(Background("noise", 0), 512, 512).mean(axis=2)
    amplitude = np.abs(np.fft.fft2(picture - picture.mean()))
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512)[None, :])
    edges = np.geomspace(4 / 512, 0.25, 9)
    bands = [(frequency >= low) & (frequency < high) for low, high in pairwise(edges)]
    slope = np.polyfit(
        np.log([frequency[band].mean() for band in bands]),
        np.log([amplitude[band].mean() for band in bands]),
        1,
    )
    assert slope[0] == pytest.approx(-1, abs=0.1)


def test_photographs_are_crops_of_whatever_shape():
    for seed in range(10):
        picture = draw_background(Background("photo", seed), 30, 90)
        assert picture.shape == (30, 90, 3)
        assert picture.std() > 2


# --- the same to the pixel ---


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


@pytest.mark.parametrize(
    "layout",
    [
        lambda cutouts, seed: grid(cutouts, 3, seed=seed),
        lambda cutouts, seed: slide(cutouts, 0.3, seed=seed),
        lambda cutouts, seed: pair(cutouts, "on", seed=seed),
    ],
)
def test_a_layout_is_decided_by_its_seed(few, layout):
    assert layout(few, 1) == layout(few, 1)
    assert layout(few, 1) != layout(few, 2)


@pytest.mark.parametrize(
    "layout",
    [grid, slide, lambda cutouts: [scene for relation in RELATIONS for scene in pair(cutouts, relation)]],
)
def test_names_of_scenes_are_unique(few, layout):
    names = [scene.name for scene in layout(few)]
    assert len(set(names)) == len(names)


# --- layouts ---


def test_eccentricity_by_hand():
    assert eccentricity(0.5, 0.5) == 0
    assert eccentricity(0, 0) == eccentricity(1, 0) == pytest.approx(1)
    assert eccentricity(1, 0.5) == pytest.approx(1 / np.sqrt(2))
    assert eccentricity(1, 0.5, height=30, width=40) == pytest.approx(20 / 25)


def test_grid_of_three_by_hand(few):
    table = scene_table(grid(few[:1], 3, size=0.3))
    assert table["row"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert table["col"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert table["x"].to_numpy() == pytest.approx(np.tile([1 / 6, 1 / 2, 5 / 6], 3))
    assert table["y"].to_numpy() == pytest.approx(np.repeat([1 / 6, 1 / 2, 5 / 6], 3))
    edge, corner = np.sqrt(2) / 3, 2 / 3
    assert table["eccentricity"].to_numpy() == pytest.approx(
        [corner, edge, corner, edge, 0, edge, corner, edge, corner]
    )
    assert table["center"].tolist() == [False] * 4 + [True] + [False] * 4


def test_grid_moves_large_objects_inward_just_enough(few):
    table = scene_table(grid(few[:1], 5, size=0.4))
    assert sorted(table["x"].unique()) == pytest.approx([0.2, 0.35, 0.5, 0.65, 0.8])
    wide = scene_table(grid(few[:1], 3, size=0.8, height=100, width=200))
    assert sorted(wide["x"].unique()) == pytest.approx([0.2, 0.5, 0.8])
    assert sorted(wide["y"].unique()) == pytest.approx([0.4, 0.5, 0.6])


def test_grid_compares_cells_on_the_same_background_and_deals_kinds_in_turn(few):
    table = scene_table(grid(few, 3, backgrounds=("plain", "noise")))
    per_cutout = table.groupby(["object", "style"], sort=False)[["background", "seed", "size"]].nunique()
    assert (per_cutout == 1).all(axis=None)
    assert table["background"][::9].tolist() == (["plain", "noise"] * len(few))[: len(few)]
    assert table["seed"].nunique() == len(few)


def test_slide_by_hand(few):
    scenes = slide(few[:2], 0.25, size=0.4)
    table = scene_table(scenes)
    assert table["eccentricity"].to_numpy() == pytest.approx([0, 0.25, 0.5] * 2)  # 0.75 would be cut off
    assert table["center"].tolist() == [True, True, False] * 2
    assert (table["x"] - 0.5).abs().to_numpy() == pytest.approx([0, 0.125, 0.25] * 2)
    assert (table["y"] - 0.5).abs().to_numpy() == pytest.approx([0, 0.125, 0.25] * 2)
    assert table["row"].isna().all()
    for three in (scenes[:3], scenes[3:]):
        assert len({scene.background for scene in three}) == 1
        offsets = np.array(
            [(scene.placements[0].x - 0.5, scene.placements[0].y - 0.5) for scene in three[1:]]
        )
        assert (np.sign(offsets[0]) == np.sign(offsets[1])).all()


def test_slide_reaches_all_four_corners(catalogue):
    last = [scene.placements[0] for scene in slide(catalogue[:40], 0.6)[1::2]]
    assert len({(place.x > 0.5, place.y > 0.5) for place in last}) == 4


def test_slide_ends_where_the_object_touches_the_border(shapes):
    last = slide([shapes["disc"]], 0.1, size=0.3)[-1]
    place = last.placements[0]
    assert abs(place.x - 0.5) + 0.15 == pytest.approx(0.5)
    assert last.masks()[0].sum() == pytest.approx(np.pi / 4 * (0.3 * 224) ** 2, rel=0.01)


@pytest.mark.parametrize(
    ("relation", "first", "second"),
    [
        ("on", (0.5, 0.36), (0.5, 0.64)),
        ("under", (0.5, 0.84), (0.5, 0.5)),
        ("left_of", (0.16, 0.5), (0.5, 0.5)),
        ("right_of", (0.84, 0.5), (0.5, 0.5)),
    ],
)
def test_pair_places_the_first_object_as_the_relation_says(few, relation, first, second):
    scenes = pair(few, relation)
    for scene, cutout in zip(scenes, few, strict=True):
        one, other = scene.placements
        assert one.cutout == cutout
        assert ((one.x, one.y), (other.x, other.y)) == (first, second)
        assert scene.relation == relation
        assert scene.center == (relation == "on")
        assert not (scene.masks().sum(axis=(1, 2)) == 0).any()


def test_partners_are_other_objects_of_the_same_style_each_once_and_the_same_in_all_relations(few):
    expected = [scene.placements[1].cutout for scene in pair(few, "on", seed=3)]
    for cutout, partner in zip(few, expected, strict=True):
        assert partner.style == cutout.style
        assert partner.object != cutout.object
    assert sorted(expected, key=lambda cutout: cutout.path) == sorted(few, key=lambda cutout: cutout.path)
    for relation in RELATIONS:
        scenes = pair(few, relation, backgrounds=("plain",), seed=3)
        assert [scene.placements[1].cutout for scene in scenes] == expected


# --- tables ---


def test_scene_table_has_a_row_for_each_object_and_pair_table_one_for_each_picture(few):
    scenes = pair(few, "left_of", seed=1)
    rows, pictures = scene_table(scenes), pair_table(scenes)
    assert rows["image"].tolist() == [scene.name for scene in scenes for _ in range(2)]
    assert pictures["image"].tolist() == [scene.name for scene in scenes]
    assert pictures["object"].tolist() == rows["object"][::2].tolist()
    assert pictures["object2"].tolist() == rows["object"][1::2].tolist()
    assert (pictures["x"] == 0.16).all()
    assert (pictures["relation"] == "left_of").all()
    assert not pictures["center"].any()


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


# --- cut-outs ---


def test_the_catalogue_has_every_object_in_every_style(catalogue):
    by_style = {style: [cutout for cutout in catalogue if cutout.style == style] for style in STYLES}
    assert len(objects_of(by_style["fluent"])) >= 120
    for cutouts in by_style.values():
        assert objects_of(cutouts) == [cutout.object for cutout in cutouts] == objects_of(catalogue)
    for cutout in catalogue:
        masks = Scene(
            "one", Background("plain", 0), (Placement(cutout, 0.5, 0.5, 0.5),), height=64, width=64
        ).masks()
        assert masks.mean() > 0.01
        assert cutout.category


def test_styles_are_read_in_the_order_of_the_catalogue_from_any_iterable(catalogue):
    two = read_catalogue(style for style in ("noto", "fluent"))
    assert two == [cutout for cutout in catalogue if cutout.style in {"noto", "fluent"}]


def test_sampling_keeps_every_style_of_an_object_and_depends_on_the_seed(catalogue):
    sample = sample_objects(catalogue, 7, seed=1)
    assert len(sample) == 7 * len(STYLES)
    assert sample == [cutout for cutout in catalogue if cutout.object in objects_of(sample)]
    assert sample == sample_objects(catalogue, 7, seed=1)
    assert sample != sample_objects(catalogue, 7, seed=2)


def test_a_folder_of_ones_own_is_read_by_file_name(tmp_path):
    for name in ("palm-tree.png", "cup.webp", "tea_pot.PNG"):
        write_cutout(tmp_path / name, disc)
    (tmp_path / "notes.txt").write_text("not an image")
    cutouts = read_cutout_folder(tmp_path)
    assert [cutout.object for cutout in cutouts] == ["cup", "palm tree", "tea pot"]
    assert {cutout.style for cutout in cutouts} == {cutout.category for cutout in cutouts} == {"own"}
    assert grid(cutouts, 3)[0].render().shape == (224, 224, 3)


def test_what_lies_around_an_object_does_not_count_for_its_size(tmp_path):
    pixels = np.zeros((100, 100, 4), dtype=np.uint8)
    pixels[70:90, 10:50] = 255  # 40 × 20 pixels, far from the middle
    Image.fromarray(pixels, "RGBA").save(tmp_path / "bar.png")
    (bar,) = read_cutout_folder(tmp_path)
    scene = Scene("one", dark_background(), (Placement(bar, 0.5, 0.5, 0.5),), height=80, width=80)
    rows, cols = np.nonzero(scene.masks()[0])
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (30, 49, 20, 59)


def write_bytes(content):
    return lambda path: path.write_bytes(content)


def write_pixels(pixels):
    return lambda path: Image.fromarray(np.array(pixels, dtype=np.uint8)).save(path)


def write_half_a_file(path):
    write_cutout(path, disc)
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_bytes(b""), "cannot be read"),
        (write_bytes(b"no image"), "cannot be read"),
        (write_half_a_file, "cannot be read"),
        (write_pixels(np.full((9, 9, 3), 200)), "no transparent pixel"),
        (write_pixels(np.zeros((9, 9, 4))), "wholly transparent"),
    ],
    ids=["empty", "text", "truncated", "opaque", "transparent"],
)
def test_a_bad_cutout_is_named(tmp_path, write, message):
    write_cutout(tmp_path / "a-good-one.png", disc)
    write(tmp_path / "bad.png")
    with pytest.raises(InputError, match=rf"bad\.png.*{message}"):
        read_cutout_folder(tmp_path)


def test_two_files_of_the_same_object_are_refused(tmp_path):
    write_cutout(tmp_path / "palm-tree.png", disc)
    write_cutout(tmp_path / "palm_tree.webp", disc)
    with pytest.raises(InputError, match=r"palm-tree\.png.*palm_tree\.webp.*'palm tree'"):
        read_cutout_folder(tmp_path)


# --- errors ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda few: Background("plian", 0), "'plian' does not exist"),
        (lambda few: Placement(few[0], 0.5, 0.5, 0), "size 0 is not positive"),
        (lambda few: Placement(few[0], 0.5, 0.5, float("nan")), "size nan is not positive"),
        (lambda few: Scene("none", Background("plain", 0), (), height=0), "224 × 0 pixels"),
        (lambda few: grid(few, 4), "k = 4"),
        (lambda few: grid(few, 1), "k = 1"),
        (lambda few: grid(few, -3), "k = -3"),
        (lambda few: grid(few, size=1.1), r"size is 1\.1"),
        (lambda few: grid([]), "at least one cut-out"),
        (lambda few: grid(few, backgrounds=()), "at least one background"),
        (lambda few: grid(few, backgrounds=("photos",)), "'photos' does not exist"),
        (lambda few: slide(few, 0), "step of 0"),
        (lambda few: slide(few, 1.5), r"step of 1\.5"),
        (lambda few: slide(few, size=-0.3), r"size is -0\.3"),
        (lambda few: pair(few, "leftof"), "did you mean 'left_of'"),
        (lambda few: pair(few[:1], "on"), "a pair needs two"),
        (lambda few: sample_objects(few, 0, seed=0), "n_objects is 0"),
        (lambda few: sample_objects(few, -2, seed=0), "n_objects is -2"),
        (lambda few: sample_objects(few, 6, seed=0), "between 1 and 5"),
        (lambda few: read_catalogue(["flunet"]), "did you mean 'fluent'"),
        (lambda few: read_catalogue(folder="nowhere"), "nowhere.*is missing"),
        (lambda few: read_cutout_folder("nowhere"), "nowhere is not a folder"),
    ],
)
def test_bad_input_is_named(few, tmp_path, monkeypatch, call, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        call(few)
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_of_cutouts_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no PNG or WebP file"):
        read_cutout_folder(tmp_path)


def test_three_places_are_corner_edge_and_center_of_each_object():
    cutouts = sample_objects(read_catalogue(["fluent"]), 2, seed=0)
    scenes, places = three_places(cutouts, size=0.3, seed=1)
    assert places == ["corner", "edge", "center"] * 2
    objects = [scene.placements[0].cutout.object for scene in scenes]
    assert objects == [cutout.object for cutout in cutouts for _ in range(3)]
    distances = scene_table(scenes)["eccentricity"].to_numpy().reshape(2, 3)
    assert (distances[:, 0] > distances[:, 1]).all()
    assert (distances[:, 1] > 0).all()
    assert (distances[:, 2] == 0).all()
    kept = {scene.name: scene for scene in grid(cutouts, 3, size=0.3, seed=1)}
    assert all(scene == kept[scene.name] for scene in scenes)
