"""Every family of towers: assigned by configuration, traced and taken apart against the model's own numbers."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from small_models import (
    TIMM_SUMS,
    TIMM_TOWERS,
    TIMM_TRANSFORMERS,
    VIT,
    build_timm,
    distance,
    model_input,
    sample_images,
)
from timm.models import vision_transformer
from torch import nn
from torch.nn import functional as F  # noqa: N812

from crosseyed.internals import attention, decompose, explain
from crosseyed.internals import trace as tracing
from crosseyed.internals.trace import WANTS, hooked, run
from crosseyed.mitigations import pooling
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.redistribution import UniformMix
from crosseyed.models.towers.base import UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.models.towers.timm_transformer import PlainTransformerAdapter


@pytest.fixture(scope="module")
def model_of(tiny_clip):
    built = {}
    return lambda kind: built.setdefault(kind, build_timm(tiny_clip, kind))


@pytest.fixture(params=TIMM_TOWERS)
def model(request, model_of):
    return model_of(request.param)


@pytest.fixture(params=TIMM_TRANSFORMERS)
def transformer(request, model_of):
    return model_of(request.param)


@pytest.fixture(params=TIMM_SUMS)
def summed(request, model_of):
    return model_of(request.param)


def traced(model, **options):
    offers = adapter_of(model).capabilities
    want = WANTS if "tokens" in offers else ("tokens",)
    (result,) = run(model, sample_images(), want, **options)
    return result


# --- tracing ----------------------------------------------------------------------------------------------


def test_tracing_leaves_the_embedding_the_same_bit_for_bit(model):
    assert torch.equal(traced(model).embedding, model.clip.encode_image(model_input(model)))


def test_the_last_tokens_are_timms_own(model):
    result, trunk = traced(model), model.clip.visual.trunk
    features = trunk.forward_features(model_input(model))
    tokens, adapter = result.tokens[-1], adapter_of(model)
    assert tokens.shape[1] == adapter.prefix + adapter.grid[0] * adapter.grid[1]
    normed = getattr(trunk, "norm", lambda tokens: tokens)(tokens)
    torch.testing.assert_close(normed, adapter.laid_out(features), rtol=1e-4, atol=1e-5)
    assert result.tokens.shape[:2] == (len(adapter.layers), 3)


def test_the_grid_is_in_reading_order(model):
    """An image that is bright in one corner changes the tokens of that corner most."""
    adapter, (height, width) = adapter_of(model), model.image_size
    rows, columns = adapter.grid
    gray = torch.zeros(1, 3, height, width)
    changed = gray.clone()
    changed[..., (rows - 1) * height // rows :, : width // columns] = 3
    tokens = [_first_tokens(model, batch) for batch in (gray, changed)]
    moved = (tokens[1] - tokens[0]).norm(dim=-1)[0, adapter.prefix :].reshape(rows, columns)
    assert moved[rows // 2 :].sum() > 1.5 * moved[: rows // 2].sum()
    assert moved[:, : columns // 2].sum() > 1.5 * moved[:, columns // 2 :].sum()


def _first_tokens(model, batch):
    adapter = adapter_of(model)
    with torch.no_grad(), hooked(adapter.modules(())) as calls:
        model.clip.encode_image(batch)
    return adapter.tokens(calls, adapter.layers[0])


def test_the_stream_is_the_sum_of_what_was_added(transformer):
    result = traced(transformer)
    summed = result.tokens[0] + result.attention_output.sum(0) + result.mlp.sum(0)
    assert distance(summed, result.tokens[-1]) < 1e-6


def test_attention_values_and_weights_give_what_the_model_added(transformer):
    result, adapter = traced(transformer, attention_rows="all"), adapter_of(transformer)
    calls = heard(transformer)
    for place, layer in enumerate(result.blocks):
        weights, read = adapter.attention(layer), adapter.attended(calls, layer)
        added = result.attention_output[place]
        assert distance(weights.write(result.attention[place], read), added) < 1e-5
        factor, besides = adapter.written(calls, layer)
        by_hand = factor[..., None] * torch.einsum(
            "bhts,bhsd,hdw->btw", result.attention[place], result.values[place], weights.output
        )
        assert distance(by_hand + besides, added) < 1e-5


def test_one_row_of_attention_is_that_of_all_rows(transformer):
    result, adapter = traced(transformer, attention_rows="all"), adapter_of(transformer)
    read = adapter.attended(heard(transformer), 1)
    for place in (slice(0, 1), slice(3, 5)):
        found = adapter.attention(1).at(place).rows(read[:, place], read)
        torch.testing.assert_close(found, result.attention[0][:, :, place], rtol=1e-4, atol=1e-6)


def test_the_pooled_row_is_the_class_tokens_or_weighs_all(transformer):
    result, every = traced(transformer), traced(transformer, attention_rows="all")
    if adapter_of(transformer).pooled_token == 0:
        expected = every.attention[..., 0, :]
    else:
        expected = tracing.pooled_rows(every.attention, every)
    torch.testing.assert_close(result.attention, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(result.attention.sum(-1), torch.ones(result.attention.shape[:-1]))


@pytest.mark.parametrize("kind", ["SigLIP", "SigLIP, register", "PE"])
def test_pooling_attention_gives_what_the_pooling_writes(model_of, kind):
    model = model_of(kind)
    pooler, result = model.clip.visual.trunk.attn_pool, traced(model)
    weights, _, read = adapter_of(model).pooling_reads(result.tokens[-1])
    with torch.no_grad(), hooked({"written": pooler.proj_drop}) as calls:
        model.clip.encode_image(model_input(model))
    written = weights.write(result.pooling_attention[:, :, None], read)
    assert distance(written, calls["written"][1]) < 1e-5
    assert distance(result.pooled, pooler(read)) < 1e-5


def test_what_follows_the_attention_of_a_block_is_its_output(transformer):
    result, adapter = traced(transformer), adapter_of(transformer)
    for place, layer in enumerate(result.blocks):
        entered = result.tokens[place] + result.attention_output[place]
        assert distance(adapter.after_attention(layer, entered), result.tokens[place + 1]) < 1e-5


def test_an_attention_written_again_leaves_the_embedding(transformer):
    """Hooks that put in, at every place where attention can be changed, what the weights say it wrote."""
    adapter, batch = adapter_of(transformer), model_input(transformer)
    steps, entered, handles = adapter.attention_steps(), {}, []
    assert len(steps) == len(adapter.blocks) + (adapter.native_pooling == "attention")
    for layer, step in steps.items():

        def enter(_, inputs, layer=layer):
            entered[layer] = inputs[0]

        def leave(_, __, output, layer=layer, step=step):
            reading, read = step.attended(step.tokens(entered[layer]))
            output = torch.zeros_like(output) + output
            written = step.weights.write(step.weights.rows(reading, read), read)
            output[:, step.rows] = written.to(output)
            return output

        handles += [step.entry.register_forward_pre_hook(enter), step.exit.register_forward_hook(leave)]
    found = transformer.clip.encode_image(batch)
    for handle in handles:
        handle.remove()
    assert distance(found, transformer.clip.encode_image(batch)) < 1e-5


# --- from the tokens to the embedding ---------------------------------------------------------------------


def heard(model):
    adapter = adapter_of(model)
    with torch.no_grad(), hooked(adapter.modules(("attention_output", "mlp"))) as calls:
        model.clip.encode_image(model_input(model))
    return calls


def test_the_pooled_vector_projected_is_the_embedding(model):
    result, visual = traced(model), model.clip.visual
    last = (
        visual.trunk.head if isinstance(visual.trunk.head, nn.Linear | nn.Identity) else visual.trunk.head.fc
    )
    assert distance(visual.head(last(result.pooled)), result.embedding) < 1e-6


def test_pooling_of_candidates_by_its_definition_is_the_embedding(model):
    """What re-pooling builds on: the tower's own pooling, done on one vector for each token."""
    result, adapter = traced(model), adapter_of(model)
    vectors = adapter.candidates(result.tokens[-1])
    if adapter.native_pooling == "class token":
        pooled = vectors[:, adapter.class_token]
    elif adapter.native_pooling == "average":
        pooled = vectors[:, adapter.prefix :].mean(1)
    else:
        weights, reading, read = adapter.pooling_reads(result.tokens[-1])
        pooled = weights.write(weights.rows(reading, read), read)[:, 0]
    assert distance(adapter.embed(pooled), result.embedding) < 1e-5


