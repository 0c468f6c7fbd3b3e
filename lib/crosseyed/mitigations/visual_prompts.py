r"""Visual prompts: point at an object by changing the image, not the model.

Every prompt but the crop is one formula. With the image :math:`I`, a mask :math:`M` in [0, 1] and a target
:math:`T`, the prompted image at strength :math:`s` is

.. math:: I_s = I + s \, M \, (T - I),

where the mask is a mark around the object and the target its color (circle, box, arrow), or the mask is all that
lies outside the object and the target is blurred, gray or black. At strength 0, or with a line of width 0, the image
is returned as it is.

Marks are those of Shtedritski, Rupprecht and Vedaldi, "What does CLIP know about a red circle? Visual prompt
engineering for VLMs", ICCV 2023, arXiv 2304.06712. Chew et al., arXiv 2604.05971, try marks against center bias, and do
not publish how they draw them. Both know where the object is. `ProposedPrompts` needs no such knowledge: it prompts
every position of a grid in turn.

Geometry is in pixels, and the pixel in row i and column j covers [i, i + 1) × [j, j + 1). An object is the square
around its location whose side is its size; its *region* is this square, larger by the margin on all four sides.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from crosseyed.errors import InputError
from crosseyed.mitigations.base import Ensemble, Location, Mitigation, register
from crosseyed.mitigations.marks import COLOR, LINE_WIDTH, MARGIN, MARKS, PROMPTS, PUBLISHED_WIDTH, rgb
from crosseyed.mitigations.parameters import parameter

_WIDTHS = {"circle": (0.02,), "circle and blur": (), "box": (0.02, 0.04), "arrow": (0.02, 0.04)}

_CROP_MARGIN = 1.0  # an object then covers a third of the crop, as it would of a photograph of it


@dataclass(frozen=True)
class _Prompting(Mitigation):
    """The choice of a prompt, and its use at a location."""

    kind: str = parameter("circle", "what is drawn", choices=PROMPTS)
    strength: float = parameter(1.0, "opacity of the mark, or how much is changed", low=0, high=1)
    margin: float = parameter(MARGIN, "distance kept from the object over its size", low=0)
    color: str | None = None
    width: float | None = parameter(
        None, f"width of the line over the image's shorter side; {LINE_WIDTH} if one is drawn", low=0, high=1
    )

    def __post_init__(self) -> None:
        """Raise InputError for a parameter out of range, or a color or width of a prompt that draws no line."""
        super().__post_init__()
        for option, default in (("color", COLOR), ("width", LINE_WIDTH)):
            if self.kind in MARKS and getattr(self, option) is None:
                object.__setattr__(self, option, default)
            elif self.kind not in MARKS and getattr(self, option) is not None:
                raise InputError(
                    f"The prompt {self.kind!r} draws no line: leave out its {option}, or choose one of "
                    f"{', '.join(MARKS)}."
                )
        if self.color is not None:
            rgb(self.color)

    @property
    def name(self) -> str:
        """The label and all parameters that the kind of prompt has."""
        given = ((each.name, getattr(self, each.name)) for each in fields(self))
        shown = (
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in given
            if value is not None
        )
        return f"{self.label} ({', '.join(shown)})"

    @property
    def neutral(self) -> bool:
        """Whether nothing is drawn."""
        return self.strength == 0 or self.width == 0

    @property
    def moves(self) -> bool:
        """Whether things are seen elsewhere, or at another size: after a crop."""
        return self.kind == "crop" and not self.neutral

    def _prompted(self, image: np.ndarray, location: Location) -> np.ndarray:
        line = {"color": self.color, "width": self.width} if self.kind in MARKS else {}
        return PROMPTS[self.kind](image, location, strength=self.strength, margin=self.margin, **line)


@register
@dataclass(frozen=True)
class Prompted(_Prompting):
    r"""Point at the object, having been told where it is (an oracle): one pass.

    .. math:: s(I, t) = \cos(f(P(I, \ell)), g(t))

    with the prompt P at the true location ℓ. Source: Shtedritski et al. 2023, arXiv 2304.06712; Chew et al.,
    arXiv 2604.05971. `PROMPTS` says what each kind does; color and width belong to circle, box and arrow alone.
    """

    label: ClassVar[str] = "visual prompt"
    needs_location: ClassVar[bool] = True

    @classmethod
    def candidates(cls) -> Iterable[Mitigation]:
        """Return two settings of each kind, that of the literature among those of circles."""
        for kind in PROMPTS:
            if kind.startswith("circle"):
                yield cls(kind, margin=0.0, width=PUBLISHED_WIDTH)
            if kind in MARKS:
                yield from (cls(kind, width=width) for width in _WIDTHS[kind])
            elif kind == "crop":
                yield from (cls(kind, margin=margin) for margin in (0.5, _CROP_MARGIN))
            else:
                yield from (cls(kind, strength) for strength in (0.5, 1.0))

    def views(self, image: np.ndarray, location: Location) -> list[np.ndarray]:
        """Return the image with the prompt."""
        return [self._prompted(image, location)]


def proposals(height: int, width: int, grid: int, size: float) -> list[Location]:
    """Return the locations where an object could be, if its true one is not known.

    They are the centers of a grid's cells, moved inward where an object would be cut off by the border.

    Parameters
    ----------
    height, width : int
        Of the image, in pixels.
    grid : int
        Number of positions along each side; at least 1.
    size : float
        Size of the objects as a fraction of the shorter side, in (0, 1].

    Returns
    -------
    list of Location
        ``grid ** 2`` locations, row by row from the top left.
    """
    across, down = (
        np.linspace(edge, 1 - edge, grid)
        for edge in (
            max(1 / (2 * grid), size * min(height, width) / (2 * length)) for length in (width, height)
        )
    )
    return [Location(float(x), float(y), size) for y in down for x in across]


@register
@dataclass(frozen=True, kw_only=True)
class ProposedPrompts(Ensemble, _Prompting):
    r"""Point at every place where the object could be, and combine the views: no oracle, many passes.

    .. math:: s(I, t) = \operatorname{A}_{\ell} \cos(f(P(I, \ell)), g(t))

    with the prompt P at each location ℓ of `proposals`, the plain image among them if `plain`, and the aggregate A
    (`crosseyed.mitigations.base.AGGREGATES`). Source: Shtedritski et al. 2023, arXiv 2304.06712, who prompt each
    proposal of an object detector; a grid takes the detector's place here.
    """

    label: ClassVar[str] = "proposed prompts"
    grid: int = parameter(3, "positions along each side", low=1)
    size: float = parameter(0.3, "size of the objects over the image's shorter side", above=0, high=1)
    plain: bool = True

    @classmethod
    def candidates(cls) -> Iterable[Mitigation]:
        """Return circles and crops, with each aggregate."""
        circles = cls.combined(kind="circle")
        return circles + cls.combined(kind="crop", margin=_CROP_MARGIN)

    @property
    def n_views(self) -> int:
        """One view for each proposal and, if wanted, the plain image; one if neutral."""
        return 1 if self.neutral else self.grid**2 + self.plain

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the plain image, if wanted, and one with a prompt for each proposal."""
        if self.neutral:
            return [image]
        places = proposals(*image.shape[:2], self.grid, self.size)
        return [image] * self.plain + [self._prompted(image, place) for place in places]
