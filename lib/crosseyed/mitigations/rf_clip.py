"""RF-CLIP: take attention away from the patches that draw too much of it, and smooth tokens that stand out."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import ClassVar, Self

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.internals.trace import run
from crosseyed.mitigations.base import Mitigation, register
from crosseyed.mitigations.parameters import parameter
from crosseyed.mitigations.redirection import Scope, redirected
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.registry import adapter_of

CHANNELS = {
    ("ViT-B-16", "openai"): (4, 162, 189, 326, 429, 474, 633, 713),
    ("ViT-L-14", "openai"): (250, 261, 437, 650, 720, 779, 936, 1005),
}
"""The channels in which the authors found distraction tokens, by architecture and weights."""


@register
@dataclass(frozen=True)
class RFClip(Mitigation):
    r"""Refocus attention and denoise tokens: RF-CLIP (Li et al., AAAI 2026, arXiv 2511.16170).

    After the authors' code (https://github.com/liblacklucy/RF-CLIP, ``clip/model.py``), for recognition: on the way
    of the image tower to its own embedding, without what the authors change for segmentation behind it.

    *Refocusing*, in every block but the last and each head, with the attention A_ij of patch i on patch j of N::

        j is a sink if  (1/N) Σ_i A_ij > threshold
        A'_ij = kept · A_ij                                                       for sinks
        A'_ij = A_ij + (1 - kept) Σ_{k sink} A_ik · A_ij / Σ_{k not sink} A_ik    for the other patches

    Row and column of the class token stay as they are. *Denoising*, after every block, with the channels f_j of a
    patch's token and its smallest channel m::

        f is a distraction token if  max_{j in channels} (f_j - m) / Σ_k (f_k - m) > sigma / width
        f' = (1 - alpha) f + alpha · mean of the 3 × 3 tokens around f (0 beyond the border)

    The paper refocuses with threshold 0.1 and kept 0.6; the released code has this switched off and denoises alone,
    with sigma 5 and alpha 0.4. A tower without such patches and tokens is left as it is, image by image.

    `channels` are those of outlying magnitude, numbered from 0: the authors' for their towers (`CHANNELS`), for
    others from `outlying_channels`.
    """

    label: ClassVar[str] = "RF-CLIP"
    channels: tuple[int, ...] = ()
    kept: float = parameter(0.6, "part of the attention that a sink keeps; 1 does not refocus", low=0, high=1)
    alpha: float = parameter(0.4, "part of a distraction token that is smoothed", low=0, high=1)
    threshold: float = parameter(0.1, "mean attention of the patches on a sink", low=0, high=1)
    sigma: float = parameter(5.0, "of a distraction token: share of a channel times the width", above=0)

    def __post_init__(self) -> None:
        """Raise InputError for a parameter out of range or channels that are not numbers."""
        super().__post_init__()
        try:
            object.__setattr__(self, "channels", tuple(int(channel) for channel in self.channels))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"channels are whole numbers, such as (4, 162), not {self.channels!r}."
            ) from error

    @classmethod
    def fitted(
        cls,
        model: ClipModel,
        images: Iterable[ImageSource],
        table: pd.DataFrame,
        labels: Sequence[str],
    ) -> list[Self]:
        """Return the paper's setting, and either half alone, with the channels of the tower."""
        channels = CHANNELS.get((model.model, model.pretrained)) or outlying_channels(model, images)
        return [cls(channels), cls(channels, kept=1.0), cls(channels, alpha=0.0)]

    @property
    def neutral(self) -> bool:
        """Whether it neither refocuses nor denoises."""
        return self.kept == 1 and (self.alpha == 0 or not self.channels)

    @property
    def parameters(self) -> dict[str, object]:
        """The hyper-parameters that have an effect: the name says whether it refocuses and denoises."""
        refocuses = {"kept": self.kept, "threshold": self.threshold} if self.kept < 1 else {}
        denoises = {"alpha": self.alpha, "sigma": self.sigma} if self.alpha > 0 else {}
        return refocuses | denoises

    def check(self, model: ClipModel) -> None:
        """Raise InputError for a tower without blocks, or without one of the channels."""
        adapter = adapter_of(model)
        if not adapter.spatial_steps():
            raise InputError(
                f"RF-CLIP changes what patches attend to in transformer blocks; {model.name} is a {model.tower.kind} "
                "and has none."
            )
        width = adapter.attention(adapter.blocks[0]).query.shape[1]
        if not all(0 <= channel < width for channel in self.channels):
            raise InputError(
                f"The tokens of {model.name} have the channels 0 to {width - 1}; RF-CLIP was given {self.channels}."
            )

    @contextmanager
    def applied(self, model: ClipModel) -> Iterator[None]:
        """Refocus and denoise; nothing if neutral."""
        adapter = adapter_of(model)
        with ExitStack() as entered:
            if self.kept < 1:
                changes = dict.fromkeys(adapter.blocks[:-1], self.refocus)
                entered.enter_context(redirected(model, changes, spatial=True))
            if self.alpha > 0 and self.channels:
                modules, prefix = adapter.modules(()), adapter.prefix

                def smooth(_: nn.Module, _inputs: tuple, tokens: Tensor) -> Tensor:
                    patches = self.denoise(tokens[:, prefix:], adapter.grid)
                    return torch.cat([tokens[:, :prefix], patches], 1)

                for layer in adapter.blocks:
                    handle = modules[f"block {layer}"].register_forward_hook(smooth)
                    entered.callback(handle.remove)
            yield

    def refocus(self, attention: Tensor, scope: Scope) -> Tensor:
        """Return attention (batch, heads, reading tokens, tokens) refocused in the rows and columns of the patches."""
        first = attention.shape[2] - (attention.shape[3] - scope.prefix)
        patches = attention[:, :, first:, scope.prefix :]
        sink = (patches.mean(2, keepdim=True) > self.threshold).to(patches)
        freed = (1 - self.kept) * (patches * sink).sum(-1, keepdim=True)
        rest = patches * (1 - sink)
        total = rest.sum(-1, keepdim=True).clamp_min(torch.finfo(rest.dtype).tiny)
        changed = attention.clone()
        changed[:, :, first:, scope.prefix :] = patches * (1 - (1 - self.kept) * sink) + freed * rest / total
        return changed

    def denoise(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the tokens of the patches (batch, rows × columns, width) with distraction tokens smoothed."""
        above = patches.float() - patches.float().amin(-1, keepdim=True)
        share = above[..., list(self.channels)].amax(-1) / above.sum(-1).clamp_min(1e-8)
        laid_out = patches.mT.unflatten(2, grid)
        around = F.avg_pool2d(laid_out, 3, stride=1, padding=1).flatten(2).mT
        distracted = share > self.sigma / patches.shape[-1]
        return torch.where(distracted[..., None], torch.lerp(patches, around, self.alpha), patches)


def outlying_channels(model: ClipModel, images: Iterable[ImageSource], number: int = 8) -> tuple[int, ...]:
    """Find the channels of outlying magnitude in the tokens of patches.

    Parameters
    ----------
    model : ClipModel
        A model whose tokens can be read.
    images : iterable of ImageSource
        Any images, other ones than those of the test.
    number : int
        How many channels; both lists of the authors have eight.

    Returns
    -------
    tuple of int
        The channels with the largest mean absolute value over images, patches and the layers after the first, the
        largest first. Whether a token stands out in them is for `RFClip` to say.

    Raises
    ------
    UnsupportedTower
        The tokens of the tower cannot be read.
    """
    sums = [
        part.tokens[1:, :, part.prefix :].abs().mean((0, 2)).nan_to_num().sum(0)
        for part in run(model, images, ("tokens",))
    ]
    return tuple(torch.stack(sums).sum(0).topk(number).indices.tolist())
