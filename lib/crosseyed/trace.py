"""Read what happens inside an image tower while it encodes images.

One forward pass of the stock open_clip model, with hooks that only listen, gives the activations below; the
model computes the same bits as without. open_clip computes attention in one fused step that returns no
probabilities, so these are computed again from the input of the block.

Vocabulary
----------
The sizes in the shapes: `batch` images; `tokens`, one `prefix` token (the class token; in a ResNet the mean
token) followed by rows × columns spatial tokens in reading order, of `width` numbers each; `heads` of
`head_width` in every block; `embed_dim`.

Layers are numbered as depths: 0 is what enters the first block, after the positions are added and the first
norm; l is after the l-th block. What happens within a block carries the number of the depth that it leads to.
So ``tokens`` has layers 0 … L (`Trace.layers`), everything about blocks has 1 … L (`Trace.blocks`), and

    tokens[l] = tokens[l - 1] + attention_output[l] + mlp[l]

Every activation is float32 whatever the precision of the model, and lies on the model's device. An image that
cannot be read is NaN throughout.

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
``pooling_attention`` (batch, pooling_heads, tokens)           probabilities of attention pooling; None without
``norm_mean``,        (batch, normalised)                       statistics of the final norm as it was applied,
``norm_std``                                                    to `normalised` vectors; None without such a norm
``pooled``            (batch, pooled_width)                     the pooled vector, before the projection
``embedding``         (batch, embed_dim)                        the pooled vector projected, not normalised
``readout``           see `Readout`                             the step from the last tokens to the embedding,
                                                                linear once norms and attention are held fixed
===================== ========================================= ================================================

The first five are given only when wanted; the others always.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (its usual name)

from crosseyed.errors import InputError, suggest
from crosseyed.images import ImageSource
from crosseyed.models import ClipModel

WANTS = ("tokens", "attention", "values", "attention_output", "mlp")
ROWS = ("pooled", "all")


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
    grid: tuple[int, int]
    prefix: int
    pooled: Tensor
    embedding: Tensor
    readout: Readout
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
    query, key, value : torch.Tensor, shape (heads, width, head_width)
        Applied from the right: ``x @ query[h] + query_bias[h]``.
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

    def rows(self, reading: Tensor, read: Tensor) -> Tensor:
        """Return the probabilities with which tokens attend to tokens.

        Parameters
        ----------
        reading : torch.Tensor, shape (batch, n_reading, width)
            Input of the queries.
        read : torch.Tensor, shape (batch, n_read, width)
            Input of the keys.

        Returns
        -------
        torch.Tensor, shape (batch, heads, n_reading, n_read)
            Sums to 1 over the last axis.
        """
        query = torch.einsum("bqw,hwd->bhqd", reading, self.query) + self.query_bias[:, None]
        query = query * query.shape[-1] ** -0.5
        if reading.shape[1] * len(self.query) < read.shape[1]:
            # For few rows it is cheaper to carry the queries to the tokens than to make keys of all tokens.
            # The key's bias adds the same to all logits of a row and cancels in the softmax.
            carried = torch.einsum("bhqd,hwd->bhqw", query, self.key)
            return (carried @ read[:, None].mT).softmax(-1)
        key = torch.einsum("btw,hwd->bhtd", read, self.key) + self.key_bias[:, None]
        return (query @ key.mT).softmax(-1)

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


Calls = Mapping[str, tuple[Tensor, Tensor]]
"""For every module listened to: its input and its output during the forward pass."""


@dataclass(frozen=True, eq=False)
class Pooling:
    """How one batch went from its last tokens to pooled vectors; the fields are those of `Trace`."""

    pooled: Tensor
    readout: Readout
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
    """

    family: ClassVar[type[nn.Module]]
    visual: nn.Module
    grid: tuple[int, int]
    prefix: int
    layers: tuple[int, ...]
    blocks: tuple[int, ...]

    @abstractmethod
    def __init__(self, visual: nn.Module) -> None:
        """Take a tower of the family, or raise `UnsupportedTower` saying what about it is not known."""

    @abstractmethod
    def modules(self) -> dict[str, nn.Module]:
        """Name the modules whose input and output the other methods need."""

    @abstractmethod
    def tokens(self, calls: Calls, layer: int) -> Tensor:
        """Return the tokens at a depth, (batch, tokens, width), in the model's precision."""

    @abstractmethod
    def added(self, calls: Calls, layer: int) -> tuple[Tensor, Tensor]:
        """Return what the attention and the MLP of a block added, each (batch, tokens, width)."""

    @abstractmethod
    def attended(self, calls: Calls, layer: int) -> Tensor:
        """Return the input of a block's attention, (batch, tokens, width), in the model's precision."""

    @abstractmethod
    def attention(self, layer: int) -> AttentionWeights:
        """Return the weights of a block's attention."""

    @abstractmethod
    def pool(self, calls: Calls) -> Pooling:
        """Describe the step from the last tokens to the embedding."""

    @abstractmethod
    def project(self, tokens: Tensor) -> Tensor:
        """Return the embedding that pooling would give if it saw one token only, for each of the tokens.

        Parameters
        ----------
        tokens : torch.Tensor, shape (..., tokens, width)
            Tokens of any depth.

        Returns
        -------
        torch.Tensor, shape (..., tokens, embed_dim)
            Not normalised.
        """


