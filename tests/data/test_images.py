"""Reading one image of any kind, and many ahead of use."""

import itertools
import os
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from crosseyed.data import images
from crosseyed.data.images import UnreadableImage, decode_image, map_ahead, read_image, read_size
from crosseyed.errors import InputError

PIXELS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [200, 100, 50], [0, 0, 0]]], np.uint8
)


def read(source):
    image = read_image(source)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_files_images_arrays_and_functions_give_the_same_pixels(tmp_path):
    path = tmp_path / "image.png"
    image = Image.fromarray(PIXELS)
    image.save(path)
    for source in (path, str(path), image, PIXELS, lambda: PIXELS, lambda: image):
        np.testing.assert_array_equal(read(source), PIXELS)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, PIXELS),
        (2, PIXELS[:, ::-1]),
        (3, PIXELS[::-1, ::-1]),
        (6, np.rot90(PIXELS, -1)),
        (8, np.rot90(PIXELS)),
    ],
)
def test_exif_orientation_is_applied(tmp_path, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "image.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "image.png"), upright)


def test_bytes_are_decoded_as_files_are_and_keep_their_transparency(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    layered = np.dstack([PIXELS, np.array([[255, 128, 0], [255, 255, 255]], np.uint8)])
    Image.fromarray(layered).save(tmp_path / "image.png", exif=exif)
    decoded = decode_image((tmp_path / "image.png").read_bytes(), "mine")
    np.testing.assert_array_equal(decoded, np.rot90(layered, -1))
    np.testing.assert_array_equal(read(decoded), read(tmp_path / "image.png"))
    with pytest.raises(UnreadableImage, match="'mine': its 3 x 2 pixels exceed the limit of 5"):
        decode_image((tmp_path / "image.png").read_bytes(), "mine", most_pixels=5)


def test_gray_is_repeated_in_the_three_channels(tmp_path):
    gray = np.array([[0, 128], [200, 255]], np.uint8)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(read(tmp_path / "gray.png"), np.repeat(gray[..., None], 3, axis=2))


def test_gray_of_16_bits_keeps_its_high_byte(tmp_path):
    gray = np.array([[0, 255], [256, 65535]], np.uint16)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(read(tmp_path / "gray.png")[..., 0], [[0, 0], [1, 255]])


@pytest.mark.parametrize("largest", [1, 255, 4095])
def test_gray_of_fewer_bits_in_16_is_not_taken_for_black(tmp_path, largest):
    Image.fromarray(np.array([[0, largest]], np.uint16)).save(tmp_path / "gray.png")
    with pytest.raises(UnreadableImage, match=f"16-bit pixels are at most {largest} of 65535"):
        read(tmp_path / "gray.png")
    Image.fromarray(np.array([[0, 0]], np.uint16)).save(tmp_path / "black.png")
    assert not read(tmp_path / "black.png").any()


def test_palette_and_cmyk_become_rgb(tmp_path):
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read(tmp_path / "palette.png"), [[[255, 0, 0], [0, 0, 255]]])
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=100)
    np.testing.assert_allclose(read(tmp_path / "cmyk.jpg"), np.tile([255, 0, 0], (8, 8, 1)), atol=3)


def test_transparency_is_composited_on_white(tmp_path):
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    # one fifth black over white: 255 × 4/5 = 204
    np.testing.assert_array_equal(read(tmp_path / "rgba.png"), [[[255, 0, 0], [255] * 3, [204] * 3]])
    Image.fromarray(PIXELS).save(tmp_path / "rgb.png", transparency=(255, 0, 0))
    assert read(tmp_path / "rgb.png")[0].tolist() == [[255, 255, 255], [0, 255, 0], [0, 0, 255]]


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "animation.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read(tmp_path / "animation.gif"), np.tile([255, 0, 0], (4, 4, 1)))


def test_the_smallest_and_a_very_large_image_are_read(tmp_path):
    Image.fromarray(PIXELS[:1, :1]).save(tmp_path / "pixel.png")
    np.testing.assert_array_equal(read(tmp_path / "pixel.png"), PIXELS[:1, :1])
    Image.new("L", (8000, 6250), 7).save(tmp_path / "large.png")
    assert read_image(tmp_path / "large.png").size == (8000, 6250)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 60_000])
