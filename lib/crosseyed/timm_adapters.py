"""timm's image towers behind open_clip's `TimmModel`: what tracing has to know about each family.

Transformers (`PlainTransformerAdapter`, `EvaAdapter`) have tokens at every layer, and attention that is computed
again exactly, relative position biases and rotary positions included. Whether their embedding is a sum over tokens
depends on what follows pooling. Towers with a pyramid of feature maps (`ConvNeXtAdapter`, `SwinAdapter`,
`FastVitAdapter`) have tokens only at the end, the cells of the last map.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import ClassVar

import torch
from open_clip.timm_model import TimmModel
from timm.layers import apply_rot_embed_cat
from timm.layers.classifier import ClassifierHead, NormMlpClassifierHead
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva, EvaBlock, EvaBlockPostNorm
from timm.models.fastvit import FastVit
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import Block, VisionTransformer
from timm.models.vision_transformer_relpos import RelPosBlock, VisionTransformerRelPos
from torch import Tensor, nn

from crosseyed.adapters import (
    AttentionStep,
    AttentionWeights,
    Calls,
    Pooling,
    Readout,
    TowerAdapter,
    UnsupportedTower,
    fold_norm,
    layer_norm,
    norm_statistics,
    split_by_head,
)

_AFTER_POOLING = "an MLP follows its pooling, so the embedding is not a sum of what tokens contribute"
_PYRAMID = "its stages differ in grid and width, so there are tokens only before pooling"
_POOLINGS = {"token": "class token", "avg": "average", "map": "attention"}


@dataclass(frozen=True, eq=False)
class PlacedWeights(AttentionWeights):
    """Weights of an attention that depends on where tokens stand, or whose output is normalised.

    Attributes
    ----------
    rotation : torch.Tensor, shape (tokens, 2 × head_width), optional
        Sines and cosines by which queries and keys are rotated (RoFormer, Su et al., arXiv 2104.09864).
    interleaved : bool
        Whether neighboring numbers are rotated together, or the two halves.
    position_bias : torch.Tensor, shape (heads, tokens, tokens), optional
        Added to the logits.
    finish : callable, optional
        From the heads' outputs side by side, (..., heads × head_width), to what the block adds, where it is not
        linear: then `output` has to be scaled (`TowerAdapter.written`).
    places : slice
        Which of the tokens read are those reading.
    """

    rotation: Tensor | None = None
    interleaved: bool = True
    position_bias: Tensor | None = None
    finish: Callable[[Tensor], Tensor] | None = None
    places: slice = field(default_factory=partial(slice, None))

    def at(self, places: slice) -> "PlacedWeights":
        """Return the weights for the tokens at these places reading all."""
        return replace(self, places=places)

    def logits(self, reading: Tensor, read: Tensor) -> Tensor:
        """Rotate queries and keys, and add the position bias."""
        if self.rotation is None:
            logits = super().logits(reading, read)
        else:
            query = torch.einsum("bqw,hwd->bhqd", reading, self.query) + self.query_bias[:, None]
            key = torch.einsum("btw,hwd->bhtd", read, self.key) + self.key_bias[:, None]
            query, key = self._rotated(query, self.places), self._rotated(key, slice(None))
            logits = query * query.shape[-1] ** -0.5 @ key.mT
        return logits if self.position_bias is None else logits + self.position_bias[:, self.places]

    def write(self, rows: Tensor, read: Tensor) -> Tensor:
        """Gather values, and finish what the heads write together."""
        if self.finish is None:
            return super().write(rows, read)
        return self.finish((rows @ self.values(read)).transpose(1, 2).flatten(2))

    def alone(self, tokens: Tensor) -> Tensor:
        """Finish the values of each token."""
        if self.finish is None:
            return super().alone(tokens)
        values = torch.einsum("...w,hwd->...hd", tokens, self.value) + self.value_bias
        return self.finish(values.flatten(-2))

    def _rotated(self, vectors: Tensor, places: slice) -> Tensor:
        return apply_rot_embed_cat(vectors, self.rotation[places], half=not self.interleaved)


class TimmAdapter(TowerAdapter):
    """A tower of timm: a trunk, and open_clip's projection.

    Attributes
    ----------
    trunks : tuple of type
        Classes of the trunks that the family has, as timm has them.
    sources : tuple of str
        timm's modules in which the architectures of the family are defined.
    """

    family = TimmModel
    trunks: ClassVar[tuple[type[nn.Module], ...]]
    sources: ClassVar[tuple[str, ...]]

    @classmethod
    def knows(cls, visual: nn.Module) -> bool:
        """Say whether a tower's trunk is of the family."""
        return type(visual) is TimmModel and type(visual.trunk) in cls.trunks

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.visual.parameters()).dtype

    def _pool_affinely(
        self, last: Tensor, pooled: Tensor, shares: Tensor, norm: nn.LayerNorm | None, norm_first: bool
    ) -> Pooling:
        """Describe pooling by a weighted mean, with a norm before it, after it, or without one.

        Parameters
        ----------
        last : torch.Tensor, shape (batch, tokens, width)
            The last tokens.
        pooled : torch.Tensor, shape (batch, pooled_width)
            The pooled vectors.
        shares : torch.Tensor, shape (tokens,)
            Share of each token in the pooled vector.
        norm, norm_first
            The norm, and whether it precedes pooling.
        """
        last, mean, std = last.float(), None, None
        rows = shares.to(last).expand(last.shape[:2])
        if norm is not None:
            mean, std = norm_statistics(
                norm, last if norm_first else torch.einsum("bt,btw->bw", rows, last)[:, None]
            )
            rows = rows / std
        readout = None
        affine = _affine(self._projection(), last.shape[-1])
        if affine is not None:
            matrix, bias = affine
            if norm is not None:
                matrix, bias = fold_norm(norm, matrix), norm.bias.float() @ matrix + bias
            readout = Readout(rows[:, None], matrix[None].to(last), bias.to(last).expand(len(last), -1))
        return Pooling(pooled=pooled.float(), readout=readout, norm_mean=mean, norm_std=std)

    def _project(self, pooled: Tensor) -> Tensor:
        """Apply what is projection in trunk and tower."""
        for module in self._projection():
            pooled = module(pooled.to(self._dtype))
        return pooled.float()

    def _projection(self) -> list[nn.Module]:
        return [self._trunk_projection, *self.visual.head]

    @property
    def _trunk_projection(self) -> nn.Module:
        return self.visual.trunk.head


