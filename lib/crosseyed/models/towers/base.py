"""What tracing has to know of each family of image towers.

A `TowerAdapter` says where in a tower the tokens are, and gives its attention as `AttentionWeights` and the step from
the last tokens to the embedding as a `Readout`. What a tower lacks is data with the reason in words
(`TowerAdapter.unsupported`). The other modules of this folder have one family each, found by
`crosseyed.models.towers.registry`.

Sizes in the shapes: `batch` images, `tokens` of `width` numbers, `heads` of `head_width`, `embed_dim`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from crosseyed.errors import InputError

CAPABILITIES = {
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
    matrix : torch.Tensor, shape (groups, width, embed_dim), the same for all images
    bias : torch.Tensor, shape (batch, embed_dim), from the biases on the way
    """

    rows: Tensor
    matrix: Tensor
    bias: Tensor

    def __call__(self, contribution: Tensor) -> Tensor:
        """Return what a summand (..., batch, tokens, width) of the last tokens adds to the embedding."""
        gathered = torch.einsum("bgt,...btw->...bgw", self.rows, contribution)
        return torch.einsum("...bgw,gwe->...be", gathered, self.matrix)


@dataclass(frozen=True, eq=False)
class AttentionWeights:
    """The weights of one attention, split by head, in float32.

    With the reading tokens x and the tokens read y::

        A = softmax(query(x) · key(y) / sqrt(head_width)),  output = Σ_h A_h value_h(y) @ output[h] + output_bias

    Attributes
    ----------
    query : torch.Tensor, shape (heads, reading_width, head_width), in ``x @ query[h] + query_bias[h]``
    key, value : torch.Tensor, shape (heads, width, head_width), likewise
    query_bias, key_bias, value_bias : torch.Tensor, shape (heads, head_width)
    output : torch.Tensor, shape (heads, head_width, output_width), including the block's layer scale
    output_bias : torch.Tensor, shape (output_width,), including the block's layer scale
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
    def ov_matrix(self) -> Tensor:
        """From a token to what a head that reads only it writes, without biases: (heads, width, output_width)."""
        return self.value @ self.output

    @property
    def ov_bias(self) -> Tensor:
        """What attention writes whatever it reads, because probabilities sum to 1: (output_width,)."""
        return torch.einsum("hd,hdo->o", self.value_bias, self.output) + self.output_bias

    @property
    def depends_on_places(self) -> bool:
        """Whether a token reads or is read differently at another place among the tokens."""
        return False

    def at(self, places: slice) -> "AttentionWeights":
        """Return the weights for the tokens reading at some places: the same, unless attention depends on places."""
        return self

    def rows(self, reading: Tensor, read: Tensor) -> Tensor:
        """Return the softmax of `logits`: probabilities (batch, heads, n_reading, n_read)."""
        return self.logits(reading, read).softmax(-1)

    def row(self, token: int, read: Tensor) -> Tensor:
        """Return the probabilities (batch, heads, n_read) with which one of the tokens read reads all."""
        place = slice(token, token + 1)
        return self.at(place).rows(read[:, place], read)[:, :, 0]

    def logits(self, reading: Tensor, read: Tensor, *, exact: bool = False) -> Tensor:
        """Return logits (batch, heads, n_reading, n_read), unless `exact` up to a number added to a whole row.

        `reading` (batch or 1, n_reading, reading_width) is the input of the queries, `read` (batch, n_read, width) of
        the keys.
        """
        query = torch.einsum("bqw,hwd->bhqd", reading, self.query) + self.query_bias[:, None]
        query = query * query.shape[-1] ** -0.5
        n_reading, (n_read, width), heads = reading.shape[1], read.shape[1:], len(self.query)
        if not exact and n_reading * (width + heads * n_read) < n_read * width:
            # For few rows it is cheaper to carry the queries to the tokens than to make keys of all tokens.
            # The key's bias adds the same to all logits of a row and cancels in the softmax.
            carried = torch.einsum("bhqd,hwd->bhqw", query, self.key)
            return (carried.flatten(1, 2) @ read.mT).unflatten(1, (heads, n_reading))
        key = torch.einsum("btw,hwd->bhtd", read, self.key) + self.key_bias[:, None]
        return query @ key.mT

    def values(self, read: Tensor) -> Tensor:
        """Return the values (batch, heads, n_read, head_width) of the tokens read (batch, n_read, width)."""
        return torch.einsum("btw,hwd->bhtd", read, self.value) + self.value_bias[:, None]

    def write(self, rows: Tensor, read: Tensor) -> Tensor:
        """Return the output (batch, n_reading, output_width) for rows (batch, heads, n_reading, n_read)."""
        return self.combine(rows @ self.values(read))

    def combine(self, gathered: Tensor) -> Tensor:
        """Return the output for what heads gathered, rows times values, (batch, heads, n_reading, head_width)."""
        return torch.einsum("bhqd,hdo->bqo", gathered, self.output) + self.output_bias

    def single_token_output(self, tokens: Tensor) -> Tensor:
        """Return the output (..., output_width) where each token (..., width) is read by itself."""
        return tokens @ self.ov_matrix.sum(0) + self.ov_bias


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
    """What tracing asks of a family of towers; one subclass per family.

    Attributes
    ----------
    family : type, class of the towers in open_clip
    label : str, name of the family in messages and tables
    visual : torch.nn.Module, the tower
    grid, prefix : rows and columns of the spatial tokens, and number of tokens before them
    layers, blocks : tuple of int, ascending depths that have tokens, and those that a transformer block leads to
    pooled_token : int, the token that pooling takes; None if it combines several
    class_token : int, the class token, pooled or not; None for a tower without
    native_pooling : {"class token", "average", "attention"}, the tower's own pooling
    resumable : tuple of int, ascending depths from which the rest of the tower can be run by itself
    unsupported : mapping of str to str, which of `CAPABILITIES` the tower lacks, and why
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
    resumable: tuple[int, ...] = ()
    unsupported: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def knows(cls, visual: nn.Module) -> bool:
        """Say whether a tower is of the family."""
        return type(visual) is cls.family

    @property
    def capabilities(self) -> frozenset[str]:
        """Which of `CAPABILITIES` the tower has."""
        return frozenset(CAPABILITIES) - self.unsupported.keys()

    def require(self, *capabilities: str) -> None:
        """Raise UnsupportedTower, with the reason, if the tower lacks one of these `CAPABILITIES`."""
        for name in capabilities:
            if name in self.unsupported:
                others = ", ".join(each for each in CAPABILITIES if each in self.capabilities)
                raise UnsupportedTower(
                    f"This tower has no {name} ({CAPABILITIES[name]}): {self.unsupported[name]}. It offers "
                    f"{others or 'only its last tokens'}."
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

        From tokens (..., width) of any depth to float32 (..., pooled_width). Where attention pools, a token's vector
        is what the attention would write if it read that token alone.
        """

    @abstractmethod
    def embed(self, pooled: Tensor) -> Tensor:
        """Return the embeddings (..., embed_dim), float32, not normalised, of pooled `candidates`."""

    def project(self, tokens: Tensor) -> Tensor:
        """Return the embedding (..., embed_dim), not normalised, that pooling would give if it saw one token only."""
        return self.embed(self.candidates(tokens))

    def pooling_reads(self, tokens: Tensor) -> tuple[AttentionWeights, Tensor, Tensor]:
        """Return the weights of attention pooling and what reads what, from the last tokens (batch, tokens, width).

        The inputs are those of queries (batch or 1, readers, reading_width) and of keys and values (batch, tokens,
        width). The embedding is the mean over the readers of `embed` of what they write. Raises InputError for
        another pooling.
        """
        raise InputError(f"This tower does not pool by attention: its pooling is {self.native_pooling!r}.")

    def laid_out(self, activation: Tensor) -> Tensor:
        """Return tokens, or a feature map, as tokens (batch, tokens, width)."""
        return activation.flatten(2).mT if activation.ndim == 4 else activation

    def state(self, calls: Calls, layer: int) -> Tensor:
        """Return all that the tower has computed at a depth, as `resumed` takes it: its tokens, unless overridden."""
        return self.tokens(calls, layer)

    def resumed(self, layer: int, state: Tensor) -> AbstractContextManager[None]:
        """Let the tower go on from a state within the context, whatever it is shown; its modules before do nothing.

        `state` has the batch that comes out. What modules listened to give at the depths before is meaningless.
        """
        depths = ", ".join(map(str, self.resumable)) or "from none in this tower"
        raise InputError(f"The tower cannot be resumed at depth {layer!r}; it can at {depths}.")

    def pooled_alone(self) -> AbstractContextManager[None]:
        """Let the last block compute the token that pooling takes and no other, within the context.

        The embedding is the same, to a relative error of 1e-5, with its gradients. Where pooling takes more than one
        token nothing changes.
        """
        return nullcontext()

    def share_after(self, layer: int) -> float:
        """Return which part of the tower's blocks comes after a depth, from 0 to 1."""
        return 1 - layer / self.layers[-1]

    def attended(self, calls: Calls, layer: int) -> Tensor:
        """Return the input of a block's attention, (batch, tokens, width)."""
        raise self._no_block(layer)

    def added(self, calls: Calls, layer: int, what: str) -> Tensor:
        """Return "attention_output" or "mlp" of a block, (batch, tokens, width)."""
        raise self._no_block(layer)

    def attention(self, layer: int) -> AttentionWeights:
        """Return the weights of the block that leads to a depth, shared with the model."""
        raise self._no_block(layer)

    def written(self, calls: Calls, layer: int) -> tuple[Tensor, Tensor]:
        """Return how what the heads of a block write becomes what its attention adds.

        With the factor s (batch or 1, tokens or 1), the bias c (batch or 1, tokens or 1, width) and the block's
        weights::

            attention_output = s · Σ_h A_h value_h(y) @ output[h] + c

        s is 1, or 1/std where the heads' sum is normalised before it is added.
        """
        bias = self.attention(layer).output_bias
        return torch.ones(1, 1, device=bias.device), bias[None, None]

    def after_attention(self, layer: int, tokens: Tensor) -> Tensor:
        """Return the tokens (batch, n_tokens, width) at a depth, float32, from those with its attention added."""
        raise self._no_block(layer)

    def attention_steps(self) -> dict[int, AttentionStep]:
        """Return every attention that can be changed by the depth that it leads to: blocks, then attention pooling."""
        return {}

    def spatial_steps(self) -> dict[int, AttentionStep]:
        """Return the attention of the blocks by depth, as it is read by the spatial tokens or by all of them."""
        return {}

    def _attention_pooling(
        self, entry: nn.Module, exit_: nn.Module, **others: object
    ) -> dict[int, AttentionStep]:
        """Describe attention pooling as the step one depth after the last, in which one token reads by default."""
        attended = lambda tokens: self.pooling_reads(tokens)[1:]  # noqa: E731
        given = {"rows": slice(0, 1), "tokens": lambda tokens: tokens, "attended": attended} | others
        return {self.layers[-1] + 1: AttentionStep(entry=entry, exit=exit_, **given)}

    def _no_block(self, layer: int) -> InputError:
        valid = (
            f"one of {self.blocks[0]} to {self.blocks[-1]}" if self.blocks else "there are none in this tower"
        )
        return InputError(f"No transformer block leads to layer {layer!r}: {valid}.")


def split_by_head(
    heads: int, parts: list, biases: list, output: Tensor, output_bias: Tensor
) -> AttentionWeights:
    """Split the weights of an attention by head.

    Parameters
    ----------
    heads : int
    parts, biases : of query, key and value, shapes (heads × head_width, width) and (heads × head_width,)
    output, output_bias : in float32, shapes (output_width, heads × head_width) and (output_width,)
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
