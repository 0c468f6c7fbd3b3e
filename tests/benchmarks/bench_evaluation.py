"""Measure how long it takes to evaluate the default list on PocketCLIP, and what sharing passes saves.

Target: at most 3 minutes on two cores, for choosing settings on validation images and reporting them on test
images. Prints processor seconds beside seconds, because a busy machine lengthens only these. Run with
``python tests/benchmarks/bench_evaluation.py``.
"""

import argparse
import time

import torch

from crosseyed.data.cutouts import objects_of, read_catalogue
from crosseyed.mitigations import evaluation, registry, scoring, tasks
from crosseyed.models.loading import load

TARGET = 180


def main() -> None:
    """Print the times of the two steps, the whole over the target, and the passes made over those counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validation", type=int, default=56, help="objects to choose settings on")
    parser.add_argument("--test", type=int, default=40, help="objects to report on")
    options = parser.parse_args()
    model = load("pocketclip-centered", device="cpu")
    cutouts = read_catalogue(["fluent", "twemoji"])
    labels = objects_of(cutouts)
    known, new = tasks.split_objects(cutouts, [options.validation, options.test])
    made = []
    model.clip.visual.register_forward_hook(lambda _, given, __: made.append(len(given[0])))

    start, processor = time.perf_counter(), time.process_time()
    validation = tasks.make_split(known, labels, protocols=["grid"], cells=1, seed=1)
    grid = validation[0]
    candidates, _ = registry.default_candidates(model, grid)
    tried = evaluation.evaluate(model, candidates, validation)
    chosen = set(evaluation.choose(tried)["candidate"])
    between = time.perf_counter()
    best = [each for each in candidates if scoring.name_of(each) in chosen]
    test = tasks.make_split(new, labels, seed=2)
    table = evaluation.evaluate(model, best, test)
    end, processor = time.perf_counter(), time.process_time() - processor

    counts = {task.protocol: len(task.images) for task in test}
    counted = (tried["passes"] * len(grid.images)).sum() + (
        table["passes"] * table["protocol"].map(counts)
    ).sum()
    print(f"{torch.get_num_threads()} threads; {len(candidates)} candidates, {len(best)} of them chosen")
    print(
        f"choosing {between - start:.0f} s, reporting {end - between:.0f} s; {processor:.0f} processor seconds"
    )
    print(f"{(end - start) / TARGET:.2f} of the target of {TARGET} s")
    print(f"{sum(made):,} passes made for {counted:,.0f} counted: {sum(made) / counted:.2f}")


if __name__ == "__main__":
    main()
