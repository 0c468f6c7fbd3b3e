"""Where a tower keeps its positional embeddings, and how to change them for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from timm.models.vision_transformer import VisionTransformer as TimmTransformer
from torch import Tensor, nn

from crosseyed.errors import InputError
from crosseyed.models.clip import ClipModel


@contextmanager
def changed_positions(model: ClipModel, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Compute with other positional embeddings of the spatial tokens within the context.

    `change` goes from the embeddings (rows, columns, width) to others of the same shape, both float32. The model's
    own are restored at the end, also after an exception. Raises InputError if the tower has none or is of another
    family.
    """
    found = positions(model)
    original = getattr(found.holder, found.attribute)
    embeddings = original.detach().float().flatten(0, -2)  # timm's have an axis for the batch
    spatial = change(embeddings[found.before :].unflatten(0, found.grid)).flatten(0, 1)
    changed = torch.cat([embeddings[: found.before], spatial]).view_as(original).to(original.dtype)
    setattr(found.holder, found.attribute, nn.Parameter(changed, requires_grad=False))
    try:
        yield
    finally:
        setattr(found.holder, found.attribute, original)


def lacking(model: ClipModel) -> str | None:
    """Return why the positional embeddings of a model cannot be changed, as a clause; None if they can."""
    try:
        positions(model)
    except InputError:
        return f"its tower, a {model.tower.kind}, has no positional embeddings that could be changed"
    return None


def treatments(columns: int, seed: int = 0) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return changes that take from a tower what it knows of places, for `changed_positions`.

    Parameters
    ----------
    columns : int
        How far the embeddings are moved to the right, cyclically: what stands so far to the right of the center is then
        taken for standing at the center, and what stands at the center for standing to the left.
    seed : int
        Seed of the shuffled order.

    Returns
    -------
    dict of callable
        The changes by name, beginning with none. Averaged, all places are alike; shuffled, each place is taken for
        another, and neighbors for far apart.
    """

    def shuffled(spatial: Tensor) -> Tensor:
        order = torch.randperm(spatial[..., 0].numel(), generator=torch.Generator().manual_seed(seed))
        return spatial.flatten(0, 1)[order.to(spatial.device)].view_as(spatial)

    return {
        "as trained": lambda spatial: spatial,
        "moved to the right": lambda spatial: spatial.roll(columns, 1),
        "averaged": lambda spatial: spatial.mean((0, 1)).expand_as(spatial),
        "shuffled": shuffled,
    }


@dataclass(frozen=True, eq=False)
class _Positions:
    """Where a tower keeps its positional embeddings: those of `before` tokens, then those of the grid, row by row."""

    holder: nn.Module
    attribute: str
    grid: tuple[int, int]
    before: int


def positions(model: ClipModel) -> _Positions:
    """Return where the model keeps its positional embeddings."""
    visual = model.clip.visual
    if isinstance(visual, ModifiedResNet):
        holder, attribute, grid = visual.attnpool, "positional_embedding", (visual.image_size // 32,) * 2
    elif isinstance(visual, VisionTransformer):
        holder, attribute, grid = visual, "positional_embedding", visual.grid_size
    elif isinstance(visual, TimmModel) and isinstance(visual.trunk, TimmTransformer):
        holder, attribute, grid = visual.trunk, "pos_embed", visual.trunk.patch_embed.grid_size
    else:
        raise InputError(
            f"The tower of {model.name} is a {model.tower.kind}, whose positions cannot be changed; those of "
            "open_clip's VisionTransformer and ModifiedResNet and of timm's VisionTransformer can."
        )
    embedding = getattr(holder, attribute)
    if embedding is None:
        raise InputError(f"The tower of {model.name} has no positional embeddings that could be changed.")
    return _Positions(holder, attribute, tuple(grid), before=embedding.shape[-2] - grid[0] * grid[1])
