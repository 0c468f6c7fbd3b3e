"""What timm's towers with stages have in common."""

from collections.abc import Collection

import torch
from open_clip.timm_model import TimmModel
from timm.layers.classifier import ClassifierHead, NormMlpClassifierHead
from torch import Tensor, nn

from crosseyed.models.towers.base import Calls, Pooling, UnsupportedTower, layer_norm
from crosseyed.models.towers.timm import TimmAdapter

PYRAMID = {
    "tokens": "its stages differ in grid and width, so there are tokens only before pooling",
    "heads": "nothing in it attends over the whole image",
}


class PyramidAdapter(TimmAdapter):
    """Towers whose last feature map is averaged; its cells are the tokens."""

    lost_after_pooling = ("decomposition",)

    def __init__(self, visual: TimmModel) -> None:
        self.visual = visual
        self._refuse_unknown_head()
        reduction = visual.trunk.feature_info[-1]["reduction"]
        self.grid = tuple(-(-side // reduction) for side in visual.image_size)
        self.prefix = 0
        self.layers = (sum(len(stage.blocks) for stage in self._stages),)
        self.blocks = ()
        self.pooled_token = self.class_token = None
        self.native_pooling = "average"
        self.unsupported = self._unsupported()

    def modules(self, want: Collection[str]) -> dict[str, nn.Module]:
        """Name what takes the last feature map, and the projection."""
        return {"pooling": self._entry, "projection": self._trunk_projection}

    def tokens(self, calls: Calls, layer: int) -> Tensor:
        """Return the cells of the last feature map."""
        return self.laid_out(calls["pooling"][0])

    def pool(self, calls: Calls) -> Pooling:
        """Describe the average, with the norm before or after it."""
        last = self.tokens(calls, self.layers[-1])
        shares = torch.full(last.shape[1:2], 1 / last.shape[1])
        pooled = calls["projection"][0].flatten(1)
        return self._pool_affinely(last, pooled, shares, self._norm, self._norm_first)

    def candidates(self, tokens: Tensor) -> Tensor:
        """Apply the norm, if it precedes pooling."""
        return layer_norm(self._norm, tokens) if self._norm_first else tokens.float()

    def embed(self, pooled: Tensor) -> Tensor:
        """Apply the norm, if it follows pooling, and the projection."""
        if self._norm is not None and not self._norm_first:
            pooled = layer_norm(self._norm, pooled)
        return self._project(pooled)

    _norm: nn.LayerNorm | None = None
    _norm_first = False

    @property
    def _stages(self) -> nn.Module:
        return self.visual.trunk.stages

    @property
    def _entry(self) -> nn.Module:
        return self.visual.trunk.head

    @property
    def _trunk_projection(self) -> nn.Module:
        return self.visual.trunk.head.fc

    def _refuse_unknown_head(self) -> None:
        head = self.visual.trunk.head
        known = type(head) in (ClassifierHead, NormMlpClassifierHead)
        if not known or head.global_pool.pool_type != "avg" or getattr(head, "hidden_size", None):
            raise UnsupportedTower(
                f"This {type(self.visual.trunk).__name__} has a head that cannot be traced; known: average pooling, "
                "with a norm and a linear layer after it."
            )
