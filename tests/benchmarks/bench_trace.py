"""Measure what tracing costs: the time of a traced pass over the time of a plain one.

Target: at most 1.3 for the tokens of all layers and the pooled row's attention. Random weights, which take the
same time as trained ones. Passes alternate, and the median of the ratios within a round counts, so that a busy
machine disturbs both alike. Run with ``python tests/benchmarks/bench_trace.py``.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import open_clip
import torch

from crosseyed.internals.trace import WANTS, run
from crosseyed.models.clip import ClipModel
from crosseyed.models.loading import load
from crosseyed.models.towers.description import describe_tower
from crosseyed.training.architecture import config_of
from crosseyed.training.recipes import RECIPES

TARGET = 1.3


def pocket_size(like: ClipModel) -> ClipModel:
    """Return a random model with the image tower of a PocketCLIP; its text side plays no role."""
    config = config_of(RECIPES["centered"], 1) | {
        "text_cfg": open_clip.get_model_config("ViT-B-32")["text_cfg"]
    }
    clip = open_clip.CLIP(**config).eval().requires_grad_(False).to(like.device)
    resize = open_clip.transform.PreprocessCfg(size=clip.visual.image_size)
    preprocess = open_clip.transform.image_transform_v2(resize, is_train=False)
    tower = describe_tower(clip.visual, config)
    return replace(like, name="PocketCLIP's size", clip=clip, preprocess=preprocess, tower=tower)


def times(passes: list[Callable[[], object]], repeats: int) -> np.ndarray:
    """Return seconds, (repeats, passes), the passes of a round taken in turn."""
    seconds = np.empty((repeats + 1, len(passes)))
    for taken in seconds:
        for number, measured in enumerate(passes):
            start = time.perf_counter()
            measured()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            taken[number] = time.perf_counter() - start
    return seconds[1:]  # the first round warms up


def report(model: ClipModel, n_images: int, repeats: int) -> None:
    """Print one line for each choice of activations."""
    images = list(np.zeros((n_images, *model.image_size, 3), np.uint8))
    options = {"batch_size": n_images, "progress": False}
    wishes = {
        "tokens, pooled row's attention": {"want": ("tokens", "attention")},
        "tokens, all rows' attention": {"want": ("tokens", "attention"), "attention_rows": "all"},
        "everything, all rows": {"want": WANTS, "attention_rows": "all"},
    }
    plain = [lambda: model.encode_images(images, progress=False)]
    traced = [lambda wish=wish: next(run(model, images, **wish, **options)) for wish in wishes.values()]
    seconds = times(plain + traced, repeats)
    print(f"{model.name}, {n_images} images: plain {1000 * np.median(seconds[:, 0]):.0f} ms")
    for wish, ratio in zip(wishes, np.median(seconds[:, 1:] / seconds[:, :1], axis=0), strict=True):
        print(f"  {wish:32} {ratio:5.2f} times the plain pass")


def main() -> None:
    """Print the ratios for ViT-B-32 and for a model of a PocketCLIP's size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=32, help="images in the batch")
    parser.add_argument("--repeats", type=int, default=5, help="rounds, after one to warm up")
    parser.add_argument("--device", default="auto", help="as of crosseyed.models.loading.load")
    options = parser.parse_args()
    vit = load("ViT-B-32", pretrained="random", device=options.device)
    print(
        f"{vit.device}, {torch.get_num_threads()} threads; target {TARGET} for the first line of each model"
    )
    for model in (vit, pocket_size(vit)):
        report(model, options.images, options.repeats)


if __name__ == "__main__":
    main()
