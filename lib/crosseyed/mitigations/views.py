"""Show a model the same image in several ways: shifted, cropped, cut into tiles, or smaller within a border.

What stands at the border of one view stands nearer to the middle of another. Every ensemble here looks at the plain
image first; `Gated` uses the other views only where the model is in doubt about the plain image, so that what the
model sees well already is not harmed.

Views are cut from the image as it was read, before the model's own resizing makes it square.
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
from crosseyed.mitigations.base import Ensemble, Location, Mitigation, portions, register
from crosseyed.mitigations.parameters import parameter
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer

FILLS = ("edge", "reflect")
"""How `Padding` can continue the image, besides a color: by its outermost pixels, or by its mirror image."""

_IMAGES_AT_ONCE = 16  # with all their views, which may be larger than what the model sees of them


def places(side: int) -> list[tuple[float, float]]:
    """Return the centers of a grid's cells, the middle of the image first.

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


@dataclass(frozen=True, kw_only=True)
class ViewEnsemble(Ensemble, ABC):
    """The plain image and other views of it (`n_views` in all); the model stays as it is."""

    @property
    def moves(self) -> bool:
        """Whether things are seen elsewhere: in all views but the first."""
        return self.n_views > 1

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the plain image and the others."""
        return [image, *(self.others(image) if self.n_views > 1 else ())]

    @abstractmethod
    def others(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Make all views but the first; not called if there are none."""

    @classmethod
    def candidates(cls) -> Iterable[Mitigation]:
        """Return the default with each aggregate."""
        return cls.combined()


