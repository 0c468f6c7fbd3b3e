"""What users give is checked, reduced and kept; what cannot be used is told in a sentence."""

import re

import numpy as np
import pytest
from PIL import Image
from serving import file_of

from crosseyed.data.backgrounds import Background
from crosseyed.data.cutouts import premultiplied
from crosseyed.data.images import read_image
from crosseyed.data.scenes import Placement, Scene
from crosseyed.errors import InputError
from crosseyed.explorer import uploads
from crosseyed.explorer.uploads import Uploads

NOISE = np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture
def kept(tmp_path):
    return Uploads(tmp_path)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_a_photograph_is_what_the_library_reads_from_the_file(kept, tmp_path, kind, options):
    content = file_of(Image.fromarray(NOISE), kind, **options)
    (tmp_path / "mine").write_bytes(content)
    photograph = kept.add(content).photograph
    assert photograph.mode == "RGB"
    np.testing.assert_array_equal(photograph, read_image(tmp_path / "mine"))


def test_an_opaque_image_is_a_rectangle_in_a_scene_and_untouched_at_its_own_size(kept):
    cutout = kept.add(file_of(Image.fromarray(NOISE))).cutout
    np.testing.assert_array_equal(premultiplied(cutout.path).convert("RGB"), NOISE)
    scene = Scene("s", Background("plain", 0), (Placement(cutout, 0.5, 0.5, 0.6),), height=100, width=100)
    np.testing.assert_array_equal(scene.render()[30:70, 20:80], NOISE)


def test_what_is_transparent_shows_the_background_in_a_scene_and_white_in_a_photograph(kept):
    layered = np.dstack([NOISE, np.full(NOISE.shape[:2], 255, np.uint8)])
    layered[10:20, :, 3] = 0
    upload = kept.add(file_of(Image.fromarray(layered, "RGBA")))
    assert (np.asarray(upload.photograph)[10:20] == 255).all()
    scene = Scene(
        "s", Background("plain", 0), (Placement(upload.cutout, 0.5, 0.5, 0.6),), height=100, width=100
    )
    np.testing.assert_array_equal(scene.render()[40:50], scene.empty().render()[40:50])


def test_the_orientation_of_the_camera_is_applied(kept):
    exif = Image.Exif()
    exif[0x0112] = 6
    upload = kept.add(file_of(Image.fromarray(NOISE), exif=exif))
    np.testing.assert_array_equal(upload.photograph, np.rot90(NOISE, -1))
    np.testing.assert_array_equal(premultiplied(upload.cutout.path).convert("RGB"), np.rot90(NOISE, -1))


def test_a_large_image_is_reduced_in_its_proportions(kept):
    upload = kept.add(file_of(Image.new("RGB", (4096, 1024), "red")))
    assert upload.photograph.size == (2048, 512)
    assert premultiplied(upload.cutout.path).size == (1024, 256)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello <b>", "not an image of a known format"),
        (b"\0" * 5000, "not an image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n", "not an image of a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image of a known format"),
        (file_of(Image.fromarray(NOISE))[:900], "Cannot read the image"),
        (file_of(Image.new("1", (8000, 5000))), "its 8000 x 5000 pixels exceed the limit of 39,999,999"),
        (file_of(Image.new("RGB", (1000, 2))), "one side of its 1000 x 2 pixels exceeds"),
        (file_of(Image.new("RGBA", (5, 5))), "wholly transparent"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(kept, content, reason):
    with pytest.raises(InputError, match=re.escape(reason)) as refusal:
        kept.add(content)
    assert "\n" not in str(refusal.value) and " at 0x" not in str(refusal.value)


def test_a_large_file_is_refused_before_it_is_read(kept, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 2**20)
    with pytest.raises(InputError, match="more than 1 MB"):
        kept.add(bytes(2**20 + 1))


def test_the_last_images_are_kept_and_the_one_used_longest_ago_is_dropped(kept, tmp_path):
    contents = [file_of(Image.new("RGB", (3, 3), (number, 0, 0))) for number in range(uploads.MOST_KEPT + 1)]
    keys = [kept.add(content).key for content in contents[:-1]]
    assert kept.add(contents[0]).key == keys[0]
    kept.add(contents[-1])
    assert kept.find(keys[0]).key == keys[0]
    with pytest.raises(InputError, match="no longer kept"):
        kept.find(keys[1])
    assert len(list(tmp_path.iterdir())) == uploads.MOST_KEPT
