"""Pictures for a page keep their proportions, and what can be seen through stays so."""

import io

import numpy as np
from drawn_cutouts import flag, write_cutout
from PIL import Image

from crosseyed.data.backgrounds import Background, draw_background
from crosseyed.data.cutouts import premultiplied
from crosseyed.explorer import pictures


def opened(content):
    image = Image.open(io.BytesIO(content))
    assert image.format == "WEBP"
    return image


def test_an_image_keeps_its_proportions_and_its_transparency():
    image = Image.new("RGBA", (300, 100), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 150, 100))
    small = opened(pictures.of_image(image, 96))
    assert small.size == (96, 32)
    assert small.getpixel((10, 16))[3] == 0
    assert small.getpixel((86, 16))[3] == 255
    assert image.size == (300, 100)


def test_an_image_is_never_made_larger():
    assert opened(pictures.of_image(Image.new("RGB", (30, 20)), 96)).size == (30, 20)


def test_a_cutout_is_trimmed_and_as_small_as_asked(tmp_path):
    cutout = write_cutout(tmp_path / "flag.png", flag)
    width, height = premultiplied(cutout.path).size
    assert opened(pictures.of_cutout(cutout)).size == (width, height)
    small = opened(pictures.of_cutout(cutout, 40))
    assert max(small.size) == 40 and abs(small.width * height - small.height * width) <= max(width, height)
    assert small.mode == "RGBA"


def test_a_background_is_that_of_the_scenes_but_for_compression():
    background = Background("plain", 1)
    shown = np.asarray(opened(pictures.of_background(background)).convert("RGB"), float)
    assert np.abs(shown - draw_background(background, *shown.shape[1::-1])).mean() < 3
