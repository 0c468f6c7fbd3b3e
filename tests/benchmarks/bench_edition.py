"""Measure what the chapters of an edition cost beside the passes of the tower that they make.

Each chapter runs in a process of its own, with the small parameters of `tests/small_chapters.py` or, with ``--size``,
those of a size of an edition. Printed are its seconds of processor time, its passes of the image tower, the seconds
that these take in bare batches of 32, and the ratio of the two. What runs some of the blocks, or only for some of the
tokens, counts as this part of a pass, and a run with gradients three times, as a backward pass costs two forward ones.
The rest of the time is drawing, resampling, figures, reading and loading. Run with, for example,

    python tests/benchmarks/bench_edition.py
    python tests/benchmarks/bench_edition.py --model ViT-B-32 --pretrained random --chapters 04 05

With ``--write`` the costs of each size are put into the table that plans are made from (`crosseyed.workflow.costs`):
those of the default model, and those of a narrow random ViT of twelve blocks, which stands for every other model:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_edition.py --write
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_edition.py --write --model narrow
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import random_models
from small_chapters import CHAPTERS, SMALL, execute
from torch import Tensor, nn

from crosseyed import progress
from crosseyed.editions import DEFAULT_MODEL, SIZES
from crosseyed.files import CACHE_VARIABLE
from crosseyed.models.clip import ClipModel
from crosseyed.models.loading import load
from crosseyed.models.scorer import SHIPPED
from crosseyed.models.towers.base import UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.report.sizes import preset
from crosseyed.settings import settings
from crosseyed.workflow import costs

BATCH, ROUNDS = 32, 4


class Meter:
    """The passes of the image tower of every model that is loaded."""

    def __init__(self) -> None:
        self.passes: dict[int, float] = {}
        self.models: dict[int, ClipModel] = {}
        init = ClipModel.__init__

        def listened(loaded: ClipModel, /, *given: object, **named: object) -> None:
            init(loaded, *given, **named)
            # a copy, such as one for another resolution, has the listeners of the first, which count its larger passes
            if not getattr(loaded.clip, "is_heard", False):
                self._listen(loaded)

        ClipModel.__init__ = listened

    def _listen(self, model: ClipModel) -> None:
        key, modules = id(model.clip), _parts(model)
        model.clip.is_heard = True
        self.passes[key], self.models[key] = 0.0, model
        with torch.no_grad():
            sizes = {}
            handles = [
                module.register_forward_hook(
                    lambda module, given, _: sizes.__setitem__(id(module), given[0].numel())
                )
                for module in modules
            ]
            model.clip.encode_image(_noise(model, 1))
            for handle in handles:
                handle.remove()

        def count(size: int, _: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            runs = 3 if output.requires_grad else 1
            self.passes[key] += runs * given[0].numel() / size / len(modules)

        for module in modules:
            module.register_forward_hook(partial(count, sizes[id(module)]))

    def of(self, *, shipped: bool) -> float:
        """Return the passes of the models that this repository ships, or of all others."""
        return sum(
            count for key, count in self.passes.items() if (self.models[key].pretrained == SHIPPED) == shipped
        )

    def bare(self) -> float:
        """Return the seconds that all passes so far take by themselves."""
        return sum(count * seconds_of_a_pass(self.models[key]) for key, count in self.passes.items() if count)


def _parts(model: ClipModel) -> list[nn.Module]:
    """Return the largest linear layer of each block, or else the tower."""
    try:
        adapter = adapter_of(model)
    except UnsupportedTower:
        return [model.clip.visual]
    blocks = [
        module
        for name, module in adapter.modules(()).items()
        if name in {f"block {layer}" for layer in adapter.blocks}
    ]
    linear = [[part for part in block.modules() if type(part) is nn.Linear] for block in blocks]
    largest = [max(parts, key=lambda part: part.weight.numel()) for parts in linear]
    return largest or [model.clip.visual]


def _noise(model: ClipModel, n_images: int) -> Tensor:
    return torch.rand(n_images, 3, *model.image_size, device=model.device)


def seconds_of_a_pass(model: ClipModel) -> float:
    """Return the least time of several batches, for one image."""
    batch, times = _noise(model, BATCH), []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            start = time.process_time()
            model.clip.encode_image(batch)
            times.append(time.process_time() - start)
    return min(times) / BATCH


def run_chapter(chapter: str, given: dict[str, object], size: str | None) -> dict[str, float]:
    """Execute one chapter in this process and return what it took."""
    meter = Meter()
    if size:
        given = given | preset(chapter, size)
    with tempfile.TemporaryDirectory() as output, settings.overridden():
        start = time.process_time()
        execute(chapter, {"__name__": "__main__"}, {**given, "output": output}, {} if size else SMALL)
        seconds = time.process_time() - start
    told, memory = progress.counted(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds,
        "passes": sum(meter.passes.values()),
        "bare": meter.bare(),
        "shipped_passes": meter.of(shipped=True),
        "images": told.computed + told.kept,
        "shipped_seconds": seconds_of_a_pass(load(DEFAULT_MODEL)),
        "memory_mb": memory,
    }


def run_all(
    chapters: Sequence[str], size: str | None, arguments: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Run chapters one after the other, with one cache, and print a line for each and the sum."""
    rows = {}
    with tempfile.TemporaryDirectory() as cache:
        for chapter in chapters:
            command = [sys.executable, __file__, "--in-this-process", "--chapters", chapter, *arguments]
            command += ["--size", size] if size else []
            environment = os.environ | {CACHE_VARIABLE: cache}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            rows[chapter] = json.loads(done.stdout.splitlines()[-1])
            _show(chapter, rows[chapter])
    total = {name: sum(row[name] for row in rows.values()) for name in next(iter(rows.values()))}
    _show("all chapters", total)
    return rows


def main() -> None:
    """Print one line for each chapter, and the sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", default="pocketclip-centered", help="as of crosseyed.models.loading.load, or narrow"
    )
    parser.add_argument("--pretrained", help="open_clip's tag, or 'random'")
    parser.add_argument(
        "--chapters", nargs="+", default=[""], help="beginnings of their names; by default all"
    )
    parser.add_argument(
        "--size", choices=SIZES, help="of an edition; by default the smallest parameters of tests"
    )
    parser.add_argument(
        "--write", action="store_true", help="keep the costs of every size, or of the one given"
    )
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    chapters = [each for each in CHAPTERS if each.startswith(tuple(options.chapters))]
    if options.in_this_process:
        given = {"model": options.model, "pretrained": options.pretrained}
        print("\n" + json.dumps(run_chapter(chapters[0], given, options.size)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model == "narrow":
            model = random_models.write(Path(folder), random_models.NARROW)
        arguments = ["--model", model, *(["--pretrained", options.pretrained] if options.pretrained else [])]
        for size in SIZES if options.write and not options.size else [options.size]:
            print(f"{options.model}, {size or 'small'}, {torch.get_num_threads()} threads")
            print(f"{'':28}{'s':>8}{'passes':>10}{'bare s':>8}{'ratio':>7}")
            rows = run_all(chapters, size, arguments)
            if options.write:
                costs.keep(rows, size, others=options.model == "narrow")


def _show(name: str, row: dict[str, float]) -> None:
    ratio = f"{row['seconds'] / row['bare']:.2f}" if row["bare"] else "–"
    print(f"{name:28}{row['seconds']:8.1f}{row['passes']:10,.0f}{row['bare']:8.1f}{ratio:>7}", flush=True)


if __name__ == "__main__":
    main()
