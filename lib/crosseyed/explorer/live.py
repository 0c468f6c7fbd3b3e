"""Answer for an image that a user composes: what the model says, where it looks, what a mitigation does.

A request says what is to be seen: a `Stage`, an object at a place on a background, or a `Window`, a part of a
photograph. It becomes an `ImageSource` (`Live.image_of`), and every answer is what the library says of that image.
Nothing here knows of HTTP (`crosseyed.explorer.server`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, StringConstraints
from scipy.special import softmax

from crosseyed.data.backgrounds import BACKGROUNDS, Background
from crosseyed.data.cutouts import Cutout, read_catalogue
from crosseyed.data.images import ImageSource
from crosseyed.data.scenes import Placement, Scene
from crosseyed.errors import InputError, check_choice
from crosseyed.explorer import pictures
from crosseyed.explorer.uploads import MOST_BYTES, Uploads
from crosseyed.internals.attention import last_on_image, on_grid
from crosseyed.internals.explain import itsm_of_tokens
from crosseyed.internals.trace import listened, traced
from crosseyed.measure.protocols import captions_of
from crosseyed.mitigations.base import Location, Mitigation
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.registry import default_candidates
from crosseyed.mitigations.scoring import family_of
from crosseyed.mitigations.sharing import Counting
from crosseyed.mitigations.views import Gated
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import RANDOM, SHIPPED, cosines
from crosseyed.models.towers.base import TowerAdapter, UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.report.notices import reasons
from crosseyed.validation import Checked, validated

MOST_CAPTIONS, LONGEST_CAPTION = 50, 300
"""Captions in a request, and characters of each."""

MOST_PASSES = 9
"""A mitigation with more passes for an image than this is not offered: it would not answer while one looks."""

GROUNDS = tuple(Background(kind, seed) for kind in BACKGROUNDS for seed in range(3))
"""The backgrounds that can be chosen: three of each kind."""

_KEPT_TEXTS = 2000
_NOTES = {
    RANDOM: "Its weights are random: it has learned nothing.",
    SHIPPED: "This project trained it on drawn objects; its answers say nothing about a published CLIP.",
}
_BEGINNING = ("dog", "cat", "horse", "rabbit", "banana", "car", "guitar", "tree")

Fraction = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0.02, le=1)]


class Stage(Checked):
    """An object on a background, as in the scenes of the study.

    Attributes
    ----------
    object : str
        The name of a cut-out that is shipped, or the key of an upload.
    x, y : float
        Its center as fractions of the side; what leaves the image is cut off.
    size : float
        Its longer side over the side of the image.
    background : int
        Number in `GROUNDS`.
    """

    kind: Literal["stage"]
    object: str
    x: Fraction
    y: Fraction
    size: Size
    background: Annotated[int, Field(ge=0, lt=len(GROUNDS))]


class Window(Checked):
    """A part of a photograph.

    Attributes
    ----------
    photograph : str
        The key of an upload.
    x, y : float
        Center of the window as fractions of width and height; it is moved so that the window stays inside.
    size : float
        Width and height of the window over those of the photograph; of a square one, its side over the shorter side.
    square : bool
    """

    kind: Literal["window"]
    photograph: str
    x: Fraction
    y: Fraction
    size: Size
    square: bool

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, upper, right and lower border in pixels of a photograph."""
        whole = (min(width, height),) * 2 if self.square else (width, height)
        wide, high = (max(1, round(self.size * side)) for side in whole)
        left, upper = round(self.x * width - wide / 2), round(self.y * height - high / 2)
        left, upper = min(max(left, 0), width - wide), min(max(upper, 0), height - high)
        return left, upper, left + wide, upper + high