def test_a_token_projected_alone_is_what_the_tower_makes_of_it_alone(model):
    visual, adapter = model.clip.visual, adapter_of(model)
    last = heard(model)
    tokens = adapter.tokens(last, adapter.layers[-1])[:, [0, -1]]
    projected = adapter.project(tokens)
    for place in np.ndindex(3, 2):
        alone = tokens[place].expand(1, 1 + adapter.prefix, -1)
        if not adapter.blocks:  # a map of a single cell
            channels_last = adapter.laid_out(torch.zeros(1, 2, 3, 4)).shape[-1] == 4
            alone = alone[:, None] if channels_last else alone.mT[..., None]
        normed = getattr(visual.trunk, "norm", nn.Identity())(alone)
        expected = visual.head(visual.trunk.forward_head(normed))[0]
        torch.testing.assert_close(projected[place], expected, rtol=1e-4, atol=1e-5)


def test_the_readout_gives_the_embedding(summed):
    result = traced(summed)
    assert distance(result.readout(result.tokens[-1]) + result.readout.bias, result.embedding) < 1e-5


def test_the_statistics_of_the_final_norm_are_those_it_applied(model):
    result, adapter = traced(model), adapter_of(model)
    if model.name == "FastViT":
        assert result.norm_mean is result.norm_std is None
        return
    with hooked({"norm": adapter._norm}) as calls:
        model.clip.encode_image(model_input(model))
    normalised, normed = calls["norm"]
    if model.name.startswith("ConvNeXt"):
        normalised, normed = (each.flatten(2).mT for each in (normalised, normed))
    normalised, normed = (each.reshape(3, -1, each.shape[-1]) for each in (normalised, normed))
    by_hand = (normalised - result.norm_mean[..., None]) / result.norm_std[..., None]
    torch.testing.assert_close(
        by_hand * adapter._norm.weight + adapter._norm.bias, normed, rtol=1e-3, atol=1e-4
    )


