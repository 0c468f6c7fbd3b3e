"""How fast this machine runs a model: a measurement of some seconds, before hours are spent."""

import time

import psutil
import torch

from crosseyed.editions import DEFAULT_MODEL
from crosseyed.models.clip import DTYPES, ClipModel
from crosseyed.models.loading import load
from crosseyed.workflow.plan import Speed

BATCH = 32
"""Images in a batch, as chapters make them."""

SECONDS = 8.0
"""Most that the images of one measurement are to take."""


def measure(model: ClipModel, threads: int, *, download: bool = False) -> Speed:
    """Measure how long the passes of a model take, which this process was started to load, and those of PocketCLIP.

    Parameters
    ----------
    model : ClipModel
        The model; its weights may be random.
    threads : int
        Threads that a chapter will have.
    download : bool
        Whether the model's weights have yet to be downloaded.
    """
    started, before = time.process_time(), _memory_mb()  # waiting for a download is not work
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seconds = pass_seconds(model)
        grown = max(0.0, _memory_mb() - before)
        torch.set_num_threads(1)
        shipped = pass_seconds(load(DEFAULT_MODEL))
    finally:
        torch.set_num_threads(threads_before)
    parameters = list(model.clip.parameters())
    return Speed(
        device=model.device.type,
        threads=threads,
        pass_seconds=seconds,
        shipped_seconds=shipped,
        start_seconds=started,
        memory_mb=grown + sum(each.numel() * each.element_size() for each in parameters) / 2**20,
        weights_mb=sum(each.numel() for each in parameters) * 4 / 1e6,
        download=download,
        dimensions=model.encode_texts(["a"]).shape[1],
    )


def pass_seconds(model: ClipModel) -> float:
    """Return the seconds that one image takes in a batch: of at most `BATCH` images, and of fewer on slow machines."""
    model_input = torch.rand(BATCH, 3, *model.image_size, device=model.device, dtype=DTYPES[model.precision])
    _timed(model, model_input[:1])  # the first pass prepares what later ones use
    n_images = max(1, min(BATCH, int(SECONDS / 3 / _timed(model, model_input[:1]))))
    return min(_timed(model, model_input[:n_images]) for _ in range(2)) / n_images


def _timed(model: ClipModel, images: torch.Tensor) -> float:
    began = time.perf_counter()
    with torch.inference_mode():
        model.clip.encode_image(images).cpu()  # waits for a GPU
    return time.perf_counter() - began


def _memory_mb() -> float:
    return psutil.Process().memory_info().rss / 2**20
