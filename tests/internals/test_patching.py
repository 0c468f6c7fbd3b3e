"""Exchanged activations: identities, whole passes with changed blocks, and a tower whose cause is known."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from small_models import TIMM_TOWERS, build_open_clip, build_timm, distance, listeners, model_input

from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.internals import patching
from crosseyed.internals.attention import coverage
from crosseyed.models.towers.base import UnsupportedTower
from crosseyed.models.towers.registry import adapter_of

KINDS = ["class token", "layer scale", "class token, then norm", "ViT", "EVA-01", "EVA-02 post-norm"]
TOKENS = 17  # a class token and 4 x 4 patches


def built(tiny_clip, kind):
    return (build_timm if kind in TIMM_TOWERS else build_open_clip)(tiny_clip, kind)


def two_runs(model):
    pixels = model_input(model)
    return patching.record(model, pixels[:2]), patching.record(model, pixels[1:])


def shuffled():
    """Another order of the patches in each of two images; the class token stays the first."""
    rng = np.random.default_rng(0)
    orders = [[0, *(1 + rng.permutation(TOKENS - 1))] for _ in range(2)]
    return torch.from_numpy(np.array(orders))


def some():
    chosen = torch.zeros(2, TOKENS, dtype=torch.bool)
    chosen[0, [0, 3, 7]] = chosen[1, [5, 16]] = True
    return chosen


@pytest.mark.parametrize("kind", KINDS)
def test_all_tokens_make_the_receiver_the_donor_and_none_leave_it(kind, tiny_clip):
    model = built(tiny_clip, kind)
    receiver, donor = two_runs(model)
    assert distance(receiver.embedding, donor.embedding) > 0.01
    every = torch.ones(2, TOKENS, dtype=torch.bool)
    for layer in adapter_of(model).layers:
        everything = patching.exchange_tokens(model, receiver, donor, layer, every, shuffled())
        assert distance(everything, donor.embedding) < 1e-5
        nothing = patching.exchange_tokens(model, receiver, donor, layer, ~every, shuffled())
        assert distance(nothing, receiver.embedding) < 1e-5
    assert not listeners(model)


@pytest.mark.parametrize("kind", KINDS)
def test_heads_that_are_exchanged_with_themselves_leave_the_receiver(kind, tiny_clip):
    model = built(tiny_clip, kind)
    receiver, _ = two_runs(model)
    for layer in adapter_of(model).blocks:
        same = patching.exchange_heads(model, receiver, receiver, layer, slice(None))
        assert distance(same, receiver.embedding) < 1e-5


def by_blocks(model, tokens, change=None, after=None):
    """The embedding, by open_clip's modules, with the tokens after some block changed."""
    visual = model.clip.visual
    for layer, block in enumerate([None, *visual.transformer.resblocks]):
        tokens = tokens if block is None else block(tokens)
        tokens = change(tokens) if layer == after else tokens
    return visual._pool(tokens)[0] @ visual.proj


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_some_tokens_exchanged_are_as_in_a_whole_pass_token_by_token(layer, tiny_clip):
    model = built(tiny_clip, "class token")
    receiver, donor = two_runs(model)
    source, chosen = shuffled(), some()

    def change(tokens):
        tokens = tokens.clone()
        for image, token in chosen.nonzero().tolist():
            tokens[image, token] = donor.tokens[layer][image, source[image, token]]
        return tokens

    expected = by_blocks(model, model.clip.visual._embeds(model_input(model)[:2]), change, layer)
    found = patching.exchange_tokens(model, receiver, donor, layer, chosen, source)
    assert distance(found, expected) < 1e-5
    assert layer == 2 or distance(found, receiver.embedding) > 1e-3


@pytest.mark.parametrize("layer", [1, 2])
def test_heads_exchanged_are_as_in_a_whole_pass_with_that_part_of_their_sum(layer, tiny_clip):
    model = built(tiny_clip, "class token")
    receiver, donor = two_runs(model)
    block = model.clip.visual.transformer.resblocks[layer - 1]

    def written(run):
        """What head 1 adds to the class token: attention and values by PyTorch's own weights of the head."""
        read = block.ln_1(run.tokens[layer - 1])
        weights, biases = block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3)
        query, key, value = (
            (read @ one.T + bias)[..., 32:] for one, bias in zip(weights, biases, strict=True)
        )
        shares = (query[:, :1] @ key.mT / 32**0.5).softmax(-1)
        return (shares @ value)[:, 0] @ block.attn.out_proj.weight[:, 32:].T

    difference = written(donor) - written(receiver)
    hook = block.ls_1.register_forward_hook(
        lambda _m, _i, output: torch.cat([output[:, :1] + difference[:, None], output[:, 1:]], 1)
    )
    expected = model.clip.encode_image(model_input(model)[:2])
    hook.remove()
    found = patching.exchange_heads(model, receiver, donor, layer, 1)
    assert distance(found, expected) < 1e-5
    assert distance(found, receiver.embedding) > 1e-4