def test_contributions_sum_to_the_embedding(summed):
    (parts,) = decompose.decompose(summed, sample_images(), head_tokens=True)
    by_heads = parts.start + parts.heads.sum((0, 2)) + parts.mlp.sum(0) + parts.bias
    by_tokens = parts.start + parts.tokens.sum(1) + parts.mlp.sum(0) + parts.bias
    expected = F.normalize(summed.clip.encode_image(model_input(summed)), dim=-1)
    assert distance(parts.embedding, expected) < 1e-6
    assert distance(by_heads, expected) < 1e-4
    assert distance(by_tokens, expected) < 1e-4
    torch.testing.assert_close(parts.head_tokens.sum(3), parts.heads, rtol=1e-3, atol=1e-5)


# --- poolings and mitigations -----------------------------------------------------------------------------


def test_every_pooling_that_a_tower_supports_gives_unit_vectors_or_scores(model):
    texts = ["a cup", "a dog"]
    for name in pooling.supported(model):
        scores = pooling.pool(model, name).similarities(sample_images(), texts, progress=False)
        assert scores.shape == (3, 2), name
        assert np.isfinite(scores).all(), name
        assert (abs(scores) <= 1 + 1e-6).all(), name


def test_the_towers_own_pooling_gives_its_own_embedding(model):
    own = pooling.pool(model, pooling.native(model)).encode_images(sample_images(), progress=False)
    np.testing.assert_allclose(
        own, model.encode_images(sample_images(), progress=False), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["SigLIP", "ViT-GAP", "ViTamin"])
