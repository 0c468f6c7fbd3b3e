"""What a model takes on a machine that is not there yet: an estimate from the shapes of its architecture.

No weights are downloaded and no memory is taken: one image goes through the tower on torch's meta device, where
operations have shapes and no values. What is assumed of the machine is meant to be slow (`CORE`, `GPU`).
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from crosseyed.editions import Edition
from crosseyed.models.sources import outline
from crosseyed.workflow.plan import Speed


@dataclass(frozen=True)
class Machine:
    """How fast a machine is taken to be."""

    flops: float
    """Floating-point operations in a second."""
    bytes: float
    """Bytes of results that it writes in a second."""
    shipped_seconds: float
    """Seconds of a pass of PocketCLIP."""


CORE = Machine(flops=40e9, bytes=2e9, shipped_seconds=0.01)
"""One core: about half as fast as those that the costs of chapters were measured on."""

GPU = Machine(flops=3e12, bytes=50e9, shipped_seconds=0.01)
"""A GPU, in single precision: a small one of 2018."""

_GAIN = 0.75  # of a core, for each beyond the first
_GPU_MB = 4_000  # memory of a process that uses CUDA, beside what it has on the GPU
_START_SECONDS = 60  # to import the library from a disk that many machines share
_IMAGES = 16  # that go through the tower at a time where gradients are computed (crosseyed.internals.explain)


@dataclass(frozen=True)
class Shapes:
    """What follows from the shapes of an architecture."""

    weights_mb: float
    """MB of all parameters in single precision."""
    flops: float
    """Floating-point operations of a pass of the image tower."""
    written_mb: float
    """MB of all results of these operations, single precision."""
    gradient_mb: float
    """MB that are in memory at a time while the gradient of a pass is computed."""
    dimensions: int
    """Dimensions of its embeddings."""


# of a tower that cannot be run without memory: about those of a ViT-H-14
_LARGE = {"flops": 400e9, "written_mb": 2_000, "gradient_mb": 700, "dimensions": 1_280}


def estimate(edition: Edition, *, gpu: bool) -> Speed:
    """Estimate what the model of an edition takes on one slow core, or on a slow GPU.

    Raises
    ------
    CrosseyedError
        The model is unknown, or its configuration cannot be had.
    """
    shapes, machine = shapes_of(edition.model, edition.pretrained), GPU if gpu else CORE
    beside = _GPU_MB if gpu else _IMAGES * shapes.gradient_mb  # on a GPU, results are in its own memory
    return Speed(
        device="cuda" if gpu else "cpu",
        threads=1,
        pass_seconds=shapes.flops / machine.flops + shapes.written_mb * 1e6 / machine.bytes,
        shipped_seconds=machine.shipped_seconds,
        start_seconds=_START_SECONDS,
        memory_mb=2 * shapes.weights_mb + beside,  # while the weights are read they are there twice
        weights_mb=shapes.weights_mb,
        dimensions=shapes.dimensions,
    )


def on_threads(speed: Speed, threads: int) -> Speed:
    """Return a speed with another number of threads; on a GPU they change nothing."""
    if speed.device != "cpu":
        return speed
    factor = _cores(speed.threads) / _cores(threads)
    return speed.model_copy(update={"threads": threads, "pass_seconds": speed.pass_seconds * factor})


@cache
def shapes_of(model: str, pretrained: str | None = None) -> Shapes:
    """Return what follows from the shapes of a model; it is named as for `crosseyed.models.sources.outline`."""
    clip = outline(model, pretrained).eval().requires_grad_(False)
    try:
        run = _run(clip)
    except (NotImplementedError, RuntimeError):  # an operation needs values
        run = _LARGE
    return Shapes(weights_mb=sum(each.numel() for each in clip.parameters()) * 4 / 1e6, **run)


def _run(clip: torch.nn.Module) -> dict[str, float]:
    """Let one image go through a tower, and its gradient back."""
    size = clip.visual.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    image = torch.empty(1, 3, height, width, device="meta", requires_grad=True)
    with FlopCounterMode(display=False) as counted, _Results(clip) as results:
        embedding = clip.encode_image(image)
        flops, written = counted.get_total_flops(), results.written
        embedding.sum().backward()
    return {
        "flops": flops,
        "written_mb": written / 1e6,
        "gradient_mb": results.peak / 1e6,
        "dimensions": embedding.shape[1],
    }


class _Results(TorchDispatchMode):
    """Counts the bytes of what operations return, in all and at a time, but not the weights."""

    def __init__(self, clip: torch.nn.Module) -> None:
        super().__init__()
        self.written = self.peak = self._present = 0
        self._known = {each.untyped_storage()._cdata for each in (*clip.parameters(), *clip.buffers())}

    def __torch_dispatch__(
        self, func: OpOverload, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> object:
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, torch.Tensor) and each.untyped_storage()._cdata not in self._known:
                self._add(each.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        address, size = storage._cdata, storage.nbytes()
        self._known.add(address)
        self.written += size
        self._present += size
        self.peak = max(self.peak, self._present)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self._known.discard(address)
        self._present -= size


def _cores(threads: int) -> float:
    return 1 + _GAIN * (threads - 1)
