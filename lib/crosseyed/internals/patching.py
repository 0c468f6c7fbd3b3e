"""Causal patching: exchange activations between two images of one object, and see how much of the gap they move.

One image shows an object at the center, the other the same object on the same background off-center. While a tower
encodes one of them, the **receiver**, some of its activations are replaced by those of the other, the **donor**
(activation patching, between two inputs that differ in one respect: Vig et al., NeurIPS 2020, arXiv 2004.12265; Zhang
and Nanda, ICLR 2024, arXiv 2309.16042). Layers after the exchange react to it, so this is a total effect, where
`crosseyed.internals.decompose` gives direct ones.

Tokens are exchanged at a depth in three groups (`GROUPS`) that make up all tokens: the class token, the tokens of the
object, and all others. They are matched by place: the donor's tokens of the object are put where the receiver has the
object, and where the donor has it come the donor's tokens of the place that the object takes in the receiver
(`matched_places`). As an object moves by whole patches (`object_pairs`), its tokens see the same pixels in both images.
A token keeps the position that was added to it before the first block: at depth 0 the object's tokens carry the
donor's place with them.

Two identities check an exchange: without any group the receiver's embedding comes out, with all groups, at any depth,
the donor's. The second holds because blocks treat all places alike; so a tower whose attention depends on places is
refused (`obstacles`). Shares of single groups need not add up to 1: groups are redundant, or act only together.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from crosseyed.data import layouts
from crosseyed.data.cutouts import Cutout
from crosseyed.data.scenes import Scene
from crosseyed.errors import InputError
from crosseyed.internals.attention import coverage
from crosseyed.internals.trace import encode_from, hooked
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import AttentionStep, TowerAdapter, UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.progress import bar

GROUPS = ("class token", "object", "others")
"""The groups of tokens that are exchanged; together they are all tokens."""

SIDES = ("off-center", "center")
"""The receivers: the image with the object off-center, which gets activations of the other, and the reverse."""

QUANTITIES = ("similarity", "margin", "accuracy")
"""What an exchange moves: the cosine similarity of image and own caption minus the mean over all captions, as of a
direct effect; the same minus the largest of another caption; whether the own caption fits best, in percent."""

_DIRECTIONS = [step for step in product((-1, 0, 1), repeat=2) if any(step)]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images of objects at the center, and of the same objects off-center.

    Attributes
    ----------
    scenes : mapping of str to list of Scene, by `SIDES`, in the same order of objects
    shifts : numpy.ndarray of int, shape (n_pairs, 2), rows and columns of patches from the center to off-center
    """

    scenes: dict[str, list[Scene]]
    shifts: np.ndarray

    @property
    def objects(self) -> list[str]:
        """The object of each pair."""
        return [scene.placements[0].cutout.object for scene in self.scenes["center"]]


def obstacles(model: ClipModel) -> list[str]:
    """Return why a tower's activations cannot be exchanged, as clauses: "its tower has ..."; none if they can."""
    adapter = adapter_of(model)
    if not adapter.blocks:
        return ["its tower has no transformer blocks between which tokens could be exchanged"]
    if adapter.pooled_token is None:
        return [f"its tower does not pool a class token: its pooling is by {adapter.native_pooling}"]
    if any(adapter.attention(layer).depends_on_places for layer in adapter.blocks):
        return ["attention in its blocks depends on where tokens stand, so none can be put at another place"]
    return []


def object_pairs(model: ClipModel, cutouts: Sequence[Cutout], *, size: float = 0.3, seed: int = 0) -> Pairs:
    """Put each object at the center, and as many whole patches off-center as it stays wholly inside the image.

    Parameters
    ----------
    model : ClipModel, whose patches they are
    cutouts : sequence of Cutout, at least one; they leave the center in the eight directions in turn
    size : float, longer side of the object over the side of the image
    seed : int, of the backgrounds, which are the same within a pair

    Raises
    ------
    InputError
        The object is so large that it cannot be moved by a patch.
    """
    grid = adapter_of(model).grid
    middle = [scene for scene in layouts.grid(cutouts, 3, size=size, seed=seed) if scene.center]
    directions = np.array([_DIRECTIONS[number % len(_DIRECTIONS)] for number in range(len(middle))])
    places = np.array([(scene.placements[0].y, scene.placements[0].x) for scene in middle])
    room = (1 - size) / 2 - directions * (
        places - 0.5
    )  # to the border, from where the shift has put the object
    reach = np.floor(grid * room + 1e-9).astype(int)
    if (reach[directions != 0] < 1).any():
        raise InputError(
            f"An object of the size {size} cannot be moved by a patch of {grid[0]} x {grid[1]} and stay inside the "
            "image; give a smaller one."
        )
    shifts = directions * reach
    moved = [_moved(scene, shift / grid) for scene, shift in zip(middle, shifts, strict=True)]
    return Pairs({"off-center": moved, "center": middle}, shifts)


