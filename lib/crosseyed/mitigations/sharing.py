"""Encode each image once for all candidates, as far as they compute the same.

Two things are shared. The *run* of the plain tower on an image, which other poolings read, and from which mitigations
that change only the last blocks go on (`Mitigation.first_changed`, `crosseyed.internals.trace.encode_from`): it is done
batch by batch for all of them, so that no more than the tokens of one batch are kept. And the *embeddings* of views by
the plain model, which many mitigations show: the image itself is the first view of most. These are kept beyond the
process, too (`crosseyed.models.cache`).

Costs are counted in passes of the whole tower for one image. What runs only the last m of L blocks counts m / L.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

import numpy as np
import torch

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.internals.trace import encode_from
from crosseyed.mitigations.base import Ensemble, Location, Mitigation
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.pooling import PooledModel, of_batch
from crosseyed.mitigations.pooling_methods import Batch
from crosseyed.mitigations.views import Gated
from crosseyed.models.cache import CachedEncoder, cached, digest_seen
from crosseyed.models.clip import ClipModel
from crosseyed.models.memory import by_halves
from crosseyed.models.scorer import IMAGES_TOGETHER, Encoder, Scorer, ScorerWrapper, cosines
from crosseyed.models.towers.registry import adapter_of


@dataclass(eq=False)
class Counting(ScorerWrapper, Encoder):
    """A model that counts its passes and reads each text once, as no candidate changes the text tower.

    Attributes
    ----------
    clip_model : ClipModel
        The model.
    read : dict of str to numpy.ndarray
        The embeddings of the texts that were read.
    passes : float
        Images encoded so far.
    """

    clip_model: ClipModel
    read: dict[str, np.ndarray] = field(repr=False)
    passes: float = 0.0

    @property
    def name(self) -> str:
        """The model's name."""
        return self.clip_model.name

    @property
    def inner(self) -> Scorer:
        """The model."""
        return self.clip_model

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings of the texts, computing those that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self.read]
        self.read.update(zip(new, self.clip_model.encode_texts(new), strict=True))
        return np.stack([self.read[text] for text in texts])

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of the images, counting them."""
        vectors = self.clip_model.encode_images(images, progress=progress)
        self.passes += len(vectors)
        return vectors


@dataclass(eq=False)
class Remembering(Counting):
    """The same for a model that nothing changes: what looks like an image before, once resized, is not encoded again.

    Passes are counted as without a cache (`crosseyed.models.cache`), so that costs do not depend on what is kept there.

    Attributes
    ----------
    kept : CachedEncoder
        The model with its cache.
    seen : dict of bytes to numpy.ndarray
        By digest of what the model sees its embedding, (embed_dim,).
    """

    kept: CachedEncoder | None = field(default=None, repr=False)
    seen: dict[bytes, np.ndarray] = field(default_factory=dict, repr=False)
    _asked: dict[bytes, np.ndarray] = field(
        default_factory=dict, repr=False
    )  # what it sees, until it is encoded

    def __post_init__(self) -> None:
        """Look for the cache, unless it is given."""
        self.kept = self.kept or cached(self.clip_model)

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of the images, counting only those that are new."""
        return self.vectors(self.ask(images, progress=progress))

    def ask(self, images: Iterable[ImageSource], *, progress: bool = True) -> list[bytes | None]:
        """Read images that `vectors` will be asked for, and count those that are new, which are encoded together.

        Returns
        -------
        list of bytes or None
            A key for each image, None for one that cannot be read.
        """
        keys: list[bytes | None] = []
        for pixels, readable in self.clip_model.read_batches(images, progress=progress):
            found = [digest_seen(image) for image in pixels]
            for key, image in zip(found, pixels, strict=True):
                if key not in self.seen and key not in self._asked:
                    self._asked[key] = image
                    self.passes += 1
            each = iter(found)
            keys += [next(each) if ok else None for ok in readable]
            while len(self._asked) >= IMAGES_TOGETHER:  # a multiple of every batch size
                self._encode(IMAGES_TOGETHER)
        return keys

    def vectors(self, keys: Sequence[bytes | None]) -> np.ndarray:
        """Return the embeddings (n_images, embed_dim) of what was asked; a row of NaN for None."""
        self._encode()
        rows = np.full((len(keys), self.clip_model.tower.embed_dim), np.nan, np.float32)
        for row, key in zip(rows, keys, strict=True):
            if key is not None:
                row[:] = self.seen[key]
        return rows

    def remember(self, pixels: Sequence[np.ndarray], vectors: np.ndarray) -> None:
        """Keep embeddings (n_images, embed_dim) that were computed elsewhere, of pixels from `read_batches`."""
        self.seen.update(zip(map(digest_seen, pixels), vectors, strict=True))

    def _encode(self, most: int | None = None) -> None:
        now = dict(islice(self._asked.items(), most))
        if now:
            self.seen |= self.kept.encode_seen(now)
            self._asked = {key: image for key, image in self._asked.items() if key not in now}