class _TransformerAdapter(TimmAdapter):
    """What timm's transformers have in common: blocks on tokens of one width, then norm and pooling."""

    block_types: ClassVar[tuple[type[nn.Module], ...]]

    def __init__(self, visual: TimmModel) -> None:
        trunk = visual.trunk
        _refuse_unknown_parts(trunk, self.block_types)
        self.visual = visual
        self.grid = tuple(trunk.patch_embed.grid_size)
        self.prefix = trunk.num_prefix_tokens
        self._blocks = trunk.blocks
        self.layers = tuple(range(len(self._blocks) + 1))
        self.blocks = self.layers[1:]
        self.native_pooling = _POOLINGS[trunk.global_pool]
        self.pooled_token = 0 if self.native_pooling == "class token" else None
        self.class_token = None if trunk.cls_token is None else 0
        self._norm_first = isinstance(trunk.norm, nn.LayerNorm)
        self._norm = trunk.norm if self._norm_first else trunk.fc_norm
        if self.native_pooling == "attention" or not all(map(_is_linear, self._projection())):
            self.missing = dict.fromkeys(("decomposition", "heads"), _AFTER_POOLING)

    def modules(self, want: Collection[str]) -> dict[str, nn.Module]:
        """Name the blocks, the final norm, the projection, and what attention and MLP add if wanted."""
        named = {"final_norm": self._norm, "projection": self.visual.trunk.head}
        for layer, block in zip(self.blocks, self._blocks, strict=True):
            named[f"block {layer}"] = block
            # timm ends both branches of every block with a module that drops paths in training
            adding = {"attention_output": block.drop_path1, "mlp": block.drop_path2}
            named |= {f"{what} {layer}": module for what, module in adding.items() if what in want}
        return named

    def tokens(self, calls: Calls, layer: int) -> Tensor:
        """Return what enters the first block, or what a block returned."""
        return calls["block 1"][0] if layer == 0 else calls[f"block {layer}"][1]

    def attended(self, calls: Calls, layer: int) -> Tensor:
        """Return the tokens that enter the block, normalised by it."""
        return self._enter(self._blocks[layer - 1], self.tokens(calls, layer - 1))

    def added(self, calls: Calls, layer: int, what: str) -> Tensor:
        """Return what attention or MLP added."""
        return calls[f"{what} {layer}"][1]

    def attention(self, layer: int) -> AttentionWeights:
        """Return the weights of a block's attention, with its layer scale in the output."""
        return self._weights(self._block(layer))

    def after_attention(self, layer: int, tokens: Tensor) -> Tensor:
        """Add the block's MLP."""
        tokens, block = tokens.to(self._dtype), self._block(layer)
        return (tokens + self._mlp(block, tokens)).float()

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
        return self._pooler_weights().alone(normed) if self.native_pooling == "attention" else normed

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

    def attention_steps(self) -> dict[int, AttentionStep]:
        """Return the attention of the blocks and, if there is one, of the pooling."""
        token, trunk = self.pooled_token, self.visual.trunk
        rows = slice(None) if token is None else slice(token, token + 1)

        def entering(tokens: Tensor, block: nn.Module) -> tuple[Tensor, Tensor]:
            read = self._enter(block, tokens)
            return read[:, rows], read

        steps = {
            layer: AttentionStep(
                entry=block,
                exit=block.drop_path1,
                rows=rows,
                weights=self.attention(layer).at(rows),
                tokens=lambda tokens: tokens,
                attended=partial(entering, block=block),
            )
            for layer, block in zip(self.blocks, self._blocks, strict=True)
        }
        if self.native_pooling == "attention":
            steps[self.layers[-1] + 1] = AttentionStep(
                entry=trunk.norm,
                exit=trunk.attn_pool.proj_drop,
                rows=slice(0, 1),
                weights=self._pooler_weights(),
                tokens=lambda tokens: tokens,
                attended=lambda tokens: self.pooling_reads(tokens)[1:],
            )
        return steps

    def _block(self, layer: int) -> nn.Module:
        if layer not in self.blocks:
            raise self._no_block(layer)
        return self._blocks[layer - 1]

    def _pooler_weights(self) -> AttentionWeights:
        pooler = self.visual.trunk.attn_pool
        parts = [pooler.q.weight, *pooler.kv.weight.chunk(2)]
        biases = [pooler.q.bias, *pooler.kv.bias.chunk(2)]
        output = pooler.proj
        return split_by_head(pooler.num_heads, parts, biases, output.weight.float(), output.bias.float())

    def _enter(self, block: nn.Module, tokens: Tensor) -> Tensor:
        """Return what a block's attention reads of the tokens that enter the block."""
        return block.norm1(tokens)

    def _weights(self, block: nn.Module) -> AttentionWeights:
        raise NotImplementedError

    def _mlp(self, block: nn.Module, tokens: Tensor) -> Tensor:
        raise NotImplementedError


