"""A small explorer with random answers, and the script of one read back as a page would.

``python tests/small_explorer.py FILE`` writes its script, for work on the page.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from crosseyed.explorer import format, pictures
from crosseyed.explorer.format import (
    Arrangement,
    Explorer,
    Mitigated,
    Mitigations,
    Model,
    Pairs,
    Picture,
    Single,
)
from crosseyed.report.figures import style

NAMES = ("dog", "cat", "<b>apple</b>", "rocket", "tree & bush", "猫", "ship")
SIZES = (0.2, 0.4)
BACKGROUNDS = {"plain": (200, 210, 220), "noise": (90, 120, 70)}
N_PLACES = (5, 3)


def random_explorer(seed=0, **changes):
    """An explorer of three objects at 5 × 5 and 3 × 3 places; its second model has no attention."""
    rng = np.random.default_rng(seed)
    models = [
        Model("a & <b>", "edition", (4, 4)),
        Model("convolutions", "yardstick", no_attention="Its tower has no attention."),
        Model("pocketclip-uniform", "yardstick", (5, 5)),
    ]
    arrangements = [
        Arrangement("on", True, ((0.5, 0.36), (0.5, 0.64))),
        Arrangement("left_of", False, ((0.16, 0.5), (0.5, 0.5))),
    ]
    captions = [("a dog and a cat", "a dog", "a cat", "a <i> and a ship")] * 2
    shares = rng.dirichlet(np.ones(4), (3, 2, len(BACKGROUNDS), 2))
    candidates = [("the plain model", 1.0), ("shifted in 9 ways, mean", 9.0)]
    mitigated = [
        Mitigated(
            candidates,
            {"radial attention": "Its tower has no attention."} if each.attention is None else {},
            random_answers(rng, (2, 1, N_PLACES[0], N_PLACES[0]), np.array(1)),
        )
        for each in models
    ]
    return Explorer(
        **{
            "edition": "a--<b>",
            "banner": "Random answers, which mean nothing <yet>.",
            "models": models,
            "names": NAMES,
            "objects": [
                Picture(name, disc(color))
                for name, color in zip(NAMES[:3], ("red", "blue", "green"), strict=True)
            ],
            "backgrounds": [
                Picture(name, pictures.uri(np.full((64, 64, 3), color, np.uint8)))
                for name, color in BACKGROUNDS.items()
            ],
            "sizes": SIZES,
            "places": [[format.places(size, n) for size in SIZES] for n in N_PLACES],
            "single": [random_single(rng, models, n) for n in N_PLACES],
            "pairs": Pairs([(0, 1), (2, 0)], captions, arrangements, 0.28, format.per_mille(shares)),
            "mitigations": Mitigations([1], 0, 1, mitigated),
            **changes,
        }
    )


def random_single(rng, models, n_places):
    scenes = (3, len(SIZES), n_places, n_places)
    maps = [rng.random((*scenes, *each.attention)) if each.attention else None for each in models]
    drawn = [
        format.attention_maps(each / each.sum((-2, -1), keepdims=True)) if each is not None else (None, None)
        for each in maps
    ]
    return Single(
        random_answers(rng, (3, *scenes), np.arange(3)[:, None, None, None]),
        [attention for attention, _ in drawn],
        [peak for _, peak in drawn],
    )


def random_answers(rng, shape, truth):
    return format.answers(rng.dirichlet(np.ones(len(NAMES)), shape), truth)


def disc(color):
    image = Image.new("RGBA", (60, 40))
    ImageDraw.Draw(image).ellipse((0, 0, 59, 39), fill=color)
    return style.data_uri(pictures.WEBP, pictures.of_image(image))


def read_back(text):
    """What a browser has of a script: the object, its arrays decoded."""
    content = text.removeprefix("window.crosseyedExplorer = ").removesuffix(";\n")
    return json.loads(content, object_hook=decoded)


def decoded(entry):
    if set(entry) != {"dtype", "shape", "data"}:
        return entry
    values = np.frombuffer(base64.b64decode(entry["data"]), np.dtype(entry["dtype"]).newbyteorder("<"))
    return values.reshape(entry["shape"])


if __name__ == "__main__":
    format.write(random_explorer(), Path(sys.argv[1]))
