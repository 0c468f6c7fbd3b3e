"""Show a model the same picture in several ways: shifted, cropped, cut into tiles, or smaller within a border.

What stands at the border of one view stands nearer to the middle of another. Every ensemble here looks at the plain
picture first; `Gated` asks the other views only where the plain picture leaves the model in doubt, so that what the
model sees well already is not harmed.

Views are cut from the picture as it was read, before the model's own resizing makes it square.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from PIL import ImageColor
from scipy.special import softmax

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.mitigations.base import Ensemble, Location, Mitigation, check_range, portions
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer

FILLS = ("edge", "reflect")

"""How `Padding` can continue the picture, besides a color: by its outermost pixels, or by its mirror image."""

_IMAGES_AT_ONCE = 16  # with all their views, which may be larger than what the model sees of them


def places(side: int) -> list[tuple[float, float]]:
    """Return the centers of a grid's cells, the middle of the picture first.

    Parameters
    ----------
    side : int
        Cells along each side; at least 1.

    Returns
    -------
    list of tuple of float
        (y, x) as fractions of height and width, row by row, after the middle (0.5, 0.5), which is a cell's center
        only if `side` is odd: ``side ** 2`` places if it is, else ``side ** 2 + 1``.
    """
    centers = [(2 * cell + 1) / (2 * side) for cell in range(side)]
    return [(0.5, 0.5), *(place for place in product(centers, centers) if place != (0.5, 0.5))]


def check_side(side: int) -> None:
    """Refuse what is no number of cells along a side.

    Parameters
    ----------
    side : int
        What was given.

    Raises
    ------
    InputError
        It is not a whole number, or below 1.
    """
    if not isinstance(side, int | np.integer) or side < 1:
        raise InputError(f"side is a whole number of cells along each side, at least 1, not {side!r}.")


@dataclass(frozen=True, kw_only=True)
class ViewEnsemble(Ensemble, ABC):
    """The plain picture and other views of it; the model stays as it is.

    A subclass says how many views there are (`n_views`) and makes the others.
    """

    @property
    def moves(self) -> bool:
        """Whether things are seen elsewhere: in all views but the first."""
        return self.n_views > 1

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the plain picture and the others."""
        return [image, *(self.others(image) if self.n_views > 1 else ())]

    @abstractmethod
    def others(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Make all views but the first; not asked if there are none."""


@dataclass(frozen=True)
class CyclicShifts(ViewEnsemble):
    r"""Shift the picture so that each cell of a grid comes to the middle; what leaves on one side enters on the other.

    .. math:: s(I, t) = \operatorname{A}_{p} \cos(f(S_p I), g(t)), \qquad
              (S_p I)(q) = I\big((q + p - \tfrac{1}{2}) \bmod 1\big)

    with the places p of `places` and the aggregate A (`crosseyed.mitigations.base.AGGREGATES`). Shifts are
    rounded to pixels.
    Source: the mean over shifts is cycle spinning (Coifman and Donoho, "Translation-invariant de-noising", 1995).

    Strength zero: ``side=1``.

    Parameters
    ----------
    side : int
        Cells along each side; at least 1. An odd number needs ``side ** 2`` passes, an even one, for which no cell is
        in the middle, ``side ** 2 + 1``.
    aggregate, temperature
        As for `crosseyed.mitigations.base.Ensemble`.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    label: ClassVar[str] = "cyclic shifts"
    side: int = 3

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_side(self.side)

    @property
    def n_views(self) -> int:
        """One view for each place."""
        return len(places(self.side))

    def others(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Bring each place but the middle to the middle."""
        height, width = image.shape[:2]
        for y, x in places(self.side)[1:]:
            yield np.roll(image, (round((0.5 - y) * height), round((0.5 - x) * width)), axis=(0, 1))


@dataclass(frozen=True)
class Crops(ViewEnsemble):
    r"""Zoom in on overlapping parts of the picture.

    .. math:: s(I, t) = \operatorname{A}_{i, j} \cos(f(C_{ij} I), g(t))

    with the aggregate A over the plain picture and crops C whose sides are `scale` times those of the picture, spread
    evenly from border to border (a single one is in the middle). Source: several crops at test time as in Krizhevsky
    et al., "ImageNet classification with deep convolutional neural networks", 2012.

    Strength zero: ``scale=1``.

    Parameters
    ----------
    side : int
        Crops along each side; at least 1. ``side ** 2 + 1`` passes.
    scale : float
        In (0, 1]. Below ``1 / side`` parts of the picture are in no crop.
    aggregate, temperature
        As for `crosseyed.mitigations.base.Ensemble`.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    label: ClassVar[str] = "crops"
    side: int = 2
    scale: float = 0.6

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_side(self.side)
        if not 0 < self.scale <= 1:
            raise InputError(f"scale is above 0 and at most 1 (the whole picture), not {self.scale!r}.")

    @property
    def n_views(self) -> int:
        """The plain picture and the crops."""
        return 1 if self.scale == 1 else 1 + self.side**2

    def others(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Crop, row by row."""
        rows, columns = (self._windows(length) for length in image.shape[:2])
        for row, column in product(rows, columns):
            yield image[row, column]

    def _windows(self, length: int) -> list[slice]:
        window = max(1, round(self.scale * length))
        shares = np.linspace(0, 1, self.side) if self.side > 1 else [0.5]
        starts = [round(float(share) * (length - window)) for share in shares]
        return [slice(start, start + window) for start in starts]


@dataclass(frozen=True)
class Tiles(ViewEnsemble):
    r"""Cut the picture into tiles that do not overlap.

    .. math:: s(I, t) = \operatorname{A}_{i, j} \cos(f(T_{ij} I), g(t))

    with the aggregate A over the plain picture and its tiles T, which are equally large up to a pixel and together
    make up the picture. An object on a seam is cut. Source: Akyon et al., "Slicing aided hyper inference", ICIP 2022,
    arXiv 2202.06934.

    Strength zero: ``side=1``.

    Parameters
    ----------
    side : int
        Tiles along each side; at least 1. ``side ** 2 + 1`` passes if there are several.
    aggregate, temperature
        As for `crosseyed.mitigations.base.Ensemble`.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    label: ClassVar[str] = "tiles"
    side: int = 2

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_side(self.side)

    @property
    def n_views(self) -> int:
        """The plain picture and the tiles."""
        return 1 if self.side == 1 else 1 + self.side**2

    def others(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Cut, row by row; a picture of fewer pixels than tiles gives its pixels more than once."""
        rows, columns = (self._windows(length) for length in image.shape[:2])
        for row, column in product(rows, columns):
            yield image[row, column]

    def _windows(self, length: int) -> list[slice]:
        starts = [cell * length // self.side for cell in range(self.side)]
        ends = [*starts[1:], length]
        return [slice(start, max(start + 1, end)) for start, end in zip(starts, ends, strict=True)]


@dataclass(frozen=True)
class Padding(ViewEnsemble):
    r"""Zoom out: put a border around the picture, so that all it shows is nearer to the middle, and smaller.

    .. math:: s(I, t) = \operatorname{A}\big(\cos(f(I), g(t)), \cos(f(P I), g(t))\big)

    with the padded picture P I and the aggregate A, or the second cosine alone without the plain picture. An
    eccentricity e becomes :math:`e / (1 + 2\,\mathrm{border})`. Source: an
    ablation of this study.

    Strength zero: ``border=0``.

    Parameters
    ----------
    border : float
        Width of the border on each side as a fraction of the picture's width (left and right) or height, in [0, 4].
    fill : str
        One of `FILLS`, or a color as Pillow knows them, such as ``"gray"`` or ``"#7f7f7f"``.
    plain : bool
        Whether the plain picture is a view too: two passes, else one.
    aggregate, temperature
        As for `crosseyed.mitigations.base.Ensemble`.

    Raises
    ------
    InputError
        A parameter is out of range, the fill unknown.
    """

    label: ClassVar[str] = "padding"
    border: float = 0.25
    fill: str = "edge"
    plain: bool = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_range("border", self.border, 0, 4)
        if self.fill not in FILLS:
            self._color()

    @property
    def parameters(self) -> dict[str, object]:
        """The hyper-parameters that have an effect: the aggregate only with the plain picture."""
        having = super().parameters
        return having if self.plain else {name: having[name] for name in ("border", "fill", "plain")}

    @property
    def n_views(self) -> int:
        """The padded picture and the plain one, if wanted."""
        return 2 if self.plain and self.border > 0 else 1

    @property
    def moves(self) -> bool:
        """Whether things are seen elsewhere and smaller."""
        return self.border > 0

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the plain picture, if wanted, and the padded one."""
        if self.border == 0:
            return [image]
        return [*([image] if self.plain else []), *self.others(image)]

    def others(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Pad."""
        height, width = image.shape[:2]
        down, right = round(self.border * height), round(self.border * width)
        if self.fill in FILLS:
            yield np.pad(image, ((down, down), (right, right), (0, 0)), mode=self.fill)
            return
        padded = np.full((height + 2 * down, width + 2 * right, 3), self._color(), np.uint8)
        padded[down : down + height, right : right + width] = image
        yield padded

    def _color(self) -> tuple[int, int, int]:
        try:
            return ImageColor.getrgb(self.fill)[:3]
        except ValueError as error:
            raise InputError(
                f"fill is {', '.join(map(repr, FILLS))} or a color such as 'gray' or '#7f7f7f', not {self.fill!r}."
            ) from error


@dataclass(frozen=True)
class Gated(Mitigation):
    r"""Keep the plain picture's answer where the model is confident of it, else take the mitigated one.

    .. math:: s(I, t) = \begin{cases} \cos(f(I), g(t)) & \text{if } \max_{t'} \operatorname{softmax}_{t'}
              \big(\lambda \cos(f(I), g(t'))\big) > \text{threshold} \\
              s_{\text{ensemble}}(I, t) & \text{else} \end{cases}

    with the model's logit scale λ and all captions that are compared with the image. Source: confidence by the largest
    softmax probability as in Hendrycks and Gimpel, ICLR 2017, arXiv 1610.02136.

    Strength zero: ``threshold=0``. At 1 it is the ensemble alone (but for probabilities that are rounded to more).

    Parameters
    ----------
    ensemble : Mitigation
        What helps where the model is in doubt.
    threshold : float
        Probability in [0, 1].

    Raises
    ------
    InputError
        The threshold is out of range.
    """

    label: ClassVar[str] = "gated"
    ensemble: Mitigation
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Check the threshold."""
        check_range("threshold", self.threshold, 0, 1)

    @property
    def needs_location(self) -> bool:
        """Whether the ensemble does."""
        return self.ensemble.needs_location

    @property
    def moves(self) -> bool:
        """Whether the ensemble does, if it is ever asked."""
        return not self._closed and self.ensemble.moves

    @property
    def n_views(self) -> int:
        """The plain picture, unless it is the ensemble's first view, and the views of the ensemble."""
        return 1 if self._closed else self._own + self.ensemble.n_views

    @property
    def passes(self) -> int:
        """One for the plain picture, unless it is the ensemble's first view, and those of the ensemble."""
        return 1 if self._closed else self._own + self.ensemble.passes

    @property
    def only_views(self) -> bool:
        """Whether the ensemble leaves the model as it is."""
        return self._closed or self.ensemble.only_views

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector: at strength zero, as which answer is taken depends on the captions."""
        return self._closed

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the plain picture and the views of the ensemble."""
        return [image] if self._closed else [*[image] * self._own, *self.ensemble.views(image, location)]

    def check(self, model: ClipModel) -> None:
        """Let the ensemble check the model."""
        self.ensemble.check(model)

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Ask the plain model about the plain picture, and the ensemble about the rest."""
        if self.only_views:
            return scorer.similarities(views, texts, progress=False)
        answers = [np.empty((0, len(texts)))]
        for portion in portions(views, self.n_views * _IMAGES_AT_ONCE):
            plain = scorer.similarities(portion[:: self.n_views], texts, progress=False)
            others = [view for number, view in enumerate(portion) if number % self.n_views]
            helped = self.ensemble.score(scorer, model, others, texts)
            both = [plain[:, None], helped.reshape(len(plain), -1, len(texts))]
            answers.append(np.concatenate(both, axis=1).reshape(-1, len(texts)))
        return np.concatenate(answers)

    def combine(self, similarities: np.ndarray, logit_scale: float) -> np.ndarray:
        """Take the plain answer where its largest probability is above the threshold."""
        plain = similarities[:, 0]
        if self._closed:
            return plain
        helped = self.ensemble.combine(similarities[:, self._own :], logit_scale)
        confident = softmax(logit_scale * plain, axis=1).max(1, keepdims=True) > self.threshold
        return np.where(confident, plain, helped)

    @property
    def _closed(self) -> bool:
        return self.threshold == 0

    @property
    def _own(self) -> int:
        """Views besides those of the ensemble: none if the plain picture is the first of these."""
        shared = isinstance(self.ensemble, ViewEnsemble) and getattr(self.ensemble, "plain", True)
        return 0 if shared else 1
