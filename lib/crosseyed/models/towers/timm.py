"""What timm's image towers behind open_clip's `TimmModel` have in common.

Transformers (`timm_transformer`, `eva`) have tokens at every layer, and attention that is computed again exactly,
relative position biases and rotary positions included. Whether their embedding is a sum over tokens depends on what
follows pooling. Towers with a pyramid of feature maps (`timm_pyramid`) have tokens only at the end, the cells of the
last map.
"""

from typing import ClassVar

import torch
from open_clip.timm_model import TimmModel
from torch import Tensor, nn

from crosseyed.models.towers.base import Pooling, Readout, TowerAdapter, fold_norm, norm_statistics

_AFTER_POOLING = "an MLP follows its pooling, so the embedding is not a sum of what tokens contribute"


class TimmAdapter(TowerAdapter):
    """A tower of timm: a trunk, and open_clip's projection.

    Attributes
    ----------
    trunks : tuple of type, timm's classes of the family's trunks
    sources : tuple of str, timm's modules that define the architectures of the family
    lost_after_pooling : tuple of str, the capabilities lost where more than a linear map follows pooling
    """

    family = TimmModel
    trunks: ClassVar[tuple[type[nn.Module], ...]]
    sources: ClassVar[tuple[str, ...]]
    lost_after_pooling: ClassVar[tuple[str, ...]]

    @classmethod
    def knows(cls, visual: nn.Module) -> bool:
        """Say whether a tower's trunk is of the family."""
        return type(visual) is TimmModel and type(visual.trunk) in cls.trunks

    def _unsupported(self) -> dict[str, str]:
        """Return what the family lacks, and what this tower loses by what follows its pooling."""
        linear = self.native_pooling != "attention" and all(map(is_linear, self._projection()))
        lost = () if linear else self.lost_after_pooling
        return {**self.unsupported, **dict.fromkeys(lost, _AFTER_POOLING)}

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.visual.parameters()).dtype

    def _pool_affinely(
        self, last: Tensor, pooled: Tensor, shares: Tensor, norm: nn.LayerNorm | None, norm_first: bool
    ) -> Pooling:
        """Describe pooling of the last tokens by `shares` (tokens,), with or without a norm before or after it."""
        last, mean, std = last.float(), None, None
        rows = shares.to(last).expand(last.shape[:2])
        if norm is not None:
            mean, std = norm_statistics(
                norm, last if norm_first else torch.einsum("bt,btw->bw", rows, last)[:, None]
            )
            rows = rows / std
        readout = None
        affine = _affine(self._projection(), last.shape[-1])
        if affine is not None:
            matrix, bias = affine
            if norm is not None:
                matrix, bias = fold_norm(norm, matrix), norm.bias.float() @ matrix + bias
            readout = Readout(rows[:, None], matrix[None].to(last), bias.to(last).expand(len(last), -1))
        return Pooling(pooled=pooled.float(), readout=readout, norm_mean=mean, norm_std=std)

    def _project(self, pooled: Tensor) -> Tensor:
        """Apply what is projection in trunk and tower."""
        for module in self._projection():
            pooled = module(pooled.to(self._dtype))
        return pooled.float()

    def _projection(self) -> list[nn.Module]:
        return [self._trunk_projection, *self.visual.head]

    @property
    def _trunk_projection(self) -> nn.Module:
        return self.visual.trunk.head


def _affine(modules: list[nn.Module], width: int) -> tuple[Tensor, Tensor] | None:
    """Return matrix (width, embed_dim) and bias (embed_dim,) of modules in a row; None if they are not linear."""
    if not all(map(is_linear, modules)):
        return None
    matrix, bias = torch.eye(width), torch.zeros(width)
    for module in modules:
        if isinstance(module, nn.Linear):
            weight = module.weight.float().T
            matrix, bias = matrix.to(weight) @ weight, bias.to(weight) @ weight
            bias = bias if module.bias is None else bias + module.bias.float()
    return matrix, bias


def is_linear(module: nn.Module) -> bool:
    """Say whether a module is an affine map."""
    return isinstance(module, nn.Linear | nn.Identity | nn.Dropout)


def projections_of(attention: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Return the matrices and biases of query, key and value, however a block keeps them."""
    if attention.qkv is None:
        linears = (attention.q_proj, attention.k_proj, attention.v_proj)
        parts, biases = [linear.weight for linear in linears], [linear.bias for linear in linears]
    else:
        parts = attention.qkv.weight.chunk(3)
        biases = [getattr(attention, name, None) for name in ("q_bias", "k_bias", "v_bias")]
        if attention.qkv.bias is not None:
            biases = attention.qkv.bias.chunk(3)
    nothing = parts[0].new_zeros(len(parts[0]))
    return list(parts), [nothing if bias is None else bias for bias in biases]


def output_of(attention: nn.Module, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return weight (width, heads × head_width) and bias of the output, layer scale included."""
    weight = attention.proj.weight.float()
    bias = weight.new_zeros(len(weight)) if attention.proj.bias is None else attention.proj.bias.float()
    return (weight, bias) if scale is None else (scale.float()[:, None] * weight, scale.float() * bias)