class Asked(Checked):
    """A request.

    Attributes
    ----------
    seen : Stage or Window
    captions : list of str
        What the model chooses among, all different.
    caption : int
        Number of the caption whose map is shown.
    mitigation : str
        Name of a mitigation; empty for the plain model.
    """

    seen: Annotated[Stage | Window, Field(discriminator="kind")]
    captions: list[Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_CAPTION)]]
    caption: Annotated[int, Field(ge=0)] = 0
    mitigation: str = ""


def read_request(given: object) -> Asked:
    """Check a request as it came; raise InputError, one sentence, for anything that it may not be."""
    if not isinstance(given, dict):
        raise InputError("A request is a JSON object.")
    if isinstance(captions := given.get("captions"), list):
        if not 1 <= len(captions) <= MOST_CAPTIONS:
            raise InputError(
                f"There are {len(captions)} captions; give at least 1 and at most {MOST_CAPTIONS}."
            )
        if any(isinstance(each, str) and len(each) > LONGEST_CAPTION for each in captions):
            raise InputError(
                f"A caption has more than {LONGEST_CAPTION} characters, which no model reads; shorten it."
            )
    asked = validated(Asked, given, "the request")
    if len(set(asked.captions)) < len(asked.captions):
        raise InputError("Two captions are the same; keep one of them.")
    if asked.caption >= len(asked.captions):
        raise InputError(f"There is no caption number {asked.caption + 1}; choose one of those given.")
    return asked


def shipped_objects() -> list[Cutout]:
    """Return the shipped cut-outs that can be chosen: of every object the first rendering, sorted by name."""
    found = {each.object: each for each in reversed(read_catalogue())}
    return [found[name] for name in sorted(found)]


