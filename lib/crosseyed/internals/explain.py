"""Say which pixels speak for a caption.

A *method* takes a model, a batch of its input and one caption an image, and returns one map an image::

    method(model, pixels, texts) -> maps    # (batch, height, width), float32, at the resolution of the pixels

The higher a map is at a pixel, the more the pixel speaks for the caption. Methods differ in their units; `scale`
brings each map to [0, 1]. `methods` names all methods; `crosseyed.internals.map_scores` compares maps with masks.

Similarity is the cosine between the image's embedding and the caption's. Hidden pixels, in occlusion and in removal
curves, and the baseline of integrated gradients are 0 in the model's input: the mean color of its training images.

Before and after pooling
------------------------
Li et al. (arXiv 2209.07046) report that the map of similarities between projected tokens and a caption (ITSM)
is lower on the object than on the background, and hold pooling responsible, which they say shifts the meaning
of tokens. Two maps show what pooling does, in the same way for every tower:

before pooling (`itsm`)
    Similarity of the caption with the embedding that pooling would give if it saw this token only. No token
    is mixed with another.
after pooling (`itsm_after_pooling`)
    What the token adds to the similarity of the pooled embedding: weighted as pooling weights it. Pooling is
    the step in which the pooled vector reads the spatial tokens for the last time: attention or average
    pooling where a tower has it, else the class token's attention in the last block.

Parameters shared by the methods: `model`, whose tower can be traced; `pixels`, float (batch, 3, height, width), as of
`ClipModel.to_input`; `texts`, one caption an image. They raise UnsupportedTower for an unknown tower, and InputError
if captions are not one an image, pixels not of the model's resolution, or the model is in training mode. Values of
tokens are interpolated between the centers of their cells.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerActivation, LayerGradientXActivation, Occlusion
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from crosseyed.errors import InputError
from crosseyed.internals.self_similarity import dual_path
from crosseyed.internals.trace import hooked
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import Calls, TowerAdapter
from crosseyed.models.towers.registry import adapter_of

Method = Callable[[ClipModel, Tensor, Sequence[str]], np.ndarray]
"""From a model, its input (batch, 3, height, width) and a caption an image to maps (batch, height, width)."""

IMAGES_AT_ONCE = 16
"""Images in a batch of `crosseyed.internals.map_scores`, and at once in a pass of integrated gradients or occlusion."""


def methods(captions: Sequence[str], model: ClipModel | None = None) -> dict[str, Method]:
    """Return the methods by the names under which tables and figures show them.

    Parameters
    ----------
    captions : sequence of str, at least two different ones, among which CLIP Surgery distinguishes
    model : ClipModel, optional; leave out methods that its tower does not support (ITSM after pooling before an MLP)
    """
    _check_captions(captions)
    known = {
        "ITSM": itsm,
        "ITSM after pooling": itsm_after_pooling,
        "CLIP Surgery": partial(clip_surgery, captions=captions),
        "Grad-CAM": grad_cam,
        "integrated gradients": integrated_gradients,
        "occlusion": occlusion,
    }
    if model is not None and "decomposition" not in adapter_of(model).capabilities:
        del known["ITSM after pooling"]
    return known


def itsm(model: ClipModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Compare each token, before pooling, with the caption: the image–text similarity map, of cosines in [-1, 1].

    The map of Li et al. (arXiv 2209.07046) is this one after `scale`.
    """
    adapter, text = _check(model, pixels, texts)
    _, calls = _last_tokens(model, adapter, pixels)
    return _upsample(itsm_of_tokens(adapter, calls, text), adapter.grid, pixels)


def itsm_of_tokens(adapter: TowerAdapter, calls: Calls, text: Tensor) -> Tensor:
    """Return the values of `itsm`, (batch, rows × columns), of a batch that was listened to (`trace.listened`).

    `text` has the embeddings of the captions, (batch, embed_dim).
    """
    tokens = adapter.tokens(calls, adapter.layers[-1])
    similarity = torch.einsum("bte,be->bt", F.normalize(adapter.project(tokens), dim=-1), text)
    return similarity[:, adapter.prefix :]


