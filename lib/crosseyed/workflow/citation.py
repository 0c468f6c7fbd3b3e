"""Who wrote the study and how it is cited, from ``CITATION.cff``, and the tags by which scholars' indexes know a page.

Highwire's ``citation_`` tags are what Google Scholar and Zotero read; others read JSON-LD in the words of schema.org.
"""

import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from crosseyed.documents import read_yaml
from crosseyed.errors import InputError, shorten
from crosseyed.validation import validated

FILE = Path("CITATION.cff")
"""The citation file, relative to the repository."""

_Text = Annotated[str, Field(min_length=1)]


class _Author(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)
    name: _Text | None = None
    given: _Text | None = Field(None, alias="given-names")
    family: _Text | None = Field(None, alias="family-names")


class _File(BaseModel):
    """What is read of the citation file; the format itself knows more."""

    model_config = ConfigDict(extra="ignore")
    title: _Text
    authors: Annotated[list[_Author], Field(min_length=1)]
    version: _Text
    license: _Text
    released: Annotated[str, Field(alias="date-released", pattern=r"^\d{4}-\d{2}-\d{2}$")]


@dataclass(frozen=True)
class Citation:
    """How the study is cited."""

    title: str
    authors: tuple[str, ...]
    """Names as they are printed, such as ``"Ada Lovelace"``."""
    version: str
    license: str
    """Its SPDX identifier."""
    released: str
    """Day of this version, such as ``"2026-11-22"``."""


def read(file: Path = FILE) -> Citation:
    """Read the citation file; raise InputError if it lacks title, authors, version, license or ``date-released``."""
    what = "the citation of the study"
    content = read_yaml(file, what)
    if not isinstance(content, dict):
        raise InputError(f"{str(file)!r} holds {shorten(content)}; restore {what}.")
    given = validated(_File, content, str(file))
    names = tuple(_name(author, file) for author in given.authors)
    return Citation(given.title, names, given.version, given.license, given.released)


def page_tags(citation: Citation, *, title: str, edition: str, language: str, url: str = "") -> str:
    """Return the HTML that a page's head holds for scholars' indexes.

    Parameters
    ----------
    citation : Citation
        How the study is cited.
    title : str
        Title of the page, as text.
    edition : str
        Name of the edition.
    language : str
        Language of the page, such as ``"en"``.
    url : str
        Address of the page, if it is known; without it no tag names one.
    """
    book = f"{citation.title} (edition {edition})"
    named = [
        ("citation_title", title),
        *(("citation_author", name) for name in citation.authors),
        ("citation_publication_date", citation.released.replace("-", "/")),
        ("citation_inbook_title", book),
        ("citation_language", language),
        ("citation_public_url", url),
        ("citation_fulltext_html_url", url),
    ]
    tags = [f'<meta name="{name}" content="{html.escape(text)}"/>' for name, text in named if text]
    data = {
        "@context": "https://schema.org",
        "@type": "Chapter",
        "name": title,
        "author": [{"@type": "Person", "name": name} for name in citation.authors],
        "datePublished": citation.released,
        "inLanguage": language,
        "isPartOf": {"@type": "Book", "name": book, "version": citation.version},
        "license": f"https://spdx.org/licenses/{citation.license}.html",
        **({"url": url} if url else {}),
    }
    # nothing in it can end the element: every < becomes an escape of JSON
    written = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return "\n".join([*tags, f'<script type="application/ld+json">{written}</script>'])


def _name(author: _Author, file: Path) -> str:
    name = author.name or " ".join(filter(None, [author.given, author.family]))
    if not name:
        raise InputError(f"An author in {str(file)!r} has no name; give `name`, or `family-names`.")
    return name
