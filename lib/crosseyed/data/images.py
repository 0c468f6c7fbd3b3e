"""Turn anything that stands for an image into an upright 8-bit RGB image, and read many ahead of use."""

import io
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from crosseyed.errors import InputError

ImageSource = str | os.PathLike | Image.Image | np.ndarray | Callable[[], Image.Image | np.ndarray]
"""A file, a Pillow image, an array (height, width, 3) of uint8, or a function that makes one of these two."""

MAX_PIXELS = 2**28 // 3
"""Largest image that is read, about 89 million pixels (256 MiB as RGB): Pillow's own limit."""

MAX_ASPECT = 100
"""Largest ratio of the sides: resizing the short side of a thinner strip to a model's input has no sense."""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""The formats of files that are opened; others may start programs (EPS) or need ones."""

_DARKEST = 4096
"""Values of cameras with 12 bits stay below this; without being stretched they would look black."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by EXIF's orientation; 5 to 8 swap width and height."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class UnreadableImage(InputError):  # noqa: N818 (a state of the image, counted and reported, not a failure)
    """An image that cannot be read: its `name` (the file, or what else names it) and the `reason`."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Cannot read the image {name!r}: {reason}.")
        self.name = name
        self.reason = reason


def read_image(source: ImageSource) -> Image.Image:
    """Read one image as upright RGB (mode RGB, loaded).

    The orientation that a camera noted in the EXIF data is applied. Gray, palette and CMYK images are converted,
    16-bit gray is reduced to its high byte, transparency is composited on white; of an animation the first frame is
    taken.

    Raises
    ------
    UnreadableImage
        The file is missing, empty, damaged or not an image; the image has more than `MAX_PIXELS` pixels, one side more
        than `MAX_ASPECT` times the other, or 16-bit gray in the lowest 12 bits alone.
    InputError
        `source` is of another kind, or an array of another shape or type.
    """
    name = _name(source)
    if callable(source):
        try:
            source = source()
        except OSError as error:
            raise UnreadableImage(name, str(error)) from error
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    if isinstance(source, Image.Image):
        return _readable(name, lambda: _to_rgb(source))
    if isinstance(source, str | os.PathLike):
        return _readable(name, lambda: _open(source))
    raise InputError(
        f"An image must be a file name, a Pillow image, an array or a function, not {type(source).__name__}."
    )


def decode_image(content: bytes, name: str, most_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read one image from the bytes of a file as `read_image` does, but keep its transparency (mode RGBA, loaded).

    Raises
    ------
    UnreadableImage
        As of `read_image`, of an image called `name`; or it has more than `most_pixels` pixels, which is found before
        it is decoded.
    """

    def decode() -> Image.Image:
        if not content:
            raise ValueError("the file is empty")
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            upright = _upright(image, most_pixels).convert("RGBA")
        upright.info.clear()  # or its orientation would be applied again
        return upright

    return _readable(name, decode)


def check_several(images: Iterable[ImageSource]) -> None:
    """Raise InputError for a single image (a file name or a Pillow image) where several are expected."""
    if isinstance(images, str | os.PathLike | Image.Image):
        raise InputError(f"Several images are expected, not one: put {images!r} into a list.")


def read_size(path: str | os.PathLike) -> tuple[int, int]:
    """Read the upright width and height (pixels) of an image file without decoding it; raise as `read_image`."""

    def upright_size() -> tuple[int, int]:
        with Image.open(_finite(path), formats=FORMATS) as image:
            _check_header(image)
            width, height = image.size
            # Pillow states the upright size of a TIFF file by itself
            turned = image.format != "TIFF" and _orientation(image) >= 5
        return (height, width) if turned else (width, height)

    return _readable(os.fsdecode(path), upright_size)


def map_ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int, ahead: int
) -> Iterator[_Result]:
    """Apply a function in background threads, a bounded number of items ahead of the consumer.

    Parameters
    ----------
    function : callable
        Applied to every item, in a thread. Its exceptions are raised at the item's turn.
    items : iterable
        Consumed in the caller's thread, no further than `ahead` items before the results that were taken.
    workers : int
        Number of threads.
    ahead : int
        Number of results kept ready or under way.

    Yields
    ------
    object
        The results in the order of the items. Closing the generator, also by an exception in the consumer, drops what
        is waiting and ends the threads.
    """
    executor = ThreadPoolExecutor(workers, thread_name_prefix="crosseyed")
    pending = deque()
    try:
        for item in items:
            pending.append(executor.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _name(source: ImageSource) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    owner = getattr(source, "__self__", source)  # of a scene's render method: the scene
    return str(getattr(owner, "filename", "") or getattr(owner, "name", "") or "in memory")


def _readable(name: str, read: Callable[[], _Result]) -> _Result:
    try:
        return read()
    except UnidentifiedImageError:
        empty = os.path.isfile(name) and not os.path.getsize(name)
        reason = "the file is empty" if empty else "it is not an image of a known format"
    except OSError as error:
        reason = error.strerror or str(error)
    except Exception as error:  # a damaged file can make Pillow's decoders fail in any way
        reason = f"{error or type(error).__name__}"
    raise UnreadableImage(name, reason)


def _finite(path: str | os.PathLike) -> str | os.PathLike:
    """Return a path unless reading it may never end."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a folder has its own error
        raise ValueError("it is a pipe, a socket or a device and not a regular file")
    return path


def _open(path: str | os.PathLike) -> Image.Image:
    with Image.open(_finite(path), formats=FORMATS) as image:
        return _to_rgb(image)


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation; 1, which is upright, where there is none or it cannot be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data are no fault of the pixels
        return 1
    return found if found in _TURNS else 1


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise InputError(
            f"An image array must be uint8 of shape (height, width, 3), not {array.dtype} {array.shape}."
        )
    return Image.fromarray(array)


def _check_header(image: Image.Image, most_pixels: int = MAX_PIXELS) -> None:
    """Raise ValueError for an image whose size or kind of pixels is known to be of no use, before it is decoded."""
    width, height = image.size
    if width * height > most_pixels:
        raise ValueError(f"its {width} x {height} pixels exceed the limit of {most_pixels:,}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(f"one side of its {width} x {height} pixels exceeds {MAX_ASPECT} times the other")
    if image.mode == "F":
        raise ValueError("its floating-point pixels have no defined range; save it with 8 or 16 bits")


def _upright(image: Image.Image, most_pixels: int = MAX_PIXELS) -> Image.Image:
    """Load an image, turn it upright and bring its values to 8 bits; its mode and transparency stay."""
    _check_header(image, most_pixels)
    image.load()  # a TIFF file is upright from then on
    if (turn := _TURNS.get(_orientation(image))) is not None:
        image = image.transpose(turn)  # the pixels alone: EXIF data may hold what cannot be written again
    if image.mode.startswith("I"):
        # Pillow reads 16-bit color by its high byte but would clip 16-bit gray at 255: make them the same
        pixels = np.asarray(image).clip(0, 65535)
        if 0 < pixels.max() < _DARKEST:
            raise ValueError(f"its 16-bit pixels are at most {pixels.max()} of 65535; stretch them")
        image = Image.fromarray((pixels // 256).astype(np.uint8))
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    image = _upright(image)
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.has_transparency_data:
        background = Image.new("RGBA", image.size, "white")
        background.alpha_composite(image.convert("RGBA"))
        image = background
    return image.convert("RGB")
