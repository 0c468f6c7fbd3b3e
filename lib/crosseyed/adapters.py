"""What tracing has to know of each family of image towers: adapters, and what they speak of.

A `TowerAdapter` says where in a tower the tokens are, and gives its attention as `AttentionWeights` and the step from
the last tokens to the embedding as a `Readout`. What a tower lacks, it says in words (`TowerAdapter.missing`). The
families of open_clip's own towers are here, those of timm in `crosseyed.timm_adapters`; `crosseyed.trace.ADAPTERS`
lists all.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import ClassVar

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

from crosseyed.errors import InputError

OFFERS = {
    "tokens": "the tokens of every layer",
    "attention": "the probabilities with which tokens attend, in blocks or in pooling",
    "decomposition": "the embedding as an exact sum over image tokens",
    "heads": "the embedding as an exact sum over layers and attention heads",
}
"""What a tower may offer beyond what all do: the last tokens, the pooled vector, the embedding, and what pooling
would make of a single token."""
Calls = Mapping[str, tuple[Tensor, Tensor]]
"""For every module listened to: its input and its output during the forward pass."""


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


@dataclass(frozen=True, eq=False)
class Pooling:
    """How one batch went from its last tokens to pooled vectors; the fields are those of `Trace`."""

    pooled: Tensor
    readout: Readout | None
    norm_mean: Tensor | None = None
    norm_std: Tensor | None = None
    pooling_attention: Tensor | None = None


class TowerAdapter(ABC):
    """What tracing asks of a family of towers; one subclass per family, listed in `crosseyed.trace.ADAPTERS`.

    Attributes
    ----------
    family : type
        Class of the towers, as open_clip has it.
    label : str
        What the family is called in messages and tables.
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
    label: ClassVar[str]
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
    label = "VisionTransformer"

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
            return _multihead_weights(pooler.attn).alone(layer_norm(pooler.ln_k, tokens))
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
        _, std = norm_statistics(pooler.ln_k, tokens)
        return attention.mean(2), torch.einsum("bq,bhqt->bht", scaled, attention) / std[:, None]

    def _affine(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the readout's matrix and its biases, those to be divided by the final norm's std and the rest."""
        norm, pooler, projection = self.visual.ln_post, self.visual.attn_pool, self.visual.proj.float()
        matrix, after_norm = fold_norm(norm, projection), norm.bias.float() @ projection
        if pooler is None:
            return matrix[None], torch.zeros_like(after_norm), after_norm
        weights = _multihead_weights(pooler.attn)
        passed_on = weights.passed_on @ matrix
        before_norm = pooler.ln_k.bias.float() @ passed_on.sum(0) + weights.passed_on_bias @ matrix
        return fold_norm(pooler.ln_k, passed_on), before_norm, after_norm


class ModifiedResNetAdapter(TowerAdapter):
    """open_clip's `ModifiedResNet`: tokens only before its attention pooling, and no transformer blocks."""

    family = ModifiedResNet
    label = "ModifiedResNet"

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
        return split_by_head(
            pooling.num_heads,
            [part.weight for part in parts],
            [part.bias for part in parts],
            pooling.c_proj.weight.float(),
            pooling.c_proj.bias.float(),
        )


def split_by_head(
    heads: int, parts: list, biases: list, output: Tensor, output_bias: Tensor
) -> AttentionWeights:
    """Split the weights of an attention by head.

    Parameters
    ----------
    heads : int
        Number of heads.
    parts, biases : list of torch.Tensor, shapes (heads × head_width, width) and (heads × head_width,)
        Of query, key and value.
    output, output_bias : torch.Tensor, shapes (output_width, heads × head_width) and (output_width,)
        Of the output, in float32.

    Returns
    -------
    AttentionWeights
        The same weights.
    """
    query, key, value = (part.float().unflatten(0, (heads, -1)).mT for part in parts)
    query_bias, key_bias, value_bias = (bias.float().unflatten(0, (heads, -1)) for bias in biases)
    by_head = output.T.unflatten(0, (heads, -1))
    return AttentionWeights(query, key, value, query_bias, key_bias, value_bias, by_head, output_bias)


def norm_statistics(norm: nn.LayerNorm, normalised: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, the norm's epsilon included, over the last axis."""
    variance, mean = torch.var_mean(normalised.float(), -1, correction=0)
    return mean, (variance + norm.eps).sqrt()


def layer_norm(norm: nn.LayerNorm, tokens: Tensor) -> Tensor:
    """Apply a norm in float32, whatever the precision of the model."""
    return F.layer_norm(
        tokens.float(), norm.normalized_shape, norm.weight.float(), norm.bias.float(), norm.eps
    )


def fold_norm(norm: nn.LayerNorm, matrix: Tensor) -> Tensor:
    """Return what a token times its 1/std is multiplied by: centering and gain of a norm, then a matrix."""
    matrix = norm.weight.float()[:, None] * matrix
    return matrix - matrix.mean(-2, keepdim=True)


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
