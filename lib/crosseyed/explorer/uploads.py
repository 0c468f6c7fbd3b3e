"""Images that a user gives to the live explorer: checked, reduced, and kept while it runs."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from crosseyed.data.cutouts import Cutout, premultiplied
from crosseyed.data.images import UnreadableImage, decode_image, read_image
from crosseyed.errors import InputError

MOST_BYTES = 32 * 2**20
"""Largest file that is taken, 32 MiB."""

MOST_PIXELS = 40_000_000 - 1
"""An image of 40 megapixels or more is refused: it would take seconds to decode, and no model sees its detail."""

LONGEST_PHOTOGRAPH, LONGEST_OBJECT = 2048, 1024
"""Pixels of the longer side that are kept, for a photograph and for an object in a scene."""

MOST_KEPT = 8
"""Images that are kept; after that the one used longest ago is dropped."""

_VISIBLE = 8  # the alpha from which on a cut-out counts as drawn


@dataclass(frozen=True, eq=False)
class Upload:
    """An image of the user's.

    Attributes
    ----------
    key : str
        A digest of the file's content.
    photograph : PIL.Image.Image
        The image as it is, RGB; what is transparent is white.
    cutout : Cutout
        The same as an object, for `crosseyed.data.scenes`. An opaque image is a rectangle.
    """

    key: str
    photograph: Image.Image
    cutout: Cutout


class Uploads:
    """The last images of the user's, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: OrderedDict[str, Upload] = OrderedDict()

    def add(self, content: bytes) -> Upload:
        """Check and keep an image.

        Parameters
        ----------
        content : bytes
            Of a file of one of the formats of `crosseyed.data.images`.

        Raises
        ------
        InputError
            The file is too large, no image, damaged, or shows nothing; the message is one sentence.
        """
        if len(content) > MOST_BYTES:
            raise InputError(f"The file has more than {MOST_BYTES // 2**20} MB; give a smaller one.")
        key = hashlib.sha256(content).hexdigest()[:16]
        if key in self._kept:
            return self.find(key)
        try:
            image = decode_image(content, "yours", MOST_PIXELS)
        except UnreadableImage as error:
            raise InputError(
                f"{str(error).removesuffix('.')}; give a PNG, JPEG, WebP, GIF, BMP or TIFF of less than 40 megapixels."
            ) from error
        if image.getchannel("A").getextrema()[1] < _VISIBLE:
            raise InputError(
                "Cannot use the image 'yours': it is wholly transparent; give one that shows something."
            )
        photograph = read_image(_reduced(image, LONGEST_PHOTOGRAPH))
        file = self._folder / f"{key}.png"
        _edged(_reduced(image, LONGEST_OBJECT)).save(file, compress_level=1)
        self._kept[key] = Upload(key, photograph, Cutout("yours", "own", "own", file))
        if len(self._kept) > MOST_KEPT:
            _, dropped = self._kept.popitem(last=False)
            dropped.cutout.path.unlink()
            premultiplied.cache_clear()
        return self._kept[key]

    def find(self, key: str) -> Upload:
        """Return an image that was added; raise InputError if it is not kept (any more)."""
        if key not in self._kept:
            raise InputError("That image is no longer kept; drop it on the page again.")
        self._kept.move_to_end(key)
        return self._kept[key]


def _reduced(image: Image.Image, longest: int) -> Image.Image:
    if max(image.size) <= longest:
        return image
    scale = longest / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)


def _edged(image: Image.Image) -> Image.Image:
    """Give an image the transparent edge that every cut-out has to have, and that is trimmed where it is drawn."""
    edged = Image.new("RGBA", (image.width + 2, image.height + 2))
    edged.paste(image, (1, 1))
    return edged
