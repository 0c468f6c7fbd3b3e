"""Measure the memory that annotated photographs need beyond the model, for growing numbers of them.

The model is ViT-B-32 with random weights (memory does not depend on them); the photographs are composed scenes of
640 × 480 pixels with up to three objects, written with COCO-format annotations. What counts is the resident memory at
its highest during `crosseyed.report.own_data.measure` beyond what the process has before it, with model and
libraries loaded.
Each number of photographs is measured in a process of its own, because memory once taken is rarely given back. Target:
2 GB for 5,000 photographs, extrapolated by the growth from the smallest number to the largest.

Run with ``python tests/benchmarks/bench_coco.py``.
"""

import argparse
import multiprocessing
import tempfile
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from crosseyed.data.coco_writing import write_coco
from crosseyed.data.cutouts import objects_of, read_catalogue
from crosseyed.data.photographer import Dose, snapshot
from crosseyed.models.loading import load
from crosseyed.report import own_data

TARGET_IMAGES, TARGET_MB = 5_000, 2_000


def write_photographs(n_images: int, folder: Path) -> Path:
    """Write photographs of one to three objects at uniform places, and give the file of annotations."""
    cutouts = read_catalogue(["fluent"])
    names, rng = objects_of(cutouts), np.random.default_rng(0)
    scenes = []
    for number in range(n_images):
        dose = Dose(n_objects=int(rng.integers(1, 4)))
        scene, _ = snapshot(cutouts, names[number % len(names)], dose, rng, 480)
        scenes.append(replace(scene, name=f"{number:05}", width=640))
    return write_coco(scenes, folder)


def peak_above(megabytes: float, until: threading.Event, peaks: list[float]) -> None:
    """Sample the resident memory every 10 ms and append the highest in MB, less what there was."""
    process, highest = psutil.Process(), 0.0
    while not until.wait(0.01):
        highest = max(highest, process.memory_info().rss / 1e6)
    peaks.append(highest - megabytes)


def measure(n_images: int) -> tuple[float, float]:
    """Give the memory in MB beyond the model, and the photographs a second."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        file = write_photographs(n_images, Path(folder))
        clip = load("ViT-B-32", pretrained="random", device="cpu")
        until, peaks = threading.Event(), []
        before = psutil.Process().memory_info().rss / 1e6
        watch = threading.Thread(target=peak_above, args=(before, until, peaks))
        watch.start()
        start = time.perf_counter()
        own_data.measure(clip, file, file.parent / "images", Path(folder) / "out")
        seconds = time.perf_counter() - start
        until.set()
        watch.join()
    return peaks[0], n_images / seconds


def main() -> None:
    """Print the memory for each number of photographs and what it comes to for 5,000."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[200, 800], help="numbers of photographs")
    numbers = parser.parse_args().images
    memory = []
    for number in numbers:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            megabytes, speed = pool.apply(measure, (number,))
        memory.append(megabytes)
        print(f"{number:6} photographs: {megabytes:6.0f} MB beyond the model, {speed:5.1f} photographs/s")
    growth = max(np.polyfit(numbers, memory, 1)[0], 0) if len(numbers) > 1 else 0
    expected = memory[-1] + growth * (TARGET_IMAGES - numbers[-1])
    print(f"{TARGET_IMAGES:6} photographs: {expected:6.0f} MB at that growth (target {TARGET_MB} MB)")


if __name__ == "__main__":
    main()
