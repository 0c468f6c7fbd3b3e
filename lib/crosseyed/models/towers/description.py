"""What an image tower is made of, in the same words for every family."""

from dataclasses import dataclass

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from torch import nn

_POOLINGS = {
    "tok": "class token",
    "token": "class token",
    "avg": "mean",
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
    kind : str
        Class of the tower: open_clip's, or timm's behind open_clip's adapter.
    image_size : tuple of int
        Height and width of the input in pixels.
    patch_size : tuple of int, optional
        Height and width in pixels of the patch that becomes a token; None for a convolutional tower.
    grid : tuple of int
        Rows and columns of tokens before pooling.
    layers : int
        Number of blocks; where a tower of timm has none that are known, of the steps from one resolution to the next.
    heads : int, optional
        Attention heads of a block; None if the blocks have no attention.
    width : int
        Length of a token before pooling.
    pooling : {"class token", "mean", "attention", "none"}
        Step from tokens to one vector.
    embed_dim : int
        Length of the embedding.
    parameters : int
        Number of the tower's parameters.
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
    """Describe the image tower of an open_clip model.

    Parameters
    ----------
    visual : torch.nn.Module
        The model's `visual`: open_clip's VisionTransformer, ModifiedResNet or TimmModel.
    config : dict
        open_clip's configuration of the model, with `embed_dim` and `vision_cfg`.

    Returns
    -------
    Tower
        The description.
    """
    describe = {ModifiedResNet: _resnet, TimmModel: _timm}.get(type(visual), _transformer)
    image_size = _pair(visual.image_size)
    kind, patch_size, stride, layers, heads, width, pooling = describe(visual, config["vision_cfg"])
    return Tower(
        kind=kind,
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
    blocks = visual.transformer.resblocks
    pooling = "attention" if visual.attn_pool is not None else _POOLINGS[visual.pool_type]
    patch_size = _pair(visual.patch_size)
    width = visual.conv1.out_channels
    return (
        type(visual).__name__,
        patch_size,
        patch_size,
        len(blocks),
        blocks[0].attn.num_heads,
        width,
        pooling,
    )


def _resnet(visual: ModifiedResNet, _: dict) -> tuple:
    layers = sum(len(stage) for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4))
    width = visual.attnpool.c_proj.in_features
    return (
        type(visual).__name__,
        None,
        (32, 32),
        layers,
        None,
        width,
        "attention",
    )  # halves the image five times


def _timm(visual: TimmModel, vision_cfg: dict) -> tuple:
    trunk = visual.trunk
    patch_size = heads = None
    if hasattr(trunk, "blocks"):
        layers = len(trunk.blocks)
        heads = trunk.blocks[0].attn.num_heads
    else:
        stages = getattr(trunk, "stages", getattr(trunk, "layers", ()))
        layers = sum(len(stage.blocks) for stage in stages if hasattr(stage, "blocks")) or len(
            trunk.feature_info
        )
    stride = _pair(trunk.feature_info[-1]["reduction"])
    if heads is not None:
        patch_size = stride
    pooling = _POOLINGS[vision_cfg.get("timm_pool") or getattr(trunk, "global_pool", None) or "avg"]
    return type(trunk).__name__, patch_size, stride, layers, heads, trunk.num_features, pooling
