"""Redistributed attention against blocks computed by hand, for every kind of tower, and against identities."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from small_models import OPEN_CLIP_TOWERS, build_open_clip, distance, listeners, model_input, sample_images

from crosseyed.data import layouts
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.data.scenes import eccentricity, scene_table
from crosseyed.errors import InputError
from crosseyed.internals import decompose
from crosseyed.internals.trace import run
from crosseyed.mitigations import head_suppression, redistribution
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.head_suppression import HeadSuppression, center_biased_heads
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.redirection import Scope, redirected
from crosseyed.mitigations.redistribution import (
    AttentionTemperature,
    ConfidenceScaling,
    RadialAttention,
    SinkRedistribution,
    UniformMix,
)
from crosseyed.models.towers.base import TowerAdapter, UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.models.towers.resnet import ModifiedResNetAdapter

TEXTS = ["a dog", "a cat", "a key"]
PLACES = [eccentricity((col + 0.5) / 4, (row + 0.5) / 4) for row in range(4) for col in range(4)]
BLOCKS = ["class token", "layer scale", "class token, then norm", "average", "average, then norm"]
POOLERS = [
    "pooler",
    "pooler, returning tokens too",
    "pooler, average of queries",
    "pooler, as wide as the tokens",
]


@pytest.fixture(scope="module")
def model_of(tiny_clip):
    built = {}
    return lambda kind: built.setdefault(kind, build_open_clip(tiny_clip, kind))


@pytest.fixture(params=OPEN_CLIP_TOWERS)
def model(request, model_of):
    return model_of(request.param)


def embedded(model):
    with torch.no_grad():
        return model.clip.encode_image(model_input(model))


def under(mitigation, model):
    with mitigation.applied(model):
        return embedded(model)


# --- what each mitigation does, token by token ------------------------------------------------------------


def radial_by_hand(row, tokens, places=PLACES):
    weighted = [share * np.exp(1.5 * place) for share, place in zip(row[1:], places, strict=True)]
    return [row[0]] + [sum(row[1:]) * each / sum(weighted) for each in weighted]


def mix_by_hand(row, tokens):
    return [row[0]] + [0.7 * share + 0.3 * sum(row[1:]) / len(row[1:]) for share in row[1:]]


def temperature_by_hand(row, tokens):
    powers = [share ** (1 / 2.5) for share in row[1:]]
    return [row[0]] + [sum(row[1:]) * power / sum(powers) for power in powers]


def sinks_by_hand(row, tokens):
    norms = [float(token.norm()) for token in tokens[1:]]
    sink = [norm > 1.02 * np.median(norms) for norm in norms]
    on_sinks = sum(share for share, is_sink in zip(row[1:], sink, strict=True) if is_sink)
    on_rest = sum(row[1:]) - on_sinks
    return [row[0]] + [
        share * 0.2 if is_sink else share * (1 + 0.8 * on_sinks / on_rest)
        for share, is_sink in zip(row[1:], sink, strict=True)
    ]


CHANGES = {
    "radial": (RadialAttention(1.5), radial_by_hand),
    "mix": (UniformMix(0.3), mix_by_hand),
    "temperature": (AttentionTemperature(2.5), temperature_by_hand),
    "sinks": (SinkRedistribution(0.8, factor=1.02), sinks_by_hand),
}


def attend_by_hand(reading, read, weights, biases, heads, tokens, change, rows, chosen=None):
    """One image's attention before its output, head by head, in double precision.

    `rows` of the reading tokens are changed, in the `chosen` heads; a change takes a row and the tokens read.
    """
    query, key, value = (
        (part.double() @ weight.double().T + bias.double()).chunk(heads, 1)
        for part, weight, bias in zip((reading, read, read), weights, biases, strict=True)
    )
    gathered = []
    for head in range(heads):
        weight = (query[head] @ key[head].T / query[head].shape[1] ** 0.5).exp()
        weight = weight / weight.sum(1, keepdim=True)
        for row in rows if chosen is None or head in chosen else ():
            weight[row] = torch.tensor(change(weight[row].tolist(), tokens))
        gathered.append(weight @ value[head])
    return torch.cat(gathered, 1)


def transformer_by_hand(model, change, layers, chosen=None):
    """The embeddings with the attention of some blocks changed, for the rows that pooling needs."""
    visual = model.clip.visual
    with torch.no_grad():
        tokens = visual._embeds(model_input(model))
        for layer, block in enumerate(visual.transformer.resblocks, 1):
            if layer not in layers:
                tokens = block(tokens)
                continue
            normed, attn = block.ln_1(tokens), block.attn
            weights, biases = attn.in_proj_weight.chunk(3), attn.in_proj_bias.chunk(3)
            rows = {0} if visual.pool_type == "tok" and visual.attn_pool is None else set(range(17))
            gathered = torch.stack(
                [
                    attend_by_hand(x, x, weights, biases, attn.num_heads, entering, change, rows, chosen)
                    for x, entering in zip(normed, tokens, strict=True)
                ]
            )
            tokens = tokens + block.ls_1(attn.out_proj(gathered.float()))
            tokens = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
        return visual._pool(tokens)[0] @ visual.proj


def pooler_by_hand(model, change):
    visual, pooler = model.clip.visual, model.clip.visual.attn_pool
    attn = pooler.attn
    weights = (attn.q_proj_weight, attn.k_proj_weight, attn.v_proj_weight)
    if attn.in_proj_weight is not None:
        weights = attn.in_proj_weight.chunk(3)
    with torch.no_grad():
        tokens = visual.transformer(visual._embeds(model_input(model)))
        queries = pooler.ln_q(pooler.query)
        gathered = torch.stack(
            [
                attend_by_hand(
                    queries, read, weights, attn.in_proj_bias.chunk(3), 4, entering, change, set(range(5))
                )
                for read, entering in zip(pooler.ln_k(tokens), tokens, strict=True)
            ]
        )
        normed = visual.ln_post(attn.out_proj(gathered.float()))
        return visual._global_pool(normed)[0] @ visual.proj


def resnet_by_hand(model, change):
    visual, pool = model.clip.visual, model.clip.visual.attnpool
    parts = (pool.q_proj, pool.k_proj, pool.v_proj)
    with torch.no_grad():
        maps = visual.forward_intermediates(model_input(model), indices=[4])["image_intermediates"][0]
        answers = []
        for cells in maps.flatten(2).mT:
            tokens = torch.cat([cells.mean(0, keepdim=True), cells]) + pool.positional_embedding
            weights, biases = [part.weight for part in parts], [part.bias for part in parts]
            gathered = attend_by_hand(
                tokens[:1], tokens, weights, biases, pool.num_heads, tokens, change, {0}
            )
            answers.append(pool.c_proj(gathered.float()))
        return torch.cat(answers)


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


@pytest.mark.parametrize("name", ["mix", "temperature"])
def test_a_resnets_attention_pooling_by_hand(model_of, name):
    mitigation, change = CHANGES[name]
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


# --- identities -------------------------------------------------------------------------------------------


def shares(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(2, 2, 3, 17, generator=generator)).softmax(-1)


def scope():
    tokens = torch.ones(2, 17, 8)
    tokens[0, [4, 9]] *= 10  # the second image has no sinks
    return Scope(tokens, (4, 4), 1)


@pytest.mark.parametrize(
    "mitigation",
    [
        RadialAttention(-20.0),
        RadialAttention(20.0),
        UniformMix(1.0),
        AttentionTemperature(0.01),
        AttentionTemperature(100.0),
        SinkRedistribution(1.0),
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


def test_all_of_a_uniform_mix_is_the_mean_and_all_of_the_temperature_nearly():
    attention = shares()
    mean = attention[..., 1:].mean(-1, keepdim=True).expand(2, 2, 3, 16)
    torch.testing.assert_close(UniformMix(1.0).change(attention, scope())[..., 1:], mean)
    flat = AttentionTemperature(100.0).change(attention, scope())[..., 1:]
    assert ((flat / mean - 1).abs() < 0.2).all()
    sharp = AttentionTemperature(0.01).change(attention, scope())[..., 1:]
    assert torch.equal(sharp.argmax(-1), attention[..., 1:].argmax(-1))
    assert (sharp.amax(-1) > 0.5 * attention[..., 1:].sum(-1)).all()


def test_sinks_give_their_attention_to_the_others_in_proportion():
    attention = shares()
    changed = SinkRedistribution(1.0).change(attention, scope())
    assert (changed[0][..., [4, 9]] == 0).all()
    others = [place for place in range(1, 17) if place not in (4, 9)]
    growth = changed[0][..., others] / attention[0][..., others]
    torch.testing.assert_close(growth, growth[..., :1].expand_as(growth))
    assert (growth > 1).all()
    assert torch.equal(changed[1], attention[1])


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
        torch.testing.assert_close(scope.tokens, result.tokens[place])
        assert (scope.grid, scope.prefix) == (result.grid, result.prefix)
    if result.pooling_attention is not None:
        attention, scope = seen[result.last + 1]
        torch.testing.assert_close(attention.mean(2), result.pooling_attention)
        torch.testing.assert_close(scope.tokens, result.tokens[-1])


def test_a_half_precision_model_stays_in_its_precision(model_of):
    full = model_of("class token")
    clip = copy.deepcopy(full.clip).to(torch.bfloat16)
    half = dataclasses.replace(full, clip=clip, precision="bf16")
    found = under(RadialAttention(2.0, last=2), half)
    assert found.dtype == torch.bfloat16
    assert distance(found.float(), under(RadialAttention(2.0, last=2), full)) < 3e-2


# --- heads ------------------------------------------------------------------------------------------------


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


@pytest.mark.filterwarnings("ignore::crosseyed.measure.tables.EstimateWarning")
@pytest.mark.parametrize(("kind", "head"), [("class token", (2, 1)), ("pooler", (2, 1)), ("ResNet", (6, 1))])
def test_the_head_that_drops_off_center_is_found_and_can_be_suppressed(model_of, kind, head, monkeypatch):
    scenes, table, labels = validation_scenes()
    monkeypatch.setattr(head_suppression, "head_effects", planted(scenes))
    images = [scene.render for scene in scenes]
    found = center_biased_heads(model_of(kind), images, table, labels, n_heads=3)
    assert found == (head,)
    HeadSuppression(found).check(model_of(kind))


@pytest.mark.filterwarnings("ignore::crosseyed.measure.tables.EstimateWarning")
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


# --- confidence -------------------------------------------------------------------------------------------


def scored(model, mitigation, images=None):
    return mitigate(model, mitigation).similarities(images or sample_images(), TEXTS)


def test_all_confident_is_sharpened_and_none_smoothed(model_of):
    model = model_of("class token")
    sharp = scored(model, AttentionTemperature(0.25, last=2))
    smooth = scored(model, AttentionTemperature(4.0, last=2))
    options = {"sharpen": 4.0, "smooth": 0.25, "last": 2}
    assert np.array_equal(scored(model, ConfidenceScaling(threshold=0.0, **options)), sharp)
    assert np.array_equal(scored(model, ConfidenceScaling(threshold=1.0, **options)), smooth)
    assert np.abs(sharp - smooth).max() > 1e-4


def test_confidence_decides_image_by_image(model_of, monkeypatch):
    monkeypatch.setattr(redistribution, "_PORTION", 2)
    model, images = model_of("class token"), sample_images(5)
    plain = model.logit_scale * model.similarities(images, TEXTS)
    confidence = (np.exp(plain) / np.exp(plain).sum(1, keepdims=True)).max(1)
    threshold = float(np.sort(confidence)[1:3].mean())
    found = scored(model, ConfidenceScaling(sharpen=4.0, smooth=0.25, threshold=threshold), images)
    sharp = scored(model, AttentionTemperature(0.25), images)
    smooth = scored(model, AttentionTemperature(4.0), images)
    expected = np.where((confidence >= threshold)[:, None], sharp, smooth)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_factor_of_one_leaves_the_plain_answer(model_of):
    model = model_of("class token")
    found = scored(model, ConfidenceScaling(sharpen=1.0, smooth=0.5, threshold=0.0))
    assert np.array_equal(found, model.similarities(sample_images(), TEXTS))


def test_passes_are_counted():
    assert ConfidenceScaling().passes == 2
    assert ConfidenceScaling(sharpen=1.0, smooth=1.0).passes == RadialAttention().passes == 1


@pytest.mark.filterwarnings("ignore::crosseyed.models.scorer.UnreadableImagesWarning")
def test_an_unreadable_image_has_no_confidence(model_of, tmp_path):
    images = [sample_images()[0], tmp_path / "absent.png", sample_images()[2]]
    found = scored(model_of("class token"), ConfidenceScaling(threshold=0.0), images)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()


def test_confidence_depends_on_the_captions_so_there_is_no_vector(model_of):
    with pytest.raises(InputError, match="no single vector"):
        mitigate(model_of("class token"), ConfidenceScaling()).encode_images(sample_images())


# --- several at once --------------------------------------------------------------------------------------


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


def test_a_suppressed_head_stays_suppressed_in_whatever_order(model_of):
    model, heads = model_of("class token"), HeadSuppression([(2, 0)], 0.5)
    for mitigation, _ in CHANGES.values():
        one, other = (under(compose(*pair), model) for pair in ((heads, mitigation), (mitigation, heads)))
        assert distance(one, other) < 1e-5


# --- what is left behind ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mitigation",
    [
        RadialAttention(0.0, last=2),
        UniformMix(0.0),
        AttentionTemperature(1.0),
        SinkRedistribution(0.0),
        HeadSuppression([(2, 0)], 0.0),
        HeadSuppression([]),
    ],
)
def test_at_strength_zero_the_model_is_left_alone(tiny_clip, mitigation):
    assert mitigation.only_views
    with mitigation.applied(tiny_clip):
        assert listeners(tiny_clip) == []
    found = mitigate(tiny_clip, mitigation).encode_images(sample_images())
    assert np.array_equal(found, tiny_clip.encode_images(sample_images()))


def test_neutral_confidence_scaling_is_the_plain_model(tiny_clip):
    neutral = ConfidenceScaling(sharpen=1.0, smooth=1.0)
    assert np.array_equal(scored(tiny_clip, neutral), tiny_clip.similarities(sample_images(), TEXTS))
    vectors = mitigate(tiny_clip, neutral).encode_images(sample_images())
    assert np.array_equal(vectors, tiny_clip.encode_images(sample_images()))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_model_is_restored_after_an_exception(model, error):
    before, last = embedded(model), max(adapter_of(model).attention_steps())

    def fail(*_):
        raise error

    with pytest.raises(error), RadialAttention().applied(model), redirected(model, {last: fail}):
        embedded(model)
    assert listeners(model) == []
    assert torch.equal(embedded(model), before)


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RadialAttention(21.0), "from -20 to 20"),
        (lambda: RadialAttention(float("nan")), "from -20 to 20"),
        (lambda: UniformMix(1.1), "from 0 to 1"),
        (lambda: UniformMix(-0.1), "from 0 to 1"),
        (lambda: AttentionTemperature(0.0), "from 0.01 to 100"),
        (lambda: SinkRedistribution(2.0), "from 0 to 1"),
        (lambda: SinkRedistribution(factor=1.0), "above 1"),
        (lambda: ConfidenceScaling(sharpen=0.5), "sharpen is from 1 to 100"),
        (lambda: ConfidenceScaling(smooth=2.0), "smooth is from 0.01 to 1"),
        (lambda: ConfidenceScaling(threshold=2.0), "from 0 to 1"),
        (lambda: HeadSuppression([(1, 0)], 2.0), "from 0 to 1"),
        (lambda: HeadSuppression([1, 2]), r"\(layer, head\)"),
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
        ("class token", ConfidenceScaling(last=3), "from 1 to 2"),
        ("class token", RadialAttention(heads=[2]), "no head 2 in layer 2 .* 0 to 1"),
        ("class token", HeadSuppression([(2, 5)]), "no head 5 in layer 2"),
        ("class token", HeadSuppression([(3, 0)]), "leads to layer 3"),
        ("ResNet", HeadSuppression([(2, 0)]), "only in its pooling, layer 6"),
    ],
)
def test_towers_that_lack_what_is_to_be_changed(model_of, kind, mitigation, message):
    with pytest.raises(InputError, match=message):
        mitigate(model_of(kind), mitigation)
    assert listeners(model_of(kind)) == []


def test_a_layer_without_attention_and_an_unknown_tower(model_of):
    model = model_of("class token")
    with pytest.raises(InputError, match="leads to layer 0"), redirected(model, {0: lambda *told: told[0]}):
        pass
    clip = torch.nn.Module()
    clip.visual = torch.nn.Identity()
    strange = dataclasses.replace(model, clip=clip)
    with pytest.raises(UnsupportedTower, match="known: VisionTransformer"):
        RadialAttention().check(strange)


def test_a_tower_without_attention(model_of, monkeypatch):
    model = model_of("ResNet")
    monkeypatch.setattr(ModifiedResNetAdapter, "attention_steps", TowerAdapter.attention_steps)
    with pytest.raises(InputError, match=r"ModifiedResNet and has no attention .* crops, tiles or prompts"):
        mitigate(model, RadialAttention())
