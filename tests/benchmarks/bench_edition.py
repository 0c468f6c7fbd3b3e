"""Measure what the chapters of an edition cost beside the passes of the tower that they make.

Each chapter runs in a process of its own, with the small parameters of `tests/test_chapters.py` or, with ``--full``,
those of the notebooks. Printed are its seconds, its passes of the image tower, the seconds that these take in bare
batches of 32, and the ratio of the two. What runs some of the blocks, or only for some of the tokens, counts as this
part of a pass, and a run with gradients three times, as a backward pass costs two forward ones. The rest of the time is
drawing, resampling, figures, reading and loading. Run with, for example,

    python tests/benchmarks/bench_edition.py
    python tests/benchmarks/bench_edition.py --model ViT-B-32 --pretrained random --chapters 04 05
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import test_chapters
from torch import Tensor, nn

from crosseyed.files import CACHE_VARIABLE
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.settings import settings

BATCH, ROUNDS = 32, 4


class Meter:
    """The passes of the image tower of every model that is loaded."""

    def __init__(self) -> None:
        self.passes: dict[int, float] = {}
        self.models: dict[int, ClipModel] = {}
        init = ClipModel.__init__

        def listened(loaded: ClipModel, /, *given: object, **named: object) -> None:
            init(loaded, *given, **named)
            if id(loaded.clip) not in self.passes:
                self._listen(loaded)

        ClipModel.__init__ = listened

    def _listen(self, model: ClipModel) -> None:
        key, modules = id(model.clip), _parts(model)
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

        def count(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            runs = 3 if output.requires_grad else 1
            self.passes[key] += runs * given[0].numel() / sizes[id(module)] / len(modules)

        for module in modules:
            module.register_forward_hook(count)

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
            start = time.perf_counter()
            model.clip.encode_image(batch)
            times.append(time.perf_counter() - start)
    return min(times) / BATCH


def run_chapter(chapter: str, given: dict[str, object], full: bool) -> dict[str, float]:
    """Execute one chapter in this process and return what it took."""
    meter = Meter()
    if full:
        test_chapters.SMALL = {}
    with tempfile.TemporaryDirectory() as output, settings.overridden():
        start = time.perf_counter()
        test_chapters.execute(chapter, {"__name__": "__main__"}, {**given, "output": output})
        seconds = time.perf_counter() - start
    passes = sum(meter.passes.values())
    return {"seconds": seconds, "passes": passes, "bare": meter.bare()}


def main() -> None:
    """Print one line for each chapter, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocketclip-centered", help="as of crosseyed.models.loading.load")
    parser.add_argument("--pretrained", help="open_clip's tag, or 'random'")
    parser.add_argument(
        "--chapters", nargs="+", default=[""], help="beginnings of their names; by default all"
    )
    parser.add_argument("--full", action="store_true", help="the notebooks' own parameters")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    chapters = [each for each in test_chapters.CHAPTERS if each.startswith(tuple(options.chapters))]
    if options.in_this_process:
        given = {"model": options.model, "pretrained": options.pretrained}
        print("\n" + json.dumps(run_chapter(chapters[0], given, options.full)))
        return
    arguments = ["--model", options.model, *(["--full"] if options.full else [])]
    arguments += ["--pretrained", options.pretrained] if options.pretrained else []
    print(
        f"{options.model}, {torch.get_num_threads()} threads\n{'':28}{'s':>8}{'passes':>10}{'bare s':>8}{'ratio':>7}"
    )
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for chapter in chapters:
            command = [sys.executable, __file__, "--in-this-process", "--chapters", chapter, *arguments]
            environment = os.environ | {CACHE_VARIABLE: cache}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            _show(chapter, rows[-1])
    _show("all chapters", {name: sum(row[name] for row in rows) for name in rows[0]})


def _show(name: str, row: dict[str, float]) -> None:
    ratio = f"{row['seconds'] / row['bare']:.2f}" if row["bare"] else "–"
    print(f"{name:28}{row['seconds']:8.1f}{row['passes']:10,.0f}{row['bare']:8.1f}{ratio:>7}", flush=True)


if __name__ == "__main__":
    main()
