"""The data of the page "Move it yourself": what the notebook computes, and the script that the page reads.

The page looks answers up and computes none. They reach it in one classic script, `SCRIPT`, because browsers refuse
``fetch`` and modules from ``file://``. The script sets ``window.crosseyedExplorer`` to one object:

======================= =======================================================================================
key                     meaning
======================= =======================================================================================
``version``             `VERSION`; a page that knows another says that the edition is older
``edition``             name of the model of the edition
``banner``              plain text: which model the answers are of
``models``              one entry for each model, that of the edition first: ``name``; ``role``, ``"edition"`` or
                        ``"yardstick"``; ``attention``, rows and columns of its maps, or null; ``noAttention``,
                        the reason where there are none, a sentence, else ``""``
``names``               the candidate names, among which every model chooses
``objects``             ``name``, an index into ``names``; ``image``, a data URI of the trimmed cut-out, whose
                        longer side is the object's size
``backgrounds``         ``name``; ``image``, a data URI of the square that stands behind all objects
``sizes``               longer side of the object over the side of the image, the smallest first
``places``              for each background and size the coordinates of the object's center, as fractions of the
                        side, the same along both axes: ``places[background][size][row]`` from the top,
                        ``places[background][size][column]`` from the left. At the first and the last the object
                        touches the border; an odd number, so that one is 0.5. All sizes have as many
``single``              for each background answers of shape (models, objects, sizes, rows, columns); and
                        ``attention``, ``peak``: for each model an array of this shape without the first axis, or
                        null. The map, (…, rows of the map, columns of the map), is of what the pooled token attends
                        to on the image in the last layer, mean over heads, in 1/255 of its largest patch; ``peak``
                        is that patch in hundredths of attention that is the same everywhere
``pairs``               two objects and What'sUp's four captions: ``objects``, indices of the first and the second
                        into ``objects``; ``captions``, four for each pair (both objects, the first, the second, two
                        others), of which the first is right; ``arrangements``: ``relation`` of the first to the
                        second, ``together`` (both around the center) or not (one of them at the border), ``at``, x
                        and y of both; ``size``; ``share``, (models, pairs, backgrounds, arrangements, 4): the
                        softmax at What'sUp's own scale. The second object stands in front. Null where there is none
``mitigations``         ``objects``, indices; ``background``, ``size``, one index each; ``models``, for each model
                        ``candidates`` (``name`` in words, ``passes`` of the tower for an image; the first is the
                        plain model), ``leftOut`` (``name``, ``reason``), and answers of shape (candidates, objects,
                        rows, columns), at the places of the background
======================= =======================================================================================

**Answers** are the arrays ``rank`` (of the object's own name; 1 is right, 255 stands for 255 or more), ``own`` (share
of its own name), and, with one more axis of `TOP`, ``top`` (indices of the best names) and ``share`` (theirs).
A **share** is the softmax over the candidate names at the model's own logit scale, in thousandths (`per_mille`): a page
that shows tenths of a percent shows the library's number to the last digit.

An **array** is ``{"dtype": "uint8" | "uint16", "shape": […], "data": base64}``, little-endian, the last axis fastest.
The map of an object's accuracy is ``rank == 1`` at a background and a size: one image for each place. Over all objects
it is the mean, of as many images as are averaged.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crosseyed.errors import InputError
from crosseyed.files import atomic_write

VERSION = 2
"""Raised with every change after which an older page would misread the data."""

LARGEST = 6_000_000
"""Bytes that the script may have."""

SCRIPT = "explorer/data.js"
"""Where the script lies, below the top of the book."""

TOP = 5
"""How many of the best names are kept."""

_WORST = 255


@dataclass(frozen=True)
class Model:
    """A model that answers.

    Attributes
    ----------
    name : str
    role : {"edition", "yardstick"}
    attention : tuple of int, optional
        Rows and columns of its maps of attention.
    no_attention : str
        Why it has none, a sentence; empty where it has.
    """

    name: str
    role: str
    attention: tuple[int, int] | None = None
    no_attention: str = ""


@dataclass(frozen=True)
class Picture:
    """Something that the page draws: an object (its name is among the candidate names) or a background.

    Attributes
    ----------
    name : str
    image : str
        A data URI (`crosseyed.report.figures.style.data_uri`).
    """

    name: str
    image: str


@dataclass(frozen=True, eq=False)
class Answers:
    """What was answered, quantised as the module says.

    Attributes
    ----------
    rank : numpy.ndarray of uint8, shape (...)
    own : numpy.ndarray of uint16, shape (...)
    top : numpy.ndarray of uint8 or uint16, shape (..., `TOP`)
    share : numpy.ndarray of uint16, shape (..., `TOP`)
    """

    rank: np.ndarray
    own: np.ndarray
    top: np.ndarray
    share: np.ndarray


@dataclass(frozen=True, eq=False)
class Single:
    """One object, wherever it is put on a background.

    Attributes
    ----------
    answers : Answers
        Of shape (models, objects, sizes, rows, columns).
    attention, peak : sequence of numpy.ndarray or None
        For each model as the module says: uint8 and uint16.
    """

    answers: Answers
    attention: Sequence[np.ndarray | None]
    peak: Sequence[np.ndarray | None]


@dataclass(frozen=True)
class Arrangement:
    """How two objects stand.

    Attributes
    ----------
    relation : str
        Of the first to the second, one of `crosseyed.data.layouts.RELATIONS`.
    together : bool
        Whether both stand around the image center.
    at : tuple
        x and y of the first and of the second, as fractions of the side.
    """

    relation: str
    together: bool
    at: tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Two objects and four captions.

    Attributes
    ----------
    objects : sequence of tuple of int
        Indices of the first and the second object.
    captions : sequence of sequence of str
        Four for each pair, the right one first.
    arrangements : sequence of Arrangement
    size : float
        Of both objects.
    share : numpy.ndarray of uint16, shape (models, pairs, backgrounds, arrangements, 4)
    """

    objects: Sequence[tuple[int, int]]
    captions: Sequence[Sequence[str]]
    arrangements: Sequence[Arrangement]
    size: float
    share: np.ndarray


