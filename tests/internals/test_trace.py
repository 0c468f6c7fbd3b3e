"""Tracing every kind of tower, against open_clip's and torch's own answers and against identities."""

import _thread
import copy
import dataclasses
import threading
from itertools import count

import numpy as np
import open_clip
import pytest
import torch
from small_models import (
    OPEN_CLIP_TRANSFORMERS,
    TINY_CONFIG,
    distance,
    listeners,
    model_input,
    sample_images,
    traced,
)
from torch import nn
from torch.nn import functional as F  # noqa: N812

from crosseyed.errors import InputError
from crosseyed.internals import trace as tracing
from crosseyed.internals.trace import WANTS, hooked, pooled_rows, run
from crosseyed.models.scorer import UnreadableImagesWarning
from crosseyed.models.towers import registry, vision_transformer
from crosseyed.models.towers.base import UnsupportedTower
from crosseyed.models.towers.registry import ADAPTERS, adapter_of


@pytest.fixture(params=list(OPEN_CLIP_TRANSFORMERS))
def transformer(request, model_of):
    return model_of(request.param)


# --- the model's own numbers ------------------------------------------------------------------------------


def test_tracing_leaves_the_embedding_the_same_bit_for_bit(model):
    result = traced(model, attention_rows="all")
    assert torch.equal(result.embedding, model.clip.encode_image(model_input(model)))
    expected = model.encode_images(sample_images())
    assert np.array_equal(F.normalize(result.embedding, dim=-1).numpy(), expected)


def test_tokens_are_those_that_the_blocks_return(transformer):
    visual, batch = transformer.clip.visual, model_input(transformer)
    with torch.no_grad():
        stream = [visual._embeds(batch)]
        for block in visual.transformer.resblocks:
            stream.append(block(stream[-1]))
    result = traced(transformer)
    assert (result.layers, result.blocks) == ((0, 1, 2), (1, 2))
    assert torch.equal(result.tokens, torch.stack(stream))
    assert (result.prefix, result.grid) == (1, (4, 4))


def test_the_tokens_of_a_resnet_are_what_its_pooling_attends_to(model_of):
    model = model_of("ResNet")
    visual = model.clip.visual
    maps = visual.forward_intermediates(model_input(model), indices=[4])["image_intermediates"][0]
    assert maps.shape == (3, 128, 2, 2)
    result = traced(model)
    assert (result.layers, result.blocks, result.grid, result.prefix) == ((5,), (), (2, 2), 1)
    for row in range(2):
        for col in range(2):
            place = 1 + 2 * row + col
            expected = maps[:, :, row, col] + visual.attnpool.positional_embedding[place]
            assert torch.equal(result.tokens[0, :, place], expected)
    mean = maps.mean((2, 3)) + visual.attnpool.positional_embedding[0]
    torch.testing.assert_close(result.tokens[0, :, 0], mean)
    assert result.attention is result.values is result.mlp is result.attention_output is None


def test_attention_is_torchs_own(transformer):
    result = traced(transformer, attention_rows="all")
    assert result.attention.shape == (2, 3, 2, 17, 17)
    for layer, block in enumerate(transformer.clip.visual.transformer.resblocks):
        read = block.ln_1(result.tokens[layer])
        _, expected = block.attn(read, read, read, need_weights=True, average_attn_weights=False)
        torch.testing.assert_close(result.attention[layer], expected, rtol=1e-4, atol=1e-6)


def test_attention_values_and_weights_give_the_attention_output(transformer):
    result = traced(transformer, attention_rows="all")
    for place, layer in enumerate(result.blocks):
        weights = adapter_of(transformer).attention(layer)
        output = weights.output_bias.expand(3, 17, -1).clone()
        for head in range(2):
            output += result.attention[place, :, head] @ result.values[place, :, head] @ weights.output[head]
        assert distance(output, result.attention_output[place]) < 1e-5


