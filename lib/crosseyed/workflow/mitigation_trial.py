"""Try a mitigation on a few images before it is measured, and see that it leaves the model as it was."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from crosseyed.data.images import read_image
from crosseyed.errors import InputError, shorten
from crosseyed.mitigations.base import Mitigation
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.tasks import Task
from crosseyed.models.clip import ClipModel
from crosseyed.settings import settings

_IMAGES = 2
_TEXTS = 8


class ChangedModelError(InputError):
    """A mitigation left the model otherwise than it was; it has to be loaded anew."""


@dataclass(frozen=True, eq=False)
class State:
    """What tells whether a model is as it was: its weights, and bit for bit what it makes of images and a caption."""

    model: ClipModel
    task: Task = field(repr=False)
    weights: str
    vectors: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, model: ClipModel, task: Task) -> Self:
        """Note the state of a model, by images of a task."""
        return cls(model, task, _digest(model), _encoded(model, task))

    def check(self, name: str) -> None:
        """Raise ChangedModelError, with the name of who was at work, if the model is otherwise than it was."""
        if _digest(self.model) != self.weights:
            raise ChangedModelError(
                f"{name} changes the weights of the model. Change what it computes inside a context, and restore it "
                "also after an error."
            )
        if not np.array_equal(_encoded(self.model, self.task), self.vectors):
            raise ChangedModelError(
                f"{name} leaves the model changed: afterwards, an image or a caption has another embedding. Remove "
                "what was put into it when the context ends, also after an error."
            )


def try_out(model: ClipModel, candidates: Sequence[Mitigation], task: Task) -> None:
    """Apply each candidate to two images of a task, and check what it gives.

    Parameters
    ----------
    model : ClipModel
        The model.
    candidates : sequence of Mitigation
        Those that can be applied to it.
    task : Task
        Scenes of one object each, with locations.

    Raises
    ------
    InputError
        Views are not images, or not as many as stated; the image that it is given is changed; similarities are not
        finite or not one for each caption; or at strength zero they differ from those of the plain model.
    """
    images = list(task.images[:_IMAGES])
    texts = [settings.caption(label) for label in task.labels[:_TEXTS]]
    plain = model.similarities(images, texts, progress=False)
    for each in candidates:
        locations = task.locations[:_IMAGES] if each.needs_location else None
        _check_views(each, np.asarray(read_image(images[0])), locations[0] if locations else None)
        found = mitigate(model, each, locations).similarities(images, texts, progress=False)
        if np.shape(found) != plain.shape or not np.isfinite(found).all():
            raise InputError(
                f"{each.name} gives scores that are not finite, or not one for each image and caption "
                f"({shorten(np.asarray(found).tolist())}); give a number for each."
            )
        _check_zero(model, each, task, texts, plain)


def _check_zero(
    model: ClipModel, mitigation: Mitigation, task: Task, texts: Sequence[str], plain: np.ndarray
) -> None:
    """Raise InputError if a mitigation does something at its strength zero, where it states one."""
    if not mitigation.neutral_at:
        return
    zero = replace(mitigation, **mitigation.neutral_at)
    locations = task.locations[:_IMAGES] if zero.needs_location else None
    found = mitigate(model, zero, locations).similarities(list(task.images[:_IMAGES]), texts, progress=False)
    if not np.array_equal(found, plain):
        raise InputError(
            f"{zero.name} is at strength zero and does not give the scores of the plain model bit for bit. Let it show "
            "the image as it is and change nothing there, or correct neutral_at."
        )


def _check_views(mitigation: Mitigation, image: np.ndarray, location: object) -> None:
    given = image.copy()
    views = mitigation.views(given, location)
    if not np.array_equal(given, image):
        raise InputError(
            f"{mitigation.name} changes the pixels of the image that it is given; copy it first."
        )
    if not isinstance(views, list | tuple) or len(views) != mitigation.n_views:
        raise InputError(
            f"{mitigation.name} has to give a list of {mitigation.n_views} views, as n_views says, and not "
            f"{_described(views)}."
        )
    for view in views:
        if not (
            isinstance(view, np.ndarray) and view.dtype == np.uint8 and view.ndim == 3 and view.shape[2] == 3
        ):
            raise InputError(
                f"{mitigation.name} gives a view that is not an image of uint8 (height, width, 3): {_described(view)}."
            )


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {value.shape}"
    return " ".join(shorten(value).split())


def _digest(model: ClipModel) -> str:
    return replace(model).digest  # a copy, which computes its digest anew


def _encoded(model: ClipModel, task: Task) -> np.ndarray:
    images = model.encode_images(list(task.images[:_IMAGES]), progress=False)
    return np.concatenate([images, model.encode_texts([settings.caption(task.labels[0])])])
