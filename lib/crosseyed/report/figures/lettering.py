"""Draw every name as it is written: no formulas, and a font that has its letters."""

import functools
import warnings

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter, ScalarFormatter

FAMILY = "DejaVu Sans"
"""The font of all figures; it comes with matplotlib."""


_SHOWN = "\u200b"  # a blank without width, taken away again once the legend is made


class MissingGlyphWarning(UserWarning):
    """No installed font has some letters of a figure."""


def legend_label(name: object) -> str:
    """Return a label that a legend shows also if the name begins with an underscore, which hides it by itself."""
    return f"{_SHOWN}{name}" if str(name).startswith("_") else str(name)


def letter(figure: Figure) -> None:
    """Take the texts of a figure for text, and letters that its font lacks from a font that has them.

    What no installed font has is written by code point, such as ``U+732B``, and named in one `MissingGlyphWarning`.
    """
    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    named = [
        axis for axis in axes if not isinstance(axis.get_major_formatter(), ScalarFormatter | LogFormatter)
    ]
    ticks = {id(label) for axis in axes for label in axis.get_ticklabels(which="both")}
    texts = [text for text in figure.findobj(Text) if text.get_text() and id(text) not in ticks]
    missing = set()
    for text in texts:
        content, lacking = _spelled(text.get_text().removeprefix(_SHOWN))
        missing |= lacking
        text.set_text(content)
    for axis in named:
        before = [label.get_text() for label in axis.get_ticklabels()]
        spelled = [_spelled(content) for content in before]
        after = [content for content, _ in spelled]
        if after != before:
            axis.set_ticks(axis.get_majorticklocs(), labels=after)
        missing = missing.union(*(each for _, each in spelled))
        texts += axis.get_ticklabels()
    for text in texts:
        text.set_parse_math(False)
        families = _families(text.get_text())
        if len(families) > 1:
            text.set_fontfamily(families)
    _warn(missing)


def _families(content: str) -> list[str]:
    lacking = {letter for letter in content if not _in_font(letter)}
    return [FAMILY, *dict.fromkeys(filter(None, map(_family_with, sorted(lacking))))]


def _spelled(content: str) -> tuple[str, set[str]]:
    """Write what no font has by code point, and rare blanks as common ones; return the text and those letters."""
    content = "".join(" " if each.isspace() and not _in_font(each) else each for each in content)
    missing = {letter for letter in content if not _in_font(letter) and _family_with(letter) is None}
    return "".join(f"U+{ord(letter):04X}" if letter in missing else letter for letter in content), missing


def _warn(missing: set[str]) -> None:
    if missing:
        points = ", ".join(f"U+{ord(letter):04X}" for letter in sorted(missing)[:8])
        warnings.warn(
            f"No installed font has {points}{' and more' if len(missing) > 8 else ''}; figures name them so. "
            "Install a font that has them, such as Noto.",
            MissingGlyphWarning,
            stacklevel=4,
        )


def _in_font(letter: str) -> bool:
    return letter == "\n" or ord(letter) in _letters_of(font_manager.findfont(FAMILY))


@functools.cache
def _letters_of(path: str) -> frozenset[int]:
    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except (RuntimeError, OSError):  # a font that cannot be read, such as one of pictures in color
        return frozenset()


@functools.cache
def _family_with(letter: str) -> str | None:
    """Return the name of an installed font that has a letter; None if there is none."""
    fonts = sorted(font_manager.fontManager.ttflist, key=lambda font: (font.weight != 400, font.name))
    return next((font.name for font in fonts if ord(letter) in _letters_of(font.fname)), None)
