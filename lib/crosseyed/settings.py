"""What the whole study agrees on: confidence level, resamples, center limit, grid size and language of captions.

There is one object, `settings`. Change a value here to change it everywhere, or for one notebook with its parameter
`settings`, for example ``-p settings '{confidence: 0.9}'``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from crosseyed.errors import InputError, check_choice
from crosseyed.validation import Checked, Count, validated

SIGNIFICANCE = 0.05
"""A difference counts as certain below this p-value, corrected for the number of comparisons."""

GAP_FLOOR = 20.0
"""Accuracy at the center in percent under which a gap says nothing: hardly anything is right that could be lost."""

PROTOCOL_VERSION = 2
"""Version of what is shown to models, how answers are counted and how certain they are.

Raise it with every change after which numbers cannot be compared with those of before. Tables carry it, and rows of
another version are listed apart."""

UNSTATED_VERSION = 1
"""The version of tables that state none."""


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
    alternatives : tuple of str
        Other captions of an image of one object, which could as well have been chosen for `single`.
    lengths : tuple of str
        Captions of one object with fewer and with more words around its name than `single`.
    articles : tuple of str, optional
        An article as the templates write it, and the form that it takes before a vowel sound; None in a language
        without such forms.
    """

    single: str
    both: str
    one: str
    unrelated: str
    names: Mapping[str, str] = field(default_factory=dict)
    alternatives: tuple[str, ...] = ()
    lengths: tuple[str, ...] = ()
    articles: tuple[str, str] | None = None


CAPTIONS = {
    "en": Captions(
        single="a photo of a {}",
        both="a {} and a {}",
        one="a {}",
        unrelated="a cat and a refrigerator",
        alternatives=(
            "a photo of a {}.",
            "a photo of the {}",
            "a picture of a {}",
            "an image of a {}",
            "a drawing of a {}",
            "a bad photo of a {}",
            "a close-up photo of a {}",
            "itap of a {}",
            "this is a {}",
        ),
        lengths=(
            "{}",
            "a {}",
            "a photo of a {} that somebody took on an ordinary day and kept in an album",
        ),
        articles=("a", "an"),
    )
}
"""Templates by language; another language is another entry."""


def _check_odd(number: int) -> int:
    if number % 2 == 0:
        raise InputError(f"{number} is even; give an odd number, so that one cell is the center.")
    return number


GridSize = Annotated[int, Field(ge=3, le=101), AfterValidator(_check_odd)]
"""Cells along each side of a grid, of which one is the center."""


def _check_language(language: str) -> str:
    check_choice("language", language, CAPTIONS)
    return language


class Settings(Checked):
    """Values that every chapter, command and table shares."""

    model_config = ConfigDict(frozen=False)

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Confidence level of every interval."""
    resamples: Count = 10_000
    """Bootstrap resamples and permutations."""
    center_limit: Annotated[float, Field(gt=0, le=1)] = 1 / 7
    """Largest eccentricity that counts as the center: of an object's place, in composed scenes before its shift.

    So far a shift takes objects at most (`crosseyed.data.layouts`); the center cell is within it, and no other cell of
    the study's grid."""
    grid_size: GridSize = 5
    """Cells along each side of the grid."""
    language: Annotated[str, AfterValidator(_check_language)] = "en"
    """Language of the captions, a key of `CAPTIONS`."""

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
        checked = validated(Settings, {**self.model_dump(), **values}, "the parameter settings")
        for name, value in checked:
            setattr(self, name, value)

    @contextmanager
    def overridden(self, **values: object) -> Iterator[None]:
        """Change values for a while."""
        before = self.model_dump()
        self.override(values)
        try:
            yield
        finally:
            self.override(before)


settings = Settings()