class VisionTransformerAdapter(TowerAdapter):
    """open_clip's `VisionTransformer`."""

    family = VisionTransformer

    def __init__(self, visual: VisionTransformer) -> None:
        if visual.attn_pool is not None or visual.pool_type != "tok":
            raise UnsupportedTower("Only class-token pooling can be traced.")
        self.visual = visual
        self.grid = visual.grid_size
        self.prefix = 1
        self._resblocks = visual.transformer.resblocks
        self.layers = tuple(range(len(self._resblocks) + 1))
        self.blocks = self.layers[1:]

    def modules(self) -> dict[str, nn.Module]:
        """Name the transformer, its blocks, what they add, and the final norm."""
        named = {"transformer": self.visual.transformer, "final_norm": self.visual.ln_post}
        for layer, block in enumerate(self._resblocks, start=1):
            named[f"block {layer}"] = block
            named[f"attention {layer}"] = block.ls_1
            named[f"mlp {layer}"] = block.ls_2
        return named

    def tokens(self, calls: Calls, layer: int) -> Tensor:
        """Return the tokens at a depth."""
        return calls["transformer"][0] if layer == 0 else calls[f"block {layer}"][1]

    def added(self, calls: Calls, layer: int) -> tuple[Tensor, Tensor]:
        """Return what attention and MLP added, after their layer scale."""
        return calls[f"attention {layer}"][1], calls[f"mlp {layer}"][1]

    def attended(self, calls: Calls, layer: int) -> Tensor:
        """Return the tokens that enter the block, normalised by it."""
        return self._resblocks[layer - 1].ln_1(self.tokens(calls, layer - 1))

    def attention(self, layer: int) -> AttentionWeights:
        """Return the weights of the block's attention, with the layer scale in its output."""
        block = self._resblocks[layer - 1]
        return _multihead_weights(block.attn, scale=getattr(block.ls_1, "gamma", None))

    def pool(self, calls: Calls) -> Pooling:
        """Describe class-token pooling."""
        normalised, normed = calls["final_norm"]
        mean, std = _norm_statistics(self.visual.ln_post, normalised)
        rows = torch.zeros_like(std)[:, None]
        rows[:, 0, 0] = 1 / std[:, 0]
        projection = self._projection()
        bias = self.visual.ln_post.bias.float() @ projection
        matrix = _fold_norm(self.visual.ln_post, projection)[None]
        return Pooling(
            pooled=normed[:, 0].float(),
            readout=Readout(rows, matrix, bias.expand(len(rows), -1)),
            norm_mean=mean,
            norm_std=std,
        )

    def project(self, tokens: Tensor) -> Tensor:
        """Apply final norm and projection to each token."""
        return _layer_norm(self.visual.ln_post, tokens) @ self._projection()

    def _projection(self) -> Tensor:
        return self.visual.proj.float()


