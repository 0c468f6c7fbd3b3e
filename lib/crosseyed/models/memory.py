"""Smaller batches where memory is short."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Batch = TypeVar("Batch", bound=Sequence | torch.Tensor)
Result = TypeVar("Result")


def by_halves(run: Callable[[Batch, int], Result], batch: Batch, first: int = 0) -> Iterator[Result]:
    """Run a step on a batch, or, where a GPU has too little memory for it, on its halves, down to single images.

    Parameters
    ----------
    run : callable
        Takes a batch and the number of its first image.
    batch : sequence or torch.Tensor
        The images.
    first : int
        Number of the batch's first image.

    Yields
    ------
    object
        What `run` returns, part by part in order; torch.OutOfMemoryError is raised where one image is too much.
    """
    try:
        result = run(batch, first)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    else:
        yield result
        return
    torch.cuda.empty_cache()  # not while the exception holds the tensors of the step
    middle = len(batch) // 2
    yield from by_halves(run, batch[:middle], first)
    yield from by_halves(run, batch[middle:], first + middle)
