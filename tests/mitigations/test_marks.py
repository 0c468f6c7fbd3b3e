import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from small_mitigations import CENTER, some_image

from crosseyed.errors import InputError
from crosseyed.mitigations import marks
from crosseyed.mitigations.base import Location
from crosseyed.mitigations.marks import MARKS, PROMPTS


def inside(height, width, rows, columns):
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


def test_box_colors_exactly_the_frame_around_the_region():
    # 0.4 of 20 pixels: a square of 8 around (row 10, column 15); the line of 0.1 · 20 = 2 pixels lies around it
    image = some_image()
    frame = inside(20, 30, slice(4, 16), slice(9, 21)) & ~inside(20, 30, slice(6, 14), slice(11, 19))
    expected = np.where(frame[..., None], np.array([255, 0, 0], np.uint8), image)
    np.testing.assert_array_equal(marks.box(image, CENTER, margin=0, width=0.1), expected)


def test_box_keeps_its_margin():
    # 0.25 of 8 pixels on each side: the region grows from 8 to 12
    boxed = marks.box(np.zeros((20, 30, 3), np.uint8), CENTER, margin=0.25, width=0.05)
    frame = inside(20, 30, slice(3, 17), slice(8, 22)) & ~inside(20, 30, slice(4, 16), slice(9, 21))
    np.testing.assert_array_equal(boxed[..., 0] == 255, frame)


def test_half_covered_pixels_are_half_colored():
    # 0.4 of 10 pixels around column 4.75: the region ends at 2.75, the line of one pixel begins at 1.75
    boxed = marks.box(np.zeros((10, 10, 3), np.uint8), Location(0.475, 0.5, 0.4), margin=0, width=0.1)
    np.testing.assert_allclose(boxed[5, :4, 0] / 255, [0, 0.25, 0.75, 0], atol=0.003)


def test_circle_is_a_ring_of_the_color_around_an_untouched_center():
    image = some_image(40, 50)
    circled = marks.circle(image, Location(0.5, 0.5, 0.5), margin=0, color="blue", width=0.1)
    row, column = np.mgrid[:40, :50] + 0.5
    radius = np.hypot(row - 20, column - 25)
    on_line, clear = (radius > 11) & (radius < 13), (radius < 9) | (radius > 15)
    assert (circled[on_line] == [0, 0, 255]).all()
    np.testing.assert_array_equal(circled[clear], image[clear])


def test_circle_has_the_area_of_a_ring():
    # anti-aliased, the amount of color is the area π (14² - 10²), however few pixels there are
    circled = marks.circle(np.zeros((40, 40, 3), np.uint8), Location(0.5, 0.5, 0.5), margin=0, width=0.1)
    assert circled[..., 0].sum() / 255 == pytest.approx(np.pi * (14**2 - 10**2), rel=0.03)


def test_circle_and_blur_keeps_the_inside_and_blurs_the_rest_as_published():
    image, place = some_image(64, 64), Location(0.5, 0.5, 0.5)
    found = marks.circle_and_blur(image, place, margin=0, width=0.05)
    row, column = np.mgrid[:64, :64] + 0.5
    radius = np.hypot(row - 32, column - 32)
    np.testing.assert_array_equal(found[radius < 15], image[radius < 15])
    on_line, clear = (radius > 16.7) & (radius < 18.3), radius > 20.5
    assert (found[on_line] == [255, 0, 0]).all()
    blurred = np.stack(
        [gaussian_filter(part.astype(float), 10, mode="nearest") for part in np.moveaxis(image, 2, 0)]
    )
    assert (
        np.abs(found[clear] - np.moveaxis(blurred, 0, 2)[clear]).mean() < 3
    )  # 100 of 640 pixels are 10 of 64


