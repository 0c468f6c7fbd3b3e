"""Adapter of timm's ConvNeXt."""

from types import MappingProxyType

from timm.models.convnext import ConvNeXt
from torch import nn

from crosseyed.models.towers.timm_pyramid import PYRAMID, PyramidAdapter


class ConvNeXtAdapter(PyramidAdapter):
    """timm's `ConvNeXt` (Liu et al., CVPR 2022, arXiv 2201.03545), normalised after the average."""

    label = "timm's ConvNeXt"
    trunks = (ConvNeXt,)
    sources = ("convnext",)
    unsupported = MappingProxyType(
        {**PYRAMID, "attention": "it is made of convolutions and averages their last map"}
    )

    @property
    def _norm(self) -> nn.LayerNorm:
        return self.visual.trunk.head.norm
