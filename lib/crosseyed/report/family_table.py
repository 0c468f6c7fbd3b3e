"""Which family an image tower belongs to, and what of the study works for which family."""

import os
from collections.abc import Mapping
from functools import cache

import open_clip
import pandas as pd
import timm
import torch
from open_clip.model import _build_vision_tower
from torch import nn

from crosseyed.errors import InputError
from crosseyed.mitigations.base import Mitigation
from crosseyed.mitigations.pooling import supported
from crosseyed.mitigations.pooling_methods import POOLINGS
from crosseyed.mitigations.positions import AveragedPositions
from crosseyed.mitigations.redistribution import RadialAttention
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import RANDOM
from crosseyed.models.sources import quiet
from crosseyed.models.towers.base import CAPABILITIES, TowerAdapter, UnsupportedTower
from crosseyed.models.towers.description import describe_tower
from crosseyed.models.towers.registry import ADAPTERS, TIMM_ADAPTERS, adapter_of
from crosseyed.models.towers.resnet import ModifiedResNetAdapter
from crosseyed.models.towers.vision_transformer import VisionTransformerAdapter
from crosseyed.tables import read_table

_CHANGES: dict[str, Mitigation] = {
    "attention change": RadialAttention(1.0),
    "position change": AveragedPositions(1.0),
}

_COLUMNS = ("family", "pooling", "models", *CAPABILITIES, *_CHANGES, "poolings", "missing")

_REMEDY = "Delete it and start again (make book)."

_NO_POSITIONS = "only positions that a ViT or a ResNet's pooling adds to its tokens can be changed"

_NAMED_AT_MOST = 3


def family_of(config: Mapping) -> type[TowerAdapter]:
    """Return the adapter for an image tower from its configuration, without building it.

    The adapter may still reject a tower with parts that it does not know.

    Parameters
    ----------
    config : mapping
        open_clip's configuration of a model, as of `open_clip.get_model_config`, with `vision_cfg`.

    Raises
    ------
    UnsupportedTower
        No family has this architecture of timm.

    Examples
    --------
    >>> family_of(open_clip.get_model_config("EVA02-B-16")).__name__
    'EvaAdapter'
    """
    vision = config["vision_cfg"]
    name = vision.get("timm_model_name")
    if name is None:  # open_clip builds a ResNet where the layers are listed stage by stage
        return (
            ModifiedResNetAdapter if isinstance(vision["layers"], list | tuple) else VisionTransformerAdapter
        )
    source = timm.model_entrypoint(name).__module__.rpartition(".")[2]
    for adapter in TIMM_ADAPTERS:
        if source in adapter.sources:
            return adapter
    raise UnsupportedTower(
        f"timm's {name!r} is defined in timm.models.{source}, which belongs to no family that can be traced; known "
        f"are {', '.join(source for adapter in TIMM_ADAPTERS for source in adapter.sources)}."
    )


def what_works() -> pd.DataFrame:
    """Tabulate what each family supports, as its adapters say, with one row for each kind of tower.

    A tower of each kind in open_clip's registry is built without memory for its weights. This takes a quarter of a
    minute in all.

    Returns
    -------
    pandas.DataFrame
        Columns `family`, `pooling` (its own), `models` (names in open_clip's registry), each of
        `crosseyed.models.towers.base.CAPABILITIES`, `attention change` and `position change` (the mitigations of
        `crosseyed.mitigations.redistribution` and `crosseyed.mitigations.positions`) with ``"yes"`` or ``"no"``,
        `poolings` (which of
        `crosseyed.mitigations.pooling_methods.POOLINGS` can take the place of its own), `missing` (what is not
        supported, and why).
    """
    kinds: dict[tuple, list[str]] = {}
    for name in open_clip.list_models():
        kinds.setdefault(_kind(open_clip.get_model_config(name)), []).append(name)
    asked = [(_described(names[0]), names) for names in kinds.values()]
    rows = pd.DataFrame([row | {"models": name} for row, names in asked for name in names])
    alike = [column for column in _COLUMNS if column != "models"]
    table = rows.groupby(alike, sort=False)["models"].agg(_listed).reset_index()[list(_COLUMNS)]
    order = [adapter.label for adapter in ADAPTERS]
    return table.sort_values(
        "family", key=lambda labels: labels.map(order.index), kind="stable", ignore_index=True
    )


def read(path: str | os.PathLike) -> pd.DataFrame:
    """Read a table of `what_works` that was written to a file; raise InputError unless it has all families."""
    table = read_table(path, dict.fromkeys(_COLUMNS, "text"), _REMEDY).fillna("")
    if missing := {adapter.label for adapter in ADAPTERS}.difference(table["family"]):
        raise InputError(f"{os.fspath(path)!r} lacks {', '.join(sorted(missing))}. {_REMEDY}")
    return table


def _kind(config: Mapping) -> tuple:
    """Return what the capabilities of a tower depend on; sizes do not matter."""
    vision = config["vision_cfg"]
    if "timm_model_name" in vision:
        return tuple(vision.get(key) for key in ("timm_model_name", "timm_pool", "timm_proj"))
    return family_of(config), vision.get("attentional_pool"), vision.get("pool_type")


def _described(name: str) -> dict:
    model = _without_weights(name)
    adapter, poolings = adapter_of(model), supported(model)
    left_out = [name for name in POOLINGS if name not in poolings]
    row = {"family": adapter.label, "pooling": adapter.native_pooling}
    row |= {offer: "yes" if offer in adapter.capabilities else "no" for offer in CAPABILITIES}
    row |= {name: "yes" if _can(model, change) else "no" for name, change in _CHANGES.items()}
    row["poolings"] = ", ".join(poolings) if len(poolings) < len(left_out) else "all" + _but(left_out)
    reasons = dict(adapter.unsupported)
    if row["position change"] == "no":
        reasons["position change"] = _NO_POSITIONS
    row["missing"] = _explained(reasons)
    return row


@cache
def _without_weights(name: str) -> ClipModel:
    config = open_clip.get_model_config(name)
    clip = nn.Module()
    with torch.device("meta"), quiet():
        clip.visual = _build_vision_tower(config["embed_dim"], config["vision_cfg"])
    return ClipModel(
        name=name,
        model=name,
        pretrained=RANDOM,
        clip=clip,
        preprocess=None,
        tokenizer=None,
        tower=describe_tower(clip.visual, config),
        device=torch.device("meta"),
        precision="fp32",
        resize="crop",
    )


def _can(model: ClipModel, change: Mitigation) -> bool:
    try:
        change.check(model)
    except InputError:
        return False
    return True


def _listed(names: pd.Series) -> str:
    shown = ", ".join(names[:_NAMED_AT_MOST])
    return shown if len(names) <= _NAMED_AT_MOST else f"{shown} and {len(names) - _NAMED_AT_MOST} more"


def _explained(reasons: Mapping[str, str]) -> str:
    lacking: dict[str, list[str]] = {}
    for name, why in reasons.items():
        lacking.setdefault(why, []).append(name)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in lacking.items())


def _but(names: list[str]) -> str:
    return f" but {', '.join(names)}" if names else ""
