"""Redirected attention: identities, order and what is left behind."""

import dataclasses

import pytest
import torch
from attention_by_hand import embedded, mix_by_hand, radial_by_hand, transformer_by_hand, under
from small_models import distance, listeners, sample_images

from crosseyed.errors import InputError
from crosseyed.internals.trace import run
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.redirection import redirected
from crosseyed.mitigations.redistribution import (
    RadialAttention,
    UniformMix,
)
from crosseyed.models.towers.base import TowerAdapter, UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.models.towers.resnet import ModifiedResNetAdapter


def test_an_unchanged_attention_gives_the_plain_model(model):
    steps = adapter_of(model).attention_steps()
    plain = embedded(model)
    with redirected(model, dict.fromkeys(steps, lambda attention, _: attention)):
        assert distance(embedded(model), plain) < 1e-5


def test_changes_see_what_a_trace_sees(model):
    seen = {}
    steps = adapter_of(model).attention_steps()

    def look(attention, scope, layer):
        seen[layer] = attention, scope
        return attention

    changes = {layer: lambda *told, layer=layer: look(*told, layer) for layer in steps}
    with redirected(model, changes):
        embedded(model)
    (result,) = run(model, sample_images(), attention_rows="all")
    pooled = adapter_of(model).pooled_token
    for place, layer in enumerate(result.blocks):
        attention, scope = seen[layer]
        expected = result.attention[place] if pooled is None else result.attention[place][:, :, [pooled]]
        torch.testing.assert_close(attention, expected)
        assert (scope.grid, scope.prefix) == (result.grid, result.prefix)
    if result.pooling_attention is not None:
        attention, scope = seen[result.last + 1]
        torch.testing.assert_close(attention.mean(2), result.pooling_attention)


@pytest.mark.parametrize("kind", ["class token", "average"])
def test_two_of_the_same_attention_compose_in_order(model_of, kind):
    model = model_of(kind)
    first, second = RadialAttention(1.5), UniformMix(0.3)
    with first.applied(model), second.applied(model):
        found = embedded(model)
    expected = transformer_by_hand(
        model, lambda row, tokens: mix_by_hand(radial_by_hand(row, tokens), tokens), [2]
    )
    assert distance(found, expected) < 1e-5
    with second.applied(model), first.applied(model):
        assert distance(embedded(model), expected) > 1e-4
    with compose(first, second).applied(model):
        assert torch.equal(embedded(model), found)
    assert listeners(model) == []


def test_a_context_ends_without_ending_another(model_of):
    model, mix, radial = model_of("pooler"), UniformMix(0.3), RadialAttention(1.5)
    plain, mixed, tilted = embedded(model), under(mix, model), under(radial, model)
    outer, inner = mix.applied(model), radial.applied(model)
    with outer:
        with inner:
            assert not torch.equal(embedded(model), mixed)
        assert torch.equal(embedded(model), mixed)
    outer, inner = mix.applied(model), radial.applied(model)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert torch.equal(embedded(model), tilted)
    inner.__exit__(None, None, None)
    assert listeners(model) == []
    assert torch.equal(embedded(model), plain)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_model_is_restored_after_an_exception(model, error):
    before, last = embedded(model), max(adapter_of(model).attention_steps())

    def fail(*_):
        raise error

    with pytest.raises(error), RadialAttention().applied(model), redirected(model, {last: fail}):
        embedded(model)
    assert listeners(model) == []
    assert torch.equal(embedded(model), before)


def test_a_layer_without_attention_and_an_unknown_tower(model_of):
    model = model_of("class token")
    with pytest.raises(InputError, match="leads to layer 0"), redirected(model, {0: lambda *told: told[0]}):
        pass
    clip = torch.nn.Module()
    clip.visual = torch.nn.Identity()
    strange = dataclasses.replace(model, clip=clip)
    with pytest.raises(UnsupportedTower, match=r"known: .* VisionTransformer,"):
        RadialAttention().check(strange)


def test_a_tower_without_attention(model_of, monkeypatch):
    model = model_of("ResNet")
    monkeypatch.setattr(ModifiedResNetAdapter, "attention_steps", TowerAdapter.attention_steps)
    with pytest.raises(InputError, match=r"ModifiedResNet and has no attention .* crops, tiles or prompts"):
        mitigate(model, RadialAttention())
