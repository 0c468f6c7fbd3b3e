"""Small mitigations, answers of candidates, briefly trained heads and an image to mark, for several tests."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from small_models import sample_images

from crosseyed.mitigations import head_training
from crosseyed.mitigations.base import Location, Mitigation
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.mitigations.views import ViewEnsemble


@dataclass(frozen=True)
class Turned(Mitigation):
    """The image upside down."""

    label: ClassVar[str] = "turned"

    def views(self, image, location):
        return [image[::-1]]


@dataclass(frozen=True)
class Turns(ViewEnsemble):
    """The image, upside down, mirrored, and both."""

    label: ClassVar[str] = "turns"

    @property
    def n_views(self):
        return 4

    def others(self, image):
        yield from (image[::-1], image[:, ::-1], image[::-1, ::-1])


@dataclass(frozen=True)
class Darkened(Mitigation):
    """Black but for the object."""

    label: ClassVar[str] = "darkened"
    needs_location: ClassVar[bool] = True

    def views(self, image, location):
        rows, columns = (np.arange(length) / length for length in image.shape[:2])
        near = (abs(rows - location.y) < location.size / 2)[:, None] & (
            abs(columns - location.x) < location.size / 2
        )
        return [image * near[..., None].astype(np.uint8)]


@dataclass(frozen=True)
class Doubled(Mitigation):
    """The first summand of all tokens is doubled, as something that changes the tower."""

    label: ClassVar[str] = "doubled"
    strength: float = 1.0

    @contextmanager
    def applied(self, model):
        embedding = model.clip.visual.positional_embedding
        kept = embedding.detach().clone()
        embedding.mul_(1 + self.strength)
        try:
            yield
        finally:
            embedding.copy_(kept)


def answered(**correct: list[list[bool]]) -> pd.DataFrame:
    """Return answers: for each candidate and object, whether it is right at the center and in two other cells."""
    rows = [
        {
            "protocol": "grid",
            "candidate": name,
            "family": name.split("_")[0],
            "kind": BASELINE if name == BASELINE else "mitigation",
            "oracle": False,
            "passes": 1.0,
            "image": f"{place:02}{cell}",
            "object": f"object{place}",
            "center": cell == 0,
            "correct": right,
        }
        for name, objects in correct.items()
        for place, cells in enumerate(objects)
        for cell, right in enumerate(cells)
    ]
    return pd.DataFrame(rows).astype({"correct": "boolean"})


def random_answers(seed=0, n_objects=30):
    rng = np.random.default_rng(seed)
    likely = {BASELINE: (0.9, 0.2), "a_1": (0.9, 0.5), "a_2": (0.5, 0.9), "b_1": (0.9, 0.25)}
    return answered(
        **{
            name: [
                [rng.random() < (center if cell == 0 else off) for cell in range(3)] for _ in range(n_objects)
            ]
            for name, (center, off) in likely.items()
        }
    )


def train(model, world, **options):
    (learned, others), labels = world
    small = {"scenes_per_object": 4, "epochs": 2, "learning_rates": (1e-2,), "progress": False}
    return head_training.train_heads(model, learned, others, labels, **(small | options))


def encoded(model):
    return model.encode_images(sample_images(), progress=False)


CENTER = Location(0.5, 0.5, 0.4)


def some_image(height=20, width=30, seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image.flags.writeable = False
    return image
