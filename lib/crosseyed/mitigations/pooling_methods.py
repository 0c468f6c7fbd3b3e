"""The methods that turn tokens into one vector without training."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from crosseyed.internals.self_similarity import alike, dual_path
from crosseyed.internals.trace import hooked
from crosseyed.mitigations.parameters import Parameter
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import AttentionWeights, Calls, TowerAdapter
from crosseyed.models.towers.registry import adapter_of

NEEDS: dict[str, Callable[[TowerAdapter], bool]] = {
    "a class token": lambda adapter: adapter.class_token is not None,
    "attention pooling": lambda adapter: adapter.native_pooling == "attention",
    "transformer blocks": lambda adapter: bool(adapter.blocks),
    "attention": lambda adapter: bool(adapter.blocks) or adapter.native_pooling == "attention",
}


@dataclass(frozen=True)
class PoolingMethod:
    """A step from tokens to one vector; `crosseyed.mitigations.pooling` explains the symbols.

    Attributes
    ----------
    name : str
        Its name in `POOLINGS`.
    formula, source : str
        The formula in LaTeX, and where it comes from.
    needs : tuple of str
        What it needs of a tower besides spatial tokens: keys of `NEEDS`.
    step : callable
        From `Batch` and parameters to embeddings (batch, embed_dim), not normalised; if `by_caption`, from `Batch`,
        captions and parameters to cosines (batch, n_texts).
    parameters : mapping of str to Parameter
        Its hyper-parameters, with the values that chapters 4 and 5 try.
    by_caption : bool
        Whether the vector depends on the caption, so that an image has no vector of its own.
    """

    name: str
    formula: str
    source: str
    needs: tuple[str, ...]
    step: Callable[..., Tensor] = field(repr=False)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    by_caption: bool = False

    def settings(self, grid: Literal["grid", "coarse"]) -> list[dict[str, float]]:
        """Return the settings in a grid of its parameter, or one empty setting without parameters."""
        tried = [{key: value} for key, each in self.parameters.items() for value in getattr(each, grid)]
        return tried or [{}]


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch that went through the tower; what several methods need is computed once, on first use.

    Attributes
    ----------
    adapter, calls : TowerAdapter, mapping
        The adapter of the tower, and inputs and outputs of its modules.
    embedding : torch.Tensor, shape (batch, embed_dim)
        The tower's own embeddings, not normalised.
    """

    adapter: TowerAdapter
    calls: Calls
    embedding: Tensor

    @classmethod
    def of(cls, model: ClipModel, pixels: Tensor) -> Self:
        """Run the tower once."""
        adapter = adapter_of(model)
        with hooked(adapter.modules(())) as calls:
            embedding = model.clip.encode_image(pixels)
        return cls(adapter, calls, embedding)

    def tokens_at(self, layer: int) -> Tensor:
        """Return the v_t of the spatial tokens at a depth, (batch, T, pooled_width)."""
        tokens = self.adapter.tokens(self.calls, layer)[:, self.adapter.prefix :]
        return self.adapter.candidates(tokens.float())

    @cached_property
    def tokens(self) -> Tensor:
        """The last tokens, (batch, tokens, width)."""
        return self.adapter.tokens(self.calls, self.adapter.layers[-1]).float()

    @cached_property
    def spatial(self) -> Tensor:
        """v_t, (batch, T, pooled_width)."""
        return self.adapter.candidates(self.tokens[:, self.adapter.prefix :])

    @cached_property
    def entering(self) -> Tensor:
        """Input of the last block, x_t, (batch, tokens, width)."""
        return self.adapter.tokens(self.calls, self.adapter.blocks[-1] - 1).float()

    @cached_property
    def read(self) -> Tensor:
        """What the attention of the last block reads, (batch, tokens, width)."""
        return self.adapter.attended(self.calls, self.adapter.blocks[-1]).float()

    @cached_property
    def weights(self) -> AttentionWeights:
        """The attention of the last block."""
        return self.adapter.attention(self.adapter.blocks[-1])

    @cached_property
    def forming(self) -> tuple[AttentionWeights, Tensor, Tensor]:
        """The attention that forms the pooled vector, and its (weights, reading, read)."""
        if self.adapter.native_pooling == "attention":
            return self.adapter.pooling_reads(self.tokens)
        return self.weights.at(self.pooled), self.read[:, self.pooled], self.read

    @cached_property
    def logits(self) -> Tensor:
        """Logits of the attention that forms the pooled vector, (batch, heads, reading, tokens)."""
        weights, reading, read = self.forming
        return weights.logits(reading, read)

    @cached_property
    def attention(self) -> Tensor:
        """Attention of the tower's own pooling to the spatial tokens, averaged over heads, (batch, T)."""
        return self.logits.softmax(-1).mean((1, 2))[:, self.adapter.prefix :]

    @property
    def pooled(self) -> slice:
        """The tokens that the tower's own pooling takes."""
        token = self.adapter.pooled_token
        return slice(self.adapter.prefix, None) if token is None else slice(token, token + 1)

    def finish(self, written: Tensor, tokens: slice) -> Tensor:
        """Add the last block's attention to the tokens that read, finish the block, average and embed."""
        after = self.adapter.after_attention(self.adapter.blocks[-1], self.entering[:, tokens] + written)
        return self.adapter.embed(self.adapter.candidates(after).mean(1))