@pytest.mark.parametrize("kind", ["circle", "box"])
def test_a_mark_at_the_border_is_the_part_of_it_that_fits(kind):
    # the same place in pixels on a wider image with the same shorter side
    wide = PROMPTS[kind](np.zeros((20, 40, 3), np.uint8), Location(0.475, 0.1, 0.4))
    narrow = PROMPTS[kind](np.zeros((20, 20, 3), np.uint8), Location(0.95, 0.1, 0.4))
    assert narrow.any()
    np.testing.assert_array_equal(narrow, wide[:, :20])


@pytest.mark.parametrize(("x", "y"), [(0.9, 0.1), (0.05, 0.95), (0.5, 0.9), (0.0, 0.0), (0.3, 0.45)])
def test_arrow_points_outward_at_the_object(x, y):
    drawn = marks.arrow(np.zeros((200, 300, 3), np.uint8), Location(x, y, 0.2), margin=0, width=0.02)
    row, column = np.nonzero(drawn[..., 0] > 127)
    offset = np.stack([column + 0.5 - 300 * x, row + 0.5 - 200 * y])
    inward = np.array([150 - 300 * x, 100 - 200 * y]) / np.hypot(150 - 300 * x, 100 - 200 * y)
    along, across = inward @ offset, np.array([-inward[1], inward[0]]) @ offset
    # the object reaches 20 pixels, the arrow is 50 long, its head 16 long and wide, its shaft 4 wide
    assert along.min() == pytest.approx(20, abs=2)
    assert along.max() == pytest.approx(70, abs=3)
    head = abs(across[along < 37]).max()
    shaft = abs(across[along > 40]).max()
    assert head == pytest.approx(8, abs=1.5)
    assert shaft == pytest.approx(2, abs=1)


def test_arrow_at_the_center_comes_from_the_left_and_stays_in_the_image():
    drawn = marks.arrow(np.zeros((100, 100, 3), np.uint8), Location(0.5, 0.5, 0.2), margin=0)
    columns = np.nonzero(drawn.any(axis=(0, 2)))[0]
    assert (columns.min(), columns.max()) == pytest.approx((15, 40), abs=1)
    filled = marks.arrow(np.zeros((100, 100, 3), np.uint8), Location(0.5, 0.5, 1.0), margin=0.5)
    columns = np.nonzero(filled.any(axis=(0, 2)))[0]
    assert (columns.min(), columns.max()) == pytest.approx((0, 25), abs=1)


def test_opacity_mixes_the_color_in():
    image = np.full((20, 20, 3), 100, np.uint8)
    # 100 + 0.2 · (255 - 100) = 131 and 100 - 0.2 · 100 = 80
    boxed = marks.box(image, CENTER, strength=0.2, margin=0, width=0.1)
    assert boxed[5, 10].tolist() == [131, 80, 80]


def test_dim_outside_takes_exactly_its_strength_from_the_outside_alone():
    image = some_image()
    region = inside(20, 30, slice(6, 14), slice(11, 19))
    dimmed = marks.dim_outside(image, CENTER, strength=0.25, margin=0)
    np.testing.assert_array_equal(dimmed[region], image[region])
    np.testing.assert_array_equal(dimmed[~region], np.rint(0.75 * image[~region].astype(float)))
    black = marks.dim_outside(image, CENTER, margin=0)
    assert not black[~region].any()


def test_gray_outside_goes_towards_the_luma():
    # 0.299 · 200 + 0.587 · 100 + 0.114 · 50 = 124.2
    image = np.full((20, 30, 3), (200, 100, 50), np.uint8)
    grayed = marks.gray_outside(image, CENTER, margin=0)
    halved = marks.gray_outside(image, CENTER, strength=0.5, margin=0)
    assert grayed[0, 0].tolist() == [124, 124, 124]
    assert halved[0, 0].tolist() == [162, 112, 87]
    assert grayed[6, 11].tolist() == halved[13, 18].tolist() == [200, 100, 50]


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_blur_outside_is_gaussian_outside_and_nothing_inside(strength):
    image = some_image(60, 80)
    region = inside(60, 80, slice(18, 42), slice(28, 52))
    blurred = marks.blur_outside(image, CENTER, strength=strength, margin=0)
    sigma = strength * marks.STRONGEST_BLUR * 60
    reference = gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="nearest")
    np.testing.assert_array_equal(blurred[region], image[region])
    assert abs(blurred - reference)[~region].mean() < 2 < abs(image - reference)[~region].mean() / 10


