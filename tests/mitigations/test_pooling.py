"""Poolings against torch's own modules, slow loops and identities, for every kind of tower."""

import copy
import dataclasses
import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from small_models import (
    OPEN_CLIP_TOWERS,
    OPEN_CLIP_TRANSFORMERS,
    listeners,
    model_input,
    sample_images,
)
from torch.nn import functional as F  # noqa: N812

from crosseyed.errors import InputError
from crosseyed.internals import self_similarity
from crosseyed.internals.trace import hooked, run
from crosseyed.mitigations.pooling import candidates as candidates_of
from crosseyed.mitigations.pooling import native, pool, supported
from crosseyed.mitigations.pooling_methods import POOLINGS
from crosseyed.models.loading import load
from crosseyed.models.scorer import Encoder, UnreadableImagesWarning
from crosseyed.models.towers.base import UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.training.architecture import pool_by_maximum

TEXTS = ["a photo of a cup", "a photo of a dog", "a photo of a tree"]
WITHOUT_POOLER = [kind for kind in OPEN_CLIP_TRANSFORMERS if "pooler" not in kind]
NATIVE = {"class token": "class token", "average": "average", "pooler": "attention", "ResNet": "attention"}
OTHER = {
    "p": 2.5,
    "k": 3,
    "temperature": 0.7,
    "fraction": 0.3,
}  # besides the defaults; in no method's excluded range

FEW = ["class token", "average, then norm", "pooler, average of queries", "ResNet"]
of_transformers = pytest.mark.parametrize("kind", ["layer scale", *FEW[:3]])


@pytest.fixture(params=FEW)
def model(request, model_of):
    return model_of(request.param)


@pytest.fixture(params=OPEN_CLIP_TOWERS)
def any_model(request, model_of):
    return model_of(request.param)


def unit(vectors):
    return F.normalize(vectors.float(), dim=-1).numpy()


def encoded(model, name, **parameters):
    return pool(model, name, **parameters).encode_images(sample_images(), progress=False)


def scored(model, name, **parameters):
    return pool(model, name, **parameters).similarities(sample_images(), TEXTS, progress=False)


def altered(model, change):
    """A copy of the model, its tower changed by `change`."""
    clip = copy.copy(model.clip)
    clip._modules = dict(model.clip._modules)
    clip.visual = copy.deepcopy(model.clip.visual)
    change(clip.visual)
    if clip.visual.__dict__.get("output_tokens"):
        clip.encode_image = lambda images: clip.visual(images)[0]
    return dataclasses.replace(model, clip=clip)


# --- the tower's parts, by its own modules --------------------------------------------------------------------


def last_tokens(visual, pixels):
    """The tokens after the last block, the prefix first."""
    if hasattr(visual, "attnpool"):
        cells = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(pixels))))).flatten(2).mT
        return torch.cat([cells.mean(1, keepdim=True), cells], 1) + visual.attnpool.positional_embedding
    return visual.transformer(visual._embeds(pixels))


def entering_last_block(visual, pixels):
    tokens = visual._embeds(pixels)
    for block in visual.transformer.resblocks[:-1]:
        tokens = block(tokens)
    return tokens


def candidate(visual, token):
    """What pooling would take from one token; attention that sees one token alone attends to it."""
    if hasattr(visual, "attnpool"):
        return visual.attnpool.c_proj(visual.attnpool.v_proj(token))
    if visual.attn_pool is not None:
        return visual.attn_pool(token[None, None])[0, 0]
    return token if visual.final_ln_after_pool else visual.ln_post(token)


def embedding(visual, pooled):
    if hasattr(visual, "attnpool"):
        return pooled
    if visual.attn_pool is not None or visual.final_ln_after_pool:
        pooled = visual.ln_post(pooled)
    return pooled @ visual.proj


def candidates(model, tokens):
    """By image, the candidates of the spatial tokens: (batch, T, pooled_width)."""
    visual = model.clip.visual
    return torch.stack([torch.stack([candidate(visual, token) for token in image[1:]]) for image in tokens])


def embedded(model, pooled):
    return torch.stack([embedding(model.clip.visual, vector) for vector in pooled])


def pooled_by_loop(model, function):
    """Pool every channel of every image by a function of its T numbers."""
    vectors = candidates(model, last_tokens(model.clip.visual, model_input(model)))
    pooled = [[function(channel) for channel in image.T] for image in vectors.double().numpy()]
    return unit(embedded(model, torch.tensor(pooled).float()))