def _class_token(batch: Batch) -> Tensor:
    return batch.adapter.embed(batch.adapter.candidates(batch.tokens[:, batch.adapter.class_token]))


def _own(batch: Batch) -> Tensor:
    return batch.embedding


def _average(vectors: Tensor) -> Tensor:
    return vectors.mean(1)


def _max(vectors: Tensor) -> Tensor:
    return vectors.amax(1)


def _generalised_mean(vectors: Tensor, p: float) -> Tensor:
    least, most = vectors.amin(1, keepdim=True), vectors.amax(1, keepdim=True)
    spread = most - least  # scaled to 0 … 1, so that no power overflows
    scaled = (vectors - least) / spread.clamp_min(torch.finfo(spread.dtype).tiny)
    return (least + spread * scaled.pow(p).mean(1, keepdim=True).pow(1 / p)).squeeze(1)


def _log_sum_exp(vectors: Tensor, temperature: float) -> Tensor:
    most = vectors.amax(1)
    below = torch.expm1((vectors - most[:, None]) / temperature)  # exact also where the temperature is high
    return most + temperature * torch.log1p(below.mean(1))


def _top_k(vectors: Tensor, k: int) -> Tensor:
    return vectors.topk(k, dim=1).values.mean(1)


def _of_tokens(combine: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Turn a function from v_t to the pooled vector into a step."""

    def step(batch: Batch, **parameters: float) -> Tensor:
        return batch.adapter.embed(combine(batch.spatial, **parameters))

    return step


def _softmax(logits: Tensor, temperature: float, dim: int = -1) -> Tensor:
    return (logits / temperature).softmax(dim)


def _uniform_rows(logits: Tensor) -> Tensor:
    return torch.full_like(logits, 1 / logits.shape[-1])


def _of_rows(rows_of: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Turn a function from logits to probabilities into a step."""

    def step(batch: Batch, **parameters: float) -> Tensor:
        weights, _, read = batch.forming
        written = weights.write(rows_of(batch.logits, **parameters), read)
        if batch.adapter.native_pooling == "attention":
            return batch.adapter.embed(written).mean(1)
        return batch.finish(written, batch.pooled)

    return step


def _value_only(batch: Batch) -> Tensor:
    spatial = slice(batch.adapter.prefix, None)
    return batch.finish(batch.weights.single_token_output(batch.read[:, spatial]), spatial)


def _sclip(batch: Batch) -> Tensor:
    spatial = slice(batch.adapter.prefix, None)
    rows = sum(alike(batch.weights, part, spatial, batch.read) for part in ("query", "key"))
    return batch.finish(batch.weights.write(rows, batch.read), spatial)


def _surgery(batch: Batch) -> Tensor:
    tokens = dual_path(batch.adapter, batch.calls)
    return batch.adapter.embed(batch.adapter.candidates(tokens).mean(1))


def most_attended(attention: Tensor, fraction: float) -> Tensor:
    """Return the indices (batch, n_kept) of the fraction of tokens with the most attention (batch, T)."""
    n_kept = math.ceil(fraction * attention.shape[1] - 1e-9)  # 0.1 of 30 tokens are 3, whatever rounding says
    return attention.topk(max(n_kept, 1), dim=1).indices


def _masked_max(batch: Batch, fraction: float) -> Tensor:
    vectors = torch.take_along_dim(batch.spatial, most_attended(batch.attention, fraction)[..., None], 1)
    return batch.adapter.embed(vectors.amax(1))


def _by_caption(batch: Batch, captions: Tensor, temperature: float) -> Tensor:
    tokens = F.normalize(batch.adapter.embed(batch.spatial), dim=-1)
    weights = _softmax(tokens @ captions.T, temperature, dim=1)
    pooled = batch.adapter.embed(weights.mT @ batch.spatial)
    return (F.normalize(pooled, dim=-1) * captions).sum(-1)


_COLDEST, _HOTTEST = 1e-6, 1e6  # as good as their limits, and far from overflow in single precision


def _temperature(default: float, meaning: str, **declared: Any) -> dict[str, Parameter]:
    limits = {"low": _COLDEST, "high": _HOTTEST}
    return {"temperature": Parameter(default=default, meaning=f"τ: {meaning}", **(limits | declared))}


_METHODS = (
    PoolingMethod(
        "class token",
        r"v_\mathrm{class}",
        "Dosovitskiy et al., ICLR 2021, arXiv 2010.11929; Radford et al., ICML 2021, arXiv 2103.00020",
        ("a class token",),
        _class_token,
    ),
    PoolingMethod(
        "attention",
        r"\sum_t A_t \, \mathrm{value}(x_t)",
        "the tower's own: Radford et al., ICML 2021, arXiv 2103.00020 (ResNets); "
        "Yu et al., TMLR 2022, arXiv 2205.01917 (CoCa)",
        ("attention pooling",),
        _own,
    ),
    PoolingMethod(
        "average",
        r"\frac{1}{T} \sum_t v_t",
        "Lin, Chen and Yan, ICLR 2014, arXiv 1312.4400",
        (),
        _of_tokens(_average),
    ),
    PoolingMethod(
        "max",
        r"\max_t v_t \text{ (each channel)}",
        "Oquab et al., CVPR 2015; after the tower: Li et al. 2022 (ECLIP), arXiv 2209.07046",
        (),
        _of_tokens(_max),
    ),
    PoolingMethod(
        "generalised mean",
        r"m + \left( \frac{1}{T} \sum_t (v_t - m)^p \right)^{1/p}, \; m = \min_t v_t \text{ (each channel)}",
        "Radenović, Tolias and Chum, TPAMI 2019, arXiv 1711.02512, for activations that are never negative; here "
        "counted from the least, because tokens have either sign",
        (),
        _of_tokens(_generalised_mean),
        {
            "p": Parameter(
                default=3.0,
                meaning="1 averages, large p tends to the maximum",
                low=1,
                high=1e6,
                grid=(2, 3, 5, 10),
                coarse=(3.0, 10.0),
            )
        },
    ),
    PoolingMethod(
        "log-sum-exp",
        r"\tau \log \frac{1}{T} \sum_t \exp(v_t / \tau) \text{ (each channel)}",
        "Pinheiro and Collobert, CVPR 2015, arXiv 1411.6228, with r = 1/τ",
        (),
        _of_tokens(_log_sum_exp),
        _temperature(
            1.0, "low tends to the maximum, high to the average", grid=(0.1, 0.3, 1.0, 3.0), coarse=(0.3, 1.0)
        ),
    ),
    PoolingMethod(
        "top-k",
        r"\text{mean of the } k \text{ largest } v_t \text{ (each channel)}",
        "Durand, Thome and Cord, CVPR 2016 (WELDON)",
        (),
        _of_tokens(_top_k),
        {
            "k": Parameter(
                default=4,
                whole=True,
                meaning="number of values: 1 is the maximum, all spatial tokens the average",
                low=1,
                grid=(2, 4, 8, 16, 32),
                coarse=(4, 16),
            )
        },
    ),
    PoolingMethod(
        "uniform attention",
        r"A_t = 1 / n_\mathrm{tokens}",
        "the limit of flattened attention",
        ("attention",),
        _of_rows(_uniform_rows),
    ),
    PoolingMethod(
        "sharpened attention",
        r"A = \mathrm{softmax}(q k^\top / (\tau \sqrt{d})), \; \tau \le 1",
        "temperature of a softmax: Hinton, Vinyals and Dean 2015, arXiv 1503.02531",
        ("attention",),
        _of_rows(_softmax),
        _temperature(
            0.5, "1 leaves the attention as it is", high=1, grid=(0.25, 0.5, 0.75), coarse=(0.25, 0.5)
        ),
    ),
    PoolingMethod(
        "flattened attention",
        r"A = \mathrm{softmax}(q k^\top / (\tau \sqrt{d})), \; \tau \ge 1",
        "temperature of a softmax: Hinton, Vinyals and Dean 2015, arXiv 1503.02531",
        ("attention",),
        _of_rows(_softmax),
        _temperature(
            2.0, "1 leaves the attention as it is", low=1, grid=(1.5, 2.0, 4.0, 8.0), coarse=(2.0, 4.0)
        ),
    ),
    PoolingMethod(
        "value only",
        r"A = I \text{ in the last block}, \; \frac{1}{T} \sum_t v_t",
        "Zhou, Loy and Dai, ECCV 2022 (MaskCLIP), arXiv 2112.01071",
        ("transformer blocks",),
        _value_only,
    ),
    PoolingMethod(
        "SCLIP",
        r"A = \mathrm{softmax}(q q^\top / \sqrt{d}) + \mathrm{softmax}(k k^\top / \sqrt{d}) "
        r"\text{ in the last block}, \; \frac{1}{T} \sum_t v_t",
        "Wang, Mei and Yuille, ECCV 2024, arXiv 2312.01597 (github.com/wangf3014/SCLIP)",
        ("transformer blocks",),
        _sclip,
    ),
    PoolingMethod(
        "CLIP Surgery",
        r"x_t \text{ entering the last blocks} + \sum_\mathrm{blocks} \mathrm{softmax}(v v^\top / \sqrt{d}) v, \; "
        r"\frac{1}{T} \sum_t v_t",
        "Li et al. 2023, arXiv 2304.05653 (github.com/xmed-lab/CLIP_Surgery)",
        ("transformer blocks",),
        _surgery,
    ),
    PoolingMethod(
        "caption-conditioned",
        r"\cos(c, \mathrm{embed}(\sum_t w_t v_t)), \; "
        r"w = \mathrm{softmax}_t(\cos(c, \mathrm{embed}(v_t)) / \tau) \text{ for the caption's } c",
        "Bain et al. 2022, arXiv 2205.08508, there over the frames of a video",
        (),
        _by_caption,
        _temperature(
            0.01,
            "low tends to the token most similar, high to the average",
            grid=(0.003, 0.01, 0.03, 0.1),
            coarse=(0.01, 0.05),
        ),
        by_caption=True,
    ),
    PoolingMethod(
        "masked max",
        r"\max_{t \in M} v_t, \; M = \text{the tokens with the largest } A_t",
        "Li et al. 2022 (ECLIP), arXiv 2209.07046; the mask here from the tower's own attention, mean of its heads",
        ("attention",),
        _masked_max,
        {
            "fraction": Parameter(
                default=0.5,
                meaning="|M| / T: 1 is the maximum over all",
                above=0,
                high=1,
                grid=(0.05, 0.1, 0.25, 0.5, 0.75),
                coarse=(0.25, 0.5),
            )
        },
    ),
)

POOLINGS: dict[str, PoolingMethod] = {method.name: method for method in _METHODS}