def depth_in_common(model: ClipModel, mitigation: Mitigation) -> int | None:
    """Return the depth up to which a mitigated tower computes what the plain one does; None if it has to run whole."""
    first = mitigation.first_changed(model)
    return None if first is None or first - 1 not in adapter_of(model).resumable else first - 1


@dataclass(eq=False)
class SharedRun:
    """One run of the tower on the images of a task, for the plain model, poolings and mitigations.

    Attributes
    ----------
    plain : Remembering
        The plain model, which remembers what it saw here.
    members : mapping of str to ClipModel, PooledModel or Mitigation
        Who shares the run, by name: the plain model itself, other poolings of it, and mitigations with a
        `depth_in_common`.
    answers : dict of str to numpy.ndarray
        By name the similarities (n_images, n_texts), once they are computed.
    repeated : dict of str to float
        By name the passes for one image that a member adds to the run of the plain tower.
    """

    plain: Remembering
    members: Mapping[str, ClipModel | PooledModel | Mitigation]
    answers: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    repeated: dict[str, float] = field(default_factory=dict)
    _owed: dict[str, float] = field(default_factory=dict, repr=False)

    def similarities(self, name: str, images: Iterable[ImageSource], texts: Sequence[str]) -> np.ndarray:
        """Return the answers of a member; the first call, with the same images and texts as all, runs the tower."""
        if not self.answers:
            self._run(images, texts)
        return self.answers[name]

    def alone(self, name: str) -> float:
        """Return the passes for one image that a member would make alone: it would run the first blocks, too."""
        member, model = self.members[name], self.plain.clip_model
        if not isinstance(member, Mitigation):
            return 1.0
        return 1 - adapter_of(model).share_after(depth_in_common(model, member)) + self.repeated[name]

    def bill(self, names: Iterable[str]) -> float:
        """Return the passes for one image that members added, each when it is named for the first time."""
        return sum(self._owed.pop(name, 0.0) for name in names)

    def _run(self, images: Iterable[ImageSource], texts: Sequence[str]) -> None:
        model, captions = self.plain.clip_model, self.plain.encode_texts(texts)
        parts, masks = {name: [np.empty((0, len(texts)))] for name in self.members}, [np.empty(0, bool)]
        for pixels, readable in model.read_batches(images):
            masks.append(readable)
            for found in by_halves(partial(self._run_batch, texts, captions), pixels) if pixels else ():
                for name, (similarities, passes) in found.items():
                    parts[name].append(similarities)
                    self.repeated[name] = self.repeated.get(name, 0.0) + passes
        readable = np.concatenate(masks)
        self.plain.passes += int(readable.sum())
        self.repeated = {name: passes / len(readable) for name, passes in self.repeated.items()}
        self._owed = dict(self.repeated)
        for name, similarities in parts.items():
            self.answers[name] = np.full((len(readable), len(texts)), np.nan)
            self.answers[name][readable] = np.concatenate(similarities)

    @torch.inference_mode()
    def _run_batch(
        self, texts: Sequence[str], captions: np.ndarray, pixels: Sequence[np.ndarray], _first: int
    ) -> dict[str, tuple[np.ndarray, float]]:
        """Return by name the similarities of all members, and the passes that they added."""
        model = self.plain.clip_model
        batch = Batch.of(model, model.to_input(pixels))
        own = model.unit(batch.embedding).numpy()
        self.plain.remember(pixels, own)
        given = torch.from_numpy(captions).to(model.device)
        found = {}
        for name, member in self.members.items():
            if isinstance(member, Mitigation):
                found[name] = self._resume(member, batch, texts)
                continue
            result = own
            if isinstance(member, PooledModel):
                result = of_batch(member, batch, given).cpu().numpy()
            by_caption = isinstance(member, PooledModel) and member.method.by_caption
            found[name] = result.astype(float) if by_caption else cosines(result, captions), 0.0
        return found

    def _resume(self, mitigation: Mitigation, batch: Batch, texts: Sequence[str]) -> tuple[np.ndarray, float]:
        model, layer = self.plain.clip_model, depth_in_common(self.plain.clip_model, mitigation)
        state = batch.adapter.state(batch.calls, layer)
        resumed = _Resumed(model, self.plain.read, layer=layer, state=state)
        scores = mitigation.score(resumed, model, [_Place(place) for place in range(len(state))], texts)
        return mitigation.combine(scores[:, None], model.logit_scale), resumed.passes


