"""Pages that stand alone: one HTML file that holds its style and pictures, and needs neither a network nor Sphinx."""

from dataclasses import dataclass
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from crosseyed.files import atomic_write
from crosseyed.report.figures import style

TEMPLATES = Path(__file__).parent / "templates"
"""Folder of the templates.

:meta hide-value:
"""

# every value is text
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_page(path: Path, template: str, **values: object) -> None:
    """Write a page, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The HTML file.
    template : str
        Name of a file in `TEMPLATES`.
    **values
        What the template names. All of it is shown as it is; none of it is taken for HTML.
    """
    page = _ENVIRONMENT.get_template(template).render(**values)
    with atomic_write(path) as file:
        file.write_text(page, encoding="utf-8")


@dataclass(frozen=True)
class Picture:
    """A picture inside a page, for the macro of this name in the templates."""

    source: str
    """Its content as an address (``data:``)."""
    width: int
    height: int
    alternative: str
    """What it shows, in words."""


def picture(figure: Figure, alternative: str) -> Picture:
    """Return a figure for a page, with what it shows in words."""
    kind, content = style.smaller(figure)
    return Picture(style.data_uri(kind, content), *style.size_of(content), alternative)
