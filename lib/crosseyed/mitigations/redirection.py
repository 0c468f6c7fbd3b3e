"""Change attention inside a tower while images are encoded."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from crosseyed.errors import InputError
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import AttentionStep, AttentionWeights, TowerAdapter
from crosseyed.models.towers.registry import adapter_of


@dataclass(frozen=True, eq=False)
class Scope:
    """Where the tokens lie that an attention reads, and what it makes of them.

    Attributes
    ----------
    grid : tuple of int
        Rows and columns of the spatial tokens.
    prefix : int
        Number of tokens before them.
    weights, reading, read : AttentionWeights, torch.Tensor, torch.Tensor
        The attention, and the inputs of its queries and keys.
    """

    grid: tuple[int, int]
    prefix: int
    weights: AttentionWeights | None = None
    reading: Tensor | None = None
    read: Tensor | None = None

    @cached_property
    def log_total(self) -> Tensor:
        """Log of the sum of a row's exponentials, (batch, heads, reading tokens, 1).

        Added to the log of the model's own attention it gives the logits, which attention alone does not tell.
        """
        return self.weights.logits(self.reading, self.read, exact=True).logsumexp(-1, keepdim=True)


Change = Callable[[Tensor, Scope], Tensor]
"""From attention (batch, heads, reading tokens, tokens), float32, to changed attention of that shape; the argument is
left unchanged."""


@contextmanager
def redirected(model: ClipModel, changes: Mapping[int, Change], *, spatial: bool = False) -> Iterator[None]:
    """Let a model attend differently within a context; afterwards, also after an exception, it is what it was.

    What an attention writes becomes ``Σ_h change(A)_h value_h(y) @ output[h] + output_bias`` (see
    `crosseyed.models.towers.base.AttentionWeights`), for images whose attention is changed; with a float32 model to a
    relative error of 1e-5. Of other images the model's own numbers are kept, bit for bit. Contexts nest: of two changes
    of the same attention the one entered first comes first.

    Parameters
    ----------
    model : ClipModel
        The model.
    changes : mapping of int to Change
        By the depth that the attention leads to. Without any, no hook is installed.
    spatial : bool
        Change the rows of the spatial tokens in blocks, not those of which the embedding is made. Where pooling
        combines all tokens, a change is given the rows of all, the spatial tokens' last.

    Raises
    ------
    UnsupportedTower
        The tower is of a family that tracing does not know.
    InputError
        No attention leads to a depth.

    Examples
    --------
    >>> with redirected(model, {12: lambda attention, scope: attention**2}):
    ...     model.encode_images(images)
    """
    steps = adapter_of(model).spatial_steps() if spatial else attention_steps(model)
    for layer in changes:
        check_layer(model, steps, layer)
    with ExitStack() as entered:
        for layer, change in changes.items():
            entered.enter_context(_in_force(change, steps[layer], adapter_of(model)))
        yield


class _Redirection:
    """The hooks on one attention, with all the changes in force; itself the hook on what the attention writes."""

    def __init__(self, step: AttentionStep, adapter: TowerAdapter) -> None:
        self.step, self.grid, self.prefix = step, adapter.grid, adapter.prefix
        self.changes: dict[object, Change] = {}
        self.entering: Tensor | None = None
        self.handles = (
            step.entry.register_forward_pre_hook(self.enter),
            step.exit.register_forward_hook(self),
        )

    def enter(self, _module: nn.Module, inputs: tuple) -> None:
        self.entering = inputs[0]

    def __call__(self, _module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
        step, tokens = self.step, self.step.tokens(self.entering)
        self.entering = None
        reading, read = (part.float() for part in step.attended(tokens))
        scope = Scope(self.grid, self.prefix, step.weights, reading, read)
        own = attention = step.weights.rows(reading, read)
        for change in self.changes.values():
            attention = change(attention, scope)
        moved = (attention != own).flatten(1).any(1)
        if not moved.any():
            return output
        written = step.weights.write(attention, read).to(output.dtype)
        if output.ndim == 2:
            return torch.where(moved[:, None], written[:, 0], output)
        changed = output.clone()
        changed[:, step.rows] = torch.where(moved[:, None, None], written, output[:, step.rows])
        return changed

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


@contextmanager
def _in_force(change: Change, step: AttentionStep, adapter: TowerAdapter) -> Iterator[None]:
    """Add a change behind those already in force at an attention."""
    # two independent hooks would each change the model's own attention, so the second joins the first
    hooks = [hook for hook in step.exit._forward_hooks.values() if isinstance(hook, _Redirection)]
    redirection = next((hook for hook in hooks if hook.step.rows == step.rows), None)
    redirection, key = redirection or _Redirection(step, adapter), object()
    redirection.changes[key] = change
    try:
        yield
    finally:
        del redirection.changes[key]
        if not redirection.changes:
            redirection.remove()


def attention_steps(model: ClipModel) -> dict[int, AttentionStep]:
    """Return the attentions that can be changed, by layer; raise InputError if there are none."""
    steps = adapter_of(model).attention_steps()
    if not steps:
        raise InputError(
            f"{model.name} is a {model.tower.kind} and has no attention that could be redistributed: transformers "
            "have, and towers that pool by attention. Change what it is shown instead, by crops, tiles or prompts."
        )
    return steps


def attends(model: ClipModel) -> str:
    """Say in words where the tower attends."""
    adapter = adapter_of(model)
    pooling = f"in its pooling, layer {adapter.layers[-1] + 1}"
    if not adapter.blocks:
        return f"its {model.tower.kind} attends only {pooling}"
    blocks = f"its {model.tower.kind} attends in the blocks that lead to layers 1 to {adapter.blocks[-1]}"
    return f"{blocks}, and {pooling}" if len(adapter.attention_steps()) > len(adapter.blocks) else blocks


def check_layer(model: ClipModel, steps: Mapping[int, AttentionStep], layer: int) -> None:
    """Raise InputError unless an attention leads to the layer."""
    if layer not in steps:
        raise InputError(f"No attention of {model.name} leads to layer {layer!r}: {attends(model)}.")
