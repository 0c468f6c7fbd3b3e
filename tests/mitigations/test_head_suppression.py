"""Suppressed heads against blocks computed by hand."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from attention_by_hand import CHANGES, embedded, transformer_by_hand, under
from small_models import build_timm, distance, sample_images

from crosseyed.data import layouts
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.data.scenes import scene_table
from crosseyed.errors import InputError
from crosseyed.internals import decompose
from crosseyed.internals.trace import run
from crosseyed.mitigations import head_suppression
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.head_suppression import HeadSuppression, center_biased_heads, heads_if_any
from crosseyed.models.towers.registry import adapter_of


@pytest.mark.parametrize("kind", ["class token", "average", "layer scale"])
def test_suppressed_heads_by_hand(model_of, kind):
    found = under(HeadSuppression([(2, 1)], 0.75), model_of(kind))
    expected = transformer_by_hand(
        model_of(kind), lambda row, _: [0.25 * share for share in row], [2], chosen=[1]
    )
    assert distance(found, expected) < 1e-5


def test_suppression_removes_the_direct_effect_of_a_head_of_the_last_block(model_of):
    """The last block's MLP reacts, so the test is on a block whose MLP does nothing."""
    model = model_of("class token")
    clip = copy.deepcopy(model.clip)
    last = clip.visual.transformer.resblocks[1].mlp.c_proj
    for parameter in (last.weight, last.bias):
        parameter.data.zero_()
    silent = dataclasses.replace(model, clip=clip)
    visual, steps = clip.visual, adapter_of(silent).attention_steps()
    (result,) = run(silent, sample_images(), ("tokens", "attention", "values"))
    written = torch.einsum(
        "bt,btd,dw->bw", result.attention[1][:, 1], result.values[1][:, 1], steps[2].weights.output[1]
    )
    expected = visual.ln_post(result.tokens[-1][:, 0] - 0.5 * written) @ visual.proj
    assert distance(under(HeadSuppression([(2, 1)], 0.5), silent), expected) < 1e-5


def test_without_any_head_only_the_bias_is_written(model_of):
    model = model_of("layer scale")
    block, seen = model.clip.visual.transformer.resblocks[1], []
    with HeadSuppression([(2, 0), (2, 1)]).applied(model):
        handle = block.ls_1.register_forward_hook(lambda *call: seen.append(call[2]))
        embedded(model)
        handle.remove()
    expected = (block.ls_1.gamma * block.attn.out_proj.bias).expand(3, -1)
    torch.testing.assert_close(seen[0][:, 0], expected)


def test_a_resnets_heads(model_of):
    model = model_of("ResNet")
    everything = [(6, head) for head in range(4)]
    expected = model.clip.visual.attnpool.c_proj.bias.expand(3, -1)
    torch.testing.assert_close(under(HeadSuppression(everything), model), expected)


def planted(scenes):
    """Effects in which head 1 of the last layer drops off-center, head 0 rises, and the others do not care."""

    def effects(part, directions):
        table = original(part, directions)
        center = np.array([scenes[image].center for image in table["image"]])
        sign = table["head"].map({0: -0.5, 1: 0.5}).fillna(0) * (table["layer"] == max(part.layers))
        return table.assign(effect=sign * center)

    original = decompose.head_effects
    return effects


def validation_scenes():
    cutouts = sample_objects(read_catalogue(["fluent"]), 4, seed=0)
    scenes = layouts.grid(cutouts, k=3, size=0.3, seed=0)
    return scenes, scene_table(scenes), objects_of(cutouts)


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
@pytest.mark.parametrize(("kind", "head"), [("class token", (2, 1)), ("pooler", (2, 1)), ("ResNet", (6, 1))])
def test_the_head_that_drops_off_center_is_found_and_can_be_suppressed(model_of, kind, head, monkeypatch):
    scenes, table, labels = validation_scenes()
    monkeypatch.setattr(head_suppression, "head_effects", planted(scenes))
    images = [scene.render for scene in scenes]
    found = center_biased_heads(model_of(kind), images, table, labels, n_heads=3)
    assert found == (head,)
    HeadSuppression(found).check(model_of(kind))


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_heads_are_ranked_as_in_the_second_chapter(model_of):
    scenes, table, labels = validation_scenes()
    model, images = model_of("class token"), [scene.render for scene in scenes]
    captions = model.encode_texts([f"a photo of a {label}" for label in labels])
    captions = captions - captions.mean(0)
    directions = np.stack([captions[labels.index(name)] for name in table["object"]])
    sums = decompose.concatenate(decompose.decompose(model, images))
    drops = {}
    for place, layer in enumerate(sums.layers):
        for head in range(2):
            effect = (sums.heads[place, :, head].numpy() * directions).sum(1)
            center = table["center"].to_numpy()
            drops[layer, head] = effect[center].mean() - effect[~center].mean()
    found = center_biased_heads(model, images, table, labels, n_heads=4, confidence=0.01)
    assert list(found) == sorted(
        (head for head, drop in drops.items() if head in found), key=drops.get, reverse=True
    )
    assert set(found) <= {head for head, drop in drops.items() if drop > 0}
    assert found


def test_heads_cannot_be_found_without_fitting_tables(model_of):
    scenes, table, labels = validation_scenes()
    model, images = model_of("class token"), [scene.render for scene in scenes]
    with pytest.raises(InputError, match="n_heads is at least 1"):
        center_biased_heads(model, images, table, labels, n_heads=0)
    with pytest.raises(InputError, match="no column 'object'"):
        center_biased_heads(model, images, table.drop(columns="object"), labels)
    with pytest.raises(InputError, match="not among the 2 labels"):
        center_biased_heads(model, images, table.assign(object="zebra"), ["dog", "cat"])
    for some in (images[:-1], [*images, images[0]]):
        with pytest.raises(InputError, match="one row per image"):
            center_biased_heads(model, some, table, labels)


def test_a_suppressed_head_stays_suppressed_in_whatever_order(model_of):
    model, heads = model_of("class token"), HeadSuppression([(2, 0)], 0.5)
    for mitigation, _ in CHANGES.values():
        one, other = (under(compose(*pair), model) for pair in ((heads, mitigation), (mitigation, heads)))
        assert distance(one, other) < 1e-5


def test_a_tower_whose_heads_cannot_be_told_apart_has_none_to_suppress(tiny_clip, model_of, monkeypatch):
    scenes, table, labels = validation_scenes()
    images = [scene.render for scene in scenes]
    assert heads_if_any(build_timm(tiny_clip, "ConvNeXt"), images, table, labels) == ()
    monkeypatch.setattr(head_suppression, "head_effects", planted(scenes))
    model = model_of("class token")
    assert heads_if_any(model, images, table, labels, n_heads=3) == ((2, 1),)
    with pytest.raises(InputError, match="no column 'object'"):
        heads_if_any(model, images, table.drop(columns="object"), labels)
