"""Give the images of rendered pages their size, so that text does not move when they arrive."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

from crosseyed.errors import InputError
from crosseyed.files import atomic_write
from crosseyed.report.figures.style import size_of

_IMAGE = re.compile(r"<img\b[^>]*>")
_SOURCE = re.compile(r'\bsrc="([^"]*)"')
_HAS_SIZE = re.compile(r"\b(?:width|height|style)=")


def give_sizes(pages: Path) -> None:
    """Write width and height of each image into the pages that show it; one that states a size is left as it is.

    Parameters
    ----------
    pages : pathlib.Path
        Folder of HTML files, whose images lie in it too. Images elsewhere, or that are none, stay as they are.
    """
    sizes: dict[Path, str] = {}
    for page in sorted(pages.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        sized = _IMAGE.sub(lambda found, page=page: _sized(found[0], page, sizes), text)
        if sized != text:
            with atomic_write(page) as file:
                file.write_text(sized, encoding="utf-8")


def _sized(element: str, page: Path, sizes: dict[Path, str]) -> str:
    source = _SOURCE.search(element)
    if source is None or _HAS_SIZE.search(element):
        return element
    address = urlsplit(unescape(source[1]))
    if address.scheme or address.netloc:
        return element
    file = page.parent / unquote(address.path)
    if file not in sizes:
        sizes[file] = _attributes(file)
    return element.replace("<img", f"<img{sizes[file]}", 1)


def _attributes(file: Path) -> str:
    try:
        width, height = size_of(file.read_bytes())
    except (OSError, InputError):
        return ""
    return f' width="{width}" height="{height}"'
