"""Adapter of timm's plain vision transformers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import ClassVar

import torch
from open_clip.timm_model import TimmModel
from timm.layers import apply_rot_embed_cat
from timm.models.vision_transformer import Block, VisionTransformer
from timm.models.vision_transformer_relpos import RelPosBlock, VisionTransformerRelPos
from torch import Tensor, nn

from crosseyed.models.towers.base import (
    AttentionStep,
    AttentionWeights,
    Calls,
    Pooling,
    UnsupportedTower,
    layer_norm,
    norm_statistics,
    split_by_head,
)
from crosseyed.models.towers.timm import TimmAdapter, output_of, projections_of
from crosseyed.models.towers.transformer import BlocksAdapter

_POOLINGS = {"token": "class token", "avg": "average", "map": "attention"}


@dataclass(frozen=True, eq=False)
class PlacedWeights(AttentionWeights):
    """Weights of an attention that depends on where tokens stand, or whose output is normalised.

    Attributes
    ----------
    rotation : torch.Tensor, shape (tokens, 2 × head_width)
        Sines and cosines by which queries and keys are rotated (RoFormer, Su et al., arXiv 2104.09864).
    interleaved : bool, whether neighboring numbers are rotated together, or the two halves
    position_bias : torch.Tensor, shape (heads, tokens, tokens), added to the logits
    finish : callable
        From the heads' outputs side by side, (..., heads × head_width), to what the block adds, where it is not
        linear: then `output` has to be scaled (`TowerAdapter.written`).
    places : slice, which of the tokens read are those reading
    """

    rotation: Tensor | None = None
    interleaved: bool = True
    position_bias: Tensor | None = None
    finish: Callable[[Tensor], Tensor] | None = None
    places: slice = field(default_factory=partial(slice, None))

    @property
    def depends_on_places(self) -> bool:
        """Whether queries and keys are rotated, or logits have a position bias."""
        return self.rotation is not None or self.position_bias is not None

    def at(self, places: slice) -> "PlacedWeights":
        """Return the weights for the tokens at these places reading all."""
        return replace(self, places=places)

    def logits(self, reading: Tensor, read: Tensor, *, exact: bool = False) -> Tensor:
        """Rotate queries and keys, and add the position bias."""
        if self.rotation is None:
            logits = super().logits(reading, read, exact=exact)
        else:
            query = torch.einsum("bqw,hwd->bhqd", reading, self.query) + self.query_bias[:, None]
            key = torch.einsum("btw,hwd->bhtd", read, self.key) + self.key_bias[:, None]
            query, key = self._rotated(query, self.places), self._rotated(key, slice(None))
            logits = query * query.shape[-1] ** -0.5 @ key.mT
        return logits if self.position_bias is None else logits + self.position_bias[:, self.places]

    def combine(self, gathered: Tensor) -> Tensor:
        """Finish what the heads write together."""
        if self.finish is None:
            return super().combine(gathered)
        return self.finish(gathered.transpose(1, 2).flatten(2))

    def single_token_output(self, tokens: Tensor) -> Tensor:
        """Finish the values of each token."""
        if self.finish is None:
            return super().single_token_output(tokens)
        values = torch.einsum("...w,hwd->...hd", tokens, self.value) + self.value_bias
        return self.finish(values.flatten(-2))

    def _rotated(self, vectors: Tensor, places: slice) -> Tensor:
        return apply_rot_embed_cat(vectors, self.rotation[places], half=not self.interleaved)


class TransformerAdapter(BlocksAdapter, TimmAdapter):
    """What timm's transformers have in common: blocks on tokens of one width, then norm and pooling."""

    lost_after_pooling = ("decomposition", "heads")
    block_types: ClassVar[tuple[type[nn.Module], ...]]

    def __init__(self, visual: TimmModel) -> None:
        trunk = visual.trunk
        _refuse_unknown_parts(trunk, self.block_types)
        self.visual = visual
        self.grid = tuple(trunk.patch_embed.grid_size)
        self.prefix = trunk.num_prefix_tokens
        self._take_blocks(trunk.blocks)
        self.native_pooling = _POOLINGS[trunk.global_pool]
        self.pooled_token = 0 if self.native_pooling == "class token" else None
        self.class_token = None if trunk.cls_token is None else 0
        self._norm_first = isinstance(trunk.norm, nn.LayerNorm)
        self._norm = trunk.norm if self._norm_first else trunk.fc_norm
        self.unsupported = self._unsupported()

    def pool(self, calls: Calls) -> Pooling:
        """Describe class-token, average or attention pooling."""
        last, pooled = self.tokens(calls, self.layers[-1]), calls["projection"][0]
        if self.native_pooling == "attention":
            weights, reading, read = self.pooling_reads(last)
            mean, std = norm_statistics(self._norm, last)
            return Pooling(pooled.float(), None, mean, std, weights.rows(reading, read).mean(2))
        shares = torch.zeros(last.shape[1])
        if self.pooled_token is None:
            shares[self.prefix :] = 1 / (last.shape[1] - self.prefix)
        else:
            shares[self.pooled_token] = 1
        return self._pool_affinely(last, pooled, shares, self._norm, self._norm_first)

    def candidates(self, tokens: Tensor) -> Tensor:
        """Apply the final norm, if it precedes pooling, and the values and output of attention pooling."""
        normed = layer_norm(self._norm, tokens) if self._norm_first else tokens.float()
        by_attention = self.native_pooling == "attention"
        return self._pooler_weights().single_token_output(normed) if by_attention else normed

    def embed(self, pooled: Tensor) -> Tensor:
        """Apply attention pooling's MLP, the final norm if it follows pooling, and the projection."""
        if self.native_pooling == "attention":
            pooler, pooled = self.visual.trunk.attn_pool, pooled.to(self._dtype)
            pooled = pooled + pooler.mlp(pooler.norm(pooled))
        elif not self._norm_first:
            pooled = layer_norm(self._norm, pooled)
        return self._project(pooled)

    def pooling_reads(self, tokens: Tensor) -> tuple[AttentionWeights, Tensor, Tensor]:
        """Return the weights of attention pooling; its latent vector reads all tokens."""
        if self.native_pooling != "attention":
            return super().pooling_reads(tokens)
        latent = self.visual.trunk.attn_pool.latent.float()
        return self._pooler_weights(), latent, layer_norm(self._norm, tokens)

    def _after_blocks(self) -> dict[str, nn.Module]:
        return {"final_norm": self._norm, "projection": self.visual.trunk.head}

    def _branches(self, block: nn.Module) -> tuple[nn.Module, nn.Module]:
        # timm ends both branches of every block with a module that drops paths in training
        return block.drop_path1, block.drop_path2

    def _enter(self, block: nn.Module, tokens: Tensor) -> Tensor:
        return block.norm1(tokens)

    def _pooling_steps(self) -> dict[int, AttentionStep]:
        trunk = self.visual.trunk
        if self.native_pooling != "attention":
            return {}
        return self._attention_pooling(trunk.norm, trunk.attn_pool.proj_drop, weights=self._pooler_weights())

    def _pooler_weights(self) -> AttentionWeights:
        pooler = self.visual.trunk.attn_pool
        parts = [pooler.q.weight, *pooler.kv.weight.chunk(2)]
        biases = [pooler.q.bias, *pooler.kv.bias.chunk(2)]
        output = pooler.proj
        return split_by_head(pooler.num_heads, parts, biases, output.weight.float(), output.bias.float())


