import numpy as np
import pytest
from drawn_cutouts import disc, flag, write_cutout

from crosseyed.training.studio import sprites
from crosseyed.training.studio.sprites import Light, Occluder, Pose, Shadow

SIDE = 60
DISTANCE = 2.5  # of the camera, in sizes of the object


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sprites")
    return {each.__name__: write_cutout(folder / f"{each.__name__}.png", each).path for each in (disc, flag)}


def seen(inside, pose, x, y, samples=8):
    """Find the slow way how much of each pixel an object covers: a ray for each sample meets the turned plane."""
    points = ((np.arange(SIDE * samples) + 0.5) / samples / SIDE - np.array([[x], [y]])) / pose.size
    u, v = np.meshgrid(points[0], points[1])
    rays = np.stack([u, v, np.full_like(u, DISTANCE)], axis=-1)
    rotation, yaw, pitch = np.radians([pose.rotation, pose.yaw, pose.pitch])
    turn = np.array(
        [[np.cos(rotation), np.sin(rotation), 0], [-np.sin(rotation), np.cos(rotation), 0], [0, 0, 1]]
    )
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    look = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    axes = look @ nod @ turn  # columns: where the object's right, its down and its depth point to
    camera = np.array([0, 0, -DISTANCE])
    along = -(camera @ axes[:, 2]) / (rays @ axes[:, 2])
    hits = (camera + along[..., None] * rays) @ axes
    a, b = 2 * hits[..., 0] * (-1 if pose.mirrored else 1), 2 * hits[..., 1]
    return inside(a, b).reshape(SIDE, samples, SIDE, samples).mean(axis=(1, 3))


def drawn(path, pose, x, y):
    canvas = np.zeros((SIDE, SIDE))
    rows, cols, pixels = sprites.project(path, pose, x, y, SIDE)
    canvas[rows, cols] = pixels[..., 3] / 255
    return canvas


@pytest.mark.parametrize(
    "pose",
    [
        Pose(0.5),
        Pose(0.23),
        Pose(0.5, mirrored=True),
        Pose(0.6, rotation=25),
        Pose(0.6, yaw=35),
        Pose(0.6, pitch=-35),
        Pose(0.6, rotation=-20, yaw=-30, pitch=25, mirrored=True),
    ],
)
@pytest.mark.parametrize(("x", "y"), [(0.5, 0.5), (0.513, 0.447), (0.1, 0.93)])
def test_an_object_is_where_rays_from_the_camera_meet_it(shapes, pose, x, y):
    difference = drawn(shapes["flag"], pose, x, y) - seen(flag, pose, x, y)
    assert np.abs(difference).mean() < 0.012
    assert abs(difference.sum()) < 0.06 * seen(flag, pose, x, y).sum()


def test_an_object_moves_by_parts_of_a_pixel(shapes):
    def middle(shift):
        mask = drawn(shapes["disc"], Pose(0.4), 0.5 + shift / SIDE, 0.5)
        return (mask.sum(0) * np.arange(SIDE)).sum() / mask.sum()

    for shift in (0.1, 0.25, 0.5, 0.9):
        assert middle(shift) - middle(0) == pytest.approx(shift, abs=0.03)


def test_an_object_outside_is_not_drawn(shapes):
    assert sprites.project(shapes["disc"], Pose(0.2), 1.3, 0.5, SIDE) is None


def test_light_changes_colors_as_stated_and_no_shape():
    tile = np.dstack([np.tile([[[100.0, 60.0, 20.0]]], (5, 5, 1)), np.full((5, 5, 1), 200.0)]).astype(
        np.float32
    )
    same = sprites.relight(tile, Light())
    assert same == pytest.approx(tile, abs=1e-3)
    gained = sprites.relight(tile, Light(gains=(1.5, 1, 0.5)))
    assert gained[2, 2] == pytest.approx([150, 60, 10, 200], abs=1e-3)
    gray = sprites.relight(tile, Light(saturation=0))
    assert gray[2, 2, :3] == pytest.approx([0.299 * 100 + 0.587 * 60 + 0.114 * 20] * 3, abs=1e-3)
    sloped = sprites.relight(tile, Light(slope=0.4))  # to the right: from 1 − 0.4 · 0.4 to 1 + 0.4 · 0.4
    assert sloped[2, [0, 2, 4], 0] == pytest.approx([84, 100, 116], abs=1e-3)
    assert sprites.relight(tile, Light(gains=(9, 9, 9)))[..., :3].max() == 200  # never more than is covered


def test_an_object_is_laid_over_by_its_transparency():
    image = np.full((4, 4, 3), 100, dtype=np.float32)
    pixels = np.array([[[51, 0, 0, 102]]], dtype=np.float32)  # alpha 0.4
    sprites.paste(image, (slice(1, 2), slice(2, 3), pixels))
    assert image[1, 2] == pytest.approx([51 + 60, 60, 60])
    assert (np.delete(image.reshape(-1, 3), 6, axis=0) == 100).all()


def test_a_shadow_takes_its_share_of_the_light_where_it_lies_and_none_elsewhere():
    image = np.full((40, 40, 3), 200, dtype=np.float32)
    tile = (slice(10, 20), slice(10, 20), np.full((10, 10, 4), 255, dtype=np.float32))
    sprites.cast_shadow(image, tile, Shadow(dx=0.8, dy=0.4, softness=0.05, strength=0.3), length=10)
    assert image[14 + 4, 14 + 8] == pytest.approx([140] * 3)
    assert image[5, 5] == pytest.approx([200] * 3) and image[30, 35] == pytest.approx([200] * 3)
    taken = (200 - image[..., 0]).sum() / 60
    assert taken == pytest.approx(100, rel=0.02)  # the blur takes no light in all


def test_a_shadow_over_the_border_is_cut_off():
    image = np.full((20, 20, 3), 200, dtype=np.float32)
    tile = (slice(0, 5), slice(15, 20), np.full((5, 5, 4), 255, dtype=np.float32))
    sprites.cast_shadow(image, tile, Shadow(3, -3, 0.1, 0.5), length=5)
    assert (image == 200).all()
    sprites.cast_shadow(image, tile, Shadow(0.2, 0, 0.1, 0.5), length=5)
    assert image[2, 19, 0] == pytest.approx(100, abs=5)


@pytest.mark.parametrize(
    ("occluder", "share"),
    [
        (Occluder(0.3, 0.1, 0.1, True, (1.0, 2.0, 3.0)), 0.2 / np.cos(0.3)),
        (Occluder(0.0, 0.0, 0.25, False, (1.0, 2.0, 3.0)), np.pi / 16),
        (Occluder(np.pi, 0.5, 0.25, False, (1.0, 2.0, 3.0)), np.pi / 32),
    ],
)
def test_an_occluder_covers_its_part_of_the_object_in_its_color(occluder, share):
    image = np.full((80, 80, 3), 200, dtype=np.float32)
    tile = (slice(20, 60), slice(20, 60), np.full((40, 40, 4), 255, dtype=np.float32))
    sprites.occlude(image, tile, occluder, 40, 40, 40)
    assert 4 * ((200 - image) / [199, 198, 197]).mean() == pytest.approx(share, abs=0.01)
    assert (image == [1, 2, 3]).all(axis=2).any()
    assert (image[:20] == 200).all() and (image[:, 60:] == 200).all()
