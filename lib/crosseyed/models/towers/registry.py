"""The adapter of each tower."""

import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module

from crosseyed.models import towers
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import TowerAdapter, UnsupportedTower
from crosseyed.models.towers.timm import TimmAdapter


def _families() -> Iterator[type[TowerAdapter]]:
    """Find the adapters in the modules of this folder: the classes that have a label of their own."""
    for found in pkgutil.iter_modules(towers.__path__, f"{towers.__name__}."):
        for member in vars(import_module(found.name)).values():
            if isinstance(member, type) and issubclass(member, TowerAdapter) and "label" in vars(member):
                yield member


ADAPTERS = tuple(sorted(set(_families()), key=lambda adapter: adapter.label))
"""The families of towers that can be traced."""

TIMM_ADAPTERS = tuple(adapter for adapter in ADAPTERS if issubclass(adapter, TimmAdapter))


def adapter_of(model: ClipModel) -> TowerAdapter:
    """Return the adapter of the model's tower.

    Raises
    ------
    UnsupportedTower
        The tower is of another family; the message says which are known and what a new one must provide.
    """
    visual = model.clip.visual
    for adapter in ADAPTERS:
        if adapter.knows(visual):
            return adapter(visual)
    known = ", ".join(adapter.label for adapter in ADAPTERS)
    must = ", ".join(sorted(TowerAdapter.__abstractmethods__ - {"__init__"}))
    raise UnsupportedTower(
        f"The tower of {model.name} is a {model.tower.kind}, which cannot be traced; known: {known}. A new family "
        f"is a subclass of crosseyed.models.towers.base.TowerAdapter with a label and "
        f"the methods {must}, in a file of crosseyed/models/towers."
    )


def able(models: Iterable[ClipModel], *capabilities: str) -> list[ClipModel]:
    """Return those models, in their order, whose towers have all of these `CAPABILITIES`."""
    return [model for model in models if adapter_of(model).capabilities.issuperset(capabilities)]
