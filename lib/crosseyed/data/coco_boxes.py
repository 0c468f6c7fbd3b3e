"""Read the boxes of annotations, say where they stand in their images, and refuse boxes in other units."""

import math
from collections.abc import Callable, Mapping, Sequence

from crosseyed.data.left_out import FaultError
from crosseyed.data.scenes import eccentricity, is_central
from crosseyed.errors import InputError, shorten

BORDER_TOLERANCE = 0.005
"""Part of the image's side within which a box counts as touching its border, and by which it may exceed it."""

Placed = tuple[Sequence[float], int, int]
"""A box as noted, and the width and height of its image."""

# A few boxes are wrong by accident; so many, or so large a part, are not.
_MANY = 20
_FEW = 5
_MOST = 0.95
_NEAR, _FAR = 0.05, 0.1  # of a border, in parts of the image
_CORNER = 0.52  # the right and lower ends of boxes in a copy of half the size, in parts of the image

_ADVICE = "Write each as [left, top, width, height] in pixels."

_CORNERS = "corners [left, top, right, bottom]"

_READINGS: Mapping[str, Callable[[float, float, float, float], tuple[float, float, float, float]]] = {
    _CORNERS: lambda a, b, c, d: (a, b, c, d),
    "[center x, center y, width, height]": lambda a, b, c, d: (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
    "corners [top, left, bottom, right]": lambda a, b, c, d: (b, a, d, c),
    "[left, right, top, bottom]": lambda a, b, c, d: (a, c, b, d),
    "[top, left, height, width]": lambda a, b, c, d: (b, a, b + d, a + c),
}
"""What else four numbers may mean, as left, top, right and bottom."""


def number_of(value: object) -> float | None:
    """Give a number, perhaps written as text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.inf if isinstance(value, int) else None


def read_box(noted: object) -> list[float]:
    """Give the four numbers of a box; raise FaultError for anything else."""
    numbers = [number_of(value) for value in noted] if isinstance(noted, list) else []
    if len(numbers) != 4 or None in numbers:
        raise FaultError("box is not four numbers", f"bbox {shorten(noted, 200)}")
    if not all(map(math.isfinite, numbers)):
        raise FaultError("box is not four finite numbers", f"bbox {shorten(noted, 200)}")
    return numbers


def place_of(box: Sequence[float], width: int, height: int) -> dict[str, float | bool]:
    """Give the place of a box in fractions of an image: the columns of `crosseyed.data.coco.CocoSet.objects`.

    Raises
    ------
    FaultError
        The box has no area, or is not in the image.
    """
    left, top, across, down = box
    spans = [
        (max(start, 0) / side, min(start + length, side) / side)
        for start, length, side in ((left, across, width), (top, down, height))
    ]
    if fault := _fault(box, spans, width, height):
        raise FaultError(
            fault, f"bbox [{', '.join(f'{value:g}' for value in box)}] in {width} × {height} pixels"
        )
    (x0, x1), (y0, y1) = spans
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    distance = eccentricity(x, y, height, width)
    return {
        "x": x,
        "y": y,
        "eccentricity": distance,
        "area": (x1 - x0) * (y1 - y0),
        "center": is_central(x, y, height, width),
        "truncated": min(x0, y0, 1 - x1, 1 - y1) <= BORDER_TOLERANCE,
        "in_crop": _share_in_square(spans, width, height),
    }


def check_units(placed: Sequence[Placed]) -> None:
    """Raise InputError, with the likely reason, for boxes that cannot be left, top, width and height in pixels.

    Boxes that few others confirm are no reason: they are left out one by one.
    """
    placed = [(box, width, height) for box, width, height in placed if box[2] > 0 and box[3] > 0]
    n = len(placed)
    tiny = sum(_is_tiny(box) for box, _, _ in placed)
    if 2 * tiny > n:
        share = f"all {n}" if tiny == n else f"{tiny} of {n}"
        raise InputError(
            f"The numbers of {share} boxes lie between 0 and 1: they are most likely fractions of the image. {_ADVICE}"
        )
    beyond = sum(
        x + w > width + _slack(width) or y + h > height + _slack(height)
        for (x, y, w, h), width, height in placed
    )
    if beyond >= max(2, n / 20) and (reading := _reading(placed, beyond)):
        raise InputError(
            f"The right or lower edge of {beyond} of {n} boxes lies beyond the image: they are most likely {reading}. "
            f"{_ADVICE}"
        )
    if n < _MANY:
        return
    if n / 2 < beyond < n:  # if none were inside, none could be used, and that is said with the first of them
        raise InputError(
            f"The right or lower edge of {beyond} of {n} boxes lies beyond the image: they are most likely pixels of "
            f"larger copies, or thousandths. {_ADVICE}"
        )
    if _end_at_100(placed):
        raise InputError(
            f"None of {n} boxes reaches beyond 100, though the images do: they are most likely percent. {_ADVICE}"
        )
    cornered = sum(
        (x + w) / width < _CORNER and (y + h) / height < _CORNER for (x, y, w, h), width, height in placed
    )
    if cornered >= _MOST * n:
        raise InputError(
            f"{cornered} of {n} boxes lie in the upper left quarter of their images: they are most likely percent, or "
            f"pixels of smaller copies. {_ADVICE}"
        )


def _end_at_100(placed: Sequence[Placed]) -> bool:
    """Tell whether boxes begin at the left and upper border and end at 100, and nearly none at the other borders."""
    for axis in (0, 1):
        starts = [box[axis] / sizes[axis] for box, *sizes in placed]
        ends = [box[axis] + box[axis + 2] for box, *_ in placed]
        free = min(1 - end / sizes[axis] for end, (_, *sizes) in zip(ends, placed, strict=True))
        if not (
            min(starts) < _NEAR and 100 * (1 - _FAR) < max(ends) <= 100 + BORDER_TOLERANCE and free > _FAR
        ):
            return False
    return True


def _reading(placed: Sequence[Placed], beyond: int) -> str | None:
    """Say which other meaning of the numbers puts nearly all boxes into their images."""
    for reading, ends in _READINGS.items():
        # that all numbers grow from the first corner to the second is a sign of its own
        fitting = sum(_fits(ends(*box), width, height) for box, width, height in placed)
        if fitting >= _MOST * len(placed) and (beyond >= _FEW or reading == _CORNERS):
            return reading
    return None


def _fault(box: Sequence[float], spans: Sequence[tuple[float, float]], width: int, height: int) -> str | None:
    left, top, across, down = box
    if across <= 0 or down <= 0:
        return "box without area"
    if _is_tiny(box):
        return "box within one pixel"
    inside = _fits((left, top, left + across, top + down), width, height)
    return None if inside and all(start < stop for start, stop in spans) else "box outside the image"


def _is_tiny(box: Sequence[float]) -> bool:
    return max(map(abs, box)) <= 1


def _slack(side: int) -> float:
    return max(1, BORDER_TOLERANCE * side)  # boxes are rounded to pixels


def _fits(ends: tuple[float, float, float, float], width: int, height: int) -> bool:
    left, top, right, bottom = ends
    return all(
        -_slack(side) <= start < end <= side + _slack(side)
        for start, end, side in ((left, right, width), (top, bottom, height))
    )


def _share_in_square(spans: Sequence[tuple[float, float]], width: int, height: int) -> float:
    """Give the share of a box, as fractions of the image, that lies in the image's central square."""
    share = 1.0
    for (start, stop), side in zip(spans, (width, height), strict=True):
        half = min(width, height) / side / 2
        share *= max(0.0, min(stop, 0.5 + half) - max(start, 0.5 - half)) / (stop - start)
    return share
