"""Adapter of timm's Swin transformers."""

from types import MappingProxyType

from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from crosseyed.models.towers.timm_pyramid import PYRAMID, PyramidAdapter


class SwinAdapter(PyramidAdapter):
    """timm's `SwinTransformer` (Liu et al., ICCV 2021, arXiv 2103.14030), normalised before the average."""

    label = "timm's SwinTransformer"
    trunks = (SwinTransformer,)
    sources = ("swin_transformer",)
    unsupported = MappingProxyType(
        {
            **PYRAMID,
            "attention": "its tokens attend within windows, each to a part of the image, "
            "and pooling is an average",
        }
    )
    _norm_first = True

    def laid_out(self, activation: Tensor) -> Tensor:
        """Swin's maps have the channels last."""
        return activation.flatten(1, 2)

    @property
    def _norm(self) -> nn.LayerNorm:
        return self.visual.trunk.norm

    @property
    def _stages(self) -> nn.Module:
        return self.visual.trunk.layers

    @property
    def _entry(self) -> nn.Module:
        return self.visual.trunk.norm
