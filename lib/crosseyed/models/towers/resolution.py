"""Give a tower an input of another size than the one that it was trained with."""

import copy
from dataclasses import replace

import torch
from open_clip.timm_model import TimmModel
from open_clip.transform import image_transform
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torchvision.transforms import InterpolationMode

from crosseyed.errors import InputError
from crosseyed.models.clip import RESIZES, ClipModel
from crosseyed.models.towers.position_embeddings import positions


def at_resolution(model: ClipModel, factor: float) -> ClipModel:
    """Return a copy of a model that sees its images larger or smaller, with its positional embeddings interpolated.

    Patches keep their number of pixels, so that there are more or fewer of them, and each covers another part of the
    image. As in fine-tuning at another resolution (Dosovitskiy et al., ICLR 2021, arXiv 2010.11929, section 3.2), the
    positional embeddings of the new grid are interpolated between those of the old one (bicubic, with antialiasing);
    but nothing is trained.

    Parameters
    ----------
    model : ClipModel
        With positional embeddings. It is left as it is.
    factor : float
        Side of the new input over that of the old one, positive; rounded to whole patches.

    Raises
    ------
    InputError
        The tower has no positional embeddings that can be interpolated, or the new input has no patch.
    """
    found = positions(model)
    patch = tuple(side // cells for side, cells in zip(model.image_size, found.grid, strict=True))
    grid = tuple(round(factor * cells) for cells in found.grid)
    if min(grid) < 1:
        raise InputError(f"An input of {factor:g} times the side has no whole patch; give a larger factor.")
    size = (grid[0] * patch[0], grid[1] * patch[1])
    # the text tower stays the same object
    clip = copy.deepcopy(model.clip, {id(part): part for part in _other_parts(model.clip)})
    larger = replace(
        model,
        clip=clip,
        preprocess=_transform(model, size),
        tower=replace(model.tower, image_size=size, grid=grid),
    )
    visual = clip.visual
    if isinstance(visual, TimmModel):
        visual.trunk.set_input_size(img_size=size)
        return larger
    spot = positions(larger)
    embedding = getattr(spot.holder, spot.attribute).detach()
    spatial = embedding[spot.before :].float().T.unflatten(1, found.grid)[None]
    spatial = F.interpolate(spatial, size=grid, mode="bicubic", antialias=True, align_corners=False)
    changed = torch.cat([embedding[: spot.before], spatial[0].flatten(1).T.to(embedding.dtype)])
    setattr(spot.holder, spot.attribute, nn.Parameter(changed, requires_grad=False))
    visual.image_size = size if isinstance(visual.image_size, tuple) else size[0]
    if hasattr(visual, "grid_size"):
        visual.grid_size = grid
    return larger


def _other_parts(clip: nn.Module) -> list[nn.Module]:
    return [part for name, part in clip.named_children() if name != "visual"]


def _transform(model: ClipModel, size: tuple[int, int]) -> object:
    """Make the model's transform for another size of its input."""
    first, *_, normalize = model.preprocess.transforms
    interpolation = getattr(first, "interpolation", InterpolationMode.BICUBIC)
    return image_transform(
        size,
        is_train=False,
        mean=tuple(normalize.mean),
        std=tuple(normalize.std),
        resize_mode=RESIZES[model.resize],
        interpolation="bilinear" if interpolation == InterpolationMode.BILINEAR else "bicubic",
    )
