"""Measure how many scenes a second are drawn at 224 pixels, one object each, for each kind of background.

Target: 300 a second on two cores. Run with ``python tests/benchmarks/bench_stimuli.py``.
"""

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor

from crosseyed.data.backgrounds import BACKGROUNDS
from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.data.layouts import grid

TARGET = 300


def scenes_per_second(kind: str, n_scenes: int, workers: int) -> float:
    """Draw scenes in threads, as encoding does, after the cut-outs have been read once."""
    scenes = grid(sample_objects(read_catalogue(), 40, seed=0), 5, backgrounds=(kind,))[::7][:n_scenes]
    for scene in scenes:
        scene.render()
    with ThreadPoolExecutor(workers) as pool:
        start = time.perf_counter()
        for _ in pool.map(lambda scene: scene.render(), scenes):
            pass
        return len(scenes) / (time.perf_counter() - start)


def main() -> None:
    """Print a line for each kind of background."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=400, help="scenes to draw for each kind of background")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads that draw")
    options = parser.parse_args()
    print(f"224 × 224 pixels, {options.workers} threads, target {TARGET} scenes/s")
    for kind in BACKGROUNDS:
        print(f"{kind:10} {scenes_per_second(kind, options.scenes, options.workers):7.0f} scenes/s")


if __name__ == "__main__":
    main()