@dataclass(eq=False)
class Live:
    """A model that answers requests, one at a time.

    Attributes
    ----------
    model : ClipModel
    cutouts : sequence of Cutout
        The objects that can be chosen, of different names.
    uploads : Uploads
        The user's own images.
    """

    model: ClipModel
    cutouts: Sequence[Cutout]
    uploads: Uploads
    _texts: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Find out what the tower of the model supports."""
        self._by_name = {each.object: each for each in self.cutouts}
        found, _ = default_candidates(self.model, most_passes=MOST_PASSES)
        self.mitigations: dict[str, Mitigation] = {
            each.name: each for each in found if isinstance(each, Mitigation) and not isinstance(each, Gated)
        }
        self._adapter: TowerAdapter | None = None
        try:
            self._adapter = adapter_of(self.model)
            self.no_attention = " ".join(f"No map: {each}." for each in reasons(self.model, "attention"))
            self.no_map = ""
        except UnsupportedTower as error:
            self.no_attention = self.no_map = str(error)

    def offered(self) -> dict:
        """Return what a page has to know before it asks; all of it can be written as JSON."""
        return {
            "model": self.model.name,
            "note": _NOTES.get(self.model.pretrained, ""),
            "objects": [*self._by_name],
            "backgrounds": [f"{each.kind} {each.seed + 1}" for each in GROUNDS],
            "mitigations": [
                {
                    "name": name,
                    "family": family_of(each),
                    "passes": each.passes,
                    "told": each.needs_location,
                }
                for name, each in self.mitigations.items()
            ],
            "noAttention": self.no_attention,
            "noMap": self.no_map,
            "captions": captions_of(_first([*self._by_name]), None, "object"),
            "mostCaptions": MOST_CAPTIONS,
            "mostBytes": MOST_BYTES,
        }

    def image_of(self, seen: Stage | Window) -> ImageSource:
        """Return the image that is to be seen; raise InputError if its object or photograph is not known."""
        if isinstance(seen, Window):
            photograph = self.uploads.find(seen.photograph).photograph
            return photograph.crop(seen.box(*photograph.size))
        placed = Placement(self.cutout(seen.object), seen.x, seen.y, seen.size)
        return Scene("live", GROUNDS[seen.background], (placed,)).render

    def cutout(self, name: str) -> Cutout:
        """Return a shipped cut-out by its name, or an upload as an object by its key."""
        return self._by_name[name] if name in self._by_name else self.uploads.find(name).cutout

    def answer(self, asked: Asked) -> dict:
        """Say what the plain model makes of an image, in one pass of its tower.

        Returns
        -------
        dict
            Can be written as JSON. ``similarities`` and ``shares`` (softmax at the model's own scale), one for each
            caption; ``seen``, a data URI of what the model sees after its own preprocessing; ``attention``, how what
            the pooled token attends to in the last layer, mean over heads, is spread over the image; ``map``, the
            image–text similarity map of the caption that is asked for
            (`crosseyed.internals.explain.itsm`). These two are ``{"grid": [rows, columns], "values": [...]}`` in
            reading order, or null where `offered` gives the reason.
        """
        texts = self._read(asked.captions)
        ((pixels, _),) = self.model.read_batches([self.image_of(asked.seen)], progress=False)
        embedding, attention, similarity_map = self._look(pixels, texts[asked.caption])
        return {
            **self._compared(cosines(embedding, texts)[0]),
            "seen": pictures.uri(pixels[0]),
            "attention": attention,
            "map": similarity_map,
        }

    def mitigated(self, asked: Asked) -> dict:
        """Say what the model makes of an image with a mitigation in front of it: ``similarities`` and ``shares``."""
        check_choice("mitigation", asked.mitigation, self.mitigations)
        chosen, locations = self.mitigations[asked.mitigation], None
        if chosen.needs_location:
            if isinstance(asked.seen, Window):
                raise InputError(
                    f"{chosen.name} is told where the object is, and in a photograph nobody knows; choose another."
                )
            locations = [Location(asked.seen.x, asked.seen.y, asked.seen.size)]
        self._trim()
        mitigated = mitigate(Counting(self.model, self._texts), chosen, locations)
        (similarities,) = mitigated.similarities([self.image_of(asked.seen)], asked.captions, progress=False)
        return self._compared(similarities)

    def _read(self, captions: Sequence[str]) -> np.ndarray:
        """Return the embeddings of captions, (n_captions, embed_dim), each computed once."""
        self._trim()
        return Counting(self.model, self._texts).encode_texts(captions)

    def _trim(self) -> None:
        """Keep the embeddings of no more than `_KEPT_TEXTS` captions and those of one request."""
        if len(self._texts) > _KEPT_TEXTS:
            self._texts.clear()

    def _compared(self, similarities: np.ndarray) -> dict:
        shares = softmax(self.model.logit_scale * similarities)
        return {"similarities": similarities.tolist(), "shares": shares.tolist()}

    @torch.inference_mode()
    def _look(
        self, pixels: Sequence[np.ndarray], text: np.ndarray
    ) -> tuple[np.ndarray, dict | None, dict | None]:
        """Return the embedding (1, embed_dim) of an image, the attention on it, and its map for a caption."""
        adapter = self._adapter
        if adapter is None:
            return self.model.encode_pixels(pixels), None, None
        want = set() if self.no_attention else {"attention"}
        calls = listened(self.model, adapter, want, self.model.to_input(pixels))
        embedding = self.model.unit(calls["tower"][1]).numpy()
        direction = torch.from_numpy(text).to(self.model.device)[None]
        similarity_map = itsm_of_tokens(adapter, calls, direction)
        attention = None
        if not self.no_attention:
            seen = traced(adapter, calls, range(1), want, adapter.layers[-1:])
            attention = _on_image(adapter, last_on_image(seen)[0])
        return embedding, attention, _on_image(adapter, similarity_map[0])


def _first(names: Sequence[str]) -> list[str]:
    """Return the names that the page begins with: some that differ, where they are known, or else the first."""
    return [name for name in _BEGINNING if name in names] or list(names[:5])


def _on_image(adapter: TowerAdapter, values: torch.Tensor) -> dict:
    return {"grid": list(adapter.grid), "values": on_grid(values, adapter.grid, 0).flatten().tolist()}