def test_the_stream_is_the_sum_of_what_was_added(transformer):
    result = traced(transformer)
    summed = result.tokens[0] + result.attention_output.sum(0) + result.mlp.sum(0)
    assert distance(summed, result.tokens[-1]) < 1e-6


@pytest.mark.parametrize("kind", ["class token", "layer scale", "class token, then norm"])
def test_the_pooled_row_is_the_class_tokens(model_of, kind):
    rows, pooled = (traced(model_of(kind), attention_rows=rows).attention for rows in ("all", "pooled"))
    assert pooled.shape == (2, 3, 2, 17)
    torch.testing.assert_close(pooled, rows[..., 0, :], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["average", "average, then norm", "pooler", "pooler, average of queries"])
def test_the_pooled_row_weighs_the_rows_as_pooling_weighs_the_tokens(model_of, kind):
    everything, pooled = traced(model_of(kind), attention_rows="all"), traced(model_of(kind)).attention
    for layer, image, head in np.ndindex(2, 3, 2):
        weights = everything.readout.rows[image].mean(0)
        expected = sum(
            weight * row
            for weight, row in zip(weights, everything.attention[layer, image, head], strict=True)
        )
        torch.testing.assert_close(pooled[layer, image, head], expected / weights.sum(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(pooled_rows(everything.attention, everything), pooled)
    torch.testing.assert_close(pooled.sum(-1), torch.ones(2, 3, 2))


def test_an_average_then_norm_weighs_all_spatial_rows_the_same(model_of):
    everything = traced(model_of("average, then norm"), attention_rows="all")
    pooled = traced(model_of("average, then norm")).attention
    torch.testing.assert_close(pooled, everything.attention[..., 1:, :].mean(-2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "queries"),
    [
        ("pooler", [0]),
        ("pooler, as wide as the tokens", [0]),
        ("pooler, returning tokens too", [0]),
        ("pooler, average of queries", [1, 2, 3, 4]),
    ],
)
def test_pooling_attention_of_a_pooler_is_torchs_own(model_of, kind, queries):
    result, pooler = traced(model_of(kind)), model_of(kind).clip.visual.attn_pool
    read = pooler.ln_k(result.tokens[-1])
    reading = pooler.ln_q(pooler.query).expand(3, -1, -1)
    _, expected = pooler.attn(reading, read, read, average_attn_weights=False)
    assert result.pooling_attention.shape == (3, 4, 17)
    torch.testing.assert_close(
        result.pooling_attention, expected[:, :, queries].mean(2), rtol=1e-4, atol=1e-6
    )


def test_pooling_attention_of_a_resnet(model_of):
    result, pool = traced(model_of("ResNet")), model_of("ResNet").clip.visual.attnpool
    tokens = result.tokens[-1]
    queries, keys, values = (
        layer(tokens).unflatten(-1, (4, 32)) for layer in (pool.q_proj, pool.k_proj, pool.v_proj)
    )
    for image, head in np.ndindex(3, 4):
        logits = keys[image, :, head] @ queries[image, 0, head] / 32**0.5
        expected = logits.softmax(0)
        torch.testing.assert_close(result.pooling_attention[image, head], expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(
            result.pooled[image, 32 * head : 32 * (head + 1)], expected @ values[image, :, head]
        )


def test_only_attention_pooling_has_pooling_attention(model_of):
    assert traced(model_of("class token")).pooling_attention is None
    assert traced(model_of("average")).pooling_attention is None


def test_few_and_many_rows_agree(model_of):
    weights = adapter_of(model_of("class token")).attention(1)
    read = torch.randn(2, 9, 64, generator=torch.Generator().manual_seed(0))
    every = weights.rows(read, read)
    for row in range(9):
        torch.testing.assert_close(weights.rows(read[:, row, None], read), every[:, :, row, None])


# --- from the tokens to the embedding ---------------------------------------------------------------------


def test_the_pooled_vector_projected_is_the_embedding(model):
    result, visual = traced(model), model.clip.visual
    projected = (
        visual.attnpool.c_proj(result.pooled) if hasattr(visual, "attnpool") else result.pooled @ visual.proj
    )
    assert distance(projected, result.embedding) < 1e-6


def test_the_statistics_of_the_final_norm_give_its_output(transformer):
    result, visual = traced(transformer), transformer.clip.visual
    with hooked({"norm": visual.ln_post}) as calls:
        transformer.clip.encode_image(model_input(transformer))
    normalised, normed = (call.reshape(3, -1, call.shape[-1]) for call in calls["norm"])
    assert result.norm_mean.shape == result.norm_std.shape == normalised.shape[:2]
    by_hand = (normalised - result.norm_mean[..., None]) / result.norm_std[..., None]
    by_hand = by_hand * visual.ln_post.weight + visual.ln_post.bias
    torch.testing.assert_close(by_hand, normed, rtol=1e-4, atol=1e-5)


def test_a_resnet_has_no_final_norm(model_of):
    result = traced(model_of("ResNet"))
    assert result.norm_mean is result.norm_std is None


def test_the_readout_gives_the_embedding(model):
    result = traced(model)
    assert distance(result.readout(result.tokens[-1]) + result.readout.bias, result.embedding) < 1e-5


def test_the_readout_by_its_formula(model):
    result = traced(model)
    readout, tokens = result.readout, result.tokens[-1]
    for image in range(3):
        embedding = readout.bias[image].clone()
        for group, place in np.ndindex(readout.rows.shape[1:]):
            embedding += readout.rows[image, group, place] * (tokens[image, place] @ readout.matrix[group])
        assert distance(embedding, result.embedding[image]) < 1e-5


def test_the_readout_does_not_see_what_the_norm_removes(transformer):
    # every norm on the way subtracts the mean of a token, so shifting all its numbers must change nothing
    result = traced(transformer)
    shifted = result.readout(result.tokens[-1] + 5)
    assert distance(shifted, result.readout(result.tokens[-1])) < 1e-4


def test_contributions_of_heads_tokens_and_mlps_sum_to_the_embedding(transformer):
    """The decomposition that the docstrings promise, term by term."""
    result = traced(transformer, attention_rows="all")
    readout = result.readout
    embedding = readout(result.tokens[0]) + readout.bias
    for place, layer in enumerate(result.blocks):
        weights = adapter_of(transformer).attention(layer)
        embedding += readout(result.mlp[place]) + readout(weights.output_bias.expand(3, 17, -1))
        for head, source in np.ndindex(2, 17):
            written = result.values[place, :, head, source] @ weights.output[head]
            probability = result.attention[place, :, head, :, source]
            embedding += readout(probability[..., None] * written[:, None])
    assert distance(embedding, result.embedding) < 1e-4


@pytest.mark.parametrize("kind", ["class token", "average", "average, then norm"])
def test_the_pooled_row_suffices_for_the_decomposition_where_there_is_one_group(model_of, kind):
    everything, pooled = traced(model_of(kind), attention_rows="all"), traced(model_of(kind)).attention
    rows = everything.readout.rows
    assert rows.shape == (3, 1, 17)
    for layer in range(2):
        expected = torch.einsum("bt,bhts->bhs", rows[:, 0], everything.attention[layer])
        found = rows.sum((1, 2))[:, None, None] * pooled[layer]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_token_projected_alone_is_what_pooling_makes_of_it_alone(transformer):
    tokens, visual = traced(transformer).tokens[:, :, [0, 3, 16]], transformer.clip.visual
    projected = adapter_of(transformer).project(tokens)
    assert projected.shape == (3, 3, 3, transformer.tower.embed_dim)
    for place in np.ndindex(3, 3, 3):
        alone = tokens[place].expand(1, 1 if transformer.clip.visual.pool_type == "tok" else 2, -1)
        expected, _ = visual._pool(alone)
        torch.testing.assert_close(projected[place], (expected @ visual.proj)[0], rtol=1e-4, atol=1e-5)


def test_a_resnets_token_projected_alone(model_of):
    model = model_of("ResNet")
    tokens, pool = traced(model).tokens[-1], model.clip.visual.attnpool
    expected = pool.c_proj(pool.v_proj(tokens))
    torch.testing.assert_close(adapter_of(model).project(tokens), expected, rtol=1e-4, atol=1e-5)


# --- streams ----------------------------------------------------------------------------------------------


def test_batches_say_which_images_they_hold(tiny_clip):
    whole = traced(tiny_clip)
    parts = list(run(tiny_clip, sample_images(), WANTS, batch_size=2))
    assert [part.images for part in parts] == [range(2), range(2, 3)]
    for name in WANTS:
        torch.testing.assert_close(
            torch.cat([getattr(part, name) for part in parts], 1), getattr(whole, name)
        )


def test_no_more_images_are_read_than_a_few_batches(tiny_clip):
    taken = []
    endless = (
        taken.append(number) or image
        for number, image in zip(count(), iter(sample_images, None))
        for image in image
    )
    stream = run(tiny_clip, endless, batch_size=2, progress=False)
    next(stream)
    next(stream)
    stream.close()
    assert len(taken) <= 4 * 2


def test_no_images_give_no_traces(tiny_clip):
    assert list(run(tiny_clip, [])) == []


def test_an_unreadable_image_is_nan_and_leaves_the_others_alone(tiny_clip, tmp_path):
    images = sample_images()
    with pytest.warns(UnreadableImagesWarning, match=r"1 of 3 .*absent\.png") as warned:
        (result,) = run(tiny_clip, [images[0], tmp_path / "absent.png", images[2]], WANTS)
    assert warned[0].filename == __file__
    whole = traced(tiny_clip)
    for name in WANTS:
        found = getattr(result, name)
        assert found[-1, 1].isnan().all()
        torch.testing.assert_close(found[:, ::2], getattr(whole, name)[:, ::2])
    assert result.embedding[1].isnan().all()
    torch.testing.assert_close(result.embedding[::2], whole.embedding[::2])


def test_unreadable_images_keep_their_numbers(tiny_clip, tmp_path):
    with pytest.warns(UnreadableImagesWarning):
        parts = list(run(tiny_clip, [tmp_path / "absent.png", *sample_images()], batch_size=2))
    assert [part.images for part in parts] == [range(2), range(2, 4)]


def test_a_batch_of_nothing_but_unreadable_images(tiny_clip, tmp_path):
    with pytest.warns(UnreadableImagesWarning):
        (result,) = run(tiny_clip, [tmp_path / "a.png", tmp_path / "b.png"])
    assert result.tokens.shape == (3, 2, 17, 64)
    assert result.tokens[1:].isnan().all()


def test_too_little_memory_halves_the_batch(tiny_clip, monkeypatch):
    whole, encode = traced(tiny_clip), tiny_clip.clip.encode_image

    def short_of_memory(batch):
        if len(batch) > 1:
            raise torch.OutOfMemoryError
        return encode(batch)

    monkeypatch.setattr(tiny_clip.clip, "encode_image", short_of_memory)
    parts = list(run(tiny_clip, sample_images()))
    assert [part.images for part in parts] == [range(1), range(1, 2), range(2, 3)]
    torch.testing.assert_close(torch.cat([part.embedding for part in parts]), whole.embedding)


def test_a_stream_of_something_else(model_of):
    model = model_of("average")
    seen = list(
        tracing.stream(model, sample_images(), lambda batch, first: (first, len(batch)), batch_size=2)
    )
    assert seen == [(0, 2), (2, 1)]
    batches = list(tracing.stream(model, sample_images(), lambda batch, _: batch))
    assert torch.equal(batches[0], model_input(model))


def test_layers_can_be_chosen(tiny_clip):
    whole, some = traced(tiny_clip), traced(tiny_clip, layers=[-1, 0])
    assert (some.layers, some.blocks) == ((0, 2), (2,))
    assert torch.equal(some.tokens, whole.tokens[[0, 2]])
    for name in ("attention", "values", "attention_output", "mlp"):
        assert torch.equal(getattr(some, name), getattr(whole, name)[[1]])
    assert traced(tiny_clip, layers=[0]).attention is None


def test_only_what_is_wanted_is_kept(tiny_clip):
    result = traced(tiny_clip, "mlp")
    assert result.mlp is not None
    assert all(getattr(result, name) is None for name in WANTS if name != "mlp")
    assert result.readout is not None


def test_results_can_be_used_in_training(tiny_clip):
    probe = nn.Linear(64, 2)
    probe(traced(tiny_clip).tokens[-1]).sum().backward()
    assert probe.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 3e-2), ("fp16", 5e-3)])
