"""Small random models of every family of towers, which tests of several parts share."""

import copy
import dataclasses

import numpy as np
import open_clip
import pytest
import timm
import torch
from timm.models import convnext, eva, fastvit, swin_transformer, vision_transformer, vitamin
from timm.models import vision_transformer_relpos as relpos

from crosseyed.internals.trace import WANTS, run
from crosseyed.models.towers.description import describe_tower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.progress import count_batch

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

POOLER = {"attentional_pool": True, "attn_pooler_queries": 5, "attn_pooler_heads": 4}
OPEN_CLIP_TRANSFORMERS = {
    "class token": {},
    "quick GELU": {"quick_gelu": True},
    "layer scale": {"ls_init_value": 0.3},
    "no norm before the blocks": {"no_ln_pre": True},
    "class token, then norm": {"final_ln_after_pool": True},
    "average": {"pool_type": "avg"},
    "average, then norm": {"pool_type": "avg", "final_ln_after_pool": True},
    "pooler": POOLER,
    "pooler, returning tokens too": {**POOLER, "output_tokens": True},
    "pooler, average of queries": {**POOLER, "pool_type": "avg"},
    "pooler, as wide as the tokens": {**POOLER, "embed_dim": 64},
}
RESNET = {"layers": [1, 2, 1, 1], "width": 4, "head_width": 32, "image_size": 64, "patch_size": None}
OPEN_CLIP_TOWERS = [*OPEN_CLIP_TRANSFORMERS, "ResNet"]


def build_open_clip(tiny_clip, kind):
    """A random model in which no bias is 0, no gain 1 and no two layers alike."""
    changes = dict(RESNET if kind == "ResNet" else OPEN_CLIP_TRANSFORMERS[kind])
    config = copy.deepcopy(TINY_CONFIG)
    config["embed_dim"] = changes.pop("embed_dim", config["embed_dim"])
    quick_gelu = changes.pop("quick_gelu", False)
    config["vision_cfg"] |= changes
    returns_tokens = changes.get("output_tokens", False)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        clip = open_clip.CLIP(**config, quick_gelu=quick_gelu)
        for parameter in clip.visual.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    if returns_tokens:  # CoCa, whose encode_image takes the first of two
        clip.encode_image = lambda images: clip.visual(images)[0]
    clip.eval().requires_grad_(False)
    resize = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(size=clip.visual.image_size), is_train=False
    )
    return dataclasses.replace(
        tiny_clip, name=kind, clip=clip, preprocess=resize, tower=describe_tower(clip.visual, config)
    )


VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}
EVA02 = {
    "qkv_fused": False,
    "mlp_ratio": 8 / 3,
    "swiglu_mlp": True,
    "scale_mlp": True,
    "scale_attn_inner": True,
}
ROPE = {"use_rot_pos_emb": True, "ref_feat_shape": (3, 3)}
HYBRID = vitamin.VitCfg(embed_dim=(8, 16, 48), depths=(1, 1, 1), stem_width=8)
PE = {
    "attn_type": "rope",
    "use_pre_transformer_norm": True,
    "rope_grid_offset": 1.0,
    "rope_grid_indexing": "xy",
}
CONVNEXT = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 48)}
SWIN = {
    "img_size": 64,
    "patch_size": 4,
    "window_size": 4,
    "embed_dim": 24,
    "depths": (1, 2),
    "num_heads": (2, 3),
}
FASTVIT = {
    "layers": (1, 1, 1, 2),
    "embed_dims": (8, 16, 32, 64),
    "mlp_ratios": (2, 2, 2, 2),
    "token_mixers": ("repmixer", "repmixer", "repmixer", "attention"),
}
TRUNKS = {
    "ViT": (vision_transformer._create_vision_transformer, {**VIT, "pre_norm": True, "init_values": 0.4}),
    "SigLIP": (vision_transformer._create_vision_transformer, {**VIT, "class_token": False}),
    "SigLIP, register": (
        vision_transformer._create_vision_transformer,
        {**VIT, "class_token": False, "reg_tokens": 1, "pool_include_prefix": True, "init_values": 0.4},
    ),
    "ViT-GAP": (
        vision_transformer._create_vision_transformer,
        {**VIT, "class_token": False, "global_pool": "avg", "fc_norm": False},
    ),
    "RelPos": (
        relpos._create_vision_transformer_relpos,
        {**VIT, "class_token": True, "global_pool": "token", "rel_pos_dim": 16, "init_values": 0.4},
    ),
    "ViTamin": (
        vitamin._create_vitamin,
        {
            **VIT,
            "img_size": 64,
            "patch_size": 1,
            "embed_cfg": HYBRID,
            "mlp_layer": vitamin.GeGluMlp,
            "class_token": False,
            "global_pool": "avg",
        },
    ),
    "EVA-01": (eva._create_eva, VIT),
    "EVA-02": (eva._create_eva, {**VIT, **EVA02, **ROPE}),
    "EVA-02 post-norm": (eva._create_eva, {**VIT, "use_post_norm": True}),
    "EVA, layer scale": (eva._create_eva, {**VIT, **ROPE, "init_values": 0.4, "rope_rotate_half": True}),
    "PE": (eva._create_eva, {**VIT, **ROPE, **PE, "attn_pool_num_heads": 4}),
    "ConvNeXt": (convnext._create_convnext, CONVNEXT),
    "Swin": (swin_transformer._create_swin_transformer, SWIN),
    "FastViT": (fastvit._create_fastvit, FASTVIT),
}
HEADS = {
    "ViT": ("token", None),
    "SigLIP": ("map", "none"),
    "SigLIP, register": ("map", "none"),
    "ViT-GAP": ("", "linear"),
    "RelPos": ("", "linear"),
    "ViTamin": ("", "linear"),
    "PE": ("map", None),
    "ConvNeXt": ("", "linear"),
    "ConvNeXt, MLP": ("", "mlp"),
    "Swin": ("", "linear"),
    "FastViT": ("avg", None),
}
TIMM_TOWERS = ["ConvNeXt, MLP", *TRUNKS]
TIMM_TRANSFORMERS = [kind for kind in TRUNKS if kind not in ("ConvNeXt", "Swin", "FastViT")]
TIMM_SUMS = [
    kind for kind in TIMM_TOWERS if kind not in ("SigLIP", "SigLIP, register", "PE", "ConvNeXt, MLP")
]


def build_timm(tiny_clip, kind):
    """A random model of a family in which no bias is 0, no gain 1 and no two layers alike."""
    pool, proj = HEADS.get(kind, ("token", None))
    create, arguments = TRUNKS[kind.removesuffix(", MLP")]
    size = 32 * 32 // 8 if "dims" in arguments or "layers" in arguments else arguments["img_size"]
    config = copy.deepcopy(TINY_CONFIG)
    config["embed_dim"] = 48 if proj == "none" else 32
    config["vision_cfg"] = {
        "timm_model_name": "tiny",
        "timm_pool": pool,
        "timm_proj": proj,
        "image_size": size,
    }

    def tiny(_name, pretrained=False, **options):
        return create("tiny", pretrained=pretrained, **{**arguments, **options})

    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", tiny)
        torch.default_generator.manual_seed(3)
        clip = open_clip.CLIP(**config)
        for parameter in clip.visual.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    clip.eval().requires_grad_(False)
    resize = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(size=clip.visual.image_size), is_train=False
    )
    return dataclasses.replace(
        tiny_clip, name=kind, clip=clip, preprocess=resize, tower=describe_tower(clip.visual, config)
    )


def sample_images(n_images=3):
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(n_images)]


def model_input(model):
    (pixels, _), *_ = model.read_batches(sample_images())
    return model.to_input(pixels)


def listeners(model):
    return [
        hook
        for module in model.clip.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        if hook is not count_batch  # which stays on every model
    ]


def traced(model, want=None, **options):
    """Trace with everything that the tower has, unless something else is wanted."""
    if want is None:
        want = WANTS if "tokens" in adapter_of(model).capabilities else ("tokens", "attention")
    (result,) = run(model, sample_images(), want, **options)
    return result


def distance(found, expected):
    """Relative error of the whole: norm of the difference over the norm."""
    assert found.shape == expected.shape
    return ((found - expected).norm() / expected.norm()).item()
