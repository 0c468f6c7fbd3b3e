"""All renderings of the catalogue's objects: those that the study shows, and further ones that only training reads.

The study's are in ``data/objects`` (`crosseyed.data.cutouts`). The others are in ``data/renderings``, apart from
them, so that no chapter depends on them; some lack a few objects.
"""

from collections.abc import Iterable

from crosseyed.data.cutouts import STYLES, Cutout, read_catalogue
from crosseyed.errors import check_choice
from crosseyed.files import DATA

FURTHER_STYLES = ("emojione", "fluent_flat", "fxemoji", "openmoji")
"""Renderings in ``data/renderings``."""

HELD_OUT_STYLE = "noto"
"""The rendering that no model is trained on, nor any by the same designers."""

TRAINED_STYLES = tuple(style for style in (*STYLES, *FURTHER_STYLES) if style != HELD_OUT_STYLE)
"""All others."""


def read_renderings(styles: Iterable[str]) -> list[Cutout]:
    """Read cut-outs of any renderings: all objects of one, then of the next, the study's renderings first.

    Parameters
    ----------
    styles : iterable of str
        Out of `STYLES` and `FURTHER_STYLES`.

    Raises
    ------
    InputError
        A rendering does not exist, or a catalogue is missing or not whole.
    """
    styles = list(styles)
    for style in styles:
        check_choice("style", style, (*STYLES, *FURTHER_STYLES))
    shown, further = ([style for style in styles if style in known] for known in (STYLES, FURTHER_STYLES))
    return [
        *(read_catalogue(shown) if shown else []),
        *(read_catalogue(further, DATA / "renderings") if further else []),
    ]
