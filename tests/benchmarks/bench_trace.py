"""Measure what tracing costs: the time of a traced pass over the time of a plain one.

Target: at most 1.3 for the tokens of all layers and the pooled row's attention. Random weights, which take the
same time as trained ones. Passes alternate, and the fastest of each kind counts, so that a busy machine
disturbs both alike. Run with ``python tests/benchmarks/bench_trace.py``.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import open_clip
import torch

from crosseyed import models
from crosseyed.towers import describe_tower
from crosseyed.trace import WANTS, trace
from crosseyed.training import MODEL_CONFIG

TARGET = 1.3


def pocket_size(like: models.ClipModel) -> models.ClipModel:
    """Return a random model with the image tower of a PocketCLIP; its text side plays no role."""
    config = MODEL_CONFIG | {"text_cfg": open_clip.get_model_config("ViT-B-32")["text_cfg"]}
    clip = open_clip.CLIP(**config).eval().requires_grad_(False).to(like.device)
    resize = open_clip.transform.PreprocessCfg(size=clip.visual.image_size)
    preprocess = open_clip.transform.image_transform_v2(resize, is_train=False)
    tower = describe_tower(clip.visual, config)
    return replace(like, name="PocketCLIP's size", clip=clip, preprocess=preprocess, tower=tower)


def fastest(passes: list[Callable[[], object]], repeats: int) -> list[float]:
    """Return the shortest time in seconds of each pass, taken in turns."""
    times = [[] for _ in passes]
    for _ in range(repeats + 1):  # the first round warms up
        for run, taken in zip(passes, times, strict=True):
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - start)
    return [min(taken[1:]) for taken in times]


def report(model: models.ClipModel, n_images: int, repeats: int) -> None:
    """Print one line for each choice of activations."""
    images = list(np.zeros((n_images, *model.image_size, 3), np.uint8))
    options = {"batch_size": n_images, "progress": False}
    wishes = {
        "tokens, pooled row's attention": {"want": ("tokens", "attention")},
        "tokens, all rows' attention": {"want": ("tokens", "attention"), "attention_rows": "all"},
        "everything, all rows": {"want": WANTS, "attention_rows": "all"},
    }
    plain = [lambda: model.encode_images(images, progress=False)]
    traced = [lambda wish=wish: next(trace(model, images, **wish, **options)) for wish in wishes.values()]
    reference, *times = fastest(plain + traced, repeats)
    print(f"{model.name}, {n_images} images: plain {1000 * reference:.0f} ms")
    for wish, taken in zip(wishes, times, strict=True):
        print(f"  {wish:32} {taken / reference:5.2f} times the plain pass")


def main() -> None:
    """Print the ratios for ViT-B-32 and for a model of a PocketCLIP's size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=32, help="images in the batch")
    parser.add_argument(
        "--repeats", type=int, default=5, help="passes of each kind, of which the fastest counts"
    )
    parser.add_argument("--device", default="auto", help="as of crosseyed.models.load")
    options = parser.parse_args()
    vit = models.load("ViT-B-32", random_init=True, device=options.device)
    print(
        f"{vit.device}, {torch.get_num_threads()} threads; target {TARGET} for the first line of each model"
    )
    for model in (vit, pocket_size(vit)):
        report(model, options.images, options.repeats)


if __name__ == "__main__":
    main()
