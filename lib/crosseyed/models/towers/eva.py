"""Adapter of timm's EVA transformers."""

from collections.abc import Collection
from functools import partial

import torch
from timm.models.eva import Eva, EvaBlock, EvaBlockPostNorm
from torch import Tensor, nn

from crosseyed.models.towers.base import Calls, fold_norm, norm_statistics, split_by_head
from crosseyed.models.towers.timm import output_of, projections_of
from crosseyed.models.towers.timm_transformer import PlacedWeights, TransformerAdapter


class EvaAdapter(TransformerAdapter):
    """timm's `Eva`: EVA-CLIP (Sun et al., arXiv 2303.15389) and Perception Encoder (arXiv 2504.13181).

    EVA-02 rotates queries and keys by position and normalises what the heads write together. The blocks of the
    largest EVA-CLIP normalise what attention and MLP write before it is added, instead of what they read.
    """

    label = "timm's Eva"
    trunks = (Eva,)
    sources = ("eva",)
    block_types = (EvaBlock, EvaBlockPostNorm)

    def modules(self, want: Collection[str]) -> dict[str, nn.Module]:
        """Name also the norms of what the heads write."""
        norms = {f"written {layer}": self._norm_of_written(self._block(layer)) for layer in self.blocks}
        return super().modules(want) | {name: norm for name, norm in norms.items() if norm is not None}

    def written(self, calls: Calls, layer: int) -> tuple[Tensor, Tensor]:
        """Divide what the heads write by the standard deviation that the norm found."""
        block, bias = self._block(layer), self.attention(layer).output_bias
        norm = self._norm_of_written(block)
        if norm is None:
            return super().written(calls, layer)
        _, std = norm_statistics(norm, calls[f"written {layer}"][0])
        if isinstance(block, EvaBlock):
            return 1 / std, bias[None, None]
        inside = block.attn.proj.bias.float()
        inside = (inside - inside.mean()) * norm.weight.float()
        return 1 / std, bias + inside / std[..., None]

    def _norm_of_written(self, block: nn.Module) -> nn.LayerNorm | None:
        norm = block.norm1 if isinstance(block, EvaBlockPostNorm) else block.attn.norm
        return norm if isinstance(norm, nn.LayerNorm) else None

    def _enter(self, block: nn.Module, tokens: Tensor) -> Tensor:
        return tokens if isinstance(block, EvaBlockPostNorm) else block.norm1(tokens)

    def _weights(self, block: nn.Module) -> PlacedWeights:
        attention, norm = block.attn, self._norm_of_written(block)
        output, bias = output_of(attention, getattr(block, "gamma_1", None))
        if isinstance(block, EvaBlockPostNorm):
            output = (output - output.mean(0)) * norm.weight.float()[:, None]
            bias = norm.bias.float()
        elif norm is not None:
            output, bias = fold_norm(norm, output.T).T, output @ norm.bias.float() + bias
        plain = split_by_head(attention.num_heads, *projections_of(attention), output, bias)
        return PlacedWeights(
            **vars(plain),
            rotation=self._rotation(attention),
            interleaved=not attention.rotate_half,
            finish=None if norm is None else partial(self._finish, block),
        )

    def _finish(self, block: nn.Module, heads: Tensor) -> Tensor:
        written = block.attn.proj(block.attn.norm(heads.to(self._dtype)))
        if isinstance(block, EvaBlockPostNorm):
            return block.norm1(written).float()
        return (written if block.gamma_1 is None else block.gamma_1 * written).float()

    def _mlp(self, block: nn.Module, tokens: Tensor) -> Tensor:
        if isinstance(block, EvaBlockPostNorm):
            return block.norm2(block.mlp(tokens))
        added = block.mlp(block.norm2(tokens))
        return added if block.gamma_2 is None else block.gamma_2 * added

    def _rotation(self, attention: nn.Module) -> Tensor | None:
        """Return the sines and cosines for all tokens; those before the spatial ones are not rotated."""
        rope = self.visual.trunk.rope
        if rope is None:
            return None
        rotation = rope.get_embed(shape=self.grid).float()
        still = rotation.new_tensor([0.0, 1.0]).repeat_interleave(rotation.shape[-1] // 2)
        return torch.cat([still.expand(attention.num_prefix_tokens, -1), rotation])
