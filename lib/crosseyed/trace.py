"""Read what happens inside an image tower while it encodes images.

One forward pass of the stock open_clip model, with hooks that only listen, gives the activations below; the
model computes the same bits as without. open_clip computes attention in one fused step that returns no
probabilities, so these are computed again from the input of the block.

Vocabulary
----------
The sizes in the shapes: `batch` images; `tokens`, the `prefix` tokens (the class token; in a ResNet the mean
token; in some towers none) followed by rows × columns spatial tokens in reading order, of `width` numbers each;
`heads` of `head_width` in every block; `embed_dim`.

Layers are numbered as depths: 0 is what enters the first block, after the positions are added and the first
norm; l is after the l-th block. What happens within a block carries the number of the depth that it leads to.
So ``tokens`` has layers 0 … L (`Trace.layers`), everything about blocks has 1 … L (`Trace.blocks`), and

    tokens[l] = tokens[l - 1] + attention_output[l] + mlp[l]

Every activation is float32 whatever the precision of the model, and lies on the model's device. With a float32
model, what is computed here agrees with what the model computed to a relative error of 1e-5 (attention times
values against the attention output; the readout against the embedding). A model in half precision rounds after
every step, which this module does not repeat: then to 5e-3 (fp16) and 3e-2 (bf16).

An image that cannot be read is NaN from the first layer that mixes tokens on.

===================== ========================================= ================================================
activation            shape                                     meaning
===================== ========================================= ================================================
``tokens``            (layers, batch, tokens, width)            the residual stream
``attention``         (blocks, batch, heads, tokens)            probabilities over the tokens read, in the row of
                                                                the pooled token (`attention_rows="pooled"`)
``attention``         (blocks, batch, heads, tokens, tokens)    the same for every reading token, which is the
                                                                last axis but one (`attention_rows="all"`)
``values``            (blocks, batch, heads, tokens,            what a token passes on where it is attended to
                      head_width)
``attention_output``  (blocks, batch, tokens, width)            what attention adds to the stream
``mlp``               (blocks, batch, tokens, width)            what the MLP adds to the stream
``pooling_attention`` (batch, pooling_heads, tokens)            probabilities of attention pooling; None without
``norm_mean``,        (batch, normalised)                       statistics of the final norm as it was applied,
``norm_std``                                                    to `normalised` vectors; None without such a norm
``pooled``            (batch, pooled_width)                     the pooled vector, before the projection
``embedding``         (batch, embed_dim)                        the pooled vector projected, not normalised
``readout``           see `Readout`                             the step from the last tokens to the embedding,
                                                                linear once norms and attention are held fixed;
                                                                None where an MLP follows pooling
===================== ========================================= ================================================

The first five are given only when wanted; the others always. What a tower lacks its adapter says in words
(`TowerAdapter.missing`); to want it is an error.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from types import MappingProxyType
from typing import ClassVar, TypeVar

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

from crosseyed.errors import InputError, suggest
from crosseyed.images import ImageSource
from crosseyed.models import PRECISIONS, ClipModel

WANTS = ("tokens", "attention", "values", "attention_output", "mlp")
ROWS = ("pooled", "all")
OFFERS = {
    "tokens": "the tokens of every layer, not of the last one alone",
    "attention": "the probabilities with which tokens attend, in blocks or in pooling",
    "decomposition": "the embedding as an exact sum over image tokens",
    "heads": "the embedding as an exact sum over layers and attention heads",
}
"""What a tower may offer beyond what all do: the last tokens, the pooled vector, the embedding, and what pooling
would make of a single token."""

Result = TypeVar("Result")


class UnsupportedTower(InputError):  # noqa: N818 (a property of the model, not a failure)
    """A tower that tracing does not know."""


@dataclass(frozen=True, eq=False)
class Readout:
    """The step from the last tokens to the embedding, with the norms' statistics and the attention held fixed.

    Then it is affine, and exactly (`rows` has 1/std of every norm on the way multiplied in, `matrix` their
    centering and gain)::

        embedding[b] = Σ_g Σ_t rows[b, g, t] · tokens[b, t] @ matrix[g] + bias[b]

    As the tokens are a sum over layers (start, attention outputs, MLP outputs), so is the embedding
    (Gandelsman et al., ICLR 2024, arXiv 2310.05916, eq. 3 to 7).

    Attributes
    ----------
    rows : torch.Tensor, shape (batch, groups, tokens)
        Weight with which each token enters. One group, or one per head of attention pooling. Class-token
        pooling: 1/std at the class token, 0 elsewhere.
    matrix : torch.Tensor, shape (groups, width, embed_dim)
        The same for all images.
    bias : torch.Tensor, shape (batch, embed_dim)
        What no token contributes: biases on the way.
    """

    rows: Tensor
    matrix: Tensor
    bias: Tensor

    def __call__(self, contribution: Tensor) -> Tensor:
        """Return what a summand of the last tokens contributes to the embedding; linear, without the bias.

        Parameters
        ----------
        contribution : torch.Tensor, shape (..., batch, tokens, width)
            For instance ``trace.mlp``.

        Returns
        -------
        torch.Tensor, shape (..., batch, embed_dim)
            The contributions.
        """
        gathered = torch.einsum("bgt,...btw->...bgw", self.rows, contribution)
        return torch.einsum("...bgw,gwe->...be", gathered, self.matrix)


@dataclass(frozen=True, eq=False)
class Trace:
    """The activations of one batch; the module's docstring says what they are and how they are shaped.

    Attributes
    ----------
    images : range
        Which images of the stream these are: rows of a table with one row per image.
    layers, blocks : tuple of int
        Depths of ``tokens``, and of what belongs to blocks, along their first axes.
    last : int
        Depth of the tokens that pooling takes, whether or not they were kept.
    grid : tuple of int
        Rows and columns of the spatial tokens.
    prefix : int
        Number of tokens before the spatial ones.
    pooled, embedding, norm_mean, norm_std, readout, pooling_attention
        Always given; None where the tower has no such thing.
    tokens, attention, values, attention_output, mlp
        Given when wanted, else None.
    """

    images: range
    layers: tuple[int, ...]
    blocks: tuple[int, ...]
    last: int
    grid: tuple[int, int]
    prefix: int
    pooled: Tensor
    embedding: Tensor
    readout: Readout | None
    norm_mean: Tensor | None = None
    norm_std: Tensor | None = None
    pooling_attention: Tensor | None = None
    tokens: Tensor | None = None
    attention: Tensor | None = None
    values: Tensor | None = None
    attention_output: Tensor | None = None
    mlp: Tensor | None = None


@dataclass(frozen=True, eq=False)
class AttentionWeights:
    """The weights of one attention, split by head, in float32.

    With the reading tokens x and the tokens read y::

        A = softmax(query(x) · key(y) / sqrt(head_width)),  output = Σ_h A_h value_h(y) @ output[h] + output_bias

    Attributes
    ----------
    query : torch.Tensor, shape (heads, reading_width, head_width)
        Applied from the right: ``x @ query[h] + query_bias[h]``.
    key, value : torch.Tensor, shape (heads, width, head_width)
        Applied likewise.
    query_bias, key_bias, value_bias : torch.Tensor, shape (heads, head_width)
        Their biases.
    output : torch.Tensor, shape (heads, head_width, output_width)
        What a head writes, including the block's layer scale.
    output_bias : torch.Tensor, shape (output_width,)
        Bias of the output, including the block's layer scale.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    query_bias: Tensor
    key_bias: Tensor
    value_bias: Tensor
    output: Tensor
    output_bias: Tensor

    @property
    def passed_on(self) -> Tensor:
        """From a token to what a head writes if it attends to that token alone, biases aside.

        Shape (heads, width, output_width).
        """
        return self.value @ self.output

    @property
    def passed_on_bias(self) -> Tensor:
        """What attention writes whatever it attends to, because probabilities sum to 1.

        Shape (output_width,).
        """
        return torch.einsum("hd,hdo->o", self.value_bias, self.output) + self.output_bias

    def at(self, places: slice) -> "AttentionWeights":
        """Return the weights for some of the tokens reading, where all are read.

        Parameters
        ----------
        places : slice
            Which of the tokens read are those reading.

        Returns
        -------
        AttentionWeights
            These weights themselves, unless the attention depends on where a token stands.
        """
        return self

    def rows(self, reading: Tensor, read: Tensor) -> Tensor:
        """Return the probabilities with which tokens attend to tokens: the softmax of `logits`.

        Parameters
        ----------
        reading : torch.Tensor, shape (batch or 1, n_reading, reading_width)
            Input of the queries.
        read : torch.Tensor, shape (batch, n_read, width)
            Input of the keys.

        Returns
        -------
        torch.Tensor, shape (batch, heads, n_reading, n_read)
            Sums to 1 over the last axis.
        """
        return self.logits(reading, read).softmax(-1)

    def logits(self, reading: Tensor, read: Tensor) -> Tensor:
        """Return what the softmax turns into the probabilities with which tokens attend to tokens.

        Parameters
        ----------
        reading : torch.Tensor, shape (batch or 1, n_reading, reading_width)
            Input of the queries.
        read : torch.Tensor, shape (batch, n_read, width)
            Input of the keys.

        Returns
        -------
        torch.Tensor, shape (batch, heads, n_reading, n_read)
            Up to a number added to a whole row, which the softmax takes off.
        """
        query = torch.einsum("bqw,hwd->bhqd", reading, self.query) + self.query_bias[:, None]
        query = query * query.shape[-1] ** -0.5
        n_reading, (n_read, width), heads = reading.shape[1], read.shape[1:], len(self.query)
        if n_reading * (width + heads * n_read) < n_read * width:
            # For few rows it is cheaper to carry the queries to the tokens than to make keys of all tokens.
            # The key's bias adds the same to all logits of a row and cancels in the softmax.
            carried = torch.einsum("bhqd,hwd->bhqw", query, self.key)
            return carried @ read[:, None].mT
        key = torch.einsum("btw,hwd->bhtd", read, self.key) + self.key_bias[:, None]
        return query @ key.mT

    def values(self, read: Tensor) -> Tensor:
        """Return the values of tokens.

        Parameters
        ----------
        read : torch.Tensor, shape (batch, n_read, width)
            Input of the attention.

        Returns
        -------
        torch.Tensor, shape (batch, heads, n_read, head_width)
            The values.
        """
        return torch.einsum("btw,hwd->bhtd", read, self.value) + self.value_bias[:, None]

    def write(self, rows: Tensor, read: Tensor) -> Tensor:
        """Return the output of the attention.

        Parameters
        ----------
        rows : torch.Tensor, shape (batch, heads, n_reading, n_read)
            Weights of the tokens read: the model's sum to 1 over the last axis.
        read : torch.Tensor, shape (batch, n_read, width)
            Input of the values.

        Returns
        -------
        torch.Tensor, shape (batch, n_reading, output_width)
            What the attention writes for every reading token.
        """
        return torch.einsum("bhqd,hdo->bqo", rows @ self.values(read), self.output) + self.output_bias

    def alone(self, tokens: Tensor) -> Tensor:
        """Return the output of the attention where every token is read by itself alone.

        Parameters
        ----------
        tokens : torch.Tensor, shape (..., width)
            Input of the values.

        Returns
        -------
        torch.Tensor, shape (..., output_width)
            Values and output applied to each token.
        """
        return tokens @ self.passed_on.sum(0) + self.passed_on_bias