def itsm_after_pooling(model: ClipModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Return what each token adds to the similarity of image and caption when it is pooled.

    The module's docstring says which step counts as pooling. The final norm is held at its statistics, so that the
    step is linear (`crosseyed.models.towers.base.Readout`). The summands of all tokens, the prefix token's included,
    give the part of the similarity that comes through pooling, without biases.
    """
    adapter, text = _check(model, pixels, texts)
    adapter.require("decomposition")
    tokens, calls = _last_tokens(model, adapter, pixels)
    with torch.no_grad():
        pooling = adapter.pool(calls)
    rows, matrix = pooling.readout.rows, pooling.readout.matrix
    direction = torch.einsum("gwe,be->bgw", matrix, text / calls["tower"][1].float().norm(dim=-1)[:, None])
    if adapter.pooled_token is None:
        added = torch.einsum("bgt,btw,bgw->bt", rows, tokens.float(), direction)
    else:
        token, layer = adapter.pooled_token, adapter.blocks[-1]
        weights, read = adapter.attention(layer), adapter.attended(calls, layer).float()
        factor, _ = adapter.written(calls, layer)
        direction = torch.einsum("bg,bgw->bw", (rows * factor[:, None])[:, :, token], direction)
        towards = torch.einsum("hdw,bw->bhd", weights.output, direction)
        added = torch.einsum("bht,bhtd,bhd->bt", weights.row(token, read), weights.values(read), towards)
    return _upsample(added[:, adapter.prefix :], adapter.grid, pixels)


def clip_surgery(
    model: ClipModel, pixels: Tensor, texts: Sequence[str], *, captions: Sequence[str]
) -> np.ndarray:
    """Compare each token with what distinguishes the caption from all `captions` (at least two different ones).

    CLIP Surgery (Li et al., arXiv 2304.05653) is surgery on the tower and on features. The tokens are those of its
    second path (`crosseyed.internals.self_similarity.dual_path`); in a tower without blocks, those of `itsm`. Feature
    surgery subtracts from the products of token and caption, number by number, their mean over all captions. Captions
    count by how well they fit the whole image, which stays on the first path. Captions of `texts` are added to
    `captions`.
    """
    adapter, _ = _check(model, pixels, texts)
    _check_captions(captions)
    place = {caption: number for number, caption in enumerate(dict.fromkeys([*captions, *texts]))}
    every = embed_pixels(model, list(place))
    tokens, calls = _last_tokens(model, adapter, pixels)
    with torch.no_grad():
        tokens = dual_path(adapter, calls) if adapter.blocks else tokens[:, adapter.prefix :]
    fit = F.normalize(calls["tower"][1].float(), dim=-1) @ every.T
    weights = (2 * fit).softmax(-1)  # the temperature of the authors' code
    weights = weights / weights.mean(-1, keepdim=True)
    own = torch.tensor([place[text] for text in texts], device=every.device)
    # The sum over a token's numbers is linear in the caption, so captions can be subtracted before it.
    distinct = weights.gather(1, own[:, None]) * every[own] - weights @ every / len(every)
    similarity = torch.einsum("bte,be->bt", F.normalize(adapter.project(tokens), dim=-1), distinct)
    return _upsample(similarity, adapter.grid, pixels)


def _last_tokens(model: ClipModel, adapter: TowerAdapter, pixels: Tensor) -> tuple[Tensor, Calls]:
    """Return the tokens before pooling, (batch, tokens, width), and what else was listened to."""
    with torch.no_grad(), hooked({"tower": model.clip.visual, **adapter.modules(())}) as calls:
        model.clip.encode_image(pixels)
    return adapter.tokens(calls, adapter.layers[-1]), calls


def _upsample(values: Tensor, grid: tuple[int, int], pixels: Tensor) -> np.ndarray:
    """Spread values of the spatial tokens (batch, rows × columns) over the pixels."""
    cells = values.float().unflatten(1, grid)[:, None]
    spread = F.interpolate(cells, size=pixels.shape[-2:], mode="bilinear", align_corners=False)
    return spread[:, 0].cpu().numpy()


def grad_cam(model: ClipModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Weight the last tokens' numbers by their gradients: Grad-CAM (Selvaraju et al., arXiv 1610.02391).

    The tokens are the last that pooling reads: the last feature map of a ResNet; the last block's output, or where a
    class token is pooled that block's input, since nothing else of its output reaches the embedding. The map is the
    positive part of the numbers' sum, each weighted by the mean of its gradient over the spatial tokens.
    """
    adapter, text = _check(model, pixels, texts)
    modules = adapter.modules(())
    module = modules[f"block {adapter.blocks[-1]}"] if adapter.blocks else modules["pooling"]
    options = {
        "additional_forward_args": (text,),
        "attribute_to_layer_input": adapter.pooled_token is not None or not adapter.blocks,
    }
    score, inputs = similarity_of(model), pixels.detach().clone().requires_grad_()
    gradient = LayerGradientXActivation(score, module, multiply_by_inputs=False).attribute(inputs, **options)
    activation = LayerActivation(score, module).attribute(inputs, **options)
    gradient, activation = (_spatial(each, adapter) for each in (gradient, activation))
    weighted = torch.einsum("btw,bw->bt", activation, gradient.mean(1))
    return _upsample(weighted.relu(), adapter.grid, pixels)


def integrated_gradients(
    model: ClipModel, pixels: Tensor, texts: Sequence[str], *, steps: int = 16
) -> np.ndarray:
    """Integrate gradients on the way from the mean color to the image (Sundararajan et al., arXiv 1703.01365).

    The map is summed over colors, and its sum over pixels is the similarity of the image minus that of the mean color
    (completeness), but for the error of the Gauss–Legendre quadrature with `steps` points.
    """
    _, text = _check(model, pixels, texts)
    attributed = IntegratedGradients(similarity_of(model)).attribute(
        pixels.detach().clone(),
        baselines=0,
        additional_forward_args=(text,),
        n_steps=steps,
        internal_batch_size=max(len(pixels), IMAGES_AT_ONCE),
    )
    return attributed.detach().sum(1).float().cpu().numpy()


def occlusion(model: ClipModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Hide one place after the other (Zeiler and Fergus, arXiv 1311.2901).

    The window is two cells of the tower's grid high and wide and moves by one cell. The map is by how much the
    similarity falls when the pixel is hidden, mean over the windows that hide it.
    """
    adapter, text = _check(model, pixels, texts)
    cell = [max(1, side // cells) for side, cells in zip(pixels.shape[-2:], adapter.grid, strict=True)]
    with torch.no_grad():
        attributed = Occlusion(similarity_of(model)).attribute(
            pixels,
            sliding_window_shapes=(3, 2 * cell[0], 2 * cell[1]),
            strides=(3, *cell),
            baselines=0,
            additional_forward_args=(text,),
            perturbations_per_eval=max(1, IMAGES_AT_ONCE // len(pixels)),
        )
    return attributed[:, 0].float().cpu().numpy()


def similarity_of(model: ClipModel) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the similarity of each image with its caption's embedding as a function that has gradients."""
    adapter = adapter_of(model)

    def similarity(pixels: Tensor, text: Tensor) -> Tensor:
        with adapter.pooled_alone():
            embedding = model.clip.encode_image(pixels)
        return (F.normalize(embedding.float(), dim=-1) * text).sum(-1)

    return similarity


def _spatial(activation: Tensor, adapter: TowerAdapter) -> Tensor:
    """Return the spatial tokens (batch, rows × columns, width) of tokens or of a feature map."""
    prefix = adapter.prefix if activation.ndim == 3 else 0
    return adapter.laid_out(activation.detach().float())[:, prefix:]


def scale(maps: np.ndarray) -> np.ndarray:
    """Bring each map (batch, height, width) to [0, 1] by its own minimum and maximum; a constant map becomes 0."""
    low, high = (end(axis=(1, 2), keepdims=True) for end in (maps.min, maps.max))
    return ((maps - low) / np.where(high > low, high - low, 1)).astype(np.float32)


def _check(model: ClipModel, pixels: Tensor, texts: Sequence[str]) -> tuple[TowerAdapter, Tensor]:
    """Check the arguments of a method; return the adapter and the captions' embeddings (batch, embed_dim)."""
    adapter = adapter_of(model)
    if pixels.ndim != 4 or pixels.shape[1:] != (3, *model.image_size):
        height, width = model.image_size
        raise InputError(
            f"pixels have the shape {tuple(pixels.shape)}; {model.name} takes (batch, 3, {height}, {width}). "
            "Read images of any size with model.read_batches and model.to_input."
        )
    check_texts(texts, len(pixels), "images")
    if any(module.training for module in model.clip.visual.modules()):
        raise InputError(f"{model.name} is in training mode: call model.clip.eval() before explaining it.")
    return adapter, embed_pixels(model, texts)


def check_texts(texts: Sequence[str], number: int, what: str) -> None:
    """Raise InputError unless there is one text for each image."""
    if isinstance(texts, str) or len(texts) == 0:
        raise InputError(
            f"texts is {texts!r}; expected a list with one caption for each of the {number} {what}"
        )
    if len(texts) != number:
        raise InputError(f"there are {len(texts)} captions for {number} {what}; give one for each")


def _check_captions(captions: Sequence[str]) -> None:
    if isinstance(captions, str) or len(set(captions)) < 2:
        raise InputError(
            f"captions is {captions!r}; CLIP Surgery removes what captions have in common, so give at least two"
        )


def embed_pixels(model: ClipModel, texts: Sequence[str]) -> Tensor:
    """Return the unit vectors of texts on the device of the model, (n_texts, embed_dim)."""
    return torch.from_numpy(model.encode_texts(texts)).to(model.device)