@pytest.mark.parametrize("kind", ["class token", "average", "pooler"])
def test_half_precision(model_of, kind, precision, tolerance):
    full = model_of(kind)
    clip = copy.deepcopy(full.clip).to(torch.bfloat16 if precision == "bf16" else torch.float16)
    half = dataclasses.replace(full, clip=clip, precision=precision)
    result = traced(half, attention_rows="all")
    assert all(getattr(result, name).dtype == torch.float32 for name in (*WANTS, "embedding", "pooled"))
    assert torch.equal(result.embedding, clip.encode_image(model_input(half)).float())
    summed = result.tokens[0] + result.attention_output.sum(0) + result.mlp.sum(0)
    assert distance(summed, result.tokens[-1]) < tolerance
    assert distance(result.readout(result.tokens[-1]) + result.readout.bias, result.embedding) < tolerance
    weights = adapter_of(half).attention(1)
    output = torch.einsum("bhts,bhsd,hdw->btw", result.attention[0], result.values[0], weights.output)
    assert distance(output + weights.output_bias, result.attention_output[0]) < tolerance


# --- hooks ------------------------------------------------------------------------------------------------


def test_hooks_come_off_and_leave_others_on(tiny_clip):
    seen = []
    block = tiny_clip.clip.visual.transformer.resblocks[0]
    handle = block.register_forward_hook(lambda *_: seen.append(1))
    try:
        traced(tiny_clip)
        assert len(seen) == 1
        assert len(listeners(tiny_clip)) == 1
    finally:
        handle.remove()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_hooks_come_off_after_an_error_in_the_model(tiny_clip, error):
    def fail(*_):
        assert len(listeners(tiny_clip)) > 5
        raise error

    last = tiny_clip.clip.visual.transformer.resblocks[1].mlp
    handle = last.register_forward_hook(fail)
    with pytest.raises(error):
        traced(tiny_clip)
    handle.remove()
    assert listeners(tiny_clip) == []


