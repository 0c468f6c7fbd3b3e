"""Model folders with random weights, of architectures so narrow that whole editions of them are made in minutes."""

import json

import open_clip
import torch
from safetensors.torch import save

_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}

NARROW = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "patch_size": 32, "width": 96, "layers": 12, "head_width": 8},
    "text_cfg": _TEXT,
}
"""A ViT of twelve blocks with a class token."""

ATTENTION_POOLED = {
    "embed_dim": 96,
    "vision_cfg": {
        "image_size": 160,
        "timm_model_name": "test_vit3",
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": _TEXT,
}
"""A ViT of timm whose tokens are pooled by attention, as in SigLIP, a register among them."""

CONVOLUTIONAL = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": 224,
        "timm_model_name": "test_convnext",
        "timm_pool": "",
        "timm_proj": "linear",
    },
    "text_cfg": _TEXT,
}
"""A ConvNeXt of timm."""


def weights_of(config, seed=0):
    """Return random weights of an architecture, which no other seed has."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        weights = open_clip.CLIP(**config).state_dict()
    return {name: value.contiguous() for name, value in weights.items()}


def files_of(config, weights, preprocess=None):
    """Return the files of a folder or repository in open_clip's format, by their names."""
    about = {"model_cfg": config, "preprocess_cfg": preprocess or {}}
    return {
        "open_clip_config.json": json.dumps(about).encode(),
        "open_clip_model.safetensors": save(weights),
    }


def write(folder, config, seed=0):
    """Write a model folder; return its name as the library takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files_of(config, weights_of(config, seed)).items():
        (folder / name).write_bytes(content)
    return f"local-dir:{folder}"