@dataclass(frozen=True, eq=False)
class AttentionStep:
    """One attention of a tower and the modules around it: what to hook in order to change it.

    Attributes
    ----------
    entry : torch.nn.Module
        Its first input holds the tokens that are read.
    exit : torch.nn.Module
        Its output is what the attention writes: (batch, tokens or queries, output_width), or (batch, output_width)
        where one token reads.
    rows : slice
        Which of these the embedding is made of, if nothing but this step changes: the class token where pooling
        takes it, all tokens where pooling combines them, the queries in use of attention pooling.
    weights : AttentionWeights
        From the tokens to the output of `exit`.
    tokens : callable
        From the first input of `entry` to the tokens read, (batch, n_read, width), before any norm.
    attended : callable
        From those tokens to the inputs of queries, (batch or 1, len(rows), reading_width), and of keys.
    """

    entry: nn.Module
    exit: nn.Module
    rows: slice
    weights: AttentionWeights
    tokens: Callable[[Tensor], Tensor]
    attended: Callable[[Tensor], tuple[Tensor, Tensor]]


Calls = Mapping[str, tuple[Tensor, Tensor]]
"""For every module listened to: its input and its output during the forward pass."""


@dataclass(frozen=True, eq=False)
class Pooling:
    """How one batch went from its last tokens to pooled vectors; the fields are those of `Trace`."""

    pooled: Tensor
    readout: Readout | None
    norm_mean: Tensor | None = None
    norm_std: Tensor | None = None
    pooling_attention: Tensor | None = None


