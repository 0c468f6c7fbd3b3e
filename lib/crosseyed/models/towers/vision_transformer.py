"""Adapter of open_clip's own vision transformer."""

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from crosseyed.models.towers.base import (
    AttentionStep,
    AttentionWeights,
    Calls,
    Pooling,
    Readout,
    UnsupportedTower,
    fold_norm,
    layer_norm,
    norm_statistics,
    split_by_head,
)
from crosseyed.models.towers.transformer import BlocksAdapter


class VisionTransformerAdapter(BlocksAdapter):
    """open_clip's `VisionTransformer`, with class-token, average or attentional pooling."""

    family = VisionTransformer
    label = "VisionTransformer"

    def __init__(self, visual: VisionTransformer) -> None:
        _refuse_unknown_parts(visual)
        self.visual = visual
        self.grid = visual.grid_size
        self.prefix = 1
        self._take_blocks(visual.transformer.resblocks)
        self.pooled_token = 0 if visual.attn_pool is None and visual.pool_type == "tok" else None
        self.class_token = 0
        self.native_pooling = {"tok": "class token", "avg": "average"}[visual.pool_type]
        if visual.attn_pool is not None:
            self.native_pooling = "attention"

    def pool(self, calls: Calls) -> Pooling:
        """Describe the pooling, whichever of the three it is."""
        normalised, normed = (tensor.float() for tensor in calls["final_norm"])
        norm = self.visual.ln_post
        if normed.ndim == 2:  # the norm came after pooling
            mean, std = norm_statistics(norm, normalised[:, None])
            pooled, shares = normed, self._shares(1 + self.grid[0] * self.grid[1])
        else:
            mean, std = norm_statistics(norm, normalised)
            pooled = normed[:, 0] if self.visual.pool_type == "tok" else normed[:, 1:].mean(1)
            shares = self._shares(normed.shape[1])
        scaled = shares.to(std) / std
        attention, rows = None, scaled[:, None]
        if self.visual.attn_pool is not None:
            queries = shares > 0
            attention, rows = self._pooler_rows(
                self.tokens(calls, self.layers[-1]), queries, scaled[:, queries]
            )
        matrix, before_norm, after_norm = self._affine()
        return Pooling(
            pooled=pooled,
            readout=Readout(rows, matrix, scaled.sum(-1, keepdim=True) * before_norm + after_norm),
            norm_mean=mean,
            norm_std=std,
            pooling_attention=attention,
        )

    def candidates(self, tokens: Tensor) -> Tensor:
        """Apply the pooler's values and output, if there is one; else the final norm, if it precedes pooling."""
        pooler = self.visual.attn_pool
        if pooler is not None:
            return _multihead_weights(pooler.attn).single_token_output(layer_norm(pooler.ln_k, tokens))
        return tokens.float() if self.visual.final_ln_after_pool else layer_norm(self.visual.ln_post, tokens)

    def embed(self, pooled: Tensor) -> Tensor:
        """Apply the final norm, if it follows pooling, and the projection."""
        if self.visual.attn_pool is not None or self.visual.final_ln_after_pool:
            pooled = layer_norm(self.visual.ln_post, pooled)
        return pooled @ self.visual.proj.float()

    def pooling_reads(self, tokens: Tensor) -> tuple[AttentionWeights, Tensor, Tensor]:
        """Return the pooler's weights; its queries that reach the embedding read all tokens."""
        pooler = self.visual.attn_pool
        if pooler is None:
            return super().pooling_reads(tokens)
        queries = pooler.query[self._shares(len(pooler.query)) > 0]
        reading = layer_norm(pooler.ln_q, queries)[None]
        return _multihead_weights(pooler.attn), reading, layer_norm(pooler.ln_k, tokens)

    @property
    def _dtype(self) -> torch.dtype:
        return self.visual.conv1.weight.dtype

    def _after_blocks(self) -> dict[str, nn.Module]:
        return {"final_norm": self.visual.ln_post}

    def _branches(self, block: nn.Module) -> tuple[nn.Module, nn.Module]:
        return block.ls_1, block.ls_2

    def _enter(self, block: nn.Module, tokens: Tensor) -> Tensor:
        return block.ln_1(tokens)

    def _weights(self, block: nn.Module) -> AttentionWeights:
        return _multihead_weights(block.attn, scale=getattr(block.ls_1, "gamma", None))

    def _mlp(self, block: nn.Module, tokens: Tensor) -> Tensor:
        return block.ls_2(block.mlp(block.ln_2(tokens)))

    def _pooling_steps(self) -> dict[int, AttentionStep]:
        pooler = self.visual.attn_pool
        if pooler is None:
            return {}
        rows = slice(0, 1) if self.visual.pool_type == "tok" else slice(1, None)
        return self._attention_pooling(pooler, pooler, rows=rows, weights=_multihead_weights(pooler.attn))

    def _shares(self, n_vectors: int) -> Tensor:
        """Share of each of the vectors, tokens or answers to the pooler's queries, in the pooled one."""
        shares = torch.zeros(n_vectors)
        if self.visual.pool_type == "tok":
            shares[0] = 1
        else:
            shares[1:] = 1 / (n_vectors - 1)
        return shares

    def _pooler_rows(self, tokens: Tensor, queries: Tensor, scaled: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean attention of the pooler's queries, and the weights of the tokens in the readout."""
        pooler = self.visual.attn_pool
        reading, read = pooler.ln_q(pooler.query[queries]), pooler.ln_k(tokens)
        attention = _multihead_weights(pooler.attn).rows(reading.float()[None], read.float())
        _, std = norm_statistics(pooler.ln_k, tokens)
        return attention.mean(2), torch.einsum("bq,bhqt->bht", scaled, attention) / std[:, None]

    def _affine(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the readout's matrix and its biases, those to be divided by the final norm's std and the rest."""
        norm, pooler, projection = self.visual.ln_post, self.visual.attn_pool, self.visual.proj.float()
        matrix, after_norm = fold_norm(norm, projection), norm.bias.float() @ projection
        if pooler is None:
            return matrix[None], torch.zeros_like(after_norm), after_norm
        weights = _multihead_weights(pooler.attn)
        ov_matrix = weights.ov_matrix @ matrix
        before_norm = pooler.ln_k.bias.float() @ ov_matrix.sum(0) + weights.ov_bias @ matrix
        return fold_norm(pooler.ln_k, ov_matrix), before_norm, after_norm


def _multihead_weights(attention: nn.MultiheadAttention, scale: Tensor | None = None) -> AttentionWeights:
    heads = attention.num_heads
    if attention.in_proj_weight is None:
        parts = [attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight]
    else:
        parts = attention.in_proj_weight.chunk(3)
    biases = attention.in_proj_bias.chunk(3)
    output, bias = attention.out_proj.weight.float(), attention.out_proj.bias.float()
    if scale is not None:
        output, bias = scale.float()[:, None] * output, scale.float() * bias
    return split_by_head(heads, parts, biases, output, bias)


def _refuse_unknown_parts(visual: VisionTransformer) -> None:
    blocks = {type(block) for block in visual.transformer.resblocks}
    unknown = None
    if blocks != {ResidualAttentionBlock}:
        unknown = "blocks of the type " + ", ".join(sorted(block.__name__ for block in blocks))
    elif visual.pool_type == "none":
        unknown = "a pooling that leaves several vectors (attentional_pool 'parallel' or 'cascade', pool_type 'none')"
    elif visual.proj is None:
        unknown = "no projection"
    if unknown:
        raise UnsupportedTower(
            f"This VisionTransformer has {unknown}, which cannot be traced; known: blocks of the type "
            "ResidualAttentionBlock, class-token, average and attentional pooling, a projection."
        )
