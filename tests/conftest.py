"""Fixtures that several test modules share."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from crosseyed.models.clip import ClipModel
from crosseyed.models.loading import load

TINY_CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
TINY_PREPROCESS = {
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.25, 0.3],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in open_clip's local-dir format with a tiny CLIP of random weights."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    config = {"model_cfg": TINY_CONFIG, "preprocess_cfg": TINY_PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(7)
        clip = open_clip.CLIP(**TINY_CONFIG)
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def tiny_clip(tiny_folder: Path) -> ClipModel:
    """The tiny CLIP, loaded."""
    return load(f"local-dir:{tiny_folder}")