def _moved(scene: Scene, by: np.ndarray) -> Scene:
    """Move the object by fractions of height and width."""
    (placement,) = scene.placements
    placement = replace(placement, x=placement.x + by[1], y=placement.y + by[0], row=None, col=None)
    return replace(scene, name=f"{scene.name}_moved", placements=(placement,), center=False)


def matched_places(under: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """Return from which place of the center image each place of the off-center image gets its token.

    Parameters
    ----------
    under : bool (rows, columns), the patches of the object in the center image
    shift : rows and columns by which it stands elsewhere in the off-center image

    Returns
    -------
    numpy.ndarray of int, shape (rows × columns,)
        A permutation, whose inverse is the same for the exchange in the other direction. The object's new places get
        the object; its old places, as far as they are not new ones too, get the new ones that are not old. All others
        get their own.

    Raises
    ------
    InputError
        The object would leave the grid, or does not move.
    """
    under, shift = np.asarray(under, dtype=bool), np.asarray(shift)
    places = [tuple(place) for place in np.argwhere(under)]
    inside, goals = set(places), [tuple(np.add(place, shift)) for place in places]
    on_grid = all(
        0 <= place < cells for goal in goals for place, cells in zip(goal, under.shape, strict=True)
    )
    if not on_grid or not shift.any():
        raise InputError(
            f"The shift {tuple(map(int, shift))} takes the object's patches nowhere else on the grid of "
            f"{under.shape[0]} x {under.shape[1]}."
        )
    numbers = np.arange(under.size).reshape(under.shape)
    source = numbers.copy()
    for place, goal in zip(places, goals, strict=True):
        source[goal] = numbers[place]
    for place in inside - set(goals):
        end = place
        while end in inside:
            end = tuple(np.add(end, shift))
        source[place] = numbers[end]
    return source.ravel()


@dataclass(frozen=True, eq=False)
class Run:
    """What a tower computed for a batch of images, as far as it can be exchanged.

    Attributes
    ----------
    tokens : mapping of int to torch.Tensor, shape (batch, tokens, width), by depth
    gathered : mapping of int to torch.Tensor, shape (batch, heads, 1, head_width)
        By the depth that a block leads to: what each head gathers for the class token.
    embedding : torch.Tensor, shape (batch, embed_dim), not normalised
    """

    tokens: dict[int, Tensor]
    gathered: dict[int, Tensor]
    embedding: Tensor


@torch.no_grad()
def record(model: ClipModel, pixels: Tensor) -> Run:
    """Encode a batch, of the model's input (batch, 3, height, width), and keep what can be exchanged.

    Raises
    ------
    UnsupportedTower
        For the reason that `obstacles` gives.
    """
    if reasons := obstacles(model):
        raise UnsupportedTower(f"Activations of {model.name} cannot be exchanged: {' and '.join(reasons)}.")
    adapter = adapter_of(model)
    with hooked(adapter.modules(())) as calls:
        embedding = model.clip.encode_image(pixels)
    tokens = {layer: adapter.tokens(calls, layer) for layer in adapter.layers}
    gathered = {}
    for layer, step in adapter.attention_steps().items():
        reading, read = (part.float() for part in step.attended(tokens[layer - 1]))
        gathered[layer] = step.weights.rows(reading, read) @ step.weights.values(read)
    return Run(tokens, gathered, embedding)


@torch.no_grad()
def exchange_tokens(
    model: ClipModel, receiver: Run, donor: Run, layer: int, chosen: Tensor, source: Tensor
) -> Tensor:
    """Return the embeddings (batch, embed_dim) of the receiver with some tokens of a depth from the donor.

    Parameters
    ----------
    receiver, donor : Run, of batches of the same size
    layer : int, the depth
    chosen : bool (batch, tokens), which tokens are exchanged
    source : int (batch, tokens), from which of the donor's tokens each comes
    """
    given = donor.tokens[layer].take_along_dim(source[..., None], 1)
    return encode_from(model, layer, torch.where(chosen[..., None], given, receiver.tokens[layer]))


@torch.no_grad()
def exchange_heads(model: ClipModel, receiver: Run, donor: Run, layer: int, heads: int | slice) -> Tensor:
    """Return the embeddings of the receiver with what heads of a block write into the class token from the donor.

    Parameters
    ----------
    receiver, donor : Run, of batches of the same size
    layer : int, the depth that the block leads to
    heads : int or slice, which heads
    """
    gathered = receiver.gathered[layer].clone()
    gathered[:, heads] = donor.gathered[layer][:, heads]
    step = adapter_of(model).attention_steps()[layer]
    with _gathering(step, gathered):
        return encode_from(model, layer - 1, receiver.tokens[layer - 1])


@contextmanager
def _gathering(step: AttentionStep, gathered: Tensor) -> Iterator[None]:
    """Let the heads of an attention have gathered something else for the tokens that pooling reads."""

    def write(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, step.rows] = step.weights.combine(gathered).to(output.dtype)
        return output

    hook = step.exit.register_forward_hook(write)
    try:
        yield
    finally:
        hook.remove()


@dataclass(frozen=True, eq=False)
class Exchange:
    """What exchanging activations between the images of pairs does.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per pair (`object`), `receiver` (of `SIDES`), `part`, `layer`, `head` (<NA> for others) and `quantity`:
        `moved`, the quantity with the part exchanged minus that of the receiver, and `whole`, that of the donor minus
        that of the receiver. A `part` is

        - one of `GROUPS`, at the depth `layer`; or ``"interaction"``, the whole minus what they move one by one;
        - for the off-center receiver ``"head"``, a head of the block that leads to `layer`; ``"attention"``, all its
          heads together; or ``"interaction of heads"``, this minus what they move one by one.
    error : float
        The largest distance between an embedding with all tokens exchanged, or none, and the donor's or the receiver's,
        over its length.
    """

    table: pd.DataFrame
    error: float


def exchange(
    model: ClipModel,
    pairs: Pairs,
    captions: np.ndarray,
    labels: Sequence[str],
    *,
    n_depths: int = 7,
    n_blocks: int = 6,
    batch_size: int = 8,
) -> Exchange:
    """Exchange every group of tokens at several depths, and every head of the last blocks.

    Parameters
    ----------
    model : ClipModel without `obstacles`, else UnsupportedTower
    pairs : Pairs, of this model
    captions : float (labels, embed_dim), embeddings of one caption for each label, of length 1
    labels : sequence of str, names of all objects
    n_depths : int, the most depths at which tokens are exchanged, evenly chosen from the first to the last
    n_blocks : int, of how many blocks, from the last, heads are exchanged
    batch_size : int, pairs at once
    """
    adapter = adapter_of(model)
    depths = np.unique(np.linspace(0, adapter.layers[-1], n_depths).round().astype(int)).tolist()
    chosen = [*depths[:-1], adapter.layers[-1]], adapter.blocks[-n_blocks:]
    truth = pd.Index(labels).get_indexer(pairs.objects)
    rows, errors = [], []
    for first in bar(range(0, len(pairs.shifts), batch_size), unit="batch"):
        part = slice(first, first + batch_size)
        shown = {side: pairs.scenes[side][part] for side in SIDES}
        runs = {side: record(model, _input(model, scenes)) for side, scenes in shown.items()}
        under = _under(adapter, shown, pairs.shifts[part])
        for side, donor in zip(SIDES, reversed(SIDES), strict=True):
            batch = _Batch(
                model, runs[side], runs[donor], *_matching(adapter, under, pairs.shifts[part], side)
            )
            answers = list(batch.answers(*chosen, heads=side == SIDES[0]))
            errors.append(batch.error(depths[len(depths) // 2]))
            measured = _quantities(batch, answers, captions, truth[part])
            rows.append(
                measured.assign(receiver=side, object=np.take(pairs.objects, measured["pair"] + first))
            )
    return Exchange(_with_interactions(pd.concat(rows, ignore_index=True)), max(errors))


@dataclass(frozen=True, eq=False)
class _Batch:
    """Two runs, which token each place of the receiver would get from the donor, and which are the object's."""

    model: ClipModel
    receiver: Run
    donor: Run
    source: Tensor
    groups: dict[str, Tensor]

    def answers(self, depths: Sequence[int], blocks: Sequence[int], *, heads: bool) -> Iterator[tuple]:
        """Yield part, layer, head and embeddings of each exchange."""
        for layer in depths:
            for name, chosen in self.groups.items():
                yield name, layer, -1, self.tokens(layer, chosen)
        for layer in blocks if heads else ():
            run = (self.model, self.receiver, self.donor, layer)
            for head in range(self.receiver.gathered[layer].shape[1]):
                yield "head", layer, head, exchange_heads(*run, head)
            yield "attention", layer, -1, exchange_heads(*run, slice(None))

    def tokens(self, layer: int, chosen: Tensor) -> Tensor:
        return exchange_tokens(self.model, self.receiver, self.donor, layer, chosen, self.source)

    def error(self, layer: int) -> float:
        every = torch.ones_like(next(iter(self.groups.values())))
        ends = ((every, self.donor), (~every, self.receiver))
        return max(_distance(self.tokens(layer, chosen), run.embedding) for chosen, run in ends)


def _input(model: ClipModel, scenes: Sequence[Scene]) -> Tensor:
    (pixels, _), *_ = model.read_batches(
        [scene.render for scene in scenes], batch_size=len(scenes), progress=False
    )
    return model.to_input(pixels)


def _under(adapter: TowerAdapter, shown: dict[str, list[Scene]], shifts: np.ndarray) -> np.ndarray:
    """Mark the patches that the object touches at the center, or would by where it is off-center.

    A rim of less than a pixel may reach into a patch that is off the grid on the other side: it is left out.
    """
    touched = {
        side: coverage(np.stack([scene.masks()[0] for scene in scenes]), adapter.grid) > 0
        for side, scenes in shown.items()
    }
    both = []
    for center, moved, shift in zip(touched["center"], touched["off-center"], shifts, strict=True):
        stays = np.all([(goal >= 0) & (goal < n) for goal, n in _goals(center.shape, shift)], 0)
        both.append((center | np.roll(moved, tuple(-shift), (0, 1))) & stays)
    return np.stack(both)


def _goals(grid: tuple[int, int], shift: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Yield row and column that each patch is moved to, (rows, columns), and the number of them."""
    for places, by, cells in zip(np.indices(grid), shift, grid, strict=True):
        yield places + by, cells


def _matching(
    adapter: TowerAdapter, under: np.ndarray, shifts: np.ndarray, side: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the source of each token of the receiver, and the groups of its tokens."""
    sources = np.stack([matched_places(one, shift) for one, shift in zip(under, shifts, strict=True)])
    if side == "off-center":
        under = np.stack(
            [np.roll(one, tuple(shift), (0, 1)) for one, shift in zip(under, shifts, strict=True)]
        )
    else:
        sources = sources.argsort(1)
    before = np.arange(adapter.prefix)
    source = np.concatenate([np.tile(before, (len(sources), 1)), adapter.prefix + sources], 1)
    on_object = np.pad(under.reshape(len(under), -1), ((0, 0), (adapter.prefix, 0)))
    pooled = np.zeros_like(on_object)
    pooled[:, adapter.pooled_token] = True
    masks = (pooled, on_object, ~pooled & ~on_object)
    device = next(adapter.visual.parameters()).device
    groups = {name: torch.from_numpy(mask).to(device) for name, mask in zip(GROUPS, masks, strict=True)}
    return torch.from_numpy(source).to(device), groups


def _quantities(
    batch: _Batch, answers: Sequence[tuple], captions: np.ndarray, truth: np.ndarray
) -> pd.DataFrame:
    """Measure what each exchange moves, and what there is to move."""
    receiver, donor = (_measures(run.embedding, captions, truth) for run in (batch.receiver, batch.donor))
    tables = []
    for part, layer, head, embedding in answers:
        moved = _measures(embedding, captions, truth) - receiver
        values = {"pair": np.arange(len(truth)), "part": part, "layer": layer, "head": head}
        tables += [
            pd.DataFrame(values | {"quantity": name, "moved": by, "whole": of})
            for name, by, of in zip(QUANTITIES, moved, donor - receiver, strict=True)
        ]
    return pd.concat(tables, ignore_index=True)


def _measures(embedding: Tensor, captions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return `QUANTITIES` of each image: (quantities, batch)."""
    fits = F.normalize(embedding.float(), dim=-1).cpu().numpy() @ captions.T
    images = np.arange(len(truth))
    own, others = fits[images, truth], fits.copy()
    others[images, truth] = -np.inf
    margin = own - others.max(1)
    return np.stack([own - fits.mean(1), margin, 100.0 * (margin > 0)])


def _with_interactions(table: pd.DataFrame) -> pd.DataFrame:
    """Add what single groups leave of the whole, and single heads of what all heads of their layer move."""
    keys = ["object", "pair", "receiver", "layer", "quantity"]
    sums = table.groupby([*keys, "part"], as_index=False, sort=False).agg({"moved": "sum", "whole": "first"})
    groups = sums[sums["part"].isin(GROUPS)].groupby(keys, as_index=False, sort=False)
    rest = groups.agg({"moved": "sum", "whole": "first"}).assign(part="interaction", head=-1)
    rest["moved"] = rest["whole"] - rest["moved"]
    single = sums[sums["part"] == "head"].set_index(keys)["moved"]
    together = sums[sums["part"] == "attention"].assign(part="interaction of heads", head=-1)
    together["moved"] -= single.reindex(pd.MultiIndex.from_frame(together[keys])).to_numpy()
    whole = pd.concat([table, rest, together], ignore_index=True).drop(columns="pair")
    return whole.assign(head=whole["head"].astype("Int64").where(whole["part"] == "head"))


def _distance(found: Tensor, expected: Tensor) -> float:
    """Return the largest distance of two embeddings, over the length of the expected one."""
    return ((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max().item()