# --- the tower's own pooling ----------------------------------------------------------------------------------


def test_the_native_pooling_gives_the_models_own_embeddings_bit_for_bit(any_model):
    pooled = pool(any_model, native(any_model))
    assert isinstance(pooled, Encoder)
    np.testing.assert_array_equal(
        pooled.encode_images(sample_images()), any_model.encode_images(sample_images())
    )
    np.testing.assert_array_equal(
        pooled.similarities(sample_images(), TEXTS), any_model.similarities(sample_images(), TEXTS)
    )


@pytest.mark.parametrize(("kind", "name"), NATIVE.items())
def test_the_native_poolings_name(kind, name, model_of):
    assert native(model_of(kind)) == name


@pytest.mark.parametrize("kind", WITHOUT_POOLER)
@pytest.mark.parametrize(("name", "pool_type"), [("class token", "tok"), ("average", "avg")])
def test_class_token_and_average_are_open_clips_own(name, pool_type, kind, model_of):
    other = altered(model_of(kind), lambda visual: setattr(visual, "pool_type", pool_type))
    np.testing.assert_allclose(encoded(model_of(kind), name), other.encode_images(sample_images()), atol=2e-6)


@pytest.mark.parametrize("kind", WITHOUT_POOLER)
def test_max_equals_a_tower_made_to_pool_by_its_maximum(kind, model_of):
    other = altered(model_of(kind), pool_by_maximum)
    np.testing.assert_allclose(
        encoded(model_of(kind), "max"), other.encode_images(sample_images()), atol=2e-6
    )


@pytest.mark.parametrize("kind", ["pooler", "pooler, average of queries"])
def test_the_class_token_under_an_attention_pooler_is_read_alone(kind, model_of):
    model = model_of(kind)
    visual = model.clip.visual
    tokens = last_tokens(visual, model_input(model))
    expected = torch.stack([embedding(visual, candidate(visual, image[0])) for image in tokens])
    np.testing.assert_allclose(encoded(model, "class token"), unit(expected), atol=2e-6)


# --- poolings of the spatial tokens, channel by channel -------------------------------------------------------


BY_CHANNEL = {
    "average": lambda channel: sum(channel) / len(channel),
    "max": lambda channel: sorted(channel)[-1],
    "generalised mean": lambda channel, p: (
        min(channel) + (sum((x - min(channel)) ** p for x in channel) / len(channel)) ** (1 / p)
    ),
    "log-sum-exp": lambda channel, temperature: (
        temperature * math.log(sum(math.exp(x / temperature) for x in channel) / len(channel))
    ),
    "top-k": lambda channel, k: sum(sorted(channel)[-k:]) / k,
}


@pytest.mark.parametrize("kind", ["class token", "average, then norm", "pooler", "ResNet"])
@pytest.mark.parametrize("name", BY_CHANNEL)
def test_poolings_of_the_tokens_channel_by_channel(name, kind, model_of):
    chosen = {key: OTHER[key] for key in POOLINGS[name].parameters}
    expected = pooled_by_loop(model_of(kind), lambda channel: BY_CHANNEL[name](channel, **chosen))
    np.testing.assert_allclose(encoded(model_of(kind), name, **chosen), expected, atol=5e-6)


def test_the_limits_of_the_poolings_between_average_and_max(model):
    average, largest = encoded(model, "average"), encoded(model, "max")
    assert np.abs(average - largest).max() > 0.01
    n_tokens = math.prod(trace_of(model).grid)
    np.testing.assert_allclose(encoded(model, "generalised mean", p=1), average, atol=2e-6)
    np.testing.assert_allclose(encoded(model, "generalised mean", p=1e5), largest, atol=1e-4)
    np.testing.assert_allclose(encoded(model, "log-sum-exp", temperature=1e6), average, atol=1e-5)
    np.testing.assert_allclose(encoded(model, "log-sum-exp", temperature=1e-6), largest, atol=2e-6)
    np.testing.assert_allclose(encoded(model, "top-k", k=1), largest, atol=2e-6)
    np.testing.assert_allclose(encoded(model, "top-k", k=n_tokens), average, atol=2e-6)
    np.testing.assert_allclose(encoded(model, "masked max", fraction=1), largest, atol=2e-6)