@pytest.mark.usefixtures("interruptible")
def test_hooks_come_off_after_ctrl_c(tiny_clip):
    begun = threading.Event()

    def endless(*_):
        begun.set()
        while True:
            pass

    handle = tiny_clip.clip.visual.transformer.resblocks[1].mlp.register_forward_hook(endless)
    threading.Thread(target=lambda: begun.wait() and _thread.interrupt_main()).start()
    with pytest.raises(KeyboardInterrupt):
        traced(tiny_clip)
    handle.remove()
    assert listeners(tiny_clip) == []


def test_no_hooks_while_the_stream_rests(tiny_clip):
    stream = run(tiny_clip, sample_images(), batch_size=1)
    next(stream)
    assert listeners(tiny_clip) == []


def test_hooks_come_off_where_one_cannot_be_installed(tiny_clip):
    with pytest.raises(AttributeError), hooked({"good": tiny_clip.clip.visual, "bad": None}):
        pass
    assert listeners(tiny_clip) == []


def test_hooked_tensors_carry_gradients(tiny_clip):
    batch = model_input(tiny_clip).requires_grad_()
    block = tiny_clip.clip.visual.transformer.resblocks[1]
    with hooked({"block": block}) as calls:
        embedding = tiny_clip.clip.encode_image(batch)
    (gradient,) = torch.autograd.grad(embedding.sum(), calls["block"][1])
    assert gradient.shape == (3, 17, 64)


