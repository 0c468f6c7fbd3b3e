"""Measure how many training images a second of one core the studio takes, for each kind of background and altogether.

Target: 150 a second at 100 pixels. Run with ``python tests/benchmarks/bench_studio.py``. Seconds are those of the
process, so that other work on the machine counts little.
"""

import argparse
import time
from dataclasses import replace

from crosseyed.training.recipes import StudioRecipe, world_of
from crosseyed.training.stream import photograph_batch
from crosseyed.training.studio.shots import Photographer

TARGET = 150


def images_per_second(recipe: StudioRecipe, steps: int, side: int) -> float:
    """Take the images of some steps, after those of one, by which the cut-outs are read."""
    cutouts = world_of(recipe)
    photograph_batch(recipe, cutouts, 0, side)
    start = time.process_time()
    taken = sum(len(photograph_batch(recipe, cutouts, 1 + step, side)[1]) for step in range(steps))
    return taken / (time.process_time() - start)


def main() -> None:
    """Print a line for each kind of background, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--steps", type=int, default=2, help="steps to take the images of, one an object each"
    )
    parser.add_argument("--side", type=int, default=100, help="pixels along each side")
    options = parser.parse_args()
    print(f"{options.side} × {options.side} pixels, target {TARGET} images/s")
    recipe = StudioRecipe("uniform")
    for kind in recipe.photographer.backgrounds:
        alone = replace(recipe, photographer=Photographer(backgrounds=(kind,)))
        print(f"{kind:10} {images_per_second(alone, options.steps, options.side):7.0f} images/s")
    print(f"{'all':10} {images_per_second(recipe, 3 * options.steps, options.side):7.0f} images/s")


if __name__ == "__main__":
    main()