class PlainTransformerAdapter(TransformerAdapter):
    """timm's `VisionTransformer`, plain, hybrid (ViTamin, MobileCLIP-B) or with relative positions.

    Class-token and average pooling; SigLIP's attention pooling (`MAPHead` of Zhai et al., CVPR 2022,
    arXiv 2106.04560).
    """

    label = "timm's VisionTransformer"
    trunks = (VisionTransformer, VisionTransformerRelPos)
    sources = ("vision_transformer", "vision_transformer_hybrid", "vision_transformer_relpos", "vitamin")
    block_types = (Block, RelPosBlock)

    def _weights(self, block: nn.Module) -> PlacedWeights:
        scale = getattr(block.ls1, "gamma", None)
        plain = split_by_head(
            block.attn.num_heads, *projections_of(block.attn), *output_of(block.attn, scale)
        )
        return PlacedWeights(**vars(plain), position_bias=self._position_bias(block.attn))

    def _mlp(self, block: nn.Module, tokens: Tensor) -> Tensor:
        return block.ls2(block.mlp(block.norm2(tokens)))

    def _position_bias(self, attention: nn.Module) -> Tensor | None:
        relative = getattr(attention, "rel_pos", None) or getattr(self.visual.trunk, "shared_rel_pos", None)
        if relative is None:
            return None
        bias = relative.get_bias().float()
        return bias.reshape(bias.shape[-3:])


def _refuse_unknown_parts(trunk: nn.Module, block_types: tuple[type[nn.Module], ...]) -> None:
    unknown = None
    attentions = [block.attn for block in trunk.blocks if type(block) in block_types]
    norms = [norm for norm in (trunk.norm, trunk.fc_norm) if not isinstance(norm, nn.Identity)]
    pooler = getattr(trunk, "attn_pool", None)
    takes_all = getattr(trunk, "pool_include_prefix", False)
    leaves_out = trunk.num_prefix_tokens > 0 and not takes_all
    odd = [
        name
        for attention in chain(attentions, [] if pooler is None else [pooler])
        for name in ("q_norm", "k_norm", "gate")
        if not isinstance(getattr(attention, name, None) or nn.Identity(), nn.Identity)
    ]
    if len(attentions) < len(trunk.blocks):
        unknown = "blocks of the type " + ", ".join(sorted({type(block).__name__ for block in trunk.blocks}))
    elif trunk.global_pool not in _POOLINGS or (takes_all and trunk.global_pool != "map"):
        unknown = f"the pooling {trunk.global_pool!r} of all tokens"
    elif trunk.global_pool == "map" and isinstance(trunk, VisionTransformer) and leaves_out:
        unknown = "attention pooling that leaves tokens out"
    elif len(norms) != 1 or not isinstance(norms[0], nn.LayerNorm):
        unknown = "a final norm that is not one LayerNorm"
    elif odd:
        unknown = "an attention with " + ", ".join(sorted(set(odd)))
    elif getattr(trunk, "rope_mixed", False):
        unknown = "rotations that differ from block to block"
    if unknown:
        raise UnsupportedTower(
            f"This {type(trunk).__name__} of timm has {unknown}, which cannot be traced; known: blocks of the type "
            f"{', '.join(block.__name__ for block in block_types)}, class-token, average and attention pooling "
            "('token', 'avg', 'map')."
        )