@dataclass(frozen=True, eq=False)
class Mitigated:
    """What one model answers with each mitigation.

    Attributes
    ----------
    candidates : sequence of tuple of str and float
        Name in words, and passes for an image; the first is the plain model.
    left_out : mapping of str to str
        By name, why the model does not support it.
    answers : Answers
        Of shape (candidates, objects, rows, columns).
    """

    candidates: Sequence[tuple[str, float]]
    left_out: Mapping[str, str]
    answers: Answers


@dataclass(frozen=True, eq=False)
class Mitigations:
    """What mitigations do, for some of the objects at one background and size.

    Attributes
    ----------
    objects : sequence of int
    background, size : int
        Which of them.
    models : sequence of Mitigated
        One for each model.
    """

    objects: Sequence[int]
    background: int
    size: int
    models: Sequence[Mitigated]


@dataclass(frozen=True, eq=False)
class Explorer:
    """All that the page shows; the module says what the parts are."""

    edition: str
    banner: str
    models: Sequence[Model]
    names: Sequence[str]
    objects: Sequence[Picture]
    backgrounds: Sequence[Picture]
    sizes: Sequence[float]
    places: Sequence[Sequence[Sequence[float]]]
    single: Sequence[Single]
    pairs: Pairs | None
    mitigations: Mitigations | None


def places(size: float, n_places: int) -> tuple[float, ...]:
    """Return where the center of an object can be along a side so that the object stays inside the image.

    Parameters
    ----------
    size : float
        Longer side of the object over the side of the image, in (0, 1].
    n_places : int
        How many; odd and at least 3, so that the middle one is the center of the image.
    """
    if n_places < 3 or n_places % 2 == 0:
        raise InputError(
            f"n_places is {n_places}; give an odd number from 3 on, so that one place is the center."
        )
    if not 0 < size <= 1:
        raise InputError(f"Object size is {size}; it must lie above 0 and at most at 1.")
    return tuple(np.linspace(size / 2, 1 - size / 2, n_places).round(6).tolist())


def per_mille(shares: np.ndarray) -> np.ndarray:
    """Return shares in [0, 1] in thousandths, uint16."""
    return np.rint(1000 * np.asarray(shares, float)).astype(np.uint16)


def answers(probabilities: np.ndarray, truth: np.ndarray) -> Answers:
    """Quantise what a model says of images.

    Parameters
    ----------
    probabilities : numpy.ndarray, shape (..., n_names)
        Softmax over the candidate names, at least `TOP` of them.
    truth : numpy.ndarray of int, shape (...)
        Index of each image's own name; broadcast.

    Returns
    -------
    Answers
        Of shape (...). Among equals the earlier name counts as the better one.
    """
    order = np.argsort(-probabilities, axis=-1, kind="stable")
    truth = np.broadcast_to(truth, probabilities.shape[:-1])
    rank = 1 + np.argmax(order == truth[..., None], axis=-1)
    top = order[..., :TOP]
    return Answers(
        rank=np.minimum(rank, _WORST).astype(np.uint8),
        own=per_mille(np.take_along_axis(probabilities, truth[..., None], -1)[..., 0]),
        top=top.astype(np.uint8 if probabilities.shape[-1] <= 256 else np.uint16),
        share=per_mille(np.take_along_axis(probabilities, top, -1)),
    )


