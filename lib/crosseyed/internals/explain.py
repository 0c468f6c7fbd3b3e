"""Say which pixels speak for a caption, and score such maps against the known masks of the objects.

A *method* takes a model, a batch of its input and one caption an image, and returns one map an image::

    method(model, pixels, texts) -> maps    # (batch, height, width), float32, at the resolution of the pixels

The larger a map, the more its method holds the place to speak for the caption. Methods differ in their units;
`scale` brings each map to [0, 1]. `methods` names them all, `score_maps` and `removal_curves` judge maps, and
`compare` does it for scenes, in one tidy table.

Similarity is the cosine between the image's embedding and the caption's. A place that is blotted out, in
occlusion and in the curves, and the baseline of integrated gradients are 0 in the model's input: the mean
color of the pictures that the model was made for.

Before and after pooling
------------------------
Li et al. (arXiv 2209.07046) report that the map of similarities between projected tokens and a caption (ITSM)
is lower on the object than on the background, and hold pooling responsible, which they say shifts the meaning
of tokens. Two maps tell what pooling does, in the same words for every tower:

before pooling (`itsm`)
    Similarity of the caption with the embedding that pooling would give if it saw this token only. No token
    is mixed with another.
after pooling (`itsm_after_pooling`)
    What the token adds to the similarity of the pooled embedding: weighted as pooling weights it. Pooling is
    the step in which the pooled vector reads the spatial tokens for the last time: attention or average
    pooling where a tower has it, else the class token's attention in the last block.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerActivation, LayerGradientXActivation, Occlusion
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from crosseyed.errors import InputError
from crosseyed.internals.trace import hooked
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import Calls, TowerAdapter
from crosseyed.models.towers.registry import adapter_of

Method = Callable[[ClipModel, Tensor, Sequence[str]], np.ndarray]

"""From a model, its input (batch, 3, height, width) and a caption an image to maps (batch, height, width)."""

"""The columns of `score_maps`."""

IMAGES_AT_ONCE = 16


def methods(captions: Sequence[str], model: ClipModel | None = None) -> dict[str, Method]:
    """Name every method.

    Parameters
    ----------
    captions : sequence of str
        The captions among which feature surgery tells one from the others; at least two different ones.
    model : ClipModel, optional
        Leave out what its tower does not offer: ITSM after pooling, where an MLP follows pooling.

    Returns
    -------
    dict of str to callable
        The methods of this module by the names under which tables and figures show them.

    Raises
    ------
    InputError
        Fewer than two different captions.
    UnsupportedTower
        The tower is of a family that tracing does not know.
    """
    _check_captions(captions)
    known = {
        "ITSM": itsm,
        "ITSM after pooling": itsm_after_pooling,
        "feature surgery": partial(feature_surgery, captions=captions),
        "Grad-CAM": grad_cam,
        "integrated gradients": integrated_gradients,
        "occlusion": occlusion,
    }
    if model is not None and "decomposition" not in adapter_of(model).capabilities:
        del known["ITSM after pooling"]
    return known


def itsm(model: ClipModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Compare each token, before pooling, with the caption: the image–text similarity map.

    Parameters
    ----------
    model : ClipModel
        A model whose tower can be traced.
    pixels : torch.Tensor, shape (batch, 3, height, width)
        The model's input, as of `ClipModel.to_input`.
    texts : sequence of str
        One caption an image.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32 cosines in [-1, 1], one a token, interpolated between the middles of the tokens' cells. The map of
        Li et al. (arXiv 2209.07046) is this one after `scale`.

    Raises
    ------
    UnsupportedTower
        The tower is of a family that tracing does not know.
    InputError
        The captions are not one an image, the pixels not of the model's resolution, or the model is in
        training mode.
    """
    adapter, text = _check(model, pixels, texts)
    tokens, _ = _last_tokens(model, adapter, pixels)
    similarity = torch.einsum("bte,be->bt", F.normalize(adapter.project(tokens), dim=-1), text)
    return _upsample(similarity[:, adapter.prefix :], adapter.grid, pixels)