def test_tokens_that_are_all_alike_pool_to_themselves(model_of):
    """With no positions and a picture of one color, every spatial token is the same."""
    model = altered(model_of("class token"), lambda visual: visual.positional_embedding.data.zero_())
    gray = [np.full((32, 32, 3), 90, np.uint8)]
    expected = pool(model, "max").encode_images(gray)
    for name in ("average", "generalised mean", "log-sum-exp", "top-k", "masked max"):
        np.testing.assert_allclose(pool(model, name).encode_images(gray), expected, atol=2e-5)


# --- attention of another temperature -------------------------------------------------------------------------


def scale_queries(factor):
    """Change a tower so that the logits of the attention that forms its pooled vector are multiplied."""

    def change(visual):
        if hasattr(visual, "attnpool"):
            scaled = [visual.attnpool.q_proj.weight, visual.attnpool.q_proj.bias]
        else:
            pooler = visual.attn_pool
            attention = visual.transformer.resblocks[-1].attn if pooler is None else pooler.attn
            split, width = attention.in_proj_weight is None, attention.embed_dim
            weight = attention.q_proj_weight if split else attention.in_proj_weight[:width]
            scaled = [weight, attention.in_proj_bias[:width]]
        for tensor in scaled:
            tensor.data.mul_(factor)

    return change


@pytest.mark.parametrize(
    ("name", "parameters", "factor"),
    [
        ("sharpened attention", {"temperature": 0.2}, 5),
        ("flattened attention", {"temperature": 4}, 0.25),
        ("uniform attention", {}, 0),
        ("flattened attention", {"temperature": 1e6}, 0),
    ],
)
def test_attention_of_another_temperature_is_that_of_longer_or_shorter_queries(
    name, parameters, factor, any_model
):
    other = altered(any_model, scale_queries(factor))
    np.testing.assert_allclose(
        encoded(any_model, name, **parameters), other.encode_images(sample_images()), atol=1e-5
    )


def test_attention_at_temperature_zero_reads_one_token_a_head(model_of):
    model = model_of("class token")
    visual = model.clip.visual
    block = visual.transformer.resblocks[-1]
    heads, width = block.attn.num_heads, block.attn.embed_dim
    expected = []
    for tokens in entering_last_block(visual, model_input(model)):
        normed = block.ln_1(tokens)
        query, key, value = F.linear(normed, block.attn.in_proj_weight, block.attn.in_proj_bias).chunk(3, -1)
        read = []
        for head in torch.arange(width).chunk(heads):
            favorite = max(range(len(tokens)), key=lambda t: float(query[0, head] @ key[t, head]))
            read.append(value[favorite, head])
        token = tokens[0] + block.attn.out_proj(torch.cat(read))
        expected.append(embedding(visual, visual.ln_post(token + block.mlp(block.ln_2(token)))))
    found = encoded(model, "sharpened attention", temperature=1e-6)
    np.testing.assert_allclose(found, unit(torch.stack(expected)), atol=1e-5)


# --- the last block with other attention for the spatial tokens -----------------------------------------------


def written(block, tokens, change):
    """What a block's attention adds after parts of it are made the same, by torch's own attention."""
    with torch.no_grad():
        attention = copy.deepcopy(block.attn)
        change(attention)
        normed = block.ln_1(tokens)
        return block.ls_1(attention(normed, normed, normed)[0])


def copy_part(source, *targets):
    """Make the parts `targets` of an attention the part `source`."""

    def change(attention):
        for tensor in (attention.in_proj_weight.data, attention.in_proj_bias.data):
            parts = dict(zip(("query", "key", "value"), tensor.chunk(3), strict=True))
            for target in targets:
                parts[target].copy_(parts[source].clone())

    return change


@of_transformers
def test_sclip_adds_the_attention_of_queries_to_queries_and_that_of_keys_to_keys(kind, model_of):
    model = model_of(kind)
    visual = model.clip.visual
    block, entering = visual.transformer.resblocks[-1], entering_last_block(visual, model_input(model))
    parts = [written(block, entering, copy_part(*pair)) for pair in (("query", "key"), ("key", "query"))]
    with torch.no_grad():
        twice = block.ls_1(block.attn.out_proj.bias)  # each of the two has the bias of the output
        tokens = entering + sum(parts) - twice
        tokens = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
    expected = unit(embedded(model, candidates(model, tokens).mean(1)))
    np.testing.assert_allclose(encoded(model, "SCLIP"), expected, atol=1e-5)


