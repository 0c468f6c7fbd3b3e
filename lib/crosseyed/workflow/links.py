"""Check, without a network, that what the pages of a site link to is there: files, and places within pages."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_PLACES = {"id", "name"}

_LINKS = {"href", "src", "poster", "data"}

_TOP = ("", "top")  # what browsers take for the beginning of any page

_TEMPLATE = (
    "webpack-macros.html"  # ends the names of the parts of pages that the theme leaves among its files
)

_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")


@dataclass(frozen=True)
class Broken:
    """A link of a page that leads nowhere."""

    page: str
    """Path of the page within the site."""
    link: str
    """The link as it is written there."""
    why: str

    def __str__(self) -> str:
        """Name the page, the link and what is missing."""
        return f"{self.page}: {self.link!r} {self.why}"


@dataclass
class _Page(HTMLParser):
    """The links of a page, and the places in it that links can name."""

    links: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what one element links to and how it can be named."""
        given = {name: value for name, value in attributes if value is not None}
        self.places |= {given[name] for name in _PLACES & given.keys() if name == "id" or tag == "a"}
        self.links += [given[name] for name in _LINKS & given.keys() if name != "data" or tag == "object"]
        if "srcset" in given:
            self.links += [part.split()[0] for part in given["srcset"].split(",") if part.split()]


def broken(site: str | os.PathLike) -> list[Broken]:
    """Return the links between the files of a site that lead nowhere, in the order of pages.

    Parameters
    ----------
    site : path
        Folder of a site; each ``.html`` file in it, at any depth, is a page.

    Returns
    -------
    list of Broken
        A link fails if its file is not in the folder, if no element of the page that it names has its anchor, or if it
        leaves the folder or begins with a slash: such a one works only where the site is served from the top of a host.
        Addresses elsewhere (``https:``, ``mailto:``, ``data:``) are not asked for.
    """
    root = Path(site).resolve()
    read = cache(_read)  # each page once, for its links and for the anchors that are looked up in it
    found = []
    for file in sorted(each for each in root.rglob("*.html") if not each.name.endswith(_TEMPLATE)):
        page = file.relative_to(root).as_posix()
        links = dict.fromkeys(read(file).links)
        found += [Broken(page, link, why) for link in links for why in _faults(link, file, root, read)]
    return found


def _faults(link: str, page: Path, root: Path, read: Callable[[Path], _Page]) -> Iterator[str]:
    """Yield what is wrong with a link: nothing, or one reason."""
    if _ELSEWHERE.match(link.strip()):
        return
    parts = urlsplit(link.strip())
    if parts.path.startswith("/"):
        yield "begins with a slash, and the site need not be at the top of its host"
        return
    target = Path(os.path.normpath(page.parent / unquote(parts.path))) if parts.path else page
    if not target.is_relative_to(root):
        yield "leaves the site"
        return
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        yield "names a file that is not there"
        return
    place = unquote(parts.fragment)
    if place not in _TOP and target.suffix == ".html" and place not in read(target).places:
        yield f"names a place that {target.relative_to(root).as_posix()} does not have"


def _read(file: Path) -> _Page:
    page = _Page()
    page.feed(file.read_text(encoding="utf-8", errors="replace"))
    page.close()
    return page
