"""Simple mitigations, and what a model says about their views one at a time."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from crosseyed.mitigations.base import Ensemble, Location, Mitigation, portions

TEXTS = ["a photo of a dog", "a photo of a cat", "two trees"]

MIDDLE = Location(0.5, 0.5, 0.3)


@dataclass(frozen=True)
class Nothing(Mitigation):
    label: ClassVar[str] = "nothing"
    strength: float = 0.0


@dataclass(frozen=True)
class Darker(Mitigation):
    label: ClassVar[str] = "darker"
    factor: float = 0.5

    def views(self, image, location):
        return [(image * self.factor).astype(np.uint8)]


@dataclass(frozen=True)
class Turned(Ensemble):
    """As many quarter turns as there are views, the plain image first."""

    label: ClassVar[str] = "turned"
    moves: ClassVar[bool] = True
    turns: int = 3

    @property
    def n_views(self):
        return self.turns

    def views(self, image, location):
        return [np.rot90(image, turn) for turn in range(self.turns)]


@dataclass(frozen=True)
class Marked(Mitigation):
    """A white row at the height of the object."""

    label: ClassVar[str] = "marked"
    needs_location: ClassVar[bool] = True

    def views(self, image, location):
        marked = image.copy()
        marked[int(location.y * len(image))] = 255
        return [marked]


@dataclass(frozen=True, eq=False)
class Louder(Mitigation):
    """Multiply the class token by a factor while the context is open, and keep a diary."""

    label: ClassVar[str] = "louder"
    factor: float
    diary: list

    @contextmanager
    def applied(self, model):
        original = model.clip.visual.class_embedding
        model.clip.visual.class_embedding = torch.nn.Parameter(original * self.factor, requires_grad=False)
        self.diary.append(("enter", self.factor))
        try:
            yield
        finally:
            model.clip.visual.class_embedding = original
            self.diary.append(("leave", self.factor))


@dataclass(frozen=True)
class Zoomed(Mitigation):
    """The quarter of the image around the object."""

    label: ClassVar[str] = "zoomed"
    needs_location: ClassVar[bool] = True
    moves: ClassVar[bool] = True

    def views(self, image, location):
        top = int(location.y * len(image) / 2)
        return [image[top : top + len(image) // 2]]


@dataclass(frozen=True)
class Doubtful(Mitigation):
    """Asks twice; the second answer counts half."""

    label: ClassVar[str] = "doubtful"

    def score(self, scorer, model, views, texts):
        answers = []
        for portion in portions(views, 4):
            first, second = (scorer.similarities(portion, texts, progress=False) for _ in range(2))
            answers.append(first + second / 2)
        return np.concatenate(answers)


def some_images(n_images=4):
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (40, 50 - 3 * number % 20, 3), np.uint8) for number in range(n_images)]


def by_hand(model, views_of, images):
    """Cosines (n_images, n_views, n_texts) of views encoded one at a time."""
    texts = model.encode_texts(TEXTS).astype(float)
    return np.array(
        [
            [texts @ model.encode_images([view])[0].astype(float) for view in views_of(image)]
            for image in images
        ]
    )