class PlainTransformerAdapter(_TransformerAdapter):
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
        plain = split_by_head(block.attn.num_heads, *_projections(block.attn), *_output(block.attn, scale))
        return PlacedWeights(**vars(plain), position_bias=self._position_bias(block.attn))

    def _mlp(self, block: nn.Module, tokens: Tensor) -> Tensor:
        return block.ls2(block.mlp(block.norm2(tokens)))

    def _position_bias(self, attention: nn.Module) -> Tensor | None:
        relative = getattr(attention, "rel_pos", None) or getattr(self.visual.trunk, "shared_rel_pos", None)
        if relative is None:
            return None
        bias = relative.get_bias().float()
        return bias.reshape(bias.shape[-3:])


class EvaAdapter(_TransformerAdapter):
    """timm's `Eva`: EVA-CLIP (Sun et al., arXiv 2303.15389) and Perception Encoder (arXiv 2504.13181).

    EVA-02 rotates queries and keys by position and normalises what the heads write together; the largest of them
    normalises what attention and MLP write before it is added, and does not what they read.
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
        output, bias = _output(attention, getattr(block, "gamma_1", None))
        if isinstance(block, EvaBlockPostNorm):
            output = (output - output.mean(0)) * norm.weight.float()[:, None]
            bias = norm.bias.float()
        elif norm is not None:
            output, bias = fold_norm(norm, output.T).T, output @ norm.bias.float() + bias
        plain = split_by_head(attention.num_heads, *_projections(attention), output, bias)
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
        """Return the sines and cosines for all tokens: those before the spatial ones are left as they are."""
        rope = self.visual.trunk.rope
        if rope is None:
            return None
        rotation = rope.get_embed(shape=self.grid).float()
        still = rotation.new_tensor([0.0, 1.0]).repeat_interleave(rotation.shape[-1] // 2)
        return torch.cat([still.expand(attention.num_prefix_tokens, -1), rotation])


class _PyramidAdapter(TimmAdapter):
    """Towers whose last feature map is averaged; its cells are the tokens."""

    no_attention: ClassVar[str]

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
        self.missing = {
            "tokens": _PYRAMID,
            "attention": self.no_attention,
            "heads": "nothing in it attends over the whole image",
        }
        if not all(map(_is_linear, self._projection())):
            self.missing = self.missing | {"decomposition": _AFTER_POOLING}

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
        known = (ClassifierHead, NormMlpClassifierHead)
        if (
            type(head) not in known
            or head.global_pool.pool_type != "avg"
            or getattr(head, "hidden_size", None)
        ):
            raise UnsupportedTower(
                f"This {type(self.visual.trunk).__name__} has a head that cannot be traced; known: average pooling, "
                "with a norm and a linear layer after it."
            )


class ConvNeXtAdapter(_PyramidAdapter):
    """timm's `ConvNeXt` (Liu et al., CVPR 2022, arXiv 2201.03545), normalised after the average."""

    label = "timm's ConvNeXt"
    trunks = (ConvNeXt,)
    sources = ("convnext",)
    no_attention = "it is made of convolutions and averages their last map"

    @property
    def _norm(self) -> nn.LayerNorm:
        return self.visual.trunk.head.norm