@of_transformers
def test_clip_surgery_adds_the_attention_of_values_to_values_and_no_mlp(kind, model_of):
    """Of two blocks it is the last one: half of them."""
    model = model_of(kind)
    visual = model.clip.visual
    block, entering = visual.transformer.resblocks[-1], entering_last_block(visual, model_input(model))
    tokens = entering + written(block, entering, copy_part("value", "query", "key"))
    expected = unit(embedded(model, candidates(model, tokens).mean(1)))
    np.testing.assert_allclose(encoded(model, "CLIP Surgery"), expected, atol=1e-5)


def test_the_paths_of_clip_surgery_part_for_several_blocks(model_of, monkeypatch):
    """Later blocks add what they read on the first path, where the MLPs stay."""
    model = model_of("class token")
    visual = model.clip.visual
    with torch.no_grad():
        start = visual._embeds(model_input(model))
        first, last = visual.transformer.resblocks
        same = copy_part("value", "query", "key")
        tokens = start + written(first, start, same) + written(last, first(start), same)
    adapter = adapter_of(model)
    assert self_similarity.surgery_blocks(adapter) == (2,)
    monkeypatch.setattr(self_similarity, "surgery_blocks", lambda adapter: (1, 2))
    with torch.no_grad(), hooked(adapter.modules(())) as calls:
        visual(model_input(model))
    with torch.no_grad():
        found = self_similarity.dual_path(adapter, calls)
    torch.testing.assert_close(found, tokens[:, 1:], atol=1e-5, rtol=1e-4)


@of_transformers
def test_value_only_is_a_block_that_sees_every_token_alone(kind, model_of):
    model = model_of(kind)
    visual = model.clip.visual
    entering = entering_last_block(visual, model_input(model))
    block = visual.transformer.resblocks[-1]
    tokens = torch.stack([torch.cat([block(token[None, None])[0] for token in image]) for image in entering])
    expected = unit(embedded(model, candidates(model, tokens).mean(1)))
    np.testing.assert_allclose(encoded(model, "value only"), expected, atol=1e-5)


# --- masks and captions ---------------------------------------------------------------------------------------


def trace_of(model):
    (result,) = run(model, sample_images(), ("attention",) if hasattr(model.clip.visual, "proj") else ())
    return result


def attention_on_the_image(model):
    """Of the pooled vector, mean over heads, on the spatial tokens: torch's own where it is that of a block."""
    traced = trace_of(model)
    if traced.pooling_attention is not None:
        return traced.pooling_attention.mean(1)[:, 1:]
    block = model.clip.visual.transformer.resblocks[-1]
    read = block.ln_1(entering_last_block(model.clip.visual, model_input(model)))
    _, rows = block.attn(read, read, read, need_weights=True)
    readers = slice(0, 1) if native(model) == "class token" else slice(1, None)
    return rows[:, readers, 1:].mean(1)


@pytest.mark.parametrize(("fraction", "share"), [(0.3, 0.3), (0.5, 0.5), (1e-6, 0)])
def test_masked_max_is_the_maximum_over_the_most_attended_tokens(fraction, share, model):
    vectors = candidates(model, last_tokens(model.clip.visual, model_input(model)))
    expected = []
    for image, attention in zip(vectors, attention_on_the_image(model).tolist(), strict=True):
        ranked = sorted(range(len(attention)), key=lambda t: -attention[t])
        inside = ranked[: max(1, math.ceil(share * len(ranked)))]
        expected.append(torch.stack([image[t] for t in inside]).amax(0))
    found = encoded(model, "masked max", fraction=fraction)
    np.testing.assert_allclose(found, unit(embedded(model, expected)), atol=5e-6)


def test_the_mask_keeps_whole_tokens_whatever_rounding_says(model_of):
    model = model_of("class token")
    half, more = (encoded(model, "masked max", fraction=share) for share in (0.5, np.nextafter(0.5, 1)))
    assert np.nextafter(0.5, 1) * math.prod(model.clip.visual.grid_size) > 8
    np.testing.assert_array_equal(half, more)


def cosine(a, b):
    return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