@pytest.fixture(scope="module")
def one_way(tiny_clip):
    """A tower of two layers in which only head 1 of the second block writes anything: it is the only cause."""
    clip = copy.deepcopy(tiny_clip.clip)
    for number, block in enumerate(clip.visual.transformer.resblocks):
        block.mlp.c_proj.weight.zero_()
        block.mlp.c_proj.bias.zero_()
        block.attn.out_proj.weight[:, : 32 if number else 64].zero_()
    return dataclasses.replace(tiny_clip, clip=clip)


def test_the_only_cause_moves_everything_and_nothing_else_moves_anything(one_way):
    receiver, donor = two_runs(one_way)
    whole = distance(donor.embedding, receiver.embedding)
    assert whole > 0.01
    for layer, head in [(1, 0), (1, 1), (2, 0)]:
        left = patching.exchange_heads(one_way, receiver, donor, layer, head)
        assert distance(left, receiver.embedding) < 1e-5
    assert distance(patching.exchange_heads(one_way, receiver, donor, 2, 1), donor.embedding) < 1e-5
    own = torch.arange(TOKENS).expand(2, -1)
    pooled = torch.zeros(2, TOKENS, dtype=torch.bool)
    pooled[:, 0] = True
    for layer in (0, 1):  # nothing was written into the class token yet
        by_class = patching.exchange_tokens(one_way, receiver, donor, layer, pooled, own)
        by_patches = patching.exchange_tokens(one_way, receiver, donor, layer, ~pooled, own)
        assert distance(by_class, receiver.embedding) < 1e-5
        assert distance(by_patches, donor.embedding) < 1e-5
    by_class = patching.exchange_tokens(one_way, receiver, donor, 2, pooled, own)
    assert distance(by_class, donor.embedding) < 1e-5


# --- places -------------------------------------------------------------------------------------------------


def line(*marked, length=6):
    return np.isin(np.arange(length), marked)[None]