def attention_maps(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantise maps of attention, (..., rows, columns), each of which sums to 1.

    Returns
    -------
    maps : numpy.ndarray of uint8, shape (..., rows, columns)
        In 1/255 of the largest patch.
    peak : numpy.ndarray of uint16, shape (...)
        The largest patch, in hundredths of attention that is the same everywhere.
    """
    largest = maps.max((-2, -1), keepdims=True)
    levels = np.rint(255 * np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0))
    uniform = 1 / (maps.shape[-2] * maps.shape[-1])
    peak = np.rint(100 * largest[..., 0, 0] / uniform)
    return levels.astype(np.uint8), np.minimum(peak, np.iinfo(np.uint16).max).astype(np.uint16)


def script(explorer: Explorer) -> str:
    """Return the script that sets ``window.crosseyedExplorer``; ASCII, and without ``<``, so that it is no markup.

    Raises
    ------
    InputError
        An array has not the shape that the lists beside it ask for, or the script would have more bytes than `LARGEST`.
    """
    content = json.dumps(_packed(explorer), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    text = f"window.crosseyedExplorer = {content};\n"
    if len(text) > LARGEST:
        raise InputError(
            f"The data of the explorer would have {len(text) / 1e6:.1f} MB, and {LARGEST / 1e6:g} MB is the most. "
            "Give fewer objects, places, sizes or backgrounds."
        )
    return text


def write(explorer: Explorer, path: Path) -> int:
    """Write the script, whole or not at all, and return its bytes; errors as of `script`."""
    text = script(explorer)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.write_text(text, encoding="ascii")
    return len(text)


def _packed(explorer: Explorer) -> dict:
    names, pictures = list(explorer.names), explorer.objects
    sides = [len(each[0]) for each in explorer.places]
    return {
        "version": VERSION,
        "edition": explorer.edition,
        "banner": explorer.banner,
        "models": [
            {
                "name": each.name,
                "role": each.role,
                "attention": each.attention and list(each.attention),
                "noAttention": each.no_attention,
            }
            for each in explorer.models
        ],
        "names": names,
        "objects": [{"name": names.index(each.name), "image": each.image} for each in pictures],
        "backgrounds": [{"name": each.name, "image": each.image} for each in explorer.backgrounds],
        "sizes": list(explorer.sizes),
        "places": explorer.places,
        "single": [
            _packed_single(each, explorer.models, (len(pictures), len(explorer.sizes), side, side))
            for each, side in zip(explorer.single, sides, strict=True)
        ],
        "pairs": explorer.pairs and _packed_pairs(explorer, explorer.pairs),
        "mitigations": explorer.mitigations and _packed_mitigations(explorer.mitigations, sides),
    }


def _packed_single(single: Single, models: Sequence[Model], scenes: tuple[int, ...]) -> dict:
    grids = [each.attention for each in models]
    return {
        **_packed_answers(single.answers, (len(models), *scenes)),
        "attention": [
            grid and _array(maps, (*scenes, *grid))
            for maps, grid in zip(single.attention, grids, strict=True)
        ],
        "peak": [grid and _array(peak, scenes) for peak, grid in zip(single.peak, grids, strict=True)],
    }


def _packed_pairs(explorer: Explorer, pairs: Pairs) -> dict:
    shape = (len(explorer.models), len(pairs.objects), len(explorer.backgrounds), len(pairs.arrangements), 4)
    return {
        "objects": [list(each) for each in pairs.objects],
        "captions": [list(each) for each in pairs.captions],
        "arrangements": [
            {"relation": each.relation, "together": each.together, "at": [list(place) for place in each.at]}
            for each in pairs.arrangements
        ],
        "size": pairs.size,
        "share": _array(pairs.share, shape),
    }


def _packed_mitigations(mitigations: Mitigations, sides: Sequence[int]) -> dict:
    side = sides[mitigations.background]
    scenes = (len(mitigations.objects), side, side)
    return {
        "objects": list(mitigations.objects),
        "background": mitigations.background,
        "size": mitigations.size,
        "models": [
            {
                "candidates": [{"name": name, "passes": passes} for name, passes in each.candidates],
                "leftOut": [{"name": name, "reason": reason} for name, reason in each.left_out.items()],
                **_packed_answers(each.answers, (len(each.candidates), *scenes)),
            }
            for each in mitigations.models
        ],
    }


def _packed_answers(given: Answers, shape: tuple[int, ...]) -> dict:
    return {
        "rank": _array(given.rank, shape),
        "own": _array(given.own, shape),
        "top": _array(given.top, (*shape, TOP)),
        "share": _array(given.share, (*shape, TOP)),
    }


def _array(values: np.ndarray, shape: tuple[int, ...]) -> dict:
    if values.shape != shape or values.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"An array of the explorer is {values.dtype} of shape {values.shape}; expected uint8 or uint16 of {shape}."
        )
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return {
        "dtype": values.dtype.name,
        "shape": list(shape),
        "data": base64.b64encode(little.tobytes()).decode(),
    }
