"""A Sphinx extension that puts into the head of each page what scholars' indexes and search engines read."""

import json
import re
from dataclasses import asdict
from html import escape, unescape
from typing import TYPE_CHECKING, Any

from crosseyed.workflow.citation import Citation, page_tags

if TYPE_CHECKING:
    from docutils.nodes import document
    from sphinx.application import Sphinx

EXTENSION = __name__

CARD = "card.png"
"""Name of the image that is shown beside a link to an edition, at the top of its pages."""

_NO_INDEX = '<meta name="robots" content="noindex"/>'


def configure(configuration: dict[str, Any], citation: Citation, edition: str, address: str) -> None:
    """Switch the extension on in a configuration of the book.

    Parameters
    ----------
    configuration : dict
        Of Jupyter Book; it is changed.
    citation : Citation
        How the study is cited.
    edition : str
        Name of the edition.
    address : str
        Where the pages of the edition will be, or an empty text.
    """
    sphinx = configuration["sphinx"]
    sphinx["extra_extensions"] = [*sphinx.get("extra_extensions", []), EXTENSION]
    sphinx["config"]["crosseyed_citation"] = json.dumps([asdict(citation), edition])
    configuration["html"]["baseurl"] = address and f"{address}/"


def setup(app: "Sphinx") -> dict[str, bool]:
    """Let Sphinx call `add_tags` for each page."""
    app.add_config_value("crosseyed_citation", "", "html")
    app.connect("html-page-context", add_tags)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_tags(
    app: "Sphinx", page: str, _template: str, context: dict[str, Any], source: "document | None"
) -> None:
    """Give a page its tags; one that Sphinx makes by itself (index, search, code) is kept out of search engines."""
    context["script_files"] = _without_repeats(context.get("script_files", []))
    if source is None:
        tags = _NO_INDEX
    else:
        known, edition = json.loads(app.config.crosseyed_citation)
        base = app.config.html_baseurl
        tags = page_tags(
            Citation(**{**known, "authors": tuple(known["authors"])}),
            title=unescape(re.sub("<[^>]+>", "", context.get("title", ""))),
            edition=edition,
            language=app.config.language,
            url=base and base + app.builder.get_target_uri(page),
        )
        tags += f'\n<meta property="og:image" content="{escape(base + CARD)}"/>' if base else ""
    context["metatags"] = f"{context.get('metatags', '')}\n{tags}\n"


def _without_repeats(scripts: list[Any]) -> list[Any]:
    """Return the scripts of a page, each once; Sphinx repeats the code that an extension adds while it builds.

    The constants of sphinx-thebe cannot be declared twice: a browser reports an error on each page.
    """
    return list({(each.filename or "", *sorted(each.attributes.items())): each for each in scripts}.values())