@pytest.mark.parametrize(
    ("under", "shift", "expected"),
    [
        (line(1), (0, 3), [0, 4, 2, 3, 1, 5]),  # the two places change
        (line(1, 2), (0, 1), [0, 3, 1, 2, 4, 5]),  # 2 gets 1, 3 gets 2, and the old place what was at 3
        (line(2, 3), (0, -2), [2, 3, 0, 1, 4, 5]),
        (line(0, 1, 3), (0, 1), [2, 0, 1, 4, 3, 5]),
        (line(0, 1, 2, 3).reshape(3, 2), (1, 0), [4, 5, 0, 1, 2, 3]),
        (line(0).reshape(3, 2), (1, 1), [3, 1, 2, 0, 4, 5]),
        (line(), (0, 1), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_places_are_matched_as_worked_by_hand(under, shift, expected):
    assert patching.matched_places(under, shift).tolist() == expected


@pytest.mark.parametrize("shift", [(0, 2), (0, -5), (1, 0), (0, 0)])
def test_an_object_that_leaves_the_grid_or_stays_cannot_be_matched(shift):
    with pytest.raises(InputError, match=r"nowhere else on the grid of 1 x 6"):
        patching.matched_places(line(4), shift)


@pytest.fixture(scope="module")
def cutouts():
    return sample_objects(read_catalogue(["fluent"]), 9, 0)


def test_objects_move_by_whole_patches_on_the_same_background(tiny_clip, cutouts):
    pairs = patching.object_pairs(tiny_clip, cutouts, size=0.3)
    assert pairs.shifts.tolist()[:3] == [[-1, -1], [-1, 0], [-1, 1]]  # 1.4 patches fit beside it
    assert pairs.shifts.tolist()[8] == [-1, -1]
    assert len({tuple(shift) for shift in pairs.shifts}) == 8
    assert pairs.objects == [cutout.object for cutout in cutouts]
    for inside, moved, shift in zip(
        pairs.scenes["center"], pairs.scenes["off-center"], pairs.shifts, strict=True
    ):
        assert (inside.center, moved.center) == (True, False)
        placed = moved.placements[0]
        assert max(abs(placed.x - 0.5), abs(placed.y - 0.5)) <= 0.35 + 1e-9  # wholly inside the image
        assert inside.empty().digest() == moved.empty().digest()
        first, second = (coverage(scene.masks(), (4, 4))[0] for scene in (inside, moved))
        np.testing.assert_allclose(np.roll(first, tuple(shift), (0, 1)), second, atol=0.02)
        assert second.sum() == pytest.approx(first.sum(), abs=0.02)


@pytest.mark.parametrize(
    "size", [0.4, 0.6]
)  # at 0.4 there is room for a patch, but not for the shift as well
def test_an_object_that_fills_the_image_cannot_be_moved(tiny_clip, cutouts, size):
    with pytest.raises(InputError, match="cannot be moved by a patch of 4 x 4"):
        patching.object_pairs(tiny_clip, cutouts, size=size)


# --- the table ----------------------------------------------------------------------------------------------


def test_the_table_adds_up_and_knows_what_there_is_to_move(tiny_clip, cutouts):
    labels = [cutout.object for cutout in cutouts]
    captions = tiny_clip.encode_texts([f"a photo of a {label}" for label in labels])
    pairs = patching.object_pairs(tiny_clip, cutouts[:3])
    result = patching.exchange(tiny_clip, pairs, captions, labels, batch_size=2)
    assert result.error < 1e-5
    table = result.table
    keys = ["object", "receiver", "layer", "quantity"]
    assert not table.duplicated([*keys, "part", "head"]).any()
    groups = table[table["part"].isin([*patching.GROUPS, "interaction"])].groupby(keys)
    np.testing.assert_allclose(groups["moved"].sum(), groups["whole"].first(), atol=1e-5)
    heads = table[table["part"].isin(["head", "interaction of heads"])].groupby(keys)["moved"].sum()
    together = table[table["part"] == "attention"].set_index(keys)["moved"]
    np.testing.assert_allclose(heads.reindex(together.index), together, atol=1e-5)
    assert set(table.loc[table["part"] == "head", "receiver"]) == {"off-center"}
    # whole, from the embeddings of the plain images, and the last class token, which moves all of it
    images = {
        side: tiny_clip.encode_images([each.render for each in pairs.scenes[side]]) for side in patching.SIDES
    }
    fits = {side: embedded @ captions.T for side, embedded in images.items()}
    own = {side: fit[range(3), range(3)] - fit.mean(1) for side, fit in fits.items()}
    last = table[
        (table["part"] == "class token") & (table["layer"] == 2) & (table["quantity"] == "similarity")
    ]
    for side, sign in (("off-center", 1), ("center", -1)):
        rows = last[last["receiver"] == side]
        np.testing.assert_allclose(rows["whole"], sign * (own["center"] - own["off-center"]), atol=1e-5)
        np.testing.assert_allclose(rows["moved"], rows["whole"], atol=1e-5)


def test_a_rim_that_would_leave_the_grid_is_left_out(tiny_clip, cutouts, monkeypatch):
    pairs = patching.object_pairs(tiny_clip, cutouts[:1])
    shown = {side: scenes[:1] for side, scenes in pairs.scenes.items()}
    rim = np.zeros((1, 4, 4))
    rim[0, 0, 1] = rim[0, 2, 2] = 0.01  # moved by a row and a column to the top left, the first is gone
    monkeypatch.setattr(patching, "coverage", lambda masks, grid: rim)
    under = patching._under(adapter_of(tiny_clip), {**shown, "off-center": shown["center"]}, pairs.shifts)
    assert pairs.shifts.tolist() == [[-1, -1]]
    assert [tuple(place) for place in np.argwhere(under[0])] == [(1, 2), (2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("average", "does not pool a class token: its pooling is by average"),
        ("pooler", "its pooling is by attention"),
        ("ResNet", "no transformer blocks"),
        ("SigLIP", "its pooling is by attention"),
        ("EVA-02", "depends on where tokens stand"),
        ("RelPos", "depends on where tokens stand"),
        ("ConvNeXt", "no transformer blocks"),
    ],
)
def test_a_tower_that_cannot_be_patched_says_why(kind, reason, tiny_clip):
    model = built(tiny_clip, kind)
    (found,) = patching.obstacles(model)
    assert reason in found
    with pytest.raises(UnsupportedTower, match=reason):
        patching.record(model, model_input(model))


def test_a_tower_that_can_be_patched_has_no_obstacles(tiny_clip):
    assert patching.obstacles(tiny_clip) == []