def itsm_after_pooling(model: ClipModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Say what each token adds to the similarity of image and caption when it is pooled.

    The module's docstring says which step counts as pooling. The final norm is held at its statistics, so that
    the step is linear (`crosseyed.internals.trace.Readout`).

    Parameters
    ----------
    model, pixels, texts
        As for `itsm`.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32 summands of the cosine similarity, one a token, interpolated as for `itsm`. The summands of all
        tokens, the prefix token's included, give the part of the similarity that comes through pooling, biases
        apart.

    Raises
    ------
    UnsupportedTower, InputError
        As `itsm`.
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
        place, layer = slice(adapter.pooled_token, adapter.pooled_token + 1), adapter.blocks[-1]
        weights, read = adapter.attention(layer), adapter.attended(calls, layer).float()
        attention = weights.at(place).rows(read[:, place], read)[:, :, 0]
        factor, _ = adapter.written(calls, layer)
        direction = torch.einsum(
            "bg,bgw->bw", (rows * factor[:, None])[:, :, adapter.pooled_token], direction
        )
        towards = torch.einsum("hdw,bw->bhd", weights.output, direction)
        added = torch.einsum("bht,bhtd,bhd->bt", attention, weights.values(read), towards)
    return _upsample(added[:, adapter.prefix :], adapter.grid, pixels)


def feature_surgery(
    model: ClipModel, pixels: Tensor, texts: Sequence[str], *, captions: Sequence[str]
) -> np.ndarray:
    """Compare each token with what sets the caption apart from all captions.

    Feature surgery of CLIP Surgery (Li et al., arXiv 2304.05653): from the products of token and caption, number
    by number, their mean over all captions is taken away. Captions count by how well they fit the whole image.
    The surgery on the tower that the paper combines with it is not done here: the tokens are those of `itsm`.

    Parameters
    ----------
    model, pixels, texts
        As for `itsm`.
    captions : sequence of str
        All captions; at least two different ones. A caption of `texts` that is not among them is added.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32 similarities, weighted and relative to the mean caption, interpolated as for `itsm`.

    Raises
    ------
    UnsupportedTower, InputError
        As `itsm`; and for fewer than two different captions.
    """
    adapter, _ = _check(model, pixels, texts)
    _check_captions(captions)
    place = {caption: number for number, caption in enumerate(dict.fromkeys([*captions, *texts]))}
    every = embed_pixels(model, list(place))
    tokens, calls = _last_tokens(model, adapter, pixels)
    fit = F.normalize(calls["tower"][1].float(), dim=-1) @ every.T
    weights = (2 * fit).softmax(-1)  # the temperature of the authors' code
    weights = weights / weights.mean(-1, keepdim=True)
    own = torch.tensor([place[text] for text in texts], device=every.device)
    # The sum over a token's numbers is linear in the caption, so captions can be subtracted before it.
    distinct = weights.gather(1, own[:, None]) * every[own] - weights @ every / len(every)
    similarity = torch.einsum("bte,be->bt", F.normalize(adapter.project(tokens), dim=-1), distinct)
    return _upsample(similarity[:, adapter.prefix :], adapter.grid, pixels)


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

    The tokens are the last that pooling reads: the last feature map of a ResNet; the last block's output, or
    where a class token is pooled that block's input, since nothing else of its output reaches the embedding.

    Parameters
    ----------
    model, pixels, texts
        As for `itsm`.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32, at least 0: the positive part of the numbers' sum, each weighted by the mean of its gradient over
        the spatial tokens; interpolated as for `itsm`.

    Raises
    ------
    UnsupportedTower, InputError
        As `itsm`.
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

    Parameters
    ----------
    model, pixels, texts
        As for `itsm`.
    steps : int
        Number of points of the Gauss–Legendre quadrature.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32, summed over colors. The sum over pixels is the similarity of the image minus that of the mean
        color (completeness), but for the quadrature's error.

    Raises
    ------
    UnsupportedTower, InputError
        As `itsm`.
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
    """Blot out one place after the other (Zeiler and Fergus, arXiv 1311.2901).

    The window is two cells of the tower's grid high and wide and moves by one cell.

    Parameters
    ----------
    model, pixels, texts
        As for `itsm`.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32: by how much the similarity falls when the pixel is hidden, mean over the windows that hide it.

    Raises
    ------
    UnsupportedTower, InputError
        As `itsm`.
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
        )
    return attributed[:, 0].float().cpu().numpy()


def similarity_of(model: ClipModel) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the similarity of each image with its caption's embedding as a function that has gradients."""

    def similarity(pixels: Tensor, text: Tensor) -> Tensor:
        return (F.normalize(model.clip.encode_image(pixels).float(), dim=-1) * text).sum(-1)

    return similarity


def _spatial(activation: Tensor, adapter: TowerAdapter) -> Tensor:
    """Return the spatial tokens (batch, rows × columns, width) of tokens or of a feature map."""
    prefix = adapter.prefix if activation.ndim == 3 else 0
    return adapter.laid_out(activation.detach().float())[:, prefix:]


def scale(maps: np.ndarray) -> np.ndarray:
    """Bring each map to [0, 1] by its own minimum and maximum.

    Parameters
    ----------
    maps : numpy.ndarray, shape (batch, height, width)
        Maps of any method.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32; a map that is the same everywhere becomes 0.
    """
    low, high = (end(axis=(1, 2), keepdims=True) for end in (maps.min, maps.max))
    return ((maps - low) / np.where(high > low, high - low, 1)).astype(np.float32)


def _check(model: ClipModel, pixels: Tensor, texts: Sequence[str]) -> tuple[TowerAdapter, Tensor]:
    """Return the tower's adapter and the captions' embeddings (batch, embed_dim), or refuse the arguments."""
    adapter = adapter_of(model)
    if pixels.ndim != 4 or pixels.shape[1:] != (3, *model.image_size):
        height, width = model.image_size
        raise InputError(
            f"pixels have the shape {tuple(pixels.shape)}; {model.name} takes (batch, 3, {height}, {width}). "
            "Read pictures of any size with model.read_batches and model.to_input."
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
            f"captions is {captions!r}; feature surgery removes what captions have in common, so give at least two"
        )


def embed_pixels(model: ClipModel, texts: Sequence[str]) -> Tensor:
    """Return the unit vectors of texts on the device of the model, (n_texts, embed_dim)."""
    return torch.from_numpy(model.encode_texts(texts)).to(model.device)