def test_uniform_attention_is_that_of_a_tower_without_queries(model_of, kind):
    """Redistribution on timm's towers; without a class token every token is one of the image."""
    model = model_of(kind)
    without = dataclasses.replace(model, clip=copy.deepcopy(model.clip))
    trunk = without.clip.visual.trunk
    for block in trunk.blocks:
        for parameter in block.attn.qkv.parameters():
            parameter[: len(parameter) // 3] = 0
    if trunk.attn_pool is not None:
        trunk.attn_pool.q.weight[:], trunk.attn_pool.q.bias[:] = 0, 0
    mix = UniformMix(1.0, last=len(adapter_of(model).attention_steps()))
    changed = mitigate(model, mix).encode_images(sample_images(), progress=False)
    np.testing.assert_allclose(changed, without.encode_images(sample_images(), progress=False), atol=1e-5)


# --- what a tower lacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SigLIP", "SigLIP, register", "PE", "ConvNeXt, MLP"])
def test_an_embedding_that_is_no_sum_is_not_taken_apart(model_of, kind):
    model = model_of(kind)
    assert traced(model).readout is None
    with pytest.raises(UnsupportedTower, match=r"no decomposition .*an MLP follows its pooling"):
        decompose.decompose(model, sample_images())
    with pytest.raises(UnsupportedTower, match="an MLP follows its pooling"):
        explain.itsm_after_pooling(model, model_input(model), ["a", "b", "c"])


@pytest.mark.parametrize(
    ("kind", "why"), [("ConvNeXt", "convolutions"), ("Swin", "windows"), ("FastViT", "last stages")]
)
def test_a_tower_without_attention_says_why(model_of, kind, why):
    with pytest.raises(UnsupportedTower, match=rf"no attention .*{why}.*It offers decomposition"):
        run(model_of(kind), sample_images(), ("tokens", "attention"))
    with pytest.raises(UnsupportedTower, match=r"no tokens .*stages differ"):
        run(model_of(kind), sample_images(), "mlp")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qk_norm": True}, "k_norm, q_norm"),
        ({"global_pool": "max"}, "'max'"),
        ({"block_fn": vision_transformer.ParallelScalingBlock}, "ParallelScalingBlock"),
        ({"class_token": False, "reg_tokens": 1, "global_pool": "map"}, "leaves tokens out"),
    ],
)
def test_a_transformer_with_unknown_parts_is_refused(model_of, changes, message):
    visual = copy.copy(model_of("ViT").clip.visual)
    visual._modules = dict(visual._modules)
    visual.trunk = vision_transformer._create_vision_transformer("tiny", **{**VIT, **changes})
    with pytest.raises(UnsupportedTower, match=message):
        PlainTransformerAdapter(visual)


@pytest.mark.parametrize("method", [explain.itsm, explain.grad_cam])
def test_maps_are_of_the_image(model, method):
    maps = method(model, model_input(model), ["a cup", "a dog", "a key"])
    assert maps.shape == (3, *model.image_size)
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("kind", ["SigLIP", "EVA-02", "Swin"])
def test_half_precision(model_of, kind):
    full = model_of(kind)
    half = dataclasses.replace(full, clip=copy.deepcopy(full.clip).to(torch.bfloat16), precision="bf16")
    result, adapter = traced(half), adapter_of(half)
    assert result.tokens.dtype == result.pooled.dtype == torch.float32
    assert torch.equal(result.embedding, half.clip.encode_image(model_input(half)).float())
    if result.readout is not None:
        assert distance(result.readout(result.tokens[-1]) + result.readout.bias, result.embedding) < 3e-2
    assert adapter.project(result.tokens[-1]).dtype == torch.float32


def test_maps_of_attention_have_the_towers_grid_and_sum_to_the_attention_on_the_image(transformer):
    maps = attention.maps(transformer, sample_images())
    every, adapter = traced(transformer), adapter_of(transformer)
    assert list(maps)[:2] == ["layer 1", "layer 2"]
    assert ("layer 3" in maps) == (adapter.native_pooling == "attention")
    for place, layer in enumerate(every.blocks):
        expected = every.attention[place].mean(1)[:, adapter.prefix :].reshape(3, *adapter.grid)
        np.testing.assert_allclose(maps[f"layer {layer}"], expected, rtol=1e-4, atol=1e-6)
    assert maps["rollout"].shape == (3, *adapter.grid)
    assert (maps["rollout"].sum((1, 2)) <= 1 + 1e-5).all()