def test_an_image_beyond_the_limit_is_refused_by_its_header_alone(tmp_path, side):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    for read in (read_image, read_size):
        with pytest.raises(UnreadableImage, match=r"bomb\.png.*exceed.* limit"):
            read(tmp_path / "bomb.png")


def test_a_strip_too_thin_to_resize_is_refused():
    assert read_image(np.zeros((1, images.MAX_ASPECT, 3), np.uint8)).size == (images.MAX_ASPECT, 1)
    with pytest.raises(UnreadableImage, match="101 x 1"):
        read_image(np.zeros((1, images.MAX_ASPECT + 1, 3), np.uint8))


def test_what_the_header_tells_is_known_from_the_size_alone(tmp_path):
    Image.new("RGB", (1, images.MAX_ASPECT + 1)).save(tmp_path / "strip.png")
    Image.new("F", (8, 8)).save(tmp_path / "float.tif")
    for name, reason in (("strip.png", "101 pixels"), ("float.tif", "floating-point")):
        with pytest.raises(UnreadableImage, match=reason):
            read_size(tmp_path / name)


def broken_files(folder):
    Image.effect_noise((64, 64), 90).save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("this is not an image")
    (folder / "folder.jpg").mkdir()
    Image.new("F", (4, 4)).save(folder / "float.tiff")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("truncated.jpg", "truncated"),
        ("empty.jpg", "the file is empty"),
        ("text.jpg", "not an image of a known format"),
        ("folder.jpg", "Is a directory"),
        ("missing.jpg", "No such file"),
        ("float.tiff", "no defined range"),
    ],
)
def test_an_unreadable_file_is_named_with_the_reason(tmp_path, name, reason):
    broken_files(tmp_path)
    with pytest.raises(UnreadableImage, match=reason) as caught:
        read_image(tmp_path / name)
    assert caught.value.name == str(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_function_that_cannot_read_is_named_by_its_owner():
    class Scene:
        name = "scene 12"

        def render(self):
            raise FileNotFoundError("cut-out is gone")

    with pytest.raises(UnreadableImage, match=r"'scene 12': cut-out is gone"):
        read_image(Scene().render)


@pytest.mark.parametrize("source", [None, 7, PIXELS.astype(float), PIXELS[..., 0], PIXELS[:0]])
def test_what_is_no_image_is_an_error_of_the_caller(source):
    with pytest.raises(InputError) as caught:
        read_image(source)
    assert not isinstance(caught.value, UnreadableImage)


def own_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("crosseyed")]


def test_map_ahead_keeps_the_order():
    slow_first = threading.Event()

    def square(number):
        if number == 0:
            slow_first.wait(5)
        if number == 3:
            slow_first.set()
        return number**2

    assert list(map_ahead(square, range(20), workers=4, ahead=6)) == [number**2 for number in range(20)]


def test_map_ahead_takes_no_more_items_than_it_may():
    taken = []
    source = (taken.append(number) or number for number in itertools.count())
    results = map_ahead(lambda number: number, source, workers=2, ahead=5)
    for number in range(10):
        assert next(results) == number
        assert len(taken) <= number + 1 + 5
    results.close()
    assert own_threads() == []


def test_map_ahead_raises_at_the_items_turn_and_ends_its_threads():
    results = map_ahead(lambda number: 1 // number, [1, 2, 0, 3], workers=2, ahead=4)
    assert [next(results), next(results)] == [1, 0]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert own_threads() == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_a_file_is_that_of_the_image_that_is_read(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "image.jpg", exif=exif)
    assert read_size(tmp_path / "image.jpg") == read_image(tmp_path / "image.jpg").size


def test_the_size_of_what_is_no_image_cannot_be_read(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadableImage, match="the file is empty"):
        read_size(tmp_path / "empty.jpg")
    with pytest.raises(UnreadableImage, match="No such file"):
        read_size(tmp_path / "missing.jpg")


@pytest.mark.parametrize("read", [read_image, read_size])
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", "/dev/zero"):
        with pytest.raises(UnreadableImage, match="not a regular file"):
            read(path)