class TowerAdapter(ABC):
    """What tracing asks of a family of towers; one subclass per family, listed in `ADAPTERS`.

    Attributes
    ----------
    family : type
        Class of the towers, as open_clip has it.
    visual : torch.nn.Module
        The tower.
    grid : tuple of int
        Rows and columns of the spatial tokens.
    prefix : int
        Number of tokens before the spatial ones.
    layers, blocks : tuple of int
        Depths at which there are tokens, and those that a transformer block leads to; ascending.
    pooled_token : int, optional
        The token that pooling takes; None if it combines several.
    class_token : int, optional
        The class token, pooled or not; None if there is none.
    native_pooling : {"class token", "average", "attention"}
        The tower's own pooling: takes the class token, averages the spatial tokens, attends to tokens.
    missing : dict of str to str
        Which of `OFFERS` the tower lacks, and why, in words that complete "there is no ... here: ".
    """

    family: ClassVar[type[nn.Module]]
    visual: nn.Module
    grid: tuple[int, int]
    prefix: int
    layers: tuple[int, ...]
    blocks: tuple[int, ...]
    pooled_token: int | None
    class_token: int | None
    native_pooling: str
    missing: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def knows(cls, visual: nn.Module) -> bool:
        """Say whether a tower is of the family."""
        return type(visual) is cls.family

    @property
    def offers(self) -> frozenset[str]:
        """Which of `OFFERS` the tower has."""
        return frozenset(OFFERS) - self.missing.keys()

    def require(self, *offers: str) -> None:
        """Make sure that the tower offers something.

        Parameters
        ----------
        *offers : str
            Some of `OFFERS`.

        Raises
        ------
        UnsupportedTower
            It does not; the message says what that is and why there is none.
        """
        for name in offers:
            if name in self.missing:
                raise UnsupportedTower(
                    f"This tower has no {name} ({OFFERS[name]}): {self.missing[name]}. It offers "
                    f"{', '.join(name for name in OFFERS if name in self.offers) or 'its last tokens alone'}."
                )

    @abstractmethod
    def __init__(self, visual: nn.Module) -> None:
        """Take a tower of the family, or raise `UnsupportedTower` saying what about it is not known."""

    @abstractmethod
    def modules(self, want: Collection[str]) -> dict[str, nn.Module]:
        """Name the modules whose input and output the other methods need to give what is wanted."""

    @abstractmethod
    def tokens(self, calls: Calls, layer: int) -> Tensor:
        """Return the tokens at a depth, (batch, tokens, width), in the model's precision."""

    @abstractmethod
    def pool(self, calls: Calls) -> Pooling:
        """Describe the step from the last tokens to the embedding."""

    @abstractmethod
    def candidates(self, tokens: Tensor) -> Tensor:
        """Return the vectors that the tower's own pooling chooses among or averages, one for each token.

        Where attention pools, a token's vector is what the attention would write if it read that token alone.

        Parameters
        ----------
        tokens : torch.Tensor, shape (..., width)
            Tokens of any depth.

        Returns
        -------
        torch.Tensor, shape (..., pooled_width)
            float32.
        """

    @abstractmethod
    def embed(self, pooled: Tensor) -> Tensor:
        """Return the embeddings of vectors that were pooled from `candidates`: what the tower does after pooling.

        Parameters
        ----------
        pooled : torch.Tensor, shape (..., pooled_width)
            One vector for each image, or several.

        Returns
        -------
        torch.Tensor, shape (..., embed_dim)
            float32, not normalised.
        """

    def project(self, tokens: Tensor) -> Tensor:
        """Return the embedding that pooling would give if it saw one token only, for each of the tokens.

        Parameters
        ----------
        tokens : torch.Tensor, shape (..., width)
            Tokens of any depth.

        Returns
        -------
        torch.Tensor, shape (..., embed_dim)
            float32, not normalised.
        """
        return self.embed(self.candidates(tokens))

    def pooling_reads(self, tokens: Tensor) -> tuple[AttentionWeights, Tensor, Tensor]:
        """Return the weights of attention pooling and what reads what; for towers that pool by attention.

        Parameters
        ----------
        tokens : torch.Tensor, shape (batch, tokens, width)
            The last tokens.

        Returns
        -------
        weights : AttentionWeights
            Of the pooling. The embedding is the mean over the readers of `embed` of what it writes.
        reading : torch.Tensor, shape (batch or 1, readers, reading_width)
            Input of the queries.
        read : torch.Tensor, shape (batch, tokens, width)
            Input of keys and values.

        Raises
        ------
        InputError
            The tower has another pooling.
        """
        raise InputError(f"This tower does not pool by attention: its pooling is {self.native_pooling!r}.")

    def laid_out(self, activation: Tensor) -> Tensor:
        """Return tokens, or a feature map, as tokens (batch, tokens, width)."""
        return activation.flatten(2).mT if activation.ndim == 4 else activation

    def attended(self, calls: Calls, layer: int) -> Tensor:
        """Return the input of a block's attention, (batch, tokens, width); for towers that have `blocks`."""
        raise self._no_block(layer)

    def added(self, calls: Calls, layer: int, what: str) -> Tensor:
        """Return "attention_output" or "mlp" of a block, (batch, tokens, width); for towers that have `blocks`."""
        raise self._no_block(layer)

    def attention(self, layer: int) -> AttentionWeights:
        """Return the weights of a block's attention; for towers that have `blocks`.

        Parameters
        ----------
        layer : int
            The depth that the block leads to, from 1.

        Returns
        -------
        AttentionWeights
            Shared with the model where it is float32: leave them unchanged.

        Raises
        ------
        InputError
            No block leads to this depth.
        """
        raise self._no_block(layer)

    def written(self, calls: Calls, layer: int) -> tuple[Tensor, Tensor]:
        """Return how what the heads of a block write becomes what its attention adds.

        With the factor s, the bias c and the `AttentionWeights` of the block::

            attention_output = s · Σ_h A_h value_h(y) @ output[h] + c

        Parameters
        ----------
        calls : Calls
            The modules listened to.
        layer : int
            The depth that the block leads to.

        Returns
        -------
        factor : torch.Tensor, shape (batch or 1, tokens or 1)
            1, or 1/std where the heads' sum is normalised before it is added.
        bias : torch.Tensor, shape (batch or 1, tokens or 1, width)
            What is added besides.
        """
        bias = self.attention(layer).output_bias
        return torch.ones(1, 1, device=bias.device), bias[None, None]

    def after_attention(self, layer: int, tokens: Tensor) -> Tensor:
        """Return what the rest of a block makes of tokens to which its attention is added already.

        Parameters
        ----------
        layer : int
            The depth that the block leads to, from 1.
        tokens : torch.Tensor, shape (batch, n_tokens, width)
            All the tokens or some: from here on they do not mix.

        Returns
        -------
        torch.Tensor, shape (batch, n_tokens, width)
            The tokens at this depth, float32.

        Raises
        ------
        InputError
            No block leads to this depth.
        """
        raise self._no_block(layer)

    def attention_steps(self) -> dict[int, AttentionStep]:
        """Return every attention that can be changed, by the depth that it leads to.

        Returns
        -------
        dict of int to AttentionStep
            The blocks' in their order, then, of a tower that pools by attention, its pooling, one depth after the
            last; empty unless a family says how.
        """
        return {}

    def _no_block(self, layer: int) -> InputError:
        valid = (
            f"one of {self.blocks[0]} to {self.blocks[-1]}" if self.blocks else "there are none in this tower"
        )
        return InputError(f"No transformer block leads to layer {layer!r}: {valid}.")


