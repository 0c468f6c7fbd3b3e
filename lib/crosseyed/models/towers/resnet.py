"""Adapter of open_clip's modified ResNet with attention pooling."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from types import MappingProxyType

import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from crosseyed.models.towers.base import (
    AttentionStep,
    AttentionWeights,
    Calls,
    Pooling,
    Readout,
    TowerAdapter,
    split_by_head,
)
from crosseyed.models.towers.skipping import returning


class ModifiedResNetAdapter(TowerAdapter):
    """open_clip's `ModifiedResNet`: tokens only before its attention pooling, and no transformer blocks."""

    family = ModifiedResNet
    label = "ModifiedResNet"
    unsupported = MappingProxyType(
        {
            "tokens": "its stages differ in grid and width, so there are tokens only before its attention pooling"
        }
    )

    def __init__(self, visual: ModifiedResNet) -> None:
        self.visual = visual
        side = visual.image_size // 32
        self.grid = (side, side)
        self.prefix = 1
        self.layers = (sum(map(len, (visual.layer1, visual.layer2, visual.layer3, visual.layer4))),)
        self.blocks = ()
        self.resumable = self.layers
        self.pooled_token = None
        self.class_token = None
        self.native_pooling = "attention"

    def modules(self, want: Collection[str]) -> dict[str, nn.Module]:
        """Name the attention pooling."""
        return {"pooling": self.visual.attnpool}

    def tokens(self, calls: Calls, layer: int) -> Tensor:
        """Return the mean token and the cells of the last feature map, with their positions added."""
        cells = calls["pooling"][0].flatten(2).mT
        tokens = torch.cat([cells.mean(1, keepdim=True), cells], 1)
        return tokens + self.visual.attnpool.positional_embedding.to(tokens.dtype)

    def state(self, calls: Calls, layer: int) -> Tensor:
        """Return the last feature map, (batch, width, rows, columns)."""
        return calls["pooling"][0]

    def resumed(self, layer: int, state: Tensor) -> AbstractContextManager[None]:
        """Let the stages return the last feature map."""
        if layer not in self.resumable:
            return super().resumed(layer, state)
        visual = self.visual
        return returning((visual.layer1, visual.layer2, visual.layer3, visual.layer4), state)

    def pool(self, calls: Calls) -> Pooling:
        """Describe attention pooling, in which the mean token reads all tokens."""
        tokens, weights = self.tokens(calls, self.layers[-1]).float(), self._weights()
        rows = weights.rows(tokens[:, :1], tokens)[:, :, 0]
        bias = weights.ov_bias
        return Pooling(
            pooled=torch.einsum("bht,bhtd->bhd", rows, weights.values(tokens)).flatten(1),
            readout=Readout(rows, weights.ov_matrix, bias.expand(len(rows), -1)),
            pooling_attention=rows,
        )

    def candidates(self, tokens: Tensor) -> Tensor:
        """Apply the values and the output of the attention pooling to each token."""
        return self._weights().single_token_output(tokens.float())

    def embed(self, pooled: Tensor) -> Tensor:
        """Leave it at that: the attention pooling's output is the embedding."""
        return pooled

    def pooling_reads(self, tokens: Tensor) -> tuple[AttentionWeights, Tensor, Tensor]:
        """Return the weights of the attention pooling, in which the mean token reads all tokens."""
        tokens = tokens.float()
        return self._weights(), tokens[:, :1], tokens

    def attention_steps(self) -> dict[int, AttentionStep]:
        """Return the attention pooling."""
        pooling, layer = self.visual.attnpool, self.layers[-1]
        return self._attention_pooling(
            pooling,
            pooling,
            weights=self._weights(),
            tokens=lambda cells: self.tokens({"pooling": (cells, cells)}, layer),
        )

    def _weights(self) -> AttentionWeights:
        pooling = self.visual.attnpool
        parts = (pooling.q_proj, pooling.k_proj, pooling.v_proj)
        return split_by_head(
            pooling.num_heads,
            [part.weight for part in parts],
            [part.bias for part in parts],
            pooling.c_proj.weight.float(),
            pooling.c_proj.bias.float(),
        )
