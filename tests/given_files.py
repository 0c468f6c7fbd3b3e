"""Python files with mitigations of a user, for tests of the benchmark."""

HEAD = """
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crosseyed.mitigations.base import Mitigation, register
from crosseyed.mitigations.parameters import parameter
from crosseyed.mitigations.views import Padding


@dataclass(frozen=True)
class Mine(Mitigation):
    label: ClassVar[str] = "mine"
    neutral_at: ClassVar = {"amount": 0}
    amount: float = parameter(0.2, "light that is added", low=0, high=1)

    @classmethod
    def candidates(cls):
        return [cls(0.1), cls(0.4)]

    def views(self, image, location):
        return [np.clip(image + 255.0 * self.amount, 0, 255).astype(np.uint8)]
"""

BAD = {
    "scores that are not finite": (
        """
    def combine(self, similarities, logit_scale):
        return similarities[:, 0] * (np.nan if self.amount else 1)
""",
        ("mine (amount=0.1)", "not finite"),
    ),
    "scores of another shape": (
        """
    def combine(self, similarities, logit_scale):
        return similarities
""",
        ("not one for each image and caption",),
    ),
    "scores that end": (
        """
    def combine(self, similarities, logit_scale):
        return similarities[:, 0] * (np.inf if len(similarities) > 2 else 1)
""",
        ("mine (amount=0.1)", "not finite"),
    ),
    "something at strength zero": (
        """
    def combine(self, similarities, logit_scale):
        return 1.5 * similarities[:, 0]
""",
        ("mine (amount=0)", "strength zero", "bit for bit"),
    ),
    "other weights": (
        """
    @contextmanager
    def applied(self, model):
        model.clip.visual.proj.data.mul_(1.5)
        yield
""",
        ("mine changes the weights",),
    ),
    "a hook that stays": (
        """
    @contextmanager
    def applied(self, model):
        if self.amount:
            model.clip.visual.register_forward_hook(lambda *given: given[-1] + 1)
        yield
""",
        ("mine leaves the model changed",),
    ),
    "no list of views": (
        """
    def views(self, image, location):
        return image
""",
        ("a list of 1 views",),
    ),
    "views of another kind": (
        """
    def views(self, image, location):
        return [image / 255]
""",
        ("not an image of uint8", "float64"),
    ),
    "a changed image": (
        """
    def views(self, image, location):
        image[:] = 0
        return [image]
""",
        ("changes the pixels",),
    ),
    "an error in a view": (
        """
    def views(self, image, location):
        raise IndexError("nothing to see")
""",
        ("given.py:Mine", "IndexError: nothing to see (line 27)", "a trial on two images"),
    ),
    "an error in a constructor": (
        """
    def __post_init__(self):
        super().__post_init__()
        raise KeyError("far")
""",
        ("given.py:Mine", "KeyError: 'far' (line 28)", "giving its candidates"),
    ),
    "a hyper-parameter out of its range": (
        """
    @classmethod
    def candidates(cls):
        return [cls(2.0)]
""",
        ("'mine'", "amount is from 0 to 1, not 2.0"),
    ),
    "candidates that are none": (
        """
    @classmethod
    def candidates(cls):
        return ["strong"]
""",
        ("'strong'", "not a mitigation"),
    ),
    "no model that it fits": (
        """
    def check(self, model):
        from crosseyed.errors import InputError

        raise InputError("It needs a tower of wood.")
""",
        ("cannot be applied", "a tower of wood"),
    ),
}
"""What a method of `Mine` can do wrong, and words of the answer."""


def write(path, method=""):
    """Write the class `Mine`, with a method that adds to or replaces its own."""
    path.write_text(HEAD + method, encoding="utf-8")
    return f"{path}:Mine"