class SwinAdapter(_PyramidAdapter):
    """timm's `SwinTransformer` (Liu et al., ICCV 2021, arXiv 2103.14030), normalised before the average."""

    label = "timm's SwinTransformer"
    trunks = (SwinTransformer,)
    sources = ("swin_transformer",)
    no_attention = "its tokens attend within windows, each to a part of the image, and pooling is an average"
    _norm_first = True

    def laid_out(self, activation: Tensor) -> Tensor:
        """Swin's maps have the channels last."""
        return activation.flatten(1, 2)

    @property
    def _norm(self) -> nn.LayerNorm:
        return self.visual.trunk.norm

    @property
    def _stages(self) -> nn.Module:
        return self.visual.trunk.layers

    @property
    def _entry(self) -> nn.Module:
        return self.visual.trunk.norm


class FastVitAdapter(_PyramidAdapter):
    """timm's `FastVit` (Vasu et al., ICCV 2023, arXiv 2303.14189), the tower of MobileCLIP; without a final norm."""

    label = "timm's FastVit"
    trunks = (FastVit,)
    sources = ("fastvit",)
    no_attention = (
        "only cells of its last stages attend, to vectors that convolutions mixed before and mix again after, and "
        "pooling is an average"
    )


TIMM_ADAPTERS = (PlainTransformerAdapter, EvaAdapter, ConvNeXtAdapter, SwinAdapter, FastVitAdapter)


def _affine(modules: list[nn.Module], width: int) -> tuple[Tensor, Tensor] | None:
    """Return matrix (width, embed_dim) and bias (embed_dim,) of modules in a row; None if they are not linear."""
    if not all(map(_is_linear, modules)):
        return None
    matrix, bias = torch.eye(width), torch.zeros(width)
    for module in modules:
        if isinstance(module, nn.Linear):
            weight = module.weight.float().T
            matrix, bias = matrix.to(weight) @ weight, bias.to(weight) @ weight
            bias = bias if module.bias is None else bias + module.bias.float()
    return matrix, bias


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Identity | nn.Dropout)


def _projections(attention: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Return the matrices and biases of query, key and value, however a block keeps them."""
    if attention.qkv is None:
        linears = (attention.q_proj, attention.k_proj, attention.v_proj)
        parts, biases = [linear.weight for linear in linears], [linear.bias for linear in linears]
    else:
        parts = attention.qkv.weight.chunk(3)
        biases = [getattr(attention, name, None) for name in ("q_bias", "k_bias", "v_bias")]
        if attention.qkv.bias is not None:
            biases = attention.qkv.bias.chunk(3)
    nothing = parts[0].new_zeros(len(parts[0]))
    return list(parts), [nothing if bias is None else bias for bias in biases]


def _output(attention: nn.Module, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return weight (width, heads × head_width) and bias of the output, layer scale included."""
    weight = attention.proj.weight.float()
    bias = weight.new_zeros(len(weight)) if attention.proj.bias is None else attention.proj.bias.float()
    return (weight, bias) if scale is None else (scale.float()[:, None] * weight, scale.float() * bias)


def _refuse_unknown_parts(trunk: nn.Module, block_types: tuple[type[nn.Module], ...]) -> None:
    unknown = None
    attentions = [block.attn for block in trunk.blocks if type(block) in block_types]
    norms = [norm for norm in (trunk.norm, trunk.fc_norm) if not isinstance(norm, nn.Identity)]
    pooler = getattr(trunk, "attn_pool", None)
    odd = [
        name
        for attention in chain(attentions, [] if pooler is None else [pooler])
        for name in ("q_norm", "k_norm", "gate")
        if not isinstance(getattr(attention, name, None) or nn.Identity(), nn.Identity)
    ]
    if len(attentions) < len(trunk.blocks):
        unknown = "blocks of the type " + ", ".join(sorted({type(block).__name__ for block in trunk.blocks}))
    elif trunk.global_pool not in _POOLINGS or getattr(trunk, "pool_include_prefix", False):
        unknown = f"the pooling {trunk.global_pool!r} of all tokens"
    elif trunk.global_pool == "map" and isinstance(trunk, VisionTransformer) and trunk.num_prefix_tokens:
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