def coordinates(height, width):
    return np.stack([*np.mgrid[:height, :width], np.zeros((height, width))], axis=-1).astype(np.uint8)


def corners(cut):
    return cut[0, 0, :2].tolist(), (cut[-1, -1, :2] + 1).tolist()


@pytest.mark.parametrize(
    ("place", "options", "first", "end"),
    [
        ((0.5, 0.5, 0.2), {"margin": 0}, [16, 26], [24, 34]),
        ((0.5, 0.5, 0.2), {"margin": 0.25}, [14, 24], [26, 36]),
        ((1.0, 0.0, 0.2), {"margin": 0}, [0, 52], [8, 60]),  # moved inside, not cut off
        ((0.9, 0.5, 0.5), {"margin": 5}, [0, 20], [40, 60]),  # at most the square on the shorter side
        # half way: 24 rows and 34 columns, centered at column (30 + 54) / 2 = 42
        ((0.9, 0.5, 0.2), {"margin": 0, "strength": 0.5}, [8, 25], [32, 59]),
    ],
)
def test_crop_contains_exactly_the_window(place, options, first, end):
    image = coordinates(40, 60)  # the object is a square of 8 pixels, but for the fourth
    assert corners(marks.crop(image, Location(*place), **options)) == (first, end)


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 1), (33, 7)])
@pytest.mark.parametrize("place", [(0, 0, 0.01), (1, 1, 0.3), (0.5, 0.5, 1), (0.2, 0.8, 4)])
def test_no_image_is_too_small_and_no_object_too_near_the_border(kind, shape, place):
    image = some_image(*shape)
    prompted = PROMPTS[kind](image, Location(*place))
    assert prompted.dtype == np.uint8
    if kind == "crop":
        assert 1 <= prompted.shape[0] == prompted.shape[1] <= min(shape)
    else:
        assert prompted.shape == image.shape


@pytest.mark.parametrize("kind", PROMPTS)
def test_strength_zero_returns_the_image_itself(kind):
    image = some_image()
    assert PROMPTS[kind](image, CENTER, strength=0) is image
    assert PROMPTS[kind](image, CENTER) is not image


@pytest.mark.parametrize("kind", MARKS)
def test_a_line_without_width_returns_the_image_itself(kind):
    image = some_image()
    assert MARKS[kind](image, CENTER, width=0) is image


@pytest.mark.parametrize("kind", ["blur outside", "gray outside", "dim outside"])
@pytest.mark.parametrize("margin", [5, 1e12])
def test_nothing_is_outside_a_region_that_holds_the_image(kind, margin):
    image = some_image()
    assert PROMPTS[kind](image, CENTER, margin=margin) is image


@pytest.mark.parametrize("kind", ["circle", "box"])
def test_a_line_around_the_whole_image_is_not_seen(kind):
    image = some_image()
    assert MARKS[kind](image, CENTER, margin=1e12) is image


def test_large_images_are_marked_without_smoothing():
    # a pixel more than are anti-aliased; the line is 10.24 pixels wide, of which 10 are drawn
    drawn = marks.box(np.zeros((1024, 1025, 3), np.uint8), CENTER, width=0.01)
    assert set(np.unique(drawn[..., 0])) == {0, 255}
    assert (drawn[512, :512, 0] > 0).sum() == 10


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("place", [(1.01, 0.5), (0.5, -0.01)])
def test_a_location_outside_the_image_is_refused(kind, place):
    with pytest.raises(InputError, match="outside the image"):
        PROMPTS[kind](some_image(), Location(*place, 0.3))
