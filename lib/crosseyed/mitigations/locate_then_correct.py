"""Locate-Then-Correct: find the heads behind wrong answers, silence them, and strengthen those behind right ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError, suggest
from crosseyed.internals.decompose import Decomposition, decompose
from crosseyed.mitigations.base import Mitigation, register
from crosseyed.mitigations.parameters import parameter
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer
from crosseyed.models.towers.registry import adapter_of
from crosseyed.settings import settings

Head = tuple[int, int]
"""Layer and number of a head, as in `crosseyed.internals.decompose.Decomposition`."""


@register
@dataclass(frozen=True)
class LocateThenCorrect(Mitigation):
    r"""Replace heads behind wrong answers by their mean, and turn those behind right ones to what tells classes apart.

    Locate-Then-Correct (Yeo et al. 2025, arXiv 2505.17425), after the authors' code
    (https://github.com/wj210/CLIP_LTC). `locate` finds the heads on validation images. The direct effect c of each
    head on an image's embedding (`crosseyed.internals.decompose`) then becomes

    - for *spurious* heads: its mean over the validation images;
    - for *target* heads, with u_k the captions' differences that discriminate the classes, made orthonormal by a QR
      decomposition::

          c ← c + cos(c, u_k) u_k,  c ← c / |c|      for one k after the other

    and the embedding is the sum of all heads and MLPs. The authors take differences of texts that a language model
    writes about the predicted class and one that it is mistaken for. Here they are of the captions themselves: that of
    the predicted class minus those of the `rivals` next ones (the authors ask for three differences). They use the
    mean over the images of the test, of which nothing may be known here. Biases, which they divide among the heads, are
    kept apart. An image's vector depends on the captions, so there are only similarities.
    """

    label: ClassVar[str] = "Locate-Then-Correct"
    spurious: tuple[Head, ...] = ()
    target: tuple[Head, ...] = ()
    means: np.ndarray | None = field(default=None, compare=False, repr=False)
    rivals: int = parameter(3, "differences of captions by which target heads are corrected", low=1)

    @classmethod
    def fitted(
        cls,
        model: ClipModel,
        images: Iterable[ImageSource],
        table: pd.DataFrame,
        labels: Sequence[str],
    ) -> list[Self]:
        """Return the heads that `locate` finds, and without the correction, which the authors report too."""
        located = locate(model, images, table, labels)
        silenced = replace(located, target=())
        return [located, silenced] if located.target and not silenced.neutral else [located]

    @property
    def parameters(self) -> dict[str, object]:
        """How many heads it silences and corrects."""
        return {"spurious": len(self.spurious), "target": len(self.target), "rivals": self.rivals}

    @property
    def neutral(self) -> bool:
        """Whether no head was found."""
        return not (self.spurious or self.target)

    def check(self, model: ClipModel) -> None:
        """Raise InputError for a tower whose heads cannot be told apart."""
        adapter_of(model).require("decomposition", "heads")

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Compare the corrected embeddings with the texts; one pass."""
        if self.neutral:
            return scorer.similarities(views, texts, progress=False)
        captions = torch.from_numpy(model.encode_texts(texts)).to(model.device)
        scores = [np.empty((0, len(texts)))]
        for part in decompose(model, views, progress=False):
            corrected = self.corrected(part, captions).double() @ captions.T.double()
            scores.append(corrected.cpu().numpy())
        return np.concatenate(scores)

    def corrected(self, part: Decomposition, captions: Tensor) -> Tensor:
        """Return the corrected embeddings of a batch, of length 1.

        Parameters
        ----------
        part : Decomposition
            Of n images.
        captions : torch.Tensor, shape (n_texts, embed_dim)
            Unit vectors of the texts; the pairs are made of those that fit the plain embedding best.

        Returns
        -------
        torch.Tensor, shape (n, embed_dim)
        """
        embedding = part.embedding.clone()
        if self.spurious:
            embedding -= sum(_head(part, head) for head in self.spurious)
            embedding += torch.as_tensor(self.means).to(embedding).sum(0)
        order = (part.embedding @ captions.T).argsort(-1, descending=True)[:, : self.rivals + 1]
        differences = captions[order[:, :1]] - captions[order[:, 1:]]
        directions = torch.linalg.qr(differences.mT).Q  # (n, embed_dim, rivals)
        for head in self.target:
            vector = own = _head(part, head)
            for direction in directions.unbind(-1):
                cosine = F.cosine_similarity(vector, direction, dim=-1)[:, None]
                vector = F.normalize(vector + cosine * direction, dim=-1)
            embedding += vector - own
        return F.normalize(embedding, dim=-1)


def locate(
    model: ClipModel, images: Iterable[ImageSource], table: pd.DataFrame, labels: Sequence[str]
) -> LocateThenCorrect:
    """Find the heads that decide right and wrong answers about objects off-center.

    For each image p is the answer, and o the runner-up where p is right, else the true label; a head's score is its
    direct effect on caption p minus that on caption o. Among the images off-center, which here are the authors' group
    whose bias conflicts with the answer, P_right(h) is the share of the rightly answered ones in which the head h has
    the largest score, P_wrong(h) that of the others. Of the K heads for which either is above 0, those with
    ``P_wrong - P_right > 1 / K`` are spurious, and those with ``P_right - P_wrong > 1 / K`` are target heads.

    Parameters
    ----------
    model : ClipModel
        The model.
    images : iterable of ImageSource
        Scenes of one object each, other ones than those of the test.
    table : pandas.DataFrame
        One row per image, with `object` and `center`.
    labels : sequence of str
        What the model chooses among; at least two.

    Returns
    -------
    LocateThenCorrect
        Neutral if no head stands out, or if all answers off-center are right, or all wrong.

    Raises
    ------
    UnsupportedTower
        The heads of the tower cannot be told apart.
    InputError
        There is not one row per image, or an object is not among the labels.
    """
    adapter_of(model).require("decomposition", "heads")
    truth = torch.from_numpy(pd.Index(labels).get_indexer(table["object"]))
    if (truth < 0).any():
        unknown = str(table["object"].iloc[int((truth < 0).int().argmax())])
        raise InputError(
            f"The object {unknown!r} is not among the {len(labels)} labels{suggest(unknown, labels)}"
        )
    captions = torch.from_numpy(model.encode_texts([settings.caption(label) for label in labels]))
    tops, right, sums, n_images, readable = [], [], 0.0, 0, 0
    for part in decompose(model, images):
        n_images = part.images.stop
        if n_images > len(table):
            break
        layers, heads = part.layers, part.heads.cpu()
        top, was_right = _decisive(heads, part.embedding.cpu(), captions, truth[part.images.start : n_images])
        tops.append(top)
        right.append(was_right)
        sums = sums + heads.nansum(1)
        readable += int(part.embedding.isfinite().all(-1).sum())
    if n_images != len(table):
        raise InputError(
            f"The table describes {len(table)} images, but there are others: give one row per image."
        )
    off_center = ~torch.tensor(table["center"].tolist())
    spurious, target = _told_apart(torch.cat(tops), torch.cat(right), off_center, sums.shape[:2])
    named = [[(layers[layer], head) for layer, head in places] for places in (spurious, target)]
    means = torch.stack([sums[place] / readable for place in spurious]) if spurious else None
    return LocateThenCorrect(*map(tuple, named), None if means is None else means.numpy())


def _decisive(heads: Tensor, embedding: Tensor, captions: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return of each image which of all heads decides for the answer most (-1 if unreadable), and if it is right."""
    best = (embedding @ captions.T).topk(2).indices
    right = best[:, 0] == truth
    other = torch.where(right, best[:, 1], truth)
    scores = torch.einsum("lbhe,be->blh", heads, captions[best[:, 0]] - captions[other]).flatten(1)
    return scores.argmax(1).where(embedding.isfinite().all(-1), -1), right


def _told_apart(
    top: Tensor, right: Tensor, group: Tensor, shape: Sequence[int]
) -> tuple[list[Head], list[Head]]:
    """Return the spurious and the target heads, each as place of the layer and head."""
    group = group & (top >= 0)
    counts = [top[group & chosen].bincount(minlength=int(np.prod(shape))) for chosen in (right, ~right)]
    if min(count.sum() for count in counts) == 0:
        return [], []
    share_right, share_wrong = (count / count.sum() for count in counts)
    least = 1 / ((share_right > 0) | (share_wrong > 0)).sum()
    places = [
        np.argwhere((more - less > least).reshape(*shape).numpy())
        for more, less in ((share_wrong, share_right), (share_right, share_wrong))
    ]
    return tuple([(int(layer), int(head)) for layer, head in found] for found in places)


def _head(part: Decomposition, head: Head) -> Tensor:
    layer, number = head
    return part.heads[part.layers.index(layer), :, number]