class _Cut(ViewEnsemble):
    """An ensemble of parts of the image, row by row."""

    @property
    def n_views(self) -> int:
        """The plain image and its parts."""
        return 1 if self.neutral else 1 + self.side**2

    def others(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Cut, row by row; an image of fewer pixels than parts gives its pixels more than once."""
        for row, column in product(*(self._windows(length) for length in image.shape[:2])):
            yield image[row, column]

    @abstractmethod
    def _windows(self, length: int) -> list[slice]: ...


@register
@dataclass(frozen=True)
class CyclicShifts(ViewEnsemble):
    r"""Shift the image so that each cell of a grid comes to the middle; what leaves on one side enters on the other.

    .. math:: s(I, t) = \operatorname{A}_{p} \cos(f(S_p I), g(t)), \qquad
              (S_p I)(q) = I\big((q + p - \tfrac{1}{2}) \bmod 1\big)

    with the places p of `places` and the aggregate A (`crosseyed.mitigations.base.AGGREGATES`). Shifts are
    rounded to pixels. An odd number of cells needs ``side ** 2`` passes, an even one ``side ** 2 + 1``.
    Source: the mean over shifts is cycle spinning (Coifman and Donoho, "Translation-invariant de-noising", 1995).
    """

    label: ClassVar[str] = "cyclic shifts"
    neutral_at: ClassVar = {"side": 1}
    gated: ClassVar[bool] = True
    side: int = parameter(3, "cells along each side", low=1)

    @property
    def n_views(self) -> int:
        """One view for each place."""
        return len(places(self.side))

    def others(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """Bring each place but the middle to the middle."""
        height, width = image.shape[:2]
        for y, x in places(self.side)[1:]:
            yield np.roll(image, (round((0.5 - y) * height), round((0.5 - x) * width)), axis=(0, 1))


@register
@dataclass(frozen=True)
class Crops(_Cut):
    r"""Zoom in on overlapping parts of the image.

    .. math:: s(I, t) = \operatorname{A}_{i, j} \cos(f(C_{ij} I), g(t))

    with the aggregate A over the plain image and crops C whose sides are `scale` times those of the image, spread
    evenly from border to border (a single one is in the middle). ``side ** 2 + 1`` passes. Source: several crops at
    test time as in Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012.
    """

    label: ClassVar[str] = "crops"
    neutral_at: ClassVar = {"scale": 1}
    gated: ClassVar[bool] = True
    side: int = parameter(2, "crops along each side", low=1)
    scale: float = parameter(
        0.6, "side of a crop over that of the image; below 1 / side parts are in no crop", above=0, high=1
    )

    def _windows(self, length: int) -> list[slice]:
        window = max(1, round(self.scale * length))
        shares = np.linspace(0, 1, self.side) if self.side > 1 else [0.5]
        starts = [round(float(share) * (length - window)) for share in shares]
        return [slice(start, start + window) for start in starts]


@register
@dataclass(frozen=True)
class Tiles(_Cut):
    r"""Cut the image into tiles that do not overlap.

    .. math:: s(I, t) = \operatorname{A}_{i, j} \cos(f(T_{ij} I), g(t))

    with the aggregate A over the plain image and its tiles T, which are equally large up to a pixel and together
    make up the image. An object on a seam is cut. ``side ** 2 + 1`` passes if there are several. Source: Akyon et al.,
    "Slicing aided hyper inference", ICIP 2022, arXiv 2202.06934.
    """

    label: ClassVar[str] = "tiles"
    neutral_at: ClassVar = {"side": 1}
    side: int = parameter(2, "tiles along each side", low=1)

    def _windows(self, length: int) -> list[slice]:
        starts = [cell * length // self.side for cell in range(self.side)]
        ends = [*starts[1:], length]
        return [slice(start, max(start + 1, end)) for start, end in zip(starts, ends, strict=True)]


@register
@dataclass(frozen=True)
class Padding(ViewEnsemble):
    r"""Zoom out: put a border around the image, so that all it shows is nearer to the middle, and smaller.

    .. math:: s(I, t) = \operatorname{A}\big(\cos(f(I), g(t)), \cos(f(P I), g(t))\big)

    with the padded image P I and the aggregate A, or the second cosine alone without the plain image. An
    eccentricity e becomes :math:`e / (1 + 2\,\mathrm{border})`. Source: an ablation of this study.

    `fill` is one of `FILLS`, or a color as Pillow knows them, such as ``"gray"`` or ``"#7f7f7f"``; `plain` says whether
    the plain image is a view too (two passes, else one).
    """

    label: ClassVar[str] = "padding"
    neutral_at: ClassVar = {"border": 0}
    border: float = parameter(0.25, "width of the border over width or height of the image", low=0, high=4)
    fill: str = "edge"
    plain: bool = True

    def __post_init__(self) -> None:
        """Raise InputError for a parameter out of range or an unknown fill."""
        super().__post_init__()
        if self.fill not in FILLS:
            self._color()

    @classmethod
    def candidates(cls) -> Iterable[Mitigation]:
        """Return a narrow and a wide border."""
        return [cls(0.15, "edge"), cls(0.25, "reflect")]

    @property
    def parameters(self) -> dict[str, object]:
        """The hyper-parameters that have an effect: the aggregate only with the plain image."""
        having = super().parameters
        return having if self.plain else {name: having[name] for name in ("border", "fill", "plain")}

    @property
    def n_views(self) -> int:
        """The padded image and the plain one, if wanted."""
        return 2 if self.plain and not self.neutral else 1

    @property
    def moves(self) -> bool:
        """Whether things are seen elsewhere and smaller."""
        return not self.neutral

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the plain image, if wanted, and the padded one."""
        if self.neutral:
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


@register
@dataclass(frozen=True)
class Gated(Mitigation):
    r"""Keep the similarities of the plain image where the model is confident, else take the mitigated ones.

    .. math:: s(I, t) = \begin{cases} \cos(f(I), g(t)) & \text{if } \max_{t'} \operatorname{softmax}_{t'}
              \big(\lambda \cos(f(I), g(t'))\big) > \text{threshold} \\
              s_{\text{ensemble}}(I, t) & \text{else} \end{cases}

    with the model's logit scale λ, all captions that are compared with the image, and any mitigation as `ensemble`. At
    threshold 1 it is the ensemble alone (but for probabilities that are rounded to more). Source: confidence by the
    largest softmax probability as in Hendrycks and Gimpel, ICLR 2017, arXiv 1610.02136.
    """

    label: ClassVar[str] = "gated"
    neutral_at: ClassVar = {"threshold": 0}
    ensemble: Mitigation
    threshold: float = parameter(0.5, "probability", low=0, high=1, coarse=(0.4, 0.5, 0.6, 0.7, 0.8))

    @classmethod
    def each(cls, ensembles: Iterable[Mitigation]) -> list["Gated"]:
        """Return each of several mitigations behind each of the gates that chapter 5 tries."""
        thresholds = cls.__dataclass_fields__["threshold"].metadata["parameter"].coarse
        return [cls(ensemble, threshold) for ensemble, threshold in product(ensembles, thresholds)]

    @property
    def needs_location(self) -> bool:
        """Whether the ensemble does."""
        return self.ensemble.needs_location

    @property
    def moves(self) -> bool:
        """Whether the ensemble does, if it is ever used."""
        return not self.neutral and self.ensemble.moves

    @property
    def n_views(self) -> int:
        """The plain image, unless it is the ensemble's first view, and the views of the ensemble."""
        return 1 if self.neutral else self._own + self.ensemble.n_views

    @property
    def passes(self) -> int:
        """One for the plain image, unless it is the ensemble's first view, and those of the ensemble."""
        return 1 if self.neutral else self._own + self.ensemble.passes

    @property
    def only_views(self) -> bool:
        """Whether the ensemble leaves the model as it is."""
        return self.neutral or self.ensemble.only_views

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector: only if neutral, as the gate depends on the captions."""
        return self.neutral

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the plain image and the views of the ensemble."""
        return [image] if self.neutral else [*[image] * self._own, *self.ensemble.views(image, location)]

    def check(self, model: ClipModel) -> None:
        """Let the ensemble check the model."""
        self.ensemble.check(model)

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Score the plain image with the plain model, and the rest with the ensemble."""
        if self.only_views:
            return scorer.similarities(views, texts, progress=False)
        scores = [np.empty((0, len(texts)))]
        for portion in portions(views, self.n_views * _IMAGES_AT_ONCE):
            plain = scorer.similarities(portion[:: self.n_views], texts, progress=False)
            others = [view for number, view in enumerate(portion) if number % self.n_views]
            helped = self.ensemble.score(scorer, model, others, texts)
            both = [plain[:, None], helped.reshape(len(plain), -1, len(texts))]
            scores.append(np.concatenate(both, axis=1).reshape(-1, len(texts)))
        return np.concatenate(scores)

    def combine(self, similarities: np.ndarray, logit_scale: float) -> np.ndarray:
        """Take the plain similarities where their largest probability is above the threshold."""
        plain = similarities[:, 0]
        if self.neutral:
            return plain
        helped = self.ensemble.combine(similarities[:, self._own :], logit_scale)
        confident = softmax(logit_scale * plain, axis=1).max(1, keepdims=True) > self.threshold
        return np.where(confident, plain, helped)

    @property
    def _own(self) -> int:
        """Views besides those of the ensemble: none if the plain image is the first of these."""
        shared = isinstance(self.ensemble, ViewEnsemble) and getattr(self.ensemble, "plain", True)
        return 0 if shared else 1
