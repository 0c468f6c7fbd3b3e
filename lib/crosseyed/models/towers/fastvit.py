"""Adapter of timm's FastViT."""

from types import MappingProxyType

from timm.models.fastvit import FastVit

from crosseyed.models.towers.timm_pyramid import PYRAMID, PyramidAdapter


class FastVitAdapter(PyramidAdapter):
    """timm's `FastVit` (Vasu et al., ICCV 2023, arXiv 2303.14189), the tower of MobileCLIP; without a final norm."""

    label = "timm's FastVit"
    trunks = (FastVit,)
    sources = ("fastvit",)
    unsupported = MappingProxyType(
        {
            **PYRAMID,
            "attention": (
                "only cells of its last stages attend, to vectors that convolutions mixed before and mix "
                "again after, and pooling is an average"
            ),
        }
    )
