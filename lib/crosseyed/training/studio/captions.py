"""Captions of the studio's images: from several templates, with attributes of object, image and background or without.

An example is ``"a blurry photo of a small dog and a key on a striped background"``. Captions say nothing about where
objects stand, so that they are the same wherever these are put.
"""

from collections.abc import Sequence

import numpy as np

MEDIA = ("photo", "picture", "image", "drawing")

OPENINGS = ("", "a {medium} of ", "a {medium} of ", "this is ", "there is ")

SMALL, LARGE = 0.18, 0.42
"""Sizes of an object below and above which a caption may call it small or large."""

BACKGROUNDS = {
    "plain": "on a plain background",
    "gradient": "on a shaded background",
    "noise": "on a rough background",
    "photo": "on natural ground",
    "stripes": "on a striped background",
    "blobs": "on a colorful background",
    "shapes": "in front of shapes",
    "horizon": "in a room",
}
"""What a caption may say of each kind of background."""

QUALITIES = ("blurry", "dark", "bright", "grainy", "gray")
"""What a caption may say of an image."""

_DEFINITE, _CORRECT = 0.15, 0.5  # how often captions say "the", and "an" where English does


def size_words(size: float) -> tuple[str, ...]:
    """Return what a caption may say of an object of a size."""
    return ("small",) if size < SMALL else ("large",) if size > LARGE else ()


def write_caption(
    names: Sequence[tuple[str, float]],
    qualities: Sequence[str],
    background: str | None,
    rng: np.random.Generator,
) -> str:
    """Write a caption.

    Parameters
    ----------
    names : sequence of (str, float)
        The objects that it names, with their sizes; a size of NaN is not spoken of.
    qualities : sequence of str
        What it may say of the image, out of `QUALITIES`; one of them is taken.
    background : str, optional
        Kind of the background if the caption is to say it; kinds without words are not spoken of.
    rng : numpy.random.Generator
        Decides opening, medium and order.

    Returns
    -------
    str
    """
    medium = MEDIA[rng.integers(len(MEDIA))]
    if qualities:
        opening = f"a {qualities[rng.integers(len(qualities))]} {medium} of "
    else:
        opening = OPENINGS[rng.integers(len(OPENINGS))].format(medium=medium)
    definite = bool(opening) and rng.random() < _DEFINITE
    correct = rng.random() < _CORRECT
    phrases = [
        _with_article(" ".join((*size_words(size), name)), definite, correct)
        for name, size in (names[index] for index in rng.permutation(len(names)))
    ]
    ending = f" {BACKGROUNDS[background]}" if background in BACKGROUNDS else ""
    return _with_vowel(opening, correct) + " and ".join(phrases) + ending


def vocabulary() -> list[str]:
    """List texts with all words that captions may have beside names of objects."""
    words = ["a", "an", "the", "of", "and", "small", "large", *MEDIA, *QUALITIES, *BACKGROUNDS.values()]
    return [*words, *(opening.format(medium="") for opening in OPENINGS)]


def _with_article(phrase: str, definite: bool, correct: bool) -> str:
    return f"the {phrase}" if definite else _with_vowel(f"a {phrase}", correct)


def _with_vowel(text: str, correct: bool) -> str:
    """Write the article as English does before a vowel; else leave it as templates with a fixed article have it."""
    return f"an {text[2:]}" if correct and text.startswith("a ") and text[2:3] in "aeiou" else text
