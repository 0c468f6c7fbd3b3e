"""Redistributed attention against blocks computed by hand, for every kind of tower, and against identities."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from attention_by_hand import (
    BLOCKS,
    CHANGES,
    PLACES,
    POOLERS,
    embedded,
    pooler_by_hand,
    radial_by_hand,
    resnet_by_hand,
    transformer_by_hand,
    under,
)
from small_models import distance, listeners, sample_images

from crosseyed.errors import InputError
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.redirection import Scope, redirected
from crosseyed.mitigations.redistribution import RadialAttention, UniformMix


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("name", CHANGES)
def test_the_last_block_by_hand(model_of, kind, name):
    mitigation, change = CHANGES[name]
    found = under(mitigation, model_of(kind))
    assert distance(found, transformer_by_hand(model_of(kind), change, [2])) < 1e-5
    assert distance(found, embedded(model_of(kind))) > 1e-4


@pytest.mark.parametrize("kind", ["class token", "average"])
@pytest.mark.parametrize("name", CHANGES)
def test_both_blocks_by_hand(model_of, kind, name):
    mitigation, change = CHANGES[name]
    found = under(dataclasses.replace(mitigation, last=2), model_of(kind))
    assert distance(found, transformer_by_hand(model_of(kind), change, [1, 2])) < 1e-5
    assert distance(found, under(mitigation, model_of(kind))) > 1e-4


@pytest.mark.parametrize("kind", POOLERS)
@pytest.mark.parametrize("name", CHANGES)
def test_an_attentional_pooler_by_hand(model_of, kind, name):
    mitigation, change = CHANGES[name]
    found = under(mitigation, model_of(kind))
    assert distance(found, pooler_by_hand(model_of(kind), change)) < 1e-5
    assert distance(found, embedded(model_of(kind))) > 1e-4


def test_before_an_attentional_pooler_all_rows_of_a_block_change(model_of):
    model, mitigation = model_of("pooler"), RadialAttention(1.5)
    with redirected(model, {2: mitigation.change}):
        found = embedded(model)
    assert distance(found, transformer_by_hand(model, radial_by_hand, [2])) < 1e-5


def test_a_resnets_attention_pooling_by_hand(model_of):
    mitigation, change = CHANGES["mix"]
    found = under(mitigation, model_of("ResNet"))
    assert distance(found, resnet_by_hand(model_of("ResNet"), change)) < 1e-5
    assert distance(found, embedded(model_of("ResNet"))) > 1e-4


@pytest.mark.parametrize("kind", ["class token", "average"])
def test_only_the_chosen_heads_change(model_of, kind):
    found = under(RadialAttention(1.5, heads=[1]), model_of(kind))
    assert distance(found, transformer_by_hand(model_of(kind), radial_by_hand, [2], chosen=[1])) < 1e-5
    attention = shares()
    changed = RadialAttention(1.5, heads=[1]).change(attention, scope())
    assert torch.equal(changed[:, 0], attention[:, 0])
    assert not torch.equal(changed[:, 1], attention[:, 1])


def shares(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(2, 2, 3, 17, generator=generator)).softmax(-1)


def scope():
    return Scope((4, 4), 1)


@pytest.mark.parametrize(
    "mitigation",
    [
        RadialAttention(-20.0),
        RadialAttention(20.0),
        UniformMix(1.0),
    ],
)
def test_attention_on_the_image_and_on_the_class_token_is_conserved(mitigation):
    attention = shares()
    changed = mitigation.change(attention.clone(), scope())
    assert torch.equal(changed[..., 0], attention[..., 0])
    torch.testing.assert_close(changed.sum(-1), torch.ones(2, 2, 3))
    assert (changed >= 0).all()
    silent = mitigation.change(torch.zeros_like(attention), scope())  # a head that is silenced before
    assert torch.equal(silent, torch.zeros_like(attention))


def test_radial_attention_weighs_places_by_their_exponential():
    even = torch.full((1, 1, 1, 17), 1 / 17)
    changed = RadialAttention(2.0).change(even, scope())[0, 0, 0, 1:].reshape(4, 4)
    ratio = np.exp(2.0 * (PLACES[0] - PLACES[5]))
    assert changed[0, 0] / changed[1, 1] == pytest.approx(ratio, rel=1e-5)


def test_all_of_a_uniform_mix_is_the_mean():
    attention = shares()
    mean = attention[..., 1:].mean(-1, keepdim=True).expand(2, 2, 3, 16)
    torch.testing.assert_close(UniformMix(1.0).change(attention, scope())[..., 1:], mean)


def test_a_half_precision_model_stays_in_its_precision(model_of):
    full = model_of("class token")
    clip = copy.deepcopy(full.clip).to(torch.bfloat16)
    half = dataclasses.replace(full, clip=clip, precision="bf16")
    found = under(RadialAttention(2.0, last=2), half)
    assert found.dtype == torch.bfloat16
    assert distance(found.float(), under(RadialAttention(2.0, last=2), full)) < 3e-2


@pytest.mark.parametrize(
    "mitigation",
    [
        RadialAttention(0.0, last=2),
        UniformMix(0.0),
    ],
)
def test_at_strength_zero_the_model_is_left_alone(tiny_clip, mitigation):
    assert mitigation.only_views
    with mitigation.applied(tiny_clip):
        assert listeners(tiny_clip) == []
    found = mitigate(tiny_clip, mitigation).encode_images(sample_images())
    assert np.array_equal(found, tiny_clip.encode_images(sample_images()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RadialAttention(21.0), "from -20 to 20"),
        (lambda: RadialAttention(float("nan")), "from -20 to 20"),
        (lambda: UniformMix(1.1), "from 0 to 1"),
        (lambda: UniformMix(-0.1), "from 0 to 1"),
        (lambda: RadialAttention(last=0), "at least 1"),
        (lambda: RadialAttention(heads=[]), "at least one"),
        (lambda: RadialAttention(heads="some"), "'all'"),
    ],
)
def test_numbers_out_of_range(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("kind", "mitigation", "message"),
    [
        (
            "ResNet",
            RadialAttention(last=2),
            "last is from 1 to 1 .*ModifiedResNet attends only in its pooling, layer 6",
        ),
        ("class token", UniformMix(last=3), "from 1 to 2 .* blocks that lead to layers 1 to 2"),
        ("pooler", UniformMix(last=4), "from 1 to 3 .* layers 1 to 2, and in its pooling, layer 3"),
        ("class token", RadialAttention(heads=[2]), "no head 2 .* 0 to 1"),
    ],
)
def test_towers_that_lack_what_is_to_be_changed(model_of, kind, mitigation, message):
    with pytest.raises(InputError, match=message):
        mitigate(model_of(kind), mitigation)
    assert listeners(model_of(kind)) == []
