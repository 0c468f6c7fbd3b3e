"""Measure how fast the What'sUp protocol runs, beside two loops that do its work by hand.

The model is ViT-B-32 with random weights (speed does not depend on them); the images are pair scenes, written
as JPEG files. The ratios are images a second of the protocol, from files to table, over those of

- the plain loop (target: 3.5): one image at a time, read, encoded, and with it its four captions;
- the bare loop (target: 0.9): images that lie decoded and resized in memory, encoded in batches, no text.

Run with ``PYTHONPATH=tests python tests/benchmarks/bench_whatsup.py``.
"""

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from composed_files import write_whatsup
from PIL import Image

from crosseyed.data import whatsup
from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.data.layouts import RELATIONS, pair
from crosseyed.measure import protocols
from crosseyed.models.clip import ClipModel
from crosseyed.models.loading import load
from crosseyed.settings import settings

SIDE = 336
BATCH = 32


def write_images(n_images: int, folder: Path) -> pd.DataFrame:
    """Write at least so many files: each object with its partner in the four relations."""
    cutouts = sample_objects(read_catalogue(["fluent"]), -(-n_images // len(RELATIONS)), seed=0)
    for relation in RELATIONS:
        write_whatsup(pair(cutouts, relation, height=SIDE, width=SIDE), folder)
    return whatsup.read_whatsup(folder)


def time_protocol(clip: ClipModel, table: pd.DataFrame) -> float:
    """Give the images a second of the protocol as it is."""
    start = time.perf_counter()
    protocols.whatsup(clip, table)
    return len(table) / (time.perf_counter() - start)


@torch.inference_mode()
def time_plain_loop(clip: ClipModel, table: pd.DataFrame) -> float:
    """Give the images a second of a loop over single images, which encodes four captions for each."""
    start = time.perf_counter()
    for row in table.itertuples():
        captions = [f"a {row.object} and a {row.object2}", f"a {row.object}", f"a {row.object2}"]
        image = clip.clip.encode_image(clip.preprocess(Image.open(row.path)).unsqueeze(0), normalize=True)
        tokens = clip.tokenizer([*captions, settings.captions.unrelated])
        (100 * image @ clip.clip.encode_text(tokens, normalize=True).T).softmax(dim=-1).argmax().item()
    return len(table) / (time.perf_counter() - start)


@torch.inference_mode()
def time_bare_loop(clip: ClipModel, table: pd.DataFrame) -> float:
    """Give the images a second of nothing but batched forward passes."""
    images = torch.stack([clip.preprocess(Image.open(path)) for path in table["path"]])
    start = time.perf_counter()
    for batch in images.split(BATCH):
        clip.clip.encode_image(batch, normalize=True)
    return len(table) / (time.perf_counter() - start)


def main() -> None:
    """Print the speeds and the two ratios, of the fastest of some rounds each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400, help="files to write and run the protocol on")
    parser.add_argument("--plain", type=int, default=60, help="how many of them the plain loop runs on")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the best counts")
    options = parser.parse_args()
    clip = load("ViT-B-32", pretrained="random", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        table = write_images(options.images, Path(folder))
        part = table.sample(min(options.plain, len(table)), random_state=0)
        protocols.whatsup(clip, part[:BATCH])  # the first forward passes are slow
        rounds = [
            (time_protocol(clip, table), time_plain_loop(clip, part), time_bare_loop(clip, table))
            for _ in range(options.rounds)
        ]
    protocol, plain, bare = map(max, zip(*rounds, strict=True))
    print(f"{len(table)} files of {SIDE} × {SIDE} pixels, {torch.get_num_threads()} threads")
    print(f"protocol    {protocol:6.1f} images/s")
    print(f"plain loop  {plain:6.1f} images/s, ratio {protocol / plain:5.2f} (target 3.5)")
    print(f"bare loop   {bare:6.1f} images/s, ratio {protocol / bare:5.2f} (target 0.9)")


if __name__ == "__main__":
    main()
