"""Which adapter reads which tower."""

from collections.abc import Iterable

from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import TowerAdapter, UnsupportedTower
from crosseyed.models.towers.convnext import ConvNeXtAdapter
from crosseyed.models.towers.eva import EvaAdapter
from crosseyed.models.towers.fastvit import FastVitAdapter
from crosseyed.models.towers.resnet import ModifiedResNetAdapter
from crosseyed.models.towers.swin import SwinAdapter
from crosseyed.models.towers.timm_transformer import PlainTransformerAdapter
from crosseyed.models.towers.vision_transformer import VisionTransformerAdapter

ADAPTERS: tuple[type[TowerAdapter], ...] = (
    VisionTransformerAdapter,
    ModifiedResNetAdapter,
    PlainTransformerAdapter,
    EvaAdapter,
    ConvNeXtAdapter,
    SwinAdapter,
    FastVitAdapter,
)


def adapter_of(model: ClipModel) -> TowerAdapter:
    """Return what tracing knows of the model's tower.

    Parameters
    ----------
    model : ClipModel
        A loaded model.

    Returns
    -------
    TowerAdapter
        With the tower's weights by head (`TowerAdapter.attention`) and its projection of single tokens
        (`TowerAdapter.project`).

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
        f"is a subclass of crosseyed.models.towers.base.TowerAdapter with the methods {must}, entered in ADAPTERS."
    )


def able(models: Iterable[ClipModel], *offers: str) -> list[ClipModel]:
    """Return those models whose towers offer something.

    Parameters
    ----------
    models : iterable of ClipModel
        Loaded models.
    *offers : str
        Some of `crosseyed.models.towers.base.OFFERS`.

    Returns
    -------
    list of ClipModel
        Those that offer all of it, in their order.

    Raises
    ------
    UnsupportedTower
        A tower is of a family that tracing does not know.
    """
    return [model for model in models if adapter_of(model).offers.issuperset(offers)]


TIMM_ADAPTERS = (PlainTransformerAdapter, EvaAdapter, ConvNeXtAdapter, SwinAdapter, FastVitAdapter)