@dataclass(frozen=True, eq=False)
class OfRun(ScorerWrapper):
    """One of the scorers that share a run."""

    run: SharedRun
    name: str

    @property
    def inner(self) -> Scorer:
        """The plain model."""
        return self.run.plain

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        """Return what the run found; see `crosseyed.models.scorer.Scorer`."""
        return self.run.similarities(self.name, images, texts)


@dataclass(eq=False)
class SharedViews:
    """The views of a task's images that mitigations show to the plain model, each encoded once for all of them.

    Attributes
    ----------
    plain : Remembering
        The plain model.
    makers : sequence of Mitigation
        Mitigations that change only the image, from `maker_of_views`.
    locations : sequence of Location or None
        Where the object in question is in each image; None if unknown.
    """

    plain: Remembering
    makers: Sequence[Mitigation]
    locations: Sequence[Location] | None = field(default=None, repr=False)
    _keys: dict[Mitigation, list[bytes | None]] = field(default_factory=dict, repr=False)
    _owed: dict[Mitigation, float] = field(default_factory=dict, repr=False)

    def similarities(
        self, mitigation: Mitigation, images: Sequence[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Return those of a mitigation; the first call, with the same images as all, makes the views of all makers."""
        if not self._keys:
            self._ask(images)
        maker = maker_of_views(mitigation)
        shown = cosines(self.plain.vectors(self._keys[maker]), self.plain.encode_texts(texts))
        return mitigation.combine(shown.reshape(-1, maker.n_views, len(texts)), self.plain.logit_scale)

    def bill(self, mitigation: Mitigation) -> float:
        """Return the passes that the views of a mitigation added, when they are named for the first time."""
        return self._owed.pop(maker_of_views(mitigation), 0.0)

    def _ask(self, images: Sequence[ImageSource]) -> None:
        for maker in dict.fromkeys(self.makers):
            before, told = self.plain.passes, self.locations if maker.needs_location else None
            ask = partial(self.plain.ask, progress=False)
            self._keys[maker] = mitigate(self.plain, maker, told).over_views(images, ask, progress=False)
            self._owed[maker] = self.plain.passes - before


def maker_of_views(mitigation: Mitigation) -> Mitigation:
    """Return the same mitigation for all that show the same views and combine them differently."""
    if isinstance(mitigation, Gated) and mitigation.n_views == mitigation.ensemble.n_views:
        return maker_of_views(mitigation.ensemble)
    if isinstance(mitigation, Ensemble):
        return replace(mitigation, aggregate="max", temperature=1.0)
    return mitigation


@dataclass(frozen=True)
class _Place:
    """An image of a batch that has been run, by its place in it."""

    place: int

    def __call__(self) -> None:
        raise InputError(
            "A mitigation that says which block it changes first cannot read the pixels of views."
        )


@dataclass(eq=False, kw_only=True)
class _Resumed(Counting):
    """A model that has run a batch and goes on from a depth whenever it is asked about one of its images."""

    layer: int
    state: torch.Tensor = field(repr=False)

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        places = [image.place for image in images]
        self.passes += len(places) * adapter_of(self.clip_model).share_after(self.layer)
        return self.clip_model.unit(encode_from(self.clip_model, self.layer, self.state[places])).numpy()