class VisionTransformerAdapter(TowerAdapter):
    """open_clip's `VisionTransformer`, with class-token, average or attentional pooling."""

    family = VisionTransformer

    def __init__(self, visual: VisionTransformer) -> None:
        _refuse_unknown_parts(visual)
        self.visual = visual
        self.grid = visual.grid_size
        self.prefix = 1
        self._resblocks = visual.transformer.resblocks
        self.layers = tuple(range(len(self._resblocks) + 1))
        self.blocks = self.layers[1:]
        self.pooled_token = 0 if visual.attn_pool is None and visual.pool_type == "tok" else None
        self.class_token = 0
        self.native_pooling = {"tok": "class token", "avg": "average"}[visual.pool_type]
        if visual.attn_pool is not None:
            self.native_pooling = "attention"

    def modules(self, want: Collection[str]) -> dict[str, nn.Module]:
        """Name the transformer, its blocks, the final norm, and what attention and MLP add if wanted."""
        named = {"transformer": self.visual.transformer, "final_norm": self.visual.ln_post}
        for layer, block in zip(self.blocks, self._resblocks, strict=True):
            named[f"block {layer}"] = block
            adding = {"attention_output": block.ls_1, "mlp": block.ls_2}
            named |= {f"{what} {layer}": module for what, module in adding.items() if what in want}
        return named

    def tokens(self, calls: Calls, layer: int) -> Tensor:
        """Return what enters the first block, or what a block returned."""
        return calls["transformer"][0] if layer == 0 else calls[f"block {layer}"][1]

    def attended(self, calls: Calls, layer: int) -> Tensor:
        """Return the tokens that enter the block, normalised by it."""
        return self._resblocks[layer - 1].ln_1(self.tokens(calls, layer - 1))

    def added(self, calls: Calls, layer: int, what: str) -> Tensor:
        """Return what attention or MLP added, after its layer scale."""
        return calls[f"{what} {layer}"][1]

    def attention(self, layer: int) -> AttentionWeights:
        """Return the weights of a block's attention, with the layer scale in its output."""
        if layer not in self.blocks:
            raise self._no_block(layer)
        block = self._resblocks[layer - 1]
        return _multihead_weights(block.attn, scale=getattr(block.ls_1, "gamma", None))

    def after_attention(self, layer: int, tokens: Tensor) -> Tensor:
        """Add the block's MLP, after its layer scale."""
        if layer not in self.blocks:
            raise self._no_block(layer)
        block = self._resblocks[layer - 1]
        tokens = tokens.to(self.visual.conv1.weight.dtype)
        return (tokens + block.ls_2(block.mlp(block.ln_2(tokens)))).float()

    def pool(self, calls: Calls) -> Pooling:
        """Describe the pooling, whichever of the three it is."""
        normalised, normed = (tensor.float() for tensor in calls["final_norm"])
        norm = self.visual.ln_post
        if normed.ndim == 2:  # the norm came after pooling
            mean, std = _norm_statistics(norm, normalised[:, None])
            pooled, shares = normed, self._shares(1 + self.grid[0] * self.grid[1])
        else:
            mean, std = _norm_statistics(norm, normalised)
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
            return _multihead_weights(pooler.attn).alone(_layer_norm(pooler.ln_k, tokens))
        return tokens.float() if self.visual.final_ln_after_pool else _layer_norm(self.visual.ln_post, tokens)

    def embed(self, pooled: Tensor) -> Tensor:
        """Apply the final norm, if it follows pooling, and the projection."""
        if self.visual.attn_pool is not None or self.visual.final_ln_after_pool:
            pooled = _layer_norm(self.visual.ln_post, pooled)
        return pooled @ self.visual.proj.float()

    def pooling_reads(self, tokens: Tensor) -> tuple[AttentionWeights, Tensor, Tensor]:
        """Return the pooler's weights; its queries that reach the embedding read all tokens."""
        pooler = self.visual.attn_pool
        if pooler is None:
            return super().pooling_reads(tokens)
        queries = pooler.query[self._shares(len(pooler.query)) > 0]
        reading = _layer_norm(pooler.ln_q, queries)[None]
        return _multihead_weights(pooler.attn), reading, _layer_norm(pooler.ln_k, tokens)

    def attention_steps(self) -> dict[int, AttentionStep]:
        """Return the attention of the blocks and, if there is one, of the pooler."""
        token = self.pooled_token
        rows = slice(None) if token is None else slice(token, token + 1)

        def normed(tokens: Tensor, norm: nn.Module) -> tuple[Tensor, Tensor]:
            read = norm(tokens)
            return read[:, rows], read

        steps = {
            layer: AttentionStep(
                entry=block,
                exit=block.ls_1,
                rows=rows,
                weights=self.attention(layer),
                tokens=lambda entering: entering,
                attended=partial(normed, norm=block.ln_1),
            )
            for layer, block in zip(self.blocks, self._resblocks, strict=True)
        }
        pooler = self.visual.attn_pool
        if pooler is not None:
            steps[self.layers[-1] + 1] = AttentionStep(
                entry=pooler,
                exit=pooler,
                rows=slice(0, 1) if self.visual.pool_type == "tok" else slice(1, None),
                weights=_multihead_weights(pooler.attn),
                tokens=lambda entering: entering,
                attended=lambda tokens: self.pooling_reads(tokens)[1:],
            )
        return steps

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
        _, std = _norm_statistics(pooler.ln_k, tokens)
        return attention.mean(2), torch.einsum("bq,bhqt->bht", scaled, attention) / std[:, None]

    def _affine(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the readout's matrix and its biases, those to be divided by the final norm's std and the rest."""
        norm, pooler, projection = self.visual.ln_post, self.visual.attn_pool, self.visual.proj.float()
        matrix, after_norm = _fold_norm(norm, projection), norm.bias.float() @ projection
        if pooler is None:
            return matrix[None], torch.zeros_like(after_norm), after_norm
        weights = _multihead_weights(pooler.attn)
        passed_on = weights.passed_on @ matrix
        before_norm = pooler.ln_k.bias.float() @ passed_on.sum(0) + weights.passed_on_bias @ matrix
        return _fold_norm(pooler.ln_k, passed_on), before_norm, after_norm


class ModifiedResNetAdapter(TowerAdapter):
    """open_clip's `ModifiedResNet`: tokens only before its attention pooling, and no transformer blocks."""

    family = ModifiedResNet

    def __init__(self, visual: ModifiedResNet) -> None:
        self.visual = visual
        side = visual.image_size // 32
        self.grid = (side, side)
        self.prefix = 1
        self.layers = (sum(map(len, (visual.layer1, visual.layer2, visual.layer3, visual.layer4))),)
        self.blocks = ()
        self.pooled_token = None
        self.class_token = None
        self.native_pooling = "attention"
        self.missing = {
            "tokens": "its stages differ in grid and width, so there are tokens only before its attention pooling"
        }

    def modules(self, want: Collection[str]) -> dict[str, nn.Module]:
        """Name the attention pooling."""
        return {"pooling": self.visual.attnpool}

    def tokens(self, calls: Calls, layer: int) -> Tensor:
        """Return the mean token and the cells of the last feature map, with their positions added."""
        cells = calls["pooling"][0].flatten(2).mT
        tokens = torch.cat([cells.mean(1, keepdim=True), cells], 1)
        return tokens + self.visual.attnpool.positional_embedding.to(tokens.dtype)

    def pool(self, calls: Calls) -> Pooling:
        """Describe attention pooling, in which the mean token reads all tokens."""
        tokens, weights = self.tokens(calls, self.layers[-1]).float(), self._weights()
        rows = weights.rows(tokens[:, :1], tokens)[:, :, 0]
        bias = weights.passed_on_bias
        return Pooling(
            pooled=torch.einsum("bht,bhtd->bhd", rows, weights.values(tokens)).flatten(1),
            readout=Readout(rows, weights.passed_on, bias.expand(len(rows), -1)),
            pooling_attention=rows,
        )

    def candidates(self, tokens: Tensor) -> Tensor:
        """Apply the values and the output of the attention pooling to each token."""
        return self._weights().alone(tokens.float())

    def embed(self, pooled: Tensor) -> Tensor:
        """Leave it at that: the attention pooling's output is the embedding."""
        return pooled

    def pooling_reads(self, tokens: Tensor) -> tuple[AttentionWeights, Tensor, Tensor]:
        """Return the weights of the attention pooling, in which the mean token reads all tokens."""
        tokens = tokens.float()
        return self._weights(), tokens[:, :1], tokens

    def attention_steps(self) -> dict[int, AttentionStep]:
        """Return the attention pooling."""
        layer, pooling = self.layers[-1], self.visual.attnpool
        return {
            layer + 1: AttentionStep(
                entry=pooling,
                exit=pooling,
                rows=slice(0, 1),
                weights=self._weights(),
                tokens=lambda cells: self.tokens({"pooling": (cells, cells)}, layer),
                attended=lambda tokens: self.pooling_reads(tokens)[1:],
            )
        }

    def _weights(self) -> AttentionWeights:
        pooling = self.visual.attnpool
        parts = (pooling.q_proj, pooling.k_proj, pooling.v_proj)
        return _by_head(
            pooling.num_heads,
            [part.weight for part in parts],
            [part.bias for part in parts],
            pooling.c_proj.weight.float(),
            pooling.c_proj.bias.float(),
        )


ADAPTERS: tuple[type[TowerAdapter], ...] = (VisionTransformerAdapter, ModifiedResNetAdapter)
"""The families of towers that can be traced."""


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
    known = ", ".join(adapter.family.__name__ for adapter in ADAPTERS)
    must = ", ".join(sorted(TowerAdapter.__abstractmethods__ - {"__init__"}))
    raise UnsupportedTower(
        f"The tower of {model.name} is a {model.tower.kind}, which cannot be traced; known: {known}. A new family "
        f"is a subclass of crosseyed.trace.TowerAdapter with the methods {must}, entered in ADAPTERS."
    )


def pooled_rows(attention: Tensor, pooling: Pooling | Trace) -> Tensor:
    """Combine the attention of all tokens to that of the pooled one.

    Parameters
    ----------
    attention : torch.Tensor, shape (..., batch, heads, tokens, tokens)
        Traced with ``attention_rows="all"``.
    pooling : Pooling or Trace
        The same trace.

    Returns
    -------
    torch.Tensor, shape (..., batch, heads, tokens)
        The rows, weighted as their tokens enter the embedding (mean of `Readout.rows` over the groups, scaled
        to the sum 1; without a readout, the mean of `pooling_attention` over its heads): for class-token pooling
        the class token's row. It is what ``attention_rows="pooled"`` gives.
    """
    share = (pooling.pooling_attention if pooling.readout is None else pooling.readout.rows).mean(1)
    share = share / share.sum(-1, keepdim=True)
    return torch.einsum("bq,...bhqt->...bht", share, attention)


@contextmanager
def hooked(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Listen to modules: within the context, keep the input and the output of each one's latest call.

    Parameters
    ----------
    modules : mapping of str to torch.nn.Module
        The modules by a name of your choice.

    Yields
    ------
    dict of str to tuple of torch.Tensor
        Filled while the model runs: first positional input and output (the first, if it returns several). They
        are the model's own tensors, with gradients if it computes them, not copies: leave them unchanged.
        The hooks come off at the end in any case, also by an exception or Ctrl-C.
    """
    calls, handles = {}, []
    try:
        for name, module in modules.items():

            def keep(_: nn.Module, inputs: tuple, output: Tensor | tuple, name: str = name) -> None:
                calls[name] = (inputs[0], output[0] if isinstance(output, tuple) else output)

            handles.append(module.register_forward_hook(keep))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def trace(
    model: ClipModel,
    images: Iterable[ImageSource],
    want: Iterable[str] = ("tokens", "attention"),
    *,
    layers: Iterable[int] | None = None,
    attention_rows: str = "pooled",
    batch_size: int | None = None,
    progress: bool = True,
) -> Iterator[Trace]:
    """Encode images and yield what happened inside, batch by batch.

    Memory is bounded by the batch, however many images there are: the tokens of all layers of one batch plus
    what is wanted of it, by the shapes in the module's docstring; plus, for `attention_rows="all"` and for
    towers without class-token pooling, (batch, heads, tokens, tokens) for one layer at a time.

    Parameters
    ----------
    model : ClipModel
        The model; it is left as it was.
    images : iterable of ImageSource
        The images; preprocessed as `ClipModel.encode_images` does.
    want : iterable of {"tokens", "attention", "values", "attention_output", "mlp"}
        Activations to keep besides those that are always given.
    layers : iterable of int, optional
        Depths to keep, from 0 (what enters the first block) to the number of blocks; negative numbers count
        from the last. All by default.
    attention_rows : {"pooled", "all"}
        Attention of the pooled token (see `pooled_rows`), or of every token.
    batch_size : int, optional
        Images in a batch; by default as many as `encode_images` takes at once. Where a GPU has too little
        memory for it, the batch is halved.
    progress : bool
        Show a progress bar if the standard error is a terminal.

    Yields
    ------
    Trace
        One per batch, in the order of the images.

    Raises
    ------
    UnsupportedTower
        The tower is of a family that tracing does not know, or has not what is wanted.
    InputError
        The model is in training mode; `want`, `layers` or `attention_rows` is not valid; `images` is a single
        image or contains what is not one.

    Warns
    -----
    UnreadableImagesWarning
        Once, at the end, if images could not be read.
    """
    adapter = adapter_of(model)
    wanted, kept = _check_want(adapter, want), _check_layers(adapter, layers)
    if attention_rows not in ROWS:
        raise InputError(f"attention_rows is 'pooled' or 'all', not {attention_rows!r}.")
    run = partial(_trace_batch, model, adapter, wanted, kept, attention_rows)
    return stream(model, images, run, batch_size=batch_size, progress=progress)


def stream(
    model: ClipModel,
    images: Iterable[ImageSource],
    run: Callable[[Tensor, int], Result],
    *,
    batch_size: int | None = None,
    progress: bool = True,
) -> Iterator[Result]:
    """Read images in batches and do something with each batch; what `trace` does with its own step.

    Parameters
    ----------
    model : ClipModel
        The model.
    images : iterable of ImageSource
        The images; may be a generator.
    run : callable
        Takes what the model's `encode_image` takes, (batch, 3, height, width), and the number of the batch's
        first image. Unreadable images are NaN.
    batch_size : int, optional
        As for `trace`; likewise halved where memory is short.
    progress : bool
        Show a progress bar if the standard error is a terminal.

    Yields
    ------
    object
        What `run` returns, batch by batch.

    Raises
    ------
    InputError
        The model is in training mode; `batch_size` is not positive; `images` is a single image or contains
        what is not one.

    Warns
    -----
    UnreadableImagesWarning
        Once, at the end, if images could not be read.
    """
    if any(module.training for module in model.clip.visual.modules()):
        raise InputError(f"{model.name} is in training mode: call model.clip.eval() before tracing it.")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is at least 1, not {batch_size}.")
    return _stream(model, images, run, batch_size, progress)


def _stream(
    model: ClipModel,
    images: Iterable[ImageSource],
    run: Callable[[Tensor, int], Result],
    batch_size: int | None,
    progress: bool,
) -> Iterator[Result]:
    first = 0
    for pixels, readable in model.read_batches(images, batch_size=batch_size, progress=progress):
        if readable.all():
            batch = model.to_input(pixels)
        else:  # in evaluation mode images do not mix: NaN stays with its image
            batch = torch.full((len(readable), 3, *model.image_size), torch.nan)
            batch = batch.to(model.device, PRECISIONS[model.precision])
            if pixels:
                batch[torch.from_numpy(readable)] = model.to_input(pixels)
        yield from _run_or_halve(run, batch, first)
        first += len(readable)


def _run_or_halve(run: Callable[[Tensor, int], Result], batch: Tensor, first: int) -> Iterator[Result]:
    try:
        result = run(batch, first)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
        result = None
    if result is not None:
        yield result
        return
    torch.cuda.empty_cache()
    middle = len(batch) // 2
    yield from _run_or_halve(run, batch[:middle], first)
    yield from _run_or_halve(run, batch[middle:], first + middle)


@torch.no_grad()
def _trace_batch(
    model: ClipModel,
    adapter: TowerAdapter,
    want: set[str],
    layers: tuple[int, ...],
    rows: str,
    batch: Tensor,
    first: int,
) -> Trace:
    with hooked({"tower": model.clip.visual, **adapter.modules(want)}) as calls:
        model.clip.encode_image(batch)
    pooling = adapter.pool(calls)
    blocks = tuple(layer for layer in layers if layer in adapter.blocks)
    kept = {name: [] for name in want}
    if "tokens" in want:
        kept["tokens"] = [adapter.tokens(calls, layer) for layer in layers]
    for layer in blocks:
        for what in want & {"attention_output", "mlp"}:
            kept[what].append(adapter.added(calls, layer, what))
        if want & {"attention", "values"}:
            weights, read = adapter.attention(layer), adapter.attended(calls, layer).float()
            if "attention" in want:
                kept["attention"].append(_probabilities(adapter, weights, read, rows, pooling))
            if "values" in want:
                kept["values"].append(weights.values(read))
    return Trace(
        images=range(first, first + len(batch)),
        layers=layers,
        blocks=blocks,
        last=adapter.layers[-1],
        grid=adapter.grid,
        prefix=adapter.prefix,
        embedding=calls["tower"][1].float(),
        **{field.name: getattr(pooling, field.name) for field in fields(pooling)},
        **{name: torch.stack(parts).float() for name, parts in kept.items() if parts},
    )


def _probabilities(
    adapter: TowerAdapter, weights: AttentionWeights, read: Tensor, rows: str, pooling: Pooling
) -> Tensor:
    if rows == "pooled" and adapter.pooled_token is not None:
        place = slice(adapter.pooled_token, adapter.pooled_token + 1)
        return weights.at(place).rows(read[:, place], read)[:, :, 0]
    attention = weights.rows(read, read)
    return attention if rows == "all" else pooled_rows(attention, pooling)


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


def _check_want(adapter: TowerAdapter, want: Iterable[str]) -> set[str]:
    wanted = {want} if isinstance(want, str) else set(want)
    for name in wanted - set(WANTS):
        near = suggest(name, WANTS) or "."
        raise InputError(f"Tracing has no {name!r}{near} Choose from {', '.join(WANTS)}.")
    if "attention" in wanted:
        adapter.require("attention")
    if wanted & {"values", "attention_output", "mlp"}:
        adapter.require("tokens")
    return wanted


def _check_layers(adapter: TowerAdapter, layers: Iterable[int] | None) -> tuple[int, ...]:
    if layers is None:
        return adapter.layers
    last = adapter.layers[-1]
    chosen = sorted({layer + last + 1 if layer < 0 else layer for layer in layers})
    if not chosen or not set(chosen) <= set(adapter.layers):
        valid = ", ".join(map(str, adapter.layers))
        raise InputError(f"layers are some of {valid} (or negative, from the last), not {layers!r}.")
    return tuple(chosen)


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
    return _by_head(heads, parts, biases, output, bias)


def _by_head(heads: int, parts: list, biases: list, output: Tensor, output_bias: Tensor) -> AttentionWeights:
    query, key, value = (part.float().unflatten(0, (heads, -1)).mT for part in parts)
    query_bias, key_bias, value_bias = (bias.float().unflatten(0, (heads, -1)) for bias in biases)
    by_head = output.T.unflatten(0, (heads, -1))
    return AttentionWeights(query, key, value, query_bias, key_bias, value_bias, by_head, output_bias)


def _norm_statistics(norm: nn.LayerNorm, normalised: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, the norm's epsilon included, over the last axis."""
    variance, mean = torch.var_mean(normalised.float(), -1, correction=0)
    return mean, (variance + norm.eps).sqrt()


def _layer_norm(norm: nn.LayerNorm, tokens: Tensor) -> Tensor:
    return F.layer_norm(
        tokens.float(), norm.normalized_shape, norm.weight.float(), norm.bias.float(), norm.eps
    )


def _fold_norm(norm: nn.LayerNorm, matrix: Tensor) -> Tensor:
    """Return what a token times its 1/std is multiplied by: centering and gain of the norm, then the matrix."""
    matrix = norm.weight.float()[:, None] * matrix
    return matrix - matrix.mean(-2, keepdim=True)
