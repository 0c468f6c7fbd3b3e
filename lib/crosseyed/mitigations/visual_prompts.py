r"""Visual prompts: point at an object by changing the picture, not the model.

Every prompt but the crop is one formula. With the picture :math:`I`, a mask :math:`M` in [0, 1] and a target
:math:`T`, the prompted picture at strength :math:`s` is

.. math:: I_s = I + s \, M \, (T - I),

where the mask is a mark around the object and the target its color (circle, box, arrow), or the mask is all that
lies outside the object and the target is blurred, gray or black. At strength 0 the picture is returned as it is.

Marks are those of Shtedritski, Rupprecht and Vedaldi, "What does CLIP know about a red circle? Visual prompt
engineering for VLMs", ICCV 2023, arXiv 2304.06712; as a remedy of center bias they are tried by Chew et al.,
arXiv 2604.05971. Both know where the object is. `ProposedPrompts` needs no such knowledge: it prompts every
position of a grid in turn.

Geometry is in pixels, and the pixel in row i and column j covers [i, i + 1) × [j, j + 1). An object is the square
around its location whose side is its size; its *region* is this square, larger by the margin on all four sides.
"""

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from crosseyed.errors import InputError, check_choice
from crosseyed.mitigations.base import Ensemble, Location, Mitigation
from crosseyed.mitigations.marks import COLOR, LINE_WIDTH, MARGIN, MARKS, PROMPTS

"""What prompts are like unless said otherwise; fractions of the object's size and of the image's shorter side."""

"""Standard deviation of `blur_outside` at strength 1, as a fraction of the image's shorter side."""

"""The kinds of prompt that draw a line, and so have a color and a width."""

"""Every kind of prompt: from an image, a location and options to the prompted image."""


@dataclass(frozen=True)
class _Prompting(Mitigation):
    """The choice of a prompt, checked, and its use at a location."""

    kind: str = "circle"
    strength: float = 1.0
    margin: float = MARGIN
    color: str | None = None
    width: float | None = None

    def __post_init__(self) -> None:
        check_choice("kind of prompt", self.kind, PROMPTS)
        for option, default in (("color", COLOR), ("width", LINE_WIDTH)):
            if self.kind in MARKS and getattr(self, option) is None:
                object.__setattr__(self, option, default)
            elif self.kind not in MARKS and getattr(self, option) is not None:
                raise InputError(
                    f"The prompt {self.kind!r} draws no line: leave out its {option}, or choose one of "
                    f"{', '.join(MARKS)}."
                )
        self._prompted(np.zeros((1, 1, 3), np.uint8), Location(0.5, 0.5, 1.0))  # refuses what is out of range

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
    def moves(self) -> bool:
        """Whether things are seen elsewhere, or at another size: after a crop."""
        return self.kind == "crop" and not self._idle

    @property
    def _idle(self) -> bool:
        return self.strength == 0 or self.width == 0

    def _prompted(self, image: np.ndarray, location: Location) -> np.ndarray:
        line = {"color": self.color, "width": self.width} if self.kind in MARKS else {}
        return PROMPTS[self.kind](image, location, strength=self.strength, margin=self.margin, **line)


@dataclass(frozen=True)
class Prompted(_Prompting):
    r"""Point at the object, having been told where it is (an oracle): one pass.

    .. math:: s(I, t) = \cos(f(P(I, \ell)), g(t))

    with the prompt P at the true location ℓ. Source: Shtedritski et al. 2023, arXiv 2304.06712; Chew et al.,
    arXiv 2604.05971. At strength 0 or line width 0 the image stays as it is.

    Parameters
    ----------
    kind : str
        One of `PROMPTS`; what the other parameters do is said there.
    strength : float
        In [0, 1]; 0 is no prompt.
    margin : float
        Distance kept from the object as a fraction of its size; at least 0.
    color : str, optional
        Of circle, box and arrow alone; `COLOR` if not given.
    width : float, optional
        Of the line of circle, box and arrow alone, in [0, 1] of the image's shorter side; `LINE_WIDTH` if not
        given. 0 is no prompt.

    Raises
    ------
    InputError
        The kind or the color is unknown, a number out of range, or a color or width given to what draws no line.
    """

    label: ClassVar[str] = "visual prompt"
    needs_location: ClassVar[bool] = True

    def views(self, image: np.ndarray, location: Location) -> list[np.ndarray]:
        """Return the image with the prompt."""
        return [self._prompted(image, location)]


def proposals(height: int, width: int, grid: int, size: float) -> list[Location]:
    """Give the locations where an object could be, if nobody knows where it is.

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

    Raises
    ------
    InputError
        The grid has no position, or the objects are larger than the image.
    """
    if not isinstance(grid, int | np.integer) or grid < 1:
        raise InputError(f"A grid has a whole number of positions along each side, at least 1, not {grid!r}.")
    if not 0 < size <= 1:
        raise InputError(
            f"Proposals of size {size} do not fit the image; give a fraction of its shorter side, above 0 and at "
            f"most 1."
        )
    across, down = (
        np.linspace(edge, 1 - edge, grid)
        for edge in (
            max(1 / (2 * grid), size * min(height, width) / (2 * length)) for length in (width, height)
        )
    )
    return [Location(float(x), float(y), size) for y in down for x in across]


@dataclass(frozen=True, kw_only=True)
class ProposedPrompts(Ensemble, _Prompting):
    r"""Point at every place where the object could be, and combine the answers: no oracle, many passes.

    .. math:: s(I, t) = \operatorname{A}_{\ell} \cos(f(P(I, \ell)), g(t))

    with the prompt P at each location ℓ of `proposals`, the plain image among them if wanted, and the aggregate A
    (`crosseyed.mitigations.base.AGGREGATES`). Source: Shtedritski et al. 2023, arXiv 2304.06712, who prompt each
    proposal
    of an object detector; a grid takes the detector's place here. At strength 0 or line width 0 the image stays
    as it is, and is shown once.

    Parameters
    ----------
    kind, strength, margin, color, width
        As for `Prompted`.
    grid : int
        Number of positions along each side; at least 1.
    size : float
        Size of the proposed objects as a fraction of the image's shorter side, in (0, 1].
    plain : bool
        Whether the image without a prompt is among the views.
    aggregate, temperature
        As for `crosseyed.mitigations.base.Ensemble`.

    Raises
    ------
    InputError
        As for `Prompted` and `crosseyed.mitigations.base.Ensemble`; the grid has no position, the proposals are larger
        than the image.
    """

    label: ClassVar[str] = "proposed prompts"
    grid: int = 3
    size: float = 0.3
    plain: bool = True

    def __post_init__(self) -> None:
        """Check the fields."""
        _Prompting.__post_init__(self)
        Ensemble.__post_init__(self)
        proposals(1, 1, self.grid, self.size)  # refuses what is out of range

    @property
    def n_views(self) -> int:
        """One view for each proposal and, if wanted, the plain image; one if the prompt does nothing."""
        return 1 if self._idle else self.grid**2 + self.plain

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the plain image, if wanted, and one with a prompt for each proposal."""
        if self._idle:
            return [image]
        places = proposals(*image.shape[:2], self.grid, self.size)
        return [image] * self.plain + [self._prompted(image, place) for place in places]