ADAPTERS: tuple[type[TowerAdapter], ...] = (VisionTransformerAdapter,)
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
        if type(visual) is adapter.family:
            return adapter(visual)
    known = ", ".join(adapter.family.__name__ for adapter in ADAPTERS)
    must = ", ".join(sorted(TowerAdapter.__abstractmethods__ - {"__init__"}))
    raise UnsupportedTower(
        f"The tower of {model.name} is a {model.tower.kind}, which cannot be traced; known: {known}. A new family "
        f"is a subclass of crosseyed.trace.TowerAdapter with the methods {must}, entered in ADAPTERS."
    )


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
        Attention of the pooled token, or of every token.
    batch_size : int, optional
        Images in a batch; by default as many as `encode_images` takes at once.
    progress : bool
        Show a progress bar if the standard error is a terminal.

    Yields
    ------
    Trace
        One per batch, in the order of the images.

    Raises
    ------
    UnsupportedTower
        The tower is of a family that tracing does not know.
    InputError
        The model is in training mode; `want`, `layers` or `attention_rows` is not valid; `images` is a single
        image or contains what is not one.

    Warns
    -----
    UnreadableImagesWarning
        Once, at the end, if images could not be read.
    """
    adapter = adapter_of(model)
    wanted, kept = _check_want(want), _check_layers(adapter, layers)
    if attention_rows not in ROWS:
        raise InputError(f"attention_rows is 'pooled' or 'all', not {attention_rows!r}.")
    if any(module.training for module in model.clip.visual.modules()):
        raise InputError(f"{model.name} is in training mode: call model.clip.eval() before tracing it.")
    return _stream(model, adapter, images, wanted, kept, attention_rows, batch_size, progress)


def _stream(
    model: ClipModel,
    adapter: TowerAdapter,
    images: Iterable[ImageSource],
    want: set[str],
    layers: tuple[int, ...],
    rows: str,
    batch_size: int | None,
    progress: bool,
) -> Iterator[Trace]:
    first = 0
    for pixels, readable in model.read_batches(images, batch_size=batch_size, progress=progress):
        batch = model.to_input(pixels)
        if not readable.all():  # in evaluation mode images do not mix: NaN stays with the image
            whole = batch.new_full((len(readable), *batch.shape[1:]), torch.nan)
            whole[torch.from_numpy(readable)] = batch
            batch = whole
        yield _trace_batch(model, adapter, batch, first, want, layers, rows)
        first += len(readable)


@torch.no_grad()
def _trace_batch(
    model: ClipModel,
    adapter: TowerAdapter,
    batch: Tensor,
    first: int,
    want: set[str],
    layers: tuple[int, ...],
    rows: str,
) -> Trace:
    with hooked({"tower": model.clip.visual, **adapter.modules()}) as calls:
        model.clip.encode_image(batch)
    pooling = adapter.pool(calls)
    blocks = tuple(layer for layer in layers if layer in adapter.blocks)
    kept = {name: [] for name in want}
    if "tokens" in want:
        kept["tokens"] = [adapter.tokens(calls, layer) for layer in layers]
    for layer in blocks:
        attention_output, mlp = adapter.added(calls, layer)
        if "attention_output" in want:
            kept["attention_output"].append(attention_output)
        if "mlp" in want:
            kept["mlp"].append(mlp)
        if want & {"attention", "values"}:
            weights, read = adapter.attention(layer), adapter.attended(calls, layer).float()
            if "attention" in want:
                kept["attention"].append(_probabilities(weights, read, rows, pooling.readout.rows))
            if "values" in want:
                kept["values"].append(weights.values(read))
    return Trace(
        images=range(first, first + len(batch)),
        layers=layers,
        blocks=blocks,
        grid=adapter.grid,
        prefix=adapter.prefix,
        embedding=calls["tower"][1].float(),
        **{field.name: getattr(pooling, field.name) for field in fields(pooling)},
        **{name: torch.stack(parts).float() for name, parts in kept.items() if parts},
    )


def _probabilities(weights: AttentionWeights, read: Tensor, rows: str, pooled_rows: Tensor) -> Tensor:
    if rows == "all":
        return weights.rows(read, read)
    return weights.rows(read[:, :1], read)[:, :, 0]


def _check_want(want: Iterable[str]) -> set[str]:
    wanted = {want} if isinstance(want, str) else set(want)
    for name in wanted - set(WANTS):
        near = suggest(name, WANTS) or "."
        raise InputError(f"Tracing has no {name!r}{near} Choose from {', '.join(WANTS)}.")
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
    return matrix - matrix.mean(0)
