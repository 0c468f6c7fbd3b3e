"""What the whole study agrees on: confidence level, resamples, center limit, grid size and language of captions.

There is one object, `settings`. Change a value here to change it everywhere, or for one notebook with its parameter
`settings`, for example ``-p settings '{confidence: 0.9}'``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace

from crosseyed.errors import InputError, suggest

SIGNIFICANCE = 0.05
"""A difference counts as certain below this p-value, corrected for the number of comparisons."""


@dataclass(frozen=True)
class Captions:
    """Caption templates of one language, with ``{}`` where the name of an object goes.

    Attributes
    ----------
    single : str
        Caption of an image of one object.
    both, one, unrelated : str
        The four captions of What'sUp: both objects, each of them alone, and two objects that no image shows.
    names : mapping of str to str
        Names of the objects in this language by their names in the catalogue; others keep their name.
    """

    single: str
    both: str
    one: str
    unrelated: str
    names: Mapping[str, str] = field(default_factory=dict)


CAPTIONS = {
    "en": Captions(
        single="a photo of a {}", both="a {} and a {}", one="a {}", unrelated="a cat and a refrigerator"
    )
}
"""Templates by language; another language is another entry."""


@dataclass
class Settings:
    """Values that every chapter, command and table shares.

    Attributes
    ----------
    confidence : float
        Confidence level of every interval, in (0, 1).
    resamples : int
        Bootstrap resamples and permutations, at least 1.
    center_limit : float
        Largest eccentricity that counts as the center, in (0, 1].
    grid_size : int
        Cells along each side of the grid; odd, so that one cell is the center.
    language : str
        Language of the captions, a key of `CAPTIONS`.
    """

    confidence: float = 0.95
    resamples: int = 10_000
    center_limit: float = 1 / 3
    grid_size: int = 5
    language: str = "en"

    def __post_init__(self) -> None:
        """Raise InputError for a value out of range."""
        _check(
            "confidence", self.confidence, float, 0 < _number(self.confidence) < 1, "a number between 0 and 1"
        )
        _check("resamples", self.resamples, int, _number(self.resamples) >= 1, "a whole number, at least 1")
        limit = _number(self.center_limit)
        _check(
            "center_limit", self.center_limit, float, 0 < limit <= 1, "an eccentricity above 0 and at most 1"
        )
        cells = _number(self.grid_size)
        _check(
            "grid_size", self.grid_size, int, cells >= 3 and cells % 2 == 1, "an odd whole number, at least 3"
        )
        known = isinstance(self.language, str) and self.language in CAPTIONS
        _check("language", self.language, str, known, " or ".join(map(repr, CAPTIONS)))

    @property
    def captions(self) -> Captions:
        """Templates of the language."""
        return CAPTIONS[self.language]

    @property
    def interval(self) -> str:
        """Name of every interval in prose, such as ``"95 % interval"``."""
        return f"{100 * self.confidence:g} % interval"

    def name(self, label: str) -> str:
        """Return the name of an object of the catalogue in the language of the captions."""
        return self.captions.names.get(label, label)

    def caption(self, label: str) -> str:
        """Return the caption of one object, such as ``"a photo of a dog"``."""
        return self.captions.single.format(self.name(label))

    def four_captions(self, first: str, second: str) -> tuple[str, str, str, str]:
        """Return What'sUp's captions of two objects: both, the first, the second, two others."""
        first, second, words = self.name(first), self.name(second), self.captions
        return (
            words.both.format(first, second),
            words.one.format(first),
            words.one.format(second),
            words.unrelated,
        )

    def override(self, values: Mapping[str, object]) -> None:
        """Change values for the rest of the process.

        Parameters
        ----------
        values : mapping
            From the name of a setting to its value.

        Raises
        ------
        InputError
            There is no such setting, or a value is out of range; then nothing is changed.
        """
        names = [each.name for each in fields(self)]
        for name in values:
            if name not in names:
                raise InputError(
                    f"There is no setting {name!r}{suggest(str(name), names)}. Choose from {', '.join(names)}."
                )
        for name, value in asdict(replace(self, **values)).items():
            setattr(self, name, value)

    @contextmanager
    def overridden(self, **values: object) -> Iterator[None]:
        """Change values for a while."""
        before = asdict(self)
        self.override(values)
        try:
            yield
        finally:
            self.override(before)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _check(name: str, value: object, kind: type, holds: bool, expected: str) -> None:
    if not holds or not isinstance(value, (int, float) if kind is float else kind):
        raise InputError(f"The setting {name} is {value!r}; expected {expected}.")


settings = Settings()
