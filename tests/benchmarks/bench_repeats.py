"""Count the passes of the image tower that repeat others: within a chapter, across chapters, sizes and seeds.

Nothing is kept while this runs. Each chapter runs in a process of its own; what reaches a tower is noted by a digest of
the model and of the resized pixels, with the way by which it came there:

- ``plain``: embeddings by the model as it is (`ClipModel.encode_images`)
- ``view``: embeddings by the model as it is, of what mitigations show (`Remembering`)
- ``run``: the run that poolings and late mitigations share (`SharedRun`)
- ``changed``: embeddings by a model that a mitigation changes early
- ``trace``: what reads tokens, attention and the like (`crosseyed.internals.trace.stream`)
- ``suffix``: the last blocks alone
- ``other``: gradients, exchanges, several runs of one batch

    python tests/benchmarks/bench_repeats.py record FOLDER --sizes quick standard --seeds 0 1
    python tests/benchmarks/bench_repeats.py tell FOLDER
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from small_chapters import CHAPTERS, execute

from crosseyed import progress
from crosseyed.editions import SIZES
from crosseyed.files import CACHE_VARIABLE
from crosseyed.models.clip import ClipModel
from crosseyed.report.sizes import preset
from crosseyed.settings import settings

WAYS = {
    ("encode_from", "suffix"),
    ("CachedEncoder.encode_seen", "view"),
    ("SharedRun._run_batch", "run"),
    ("Counting.encode_images", "changed"),
    ("_stream", "trace"),
    ("CachedEncoder.compute", "trace"),
    ("ClipModel.encode_images", "plain"),
    ("CachedEncoder.encode_images", "plain"),
}
ORDER = ("suffix", "view", "run", "changed", "trace", "plain", "other")


class Listener:
    """What reached the towers: a digest, a way and a batch for each image."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, str, int]] = []
        self.batches = 0
        to_input = ClipModel.to_input

        def listened(model: ClipModel, pixels: list[np.ndarray]) -> object:
            way = _way()
            self.batches += 1
            start = f"{_digest(model)} {model.tower.image_size}".encode()
            for image in pixels:
                digest = hashlib.blake2b(start + np.ascontiguousarray(image).tobytes(), digest_size=16)
                row = (digest.digest(), way, self.batches)
                if not self.rows or row != self.rows[-1]:  # not what fills up a batch
                    self.rows.append(row)
            return to_input(model, pixels)

        ClipModel.to_input = listened
        self.counted: dict[str, float] = {}
        count = progress.count

        def counting(images: float, *, kept: bool = False) -> None:
            before = progress.counted().computed
            count(images, kept=kept)
            way = _way()
            self.counted[way] = self.counted.get(way, 0.0) + progress.counted().computed - before

        progress.count = counting


_digests: dict[int, str] = {}


def _digest(model: ClipModel) -> str:
    key = id(model.clip)
    if key not in _digests:
        digest = hashlib.sha256()
        for name, value in sorted(model.clip.state_dict().items()):
            digest.update(name.encode() + value.detach().float().cpu().contiguous().numpy().tobytes())
        _digests[key] = digest.hexdigest()[:16]
    return _digests[key]


def _way() -> str:
    names = set()
    frame = sys._getframe(2)
    while frame is not None:
        if "crosseyed" in frame.f_code.co_filename:
            names.add(frame.f_code.co_qualname)
        frame = frame.f_back
    found = {way for name, way in WAYS if name in names}
    return next((way for way in ORDER if way in found), "other")


def record(folder: Path, chapter: str, size: str, seed: int, model: str, pretrained: str | None) -> None:
    """Execute one chapter and write what reached the towers."""
    os.environ.pop(CACHE_VARIABLE, None)
    listener = Listener()
    given = {"model": model, "pretrained": pretrained, "seed": seed, **preset(chapter, size)}
    with tempfile.TemporaryDirectory() as output, settings.overridden():
        execute(chapter, {"__name__": "__main__"}, {**given, "output": output}, {})
    table = pd.DataFrame(listener.rows, columns=["digest", "way", "batch"])
    table["digest"] = table["digest"].map(bytes.hex)
    name = f"{chapter}.{size}.{seed}"
    table.assign(chapter=chapter, size=size, seed=seed).to_csv(folder / f"{name}.images.csv", index=False)
    counted = pd.Series(listener.counted, name="counted").rename_axis("way").reset_index()
    counted.assign(chapter=chapter, size=size, seed=seed).to_csv(folder / f"{name}.passes.csv", index=False)


def tell(folder: Path) -> None:
    """Print how many passes a store would spare."""
    rows = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*.images.csv"))], ignore_index=True)
    first = rows[rows["seed"] == rows["seed"].min()]
    for size in [each for each in SIZES if each in set(first["size"])]:
        here = first[first["size"] == size]
        smaller = set()
        for other in SIZES[: SIZES.index(size)]:
            smaller |= _keys(first[first["size"] == other])
        seeds = _keys(rows[(rows["size"] == size) & (rows["seed"] != here["seed"].iloc[0])])
        lines = []
        for (chapter, way), part in here.groupby(["chapter", "way"]):
            keys = list(zip(part["digest"], part["way"].map(_computes), strict=True))
            others = _keys(here[here["chapter"] != chapter])
            lines.append(
                {
                    "chapter": chapter,
                    "way": way,
                    "passes": len(keys),
                    "again in it": len(keys) - len(set(keys)),
                    "in others": sum(key in others for key in set(keys)),
                    "smaller size": sum(key in smaller for key in set(keys)),
                    "another seed": sum(key in seeds for key in set(keys)),
                }
            )
        print(f"\n{size}")
        print(pd.DataFrame(lines).to_string(index=False))
        print(pd.DataFrame(lines).groupby("way").sum(numeric_only=True).to_string())


def _computes(way: str) -> str:
    """Name what a way makes: embeddings of the plain model are the same by either of two."""
    return "embedding" if way in ("plain", "view") else way


def _keys(rows: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(rows["digest"], rows["way"].map(_computes), strict=True))


def main() -> None:
    """Record, or tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["record", "tell", "one"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["quick"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--chapters", nargs="+", default=[""])
    parser.add_argument("--model", default="pocketclip-centered")
    parser.add_argument("--pretrained")
    options = parser.parse_args()
    chapters = [each for each in CHAPTERS if each.startswith(tuple(options.chapters))]
    if options.what == "tell":
        tell(options.folder)
    elif options.what == "one":
        record(
            options.folder, chapters[0], options.sizes[0], options.seeds[0], options.model, options.pretrained
        )
    else:
        options.folder.mkdir(parents=True, exist_ok=True)
        for size in options.sizes:
            for seed in options.seeds:
                for chapter in chapters:
                    about = [
                        "--sizes",
                        size,
                        "--seeds",
                        str(seed),
                        "--chapters",
                        chapter,
                        "--model",
                        options.model,
                    ]
                    about += ["--pretrained", options.pretrained] if options.pretrained else []
                    command = [sys.executable, __file__, "one", str(options.folder), *about]
                    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                    print(chapter, size, seed, flush=True)


if __name__ == "__main__":
    main()