# --- bad input --------------------------------------------------------------------------------------------


def with_visual(model, visual):
    clip = nn.Module()
    clip.visual = visual
    return dataclasses.replace(
        model, name="strange", clip=clip.eval(), tower=dataclasses.replace(model.tower, kind="Odd")
    )


def test_an_unknown_tower_names_the_known_ones_and_what_a_new_one_needs(tiny_clip):
    with pytest.raises(UnsupportedTower) as raised:
        run(with_visual(tiny_clip, nn.Identity()), sample_images())
    for word in ("strange", "Odd", "VisionTransformer", "ModifiedResNet", "TowerAdapter", "towers", "pool"):
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qk_norm": True}, "CustomResidualAttentionBlock"),
        ({"attentional_pool": "parallel"}, "several vectors"),
        ({"pool_type": "none"}, "several vectors"),
    ],
)
def test_a_transformer_with_unknown_parts(tiny_clip, changes, message):
    config = {**TINY_CONFIG, "vision_cfg": TINY_CONFIG["vision_cfg"] | changes}
    with pytest.raises(UnsupportedTower, match=message):
        run(with_visual(tiny_clip, open_clip.CLIP(**config).visual), sample_images())


def test_a_transformer_without_projection(tiny_clip):
    visual = copy.deepcopy(tiny_clip.clip.visual)
    visual.proj = None
    with pytest.raises(UnsupportedTower, match="no projection"):
        run(with_visual(tiny_clip, visual), sample_images())


