"""The description of an image tower, against the published numbers of known architectures."""

import open_clip
import pytest
import torch
from open_clip.timm_model import TimmModel

from crosseyed.models.towers.description import Tower, describe_tower


def described(architecture):
    with torch.device("meta"):  # shapes only
        visual = open_clip.create_model(architecture, load_weights=False, device="meta").visual
    return describe_tower(visual, open_clip.get_model_config(architecture))


def test_the_tower_of_clip_vit_b_32():
    # Radford et al., arXiv 2103.00020, Table 20; 87.8 million parameters in the image tower
    assert described("ViT-B-32") == Tower(
        kind="VisionTransformer",
        image_size=(224, 224),
        patch_size=(32, 32),
        grid=(7, 7),
        layers=12,
        heads=12,
        width=768,
        pooling="class token",
        embed_dim=512,
        parameters=87_849_216,
    )


@pytest.mark.parametrize(
    ("architecture", "kind", "grid", "layers", "heads", "width", "pooling"),
    [
        ("RN50", "ModifiedResNet", (7, 7), 3 + 4 + 6 + 3, None, 2048, "attention"),
        ("ViT-B-16-SigLIP", "VisionTransformer", (14, 14), 12, 12, 768, "attention"),
        ("convnext_base", "ConvNeXt", (7, 7), 3 + 3 + 27 + 3, None, 1024, "average"),
        ("swin_base_patch4_window7_224", "SwinTransformer", (7, 7), 2 + 2 + 18 + 2, None, 1024, "average"),
        ("ViT-H-14-CLIPA", "VisionTransformer", (16, 16), 32, 16, 1280, "average"),
        ("coca_ViT-B-32", "VisionTransformer", (7, 7), 12, 12, 768, "attention"),
    ],
)
def test_other_families(architecture, kind, grid, layers, heads, width, pooling):
    tower = described(architecture)
    assert (tower.kind, tower.grid, tower.layers, tower.heads) == (kind, grid, layers, heads)
    assert (tower.width, tower.pooling) == (width, pooling)
    assert (tower.patch_size is None) == (heads is None)


def test_a_tower_that_no_family_knows_is_described_all_the_same():
    config = {
        "embed_dim": 8,
        "vision_cfg": {"timm_model_name": "resnet18", "timm_pool": "avg", "timm_proj": "linear"},
    }
    with torch.device("meta"):
        visual = TimmModel("resnet18", 8, image_size=64)
    tower = describe_tower(visual, config)
    assert (tower.kind, tower.grid, tower.heads, tower.width) == ("ResNet", (2, 2), None, 512)
    assert (tower.layers, tower.pooling) == (5, "average")  # halves the image five times