def test_caption_conditioned_pooling_by_hand(model):
    visual, temperature = model.clip.visual, 0.1
    captions = torch.from_numpy(model.encode_texts(TEXTS))
    expected = []
    for vectors in candidates(model, last_tokens(visual, model_input(model))):
        for caption in captions:
            similar = [cosine(embedding(visual, vector), caption) for vector in vectors]
            weights = [math.exp(value / temperature) for value in similar]
            pooled = sum(w * vector for w, vector in zip(weights, vectors, strict=True)) / sum(weights)
            expected.append(cosine(embedding(visual, pooled), caption))
    found = scored(model, "caption-conditioned", temperature=temperature)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.reshape(expected, (3, 3)), atol=5e-6)


def test_the_limits_of_caption_conditioned_pooling(model):
    average = scored(model, "average")
    np.testing.assert_allclose(scored(model, "caption-conditioned", temperature=1e6), average, atol=5e-6)
    vectors = candidates(model, last_tokens(model.clip.visual, model_input(model)))
    tokens = unit(torch.stack([embedded(model, image) for image in vectors]))
    best = (tokens @ model.encode_texts(TEXTS).T).max(1)
    np.testing.assert_allclose(scored(model, "caption-conditioned", temperature=1e-6), best, atol=5e-6)


# --- one run of the tower for all -----------------------------------------------------------------------------


@contextmanager
def counted(model):
    calls = []
    handle = model.clip.visual.register_forward_hook(lambda *_: calls.append(1))
    yield calls
    handle.remove()


def similarities(model, images):
    """Under every pooling that the tower supports, by its name."""
    return {name: pool(model, name).similarities(images, TEXTS, progress=False) for name in supported(model)}


def test_one_run_of_the_tower_a_batch_gives_a_row_for_each_image(model):
    many = sample_images(40)
    for name in supported(model):
        with counted(model) as calls:
            found = pool(model, name).similarities(iter(many), TEXTS, progress=False)
        assert len(calls) == 2
        assert (found.shape, found.dtype) == ((40, 3), np.float64)
    assert not listeners(model)


def test_an_unreadable_image_is_nan_under_every_pooling(model, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    first, second = sample_images(2)
    expected = similarities(model, [first, second])
    assert len(expected) > 5
    with pytest.warns(UnreadableImagesWarning, match=r"1 of 3 .*broken.png") as warned:
        together = similarities(model, [first, broken, second])
    assert len(warned) == len(expected)
    for name, found in together.items():
        assert np.isnan(found[1]).all()
        np.testing.assert_allclose(found[[0, 2]], expected[name], atol=2e-6)


def test_no_images_give_no_rows(model):
    assert {found.shape for found in similarities(model, []).values()} == {(0, 3)}
    assert pool(model, "max").encode_images([]).shape == (0, model.tower.embed_dim)


@of_transformers
def test_changes_of_the_model_take_effect(kind, model_of):
    """Without positions, and with a block's output changed by a hook of somebody else."""

    def without_positions(visual):
        visual.positional_embedding.data.zero_()

    def double(_module, _inputs, output):
        return 2 * output

    def change(model):
        without_positions(model.clip.visual)
        model.clip.visual.transformer.resblocks[0].register_forward_hook(double)

    model, other = (altered(model_of(kind), lambda _: None) for _ in range(2))
    change(other)
    expected, before = similarities(other, sample_images()), similarities(model, sample_images())
    change(model)
    for name, found in similarities(model, sample_images()).items():
        same, unlike = expected[name], before[name]
        np.testing.assert_array_equal(found, same)
        assert np.abs(found - unlike).max() > 1e-3


def test_hooks_come_off_when_the_tower_fails(model_of):
    model = altered(
        model_of("class token"), lambda visual: setattr(visual, "proj", torch.nn.Parameter(torch.eye(3)))
    )
    with pytest.raises(RuntimeError):
        pool(model, "max").encode_images(sample_images())
    assert not listeners(model)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.01)])
def test_a_model_in_half_precision(precision, tolerance, tiny_folder, tiny_clip):
    half = load(f"local-dir:{tiny_folder}", precision=precision)
    found, expected = ([*similarities(model, sample_images()).values()] for model in (half, tiny_clip))
    np.testing.assert_allclose(found, expected, atol=tolerance)
    np.testing.assert_array_equal(encoded(half, native(half)), half.encode_images(sample_images()))


# --- names and errors -----------------------------------------------------------------------------------------


