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
(`TowerAdapter.unsupported`); to want it is an error.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial

import torch
from torch import Tensor, nn

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError, suggest
from crosseyed.models.clip import DTYPES, ClipModel
from crosseyed.models.memory import Result, by_halves
from crosseyed.models.towers.base import AttentionWeights, Calls, Pooling, Readout, TowerAdapter
from crosseyed.models.towers.registry import adapter_of
from crosseyed.progress import partly

WANTS = ("tokens", "attention", "values", "attention_output", "mlp")
"""The activations that are given only when wanted."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The activations of one batch; the module's docstring says what they are and how they are shaped.

    Attributes
    ----------
    images : range, which images of the stream these are: rows of a table with one row per image
    layers, blocks : tuple of int, depths of ``tokens``, and of what belongs to blocks, along their first axes
    last : int, depth of the tokens that pooling takes, whether or not they were kept
    grid, prefix : rows and columns of the spatial tokens, and number of tokens before them
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


def pooled_rows(attention: Tensor, pooling: Pooling | Trace) -> Tensor:
    """Combine the attention of all tokens, (..., batch, heads, tokens, tokens), to that of the pooled one.

    The rows are weighted as their tokens enter the embedding (mean of `Readout.rows` over the groups, scaled to the
    sum 1; without a readout, the mean of `pooling_attention` over its heads): for class-token pooling the class
    token's row. Returns (..., batch, heads, tokens), which is what ``attention_rows="pooled"`` gives.
    """
    share = (pooling.pooling_attention if pooling.readout is None else pooling.readout.rows).mean(1)
    share = share / share.sum(-1, keepdim=True)
    return torch.einsum("bq,...bhqt->...bht", share, attention)


@contextmanager
def hooked(modules: Mapping[str, nn.Module]) -> Iterator[Calls]:
    """Listen to modules: within the context, keep the input and the output of each one's latest call, by its name.

    These are the first positional input and the first output: the model's own tensors, with gradients if it computes
    them, not copies, so leave them unchanged. The hooks are removed at the end, also after an exception.
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


def encode_from(model: ClipModel, layer: int, state: Tensor) -> Tensor:
    """Run only the part of the tower that comes after a depth.

    What the blocks before make of an image does not depend on what is changed behind them. So it is computed once,
    and what is changed, by hooks or otherwise, is run on from there. A change before the depth has no effect.

    Parameters
    ----------
    model : ClipModel, in evaluation mode
    layer : int, one of the depths `TowerAdapter.resumable`, else InputError; 0 is what enters the first block
    state : torch.Tensor, `TowerAdapter.state` of a batch at that depth: of a transformer (batch, tokens, width)

    Returns
    -------
    torch.Tensor, shape (batch, embed_dim)
        What `model.clip.encode_image` gives for these images, not normalised, to a relative error of 1e-5.

    Examples
    --------
    >>> with hooked(adapter.modules(())) as calls:
    ...     model.clip.encode_image(pixels)
    >>> with change_of_block(12):
    ...     encode_from(model, 11, adapter.state(calls, 11))
    """
    # one blank image is enough for what precedes the blocks, which runs though nobody reads it
    blank = torch.zeros(1, 3, *model.image_size, device=model.device, dtype=DTYPES[model.precision])
    adapter = adapter_of(model)
    with adapter.resumed(layer, state), partly(adapter.share_after(layer)):
        return model.clip.encode_image(blank)


def run(
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

    Memory is bounded by the batch: the tokens of all layers and what is wanted, by the shapes in the module's
    docstring; and, for `attention_rows="all"` and for towers without class-token pooling, (batch, heads, tokens,
    tokens) for one layer at a time.

    Parameters
    ----------
    model : ClipModel, in evaluation mode; it is left as it was
    images : iterable of ImageSource, preprocessed as `ClipModel.encode_images` does
    want : iterable of {"tokens", "attention", "values", "attention_output", "mlp"}, what to keep besides the rest
    layers : iterable of int, depths to keep, from 0 (before the first block); negative from the last; by default all
    attention_rows : {"pooled", "all"}, attention of the pooled token (see `pooled_rows`), or of every token
    batch_size : int, by default as many as `encode_images` takes; halved where a GPU has too little memory
    progress : bool, show a progress bar where somebody watches (`crosseyed.progress.bar`)

    Yields
    ------
    Trace
        One per batch, in the order of the images.

    Raises
    ------
    UnsupportedTower
        The tower cannot be traced, or does not offer what is wanted.
    InputError
        The model is in training mode; an option is not valid; `images` is a single image or contains other things.

    Warns
    -----
    UnreadableImagesWarning
        Once, at the end, if images could not be read.
    """
    adapter = adapter_of(model)
    wanted, kept = _check_want(adapter, want), _check_layers(adapter, layers)
    if attention_rows not in ("pooled", "all"):
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
    """Read images in batches and yield what `run` returns for each; as `run` of this module does with its own step.

    `run` takes what the model's `encode_image` takes, (batch, 3, height, width), NaN for unreadable images, and the
    number of the batch's first image. The other parameters, errors and warnings are those of this module's `run`.
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
            batch = batch.to(model.device, DTYPES[model.precision])
            if pixels:
                batch[torch.from_numpy(readable)] = model.to_input(pixels)
        yield from by_halves(run, batch, first)
        first += len(readable)


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
    calls = listened(model, adapter, want, batch)
    return traced(adapter, calls, range(first, first + len(batch)), want, layers, rows)


@torch.no_grad()
def listened(model: ClipModel, adapter: TowerAdapter, want: Iterable[str], batch: Tensor) -> Calls:
    """Encode a batch of the model's input once; return the calls of the tower and of `TowerAdapter.modules`."""
    with hooked({"tower": model.clip.visual, **adapter.modules(want)}) as calls:
        model.clip.encode_image(batch)
    return calls


@torch.no_grad()
def traced(
    adapter: TowerAdapter,
    calls: Calls,
    images: range,
    want: set[str],
    layers: tuple[int, ...],
    rows: str = "pooled",
) -> Trace:
    """Make a trace of a batch that was `listened` to.

    Parameters
    ----------
    adapter : TowerAdapter
    calls : Calls, of a batch, with what is wanted
    images : range, the numbers of its images in the stream
    want, layers, rows : as `want`, `layers` and `attention_rows` of `run`, checked already
    """
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
        images=images,
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
        return weights.row(adapter.pooled_token, read)
    attention = weights.rows(read, read)
    return attention if rows == "all" else pooled_rows(attention, pooling)


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
