"""What an image tower is made of, in the same words for every family."""

from dataclasses import dataclass

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import nn

_POOLINGS = {
    "tok": "class token",
    "token": "class token",
    "avg": "average",
    "map": "attention",
    "abs_attn": "attention",
    "rot_attn": "attention",
    "none": "none",
}


@dataclass(frozen=True)
class Tower:
    """An image tower: image → tokens (the cells of a grid) → pooling → embedding.

    Attributes
    ----------
    kind : str, class of the tower: open_clip's, or timm's behind open_clip's adapter
    image_size : tuple of int, height and width of the input in pixels
    patch_size : tuple of int, of the patch that becomes a token, in pixels; None for a convolutional tower
    grid : tuple of int, rows and columns of tokens before pooling
    layers : int, number of blocks; of the resolutions of a timm tower whose blocks are not known
    heads : int, attention heads of a block; None if the blocks have no attention
    width : int, length of a token before pooling
    pooling : {"class token", "average", "attention", "none"}, step from tokens to one vector
    embed_dim : int, length of the embedding
    parameters : int, number of the tower's parameters
    """

    kind: str
    image_size: tuple[int, int]
    patch_size: tuple[int, int] | None
    grid: tuple[int, int]
    layers: int
    heads: int | None
    width: int
    pooling: str
    embed_dim: int
    parameters: int


def describe_tower(visual: nn.Module, config: dict) -> Tower:
    """Describe an open_clip model's `visual`, given open_clip's `config` of the model (`embed_dim`, `vision_cfg`)."""
    describe = {ModifiedResNet: _resnet, TimmModel: _timm}.get(type(visual), _transformer)
    image_size = _pair(visual.image_size)
    patch_size, stride, layers, heads, width, pooling = describe(visual, config["vision_cfg"])
    return Tower(
        kind=type(getattr(visual, "trunk", visual)).__name__,
        image_size=image_size,
        patch_size=patch_size,
        grid=(image_size[0] // stride[0], image_size[1] // stride[1]),
        layers=layers,
        heads=heads,
        width=width,
        pooling=pooling,
        embed_dim=config["embed_dim"],
        parameters=sum(parameter.numel() for parameter in visual.parameters()),
    )


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _transformer(visual: nn.Module, _: dict) -> tuple:
    blocks, patch_size = visual.transformer.resblocks, _pair(visual.patch_size)
    pooling = "attention" if visual.attn_pool is not None else _POOLINGS[visual.pool_type]
    return patch_size, patch_size, len(blocks), blocks[0].attn.num_heads, visual.conv1.out_channels, pooling


def _resnet(visual: ModifiedResNet, _: dict) -> tuple:
    layers = sum(len(stage) for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4))
    return None, (32, 32), layers, None, visual.attnpool.c_proj.in_features, "attention"  # halves five times


def _timm(visual: TimmModel, vision_cfg: dict) -> tuple:
    trunk = visual.trunk
    patch_size, stride = None, _pair(trunk.feature_info[-1]["reduction"])
    if hasattr(trunk, "blocks"):
        layers, heads, patch_size = len(trunk.blocks), trunk.blocks[0].attn.num_heads, stride
    else:
        stages = getattr(trunk, "stages", getattr(trunk, "layers", ()))
        blocks = sum(len(stage.blocks) for stage in stages if hasattr(stage, "blocks"))
        layers, heads = blocks or len(trunk.feature_info), None
    pooling = _POOLINGS[vision_cfg.get("timm_pool") or getattr(trunk, "global_pool", None) or "avg"]
    return patch_size, stride, layers, heads, trunk.num_features, pooling