def test_a_pooled_model_is_named_after_model_and_pooling(tiny_clip):
    pooled = pool(tiny_clip, "top-k", k=3)
    assert pooled.pooling == "top-k (k=3)"
    assert pooled.name == f"{tiny_clip.name}, top-k (k=3)"
    assert pool(tiny_clip, "max").pooling == "max"
    assert (pooled.model, pooled.pretrained) == (tiny_clip.model, tiny_clip.pretrained)
    assert pooled.logit_scale == tiny_clip.logit_scale


def test_what_a_tower_does_not_have_it_does_not_support(model_of):
    assert supported(model_of("class token")) == [name for name in POOLINGS if name != "attention"]
    assert supported(model_of("average")) == [name for name in POOLINGS if name != "attention"]
    assert supported(model_of("pooler")) == list(POOLINGS)
    blocks = {"value only", "SCLIP", "CLIP Surgery"}
    assert supported(model_of("ResNet")) == [
        name for name in POOLINGS if name not in {"class token", *blocks}
    ]


@pytest.mark.parametrize(
    ("kind", "name", "need"),
    [
        ("ResNet", "value only", "transformer blocks"),
        ("ResNet", "class token", "a class token"),
        ("average", "attention", "attention pooling"),
    ],
)
def test_what_a_tower_does_not_support_is_refused_in_words(kind, name, need, model_of):
    with pytest.raises(InputError, match=f"'{name}' needs {need}.*{kind}.*supports .*average, max"):
        pool(model_of(kind), name)


def test_candidates_are_the_settings_of_what_the_tower_does_not_do_itself(tiny_clip):
    settings = [(each.method.name, *each.parameters.values()) for each in candidates_of(tiny_clip)]
    assert ("top-k", 16) in settings and ("top-k", 32) not in settings  # the tower has 16 spatial tokens
    assert {name for name, *_ in settings} == set(supported(tiny_clip)) - {native(tiny_clip)}


def test_an_unknown_pooling_is_answered_with_the_nearest(model_of):
    with pytest.raises(InputError, match=r"'maxx'; did you mean 'max'\? ResNet supports attention, average"):
        pool(model_of("ResNet"), "maxx")


def test_an_unknown_parameter_is_answered_with_the_methods_own(tiny_clip):
    with pytest.raises(
        InputError, match="'log-sum-exp' has no parameter 'temperatur'; did you mean 'temperature'"
    ):
        pool(tiny_clip, "log-sum-exp", temperatur=2)
    with pytest.raises(InputError, match=r"'max' has no parameter 'k'.*none"):
        pool(tiny_clip, "max", k=2)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("generalised mean", {"p": 0.5}),
        ("generalised mean", {"p": math.inf}),
        ("log-sum-exp", {"temperature": 0}),
        ("log-sum-exp", {"temperature": math.inf}),
        ("log-sum-exp", {"temperature": math.nan}),
        ("log-sum-exp", {"temperature": "high"}),
        ("top-k", {"k": 0}),
        ("top-k", {"k": 2.5}),
        ("top-k", {"k": True}),
        ("top-k", {"k": 17}),
        ("sharpened attention", {"temperature": 1.5}),
        ("flattened attention", {"temperature": 0.5}),
        ("caption-conditioned", {"temperature": -1}),
        ("masked max", {"fraction": 0}),
        ("masked max", {"fraction": 1.01}),
    ],
)
def test_parameters_out_of_range_are_refused(name, parameters, tiny_clip):
    ((key, value),) = parameters.items()
    with pytest.raises(InputError, match=rf"{key}\b.*{name}") as refused:
        pool(tiny_clip, name, **parameters)
    assert str(value) in str(refused.value)


def test_one_vector_for_all_captions_is_refused_where_there_is_none(tiny_clip):
    with pytest.raises(InputError, match=r"another vector for each caption: call similarities"):
        pool(tiny_clip, "caption-conditioned").encode_images(sample_images())


def test_a_single_image_or_text_is_refused(tiny_clip):
    pooled = pool(tiny_clip, "max")
    with pytest.raises(InputError, match=r"put 'a\.png' into a list"):
        pooled.encode_images("a.png")
    with pytest.raises(InputError, match="takes a list of texts"):
        pooled.similarities(sample_images(), "a photo")


def test_a_tower_that_tracing_does_not_know_is_refused(tiny_clip):
    unknown = altered(tiny_clip, lambda _: None)
    unknown.clip.visual = torch.nn.Flatten()
    with pytest.raises(UnsupportedTower, match="cannot be traced"):
        pool(unknown, "max")