def test_a_new_family_needs_no_more_than_an_entry(tiny_clip, monkeypatch):
    class OwnTransformer(open_clip.transformer.VisionTransformer):
        pass

    class OwnAdapter(vision_transformer.VisionTransformerAdapter):
        family = OwnTransformer

    clip = copy.deepcopy(tiny_clip.clip)
    clip.visual.__class__ = OwnTransformer
    own = dataclasses.replace(tiny_clip, clip=clip)
    with pytest.raises(UnsupportedTower):
        traced(own)
    monkeypatch.setattr(registry, "ADAPTERS", (*ADAPTERS, OwnAdapter))
    assert torch.equal(traced(own).tokens, traced(tiny_clip).tokens)


def test_training_mode_is_refused(tiny_clip):
    clip = copy.deepcopy(tiny_clip.clip)
    clip.visual.transformer.resblocks[1].train()
    with pytest.raises(InputError, match=r"training mode.*eval\(\)"):
        run(dataclasses.replace(tiny_clip, clip=clip), sample_images())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"want": ["atention"]}, "did you mean 'attention'"),
        ({"layers": [3]}, "0, 1, 2"),
        ({"layers": [-4]}, "0, 1, 2"),
        ({"layers": []}, "0, 1, 2"),
        ({"attention_rows": "class"}, "'pooled' or 'all'"),
        ({"batch_size": 0}, "at least 1"),
    ],
)
def test_options_that_do_not_exist(tiny_clip, options, message):
    with pytest.raises(InputError, match=message):
        run(tiny_clip, sample_images(), **options)


def test_one_image_instead_of_several(tiny_clip):
    with pytest.raises(InputError, match="list"):
        list(run(tiny_clip, "picture.png"))


@pytest.mark.parametrize("want", ["values", "attention_output", "mlp"])
def test_what_a_tower_lacks_is_refused_in_words(model_of, want):
    with pytest.raises(UnsupportedTower, match=r"no tokens .*its stages differ in grid.*It offers attention"):
        run(model_of("ResNet"), sample_images(), want)


@pytest.mark.parametrize(("kind", "layer"), [("class token", 0), ("class token", 3), ("ResNet", 5)])
def test_weights_of_a_block_that_does_not_exist(model_of, kind, layer):
    with pytest.raises(InputError, match=f"leads to layer {layer}"):
        adapter_of(model_of(kind)).attention(layer)
