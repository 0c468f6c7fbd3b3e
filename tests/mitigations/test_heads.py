"""Heads against the training-free poolings, slow loops and sums; training by what it must and must not change."""

import numpy as np
import pytest
import torch
from small_mitigations import encoded
from small_models import model_input, sample_images
from torch.nn import functional as F  # noqa: N812

from crosseyed.errors import InputError
from crosseyed.internals import explain
from crosseyed.internals.trace import run
from crosseyed.mitigations import heads
from crosseyed.mitigations.pooling import pool
from crosseyed.models.scorer import Encoder, UnreadableImagesWarning
from crosseyed.models.towers.registry import adapter_of

KINDS = ["class token", "pooler, average of queries", "ResNet"]

CAPTIONS = ["a photo of a cup", "a photo of a dog"]


@pytest.fixture(params=KINDS)
def model(request, model_of):
    return model_of(request.param)


def randomised(head, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.head.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return head


@pytest.mark.parametrize("name", heads.HEADS)
def test_an_untrained_head_is_the_training_free_pooling(model, name):
    expected = pool(model, heads.HEADS[name].starts_as)
    np.testing.assert_allclose(encoded(heads.untrained(model, name)), encoded(expected), atol=2e-6)


@pytest.mark.parametrize("fraction", [0.1, 0.35, 1.0])
def test_the_mask_is_that_of_the_training_free_pooling(tiny_clip, fraction):
    head = heads.untrained(tiny_clip, "masked max", fraction=fraction)
    expected = pool(tiny_clip, "masked max", fraction=fraction)
    np.testing.assert_allclose(encoded(head), encoded(expected), atol=2e-6)


def test_a_head_of_an_earlier_layer_pools_the_tokens_of_that_layer(tiny_clip):
    head = heads.untrained(tiny_clip, "average", layer=-2)
    (seen,) = run(tiny_clip, sample_images(), ("tokens",), layers=[1])
    visual = tiny_clip.clip.visual
    pooled = visual.ln_post(seen.tokens[0][:, 1:]).mean(1) @ visual.proj
    np.testing.assert_allclose(encoded(head), F.normalize(pooled, dim=-1).numpy(), atol=2e-6)
    assert head.pooling == "untrained average (layer 1)"


@pytest.mark.parametrize(("kind", "layer"), [("class token", 3), ("class token", -4), ("ResNet", -2)])
def test_a_layer_that_is_not_there_is_refused(model_of, kind, layer):
    with pytest.raises(InputError, match=f"layer is {layer}"):
        heads.untrained(model_of(kind), "average", layer=layer)


def test_a_headed_model_is_an_encoder_with_the_captions_of_the_model(tiny_clip):
    head = heads.untrained(tiny_clip, "average")
    assert isinstance(head, Encoder)
    np.testing.assert_array_equal(head.encode_texts(CAPTIONS), tiny_clip.encode_texts(CAPTIONS))
    assert (head.model, head.pretrained) == (tiny_clip.model, tiny_clip.pretrained)
    assert head.name == f"{tiny_clip.name}, untrained average"


def test_an_unreadable_image_is_nan_and_the_others_are_not(tiny_clip, tmp_path):
    head = heads.untrained(tiny_clip, "masked max")
    with pytest.warns(UnreadableImagesWarning, match="missing"):
        vectors = head.encode_images([sample_images()[0], tmp_path / "missing.png"], progress=False)
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True]


def test_heads_encode_together_what_they_encode_alone_with_one_run_of_the_tower(
    tiny_clip, trained, monkeypatch
):
    several = [tiny_clip, *trained.values(), heads.untrained(tiny_clip, "attention", layer=1)]
    alone = [encoded(each) for each in several]
    runs = []
    run = heads.Batch.of
    monkeypatch.setattr(heads.Batch, "of", lambda *arguments: runs.append(1) or run(*arguments))
    together = heads.encode_together(several, sample_images(), progress=False)
    assert len(runs) == 1
    for one, same in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, same)


def test_heads_of_different_models_are_not_encoded_together(model_of, tiny_clip):
    several = [heads.untrained(model, "average") for model in (tiny_clip, model_of("ResNet"))]
    with pytest.raises(InputError, match="all on the same loaded model"):
        heads.encode_together(several, sample_images())
    with pytest.raises(InputError, match="Given: none"):
        heads.encode_together([], sample_images())


def test_attention_is_the_softmax_average_of_each_head_s_channels():
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(2, 5, 8, generator=generator)
    pooling = heads.AttentionHead(8, 0.5)
    with torch.no_grad():
        pooling.query.copy_(torch.randn(heads.N_HEADS, 8, generator=generator))
        pooled = pooling(tokens, None)
    for image in range(2):
        for channel in range(8):
            query = pooling.query[channel // (8 // heads.N_HEADS)].detach()
            weights = np.exp([float(query @ token) for token in tokens[image]])
            expected = weights @ tokens[image, :, channel].numpy() / weights.sum()
            assert pooled[image, channel].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", heads.HEADS)
def test_a_pooling_is_the_sum_of_its_weights_times_the_tokens(name):
    generator = torch.Generator().manual_seed(2)
    tokens, attention = torch.randn(3, 6, 8, generator=generator), torch.rand(3, 6, generator=generator)
    pooling = heads.HEADS[name](8, 0.5)
    with torch.no_grad():
        for parameter in pooling.parameters():
            parameter.normal_(generator=generator)
        weights = pooling.weights(tokens, attention)
        torch.testing.assert_close((weights * tokens).sum(1), pooling(tokens, attention))
        torch.testing.assert_close(weights.expand(3, 6, 8).sum(1), torch.ones(3, 8))


def test_the_map_of_an_untrained_head_is_the_itsm(model):
    pixels = model_input(model)[:2]
    ours = heads.itsm(heads.untrained(model, "average"), pixels, CAPTIONS)
    np.testing.assert_allclose(ours, explain.itsm(model, pixels, CAPTIONS), atol=1e-5)


@pytest.mark.parametrize("name", heads.HEADS)
@pytest.mark.parametrize("kind", ["class token", "ResNet"])
def test_what_the_tokens_add_sums_to_the_similarity(model_of, kind, name):
    model = model_of(kind)
    head = randomised(heads.untrained(model, name))
    cells = at_cells(heads.itsm_after_pooling, head, kind)
    similarity = (encoded(head)[:2] * model.encode_texts(CAPTIONS)).sum(1)
    np.testing.assert_allclose(cells.sum(axis=(1, 2)), similarity, atol=1e-5)


def at_cells(method, head, kind):
    """Give a map at the middles of the tokens' cells, where it is not interpolated."""
    spread, heads._spread = (
        heads._spread,
        lambda model, values, _: values.unflatten(1, grid_of(model)).numpy(),
    )
    try:
        return method(head, model_input(head.clip_model)[:2], CAPTIONS)
    finally:
        heads._spread = spread


def grid_of(model):
    return adapter_of(model.clip_model).grid


def test_a_map_needs_one_caption_an_image(tiny_clip):
    with pytest.raises(InputError, match="one caption for each of 2 images"):
        heads.itsm(heads.untrained(tiny_clip, "average"), model_input(tiny_clip)[:2], CAPTIONS[:1])


def test_an_unknown_head_is_refused_with_the_nearest_name(tiny_clip):
    with pytest.raises(InputError, match="'masked max'"):
        heads.untrained(tiny_clip, "maskd max")


def test_a_fraction_out_of_range_is_refused(tiny_clip):
    with pytest.raises(InputError, match="fraction is above 0 and at most 1, not 0"):
        heads.untrained(tiny_clip, "masked max", fraction=0)


def test_a_map_of_a_headed_model_becomes_a_method_that_takes_any_model(tiny_clip):
    head, pixels = heads.untrained(tiny_clip, "average"), model_input(tiny_clip)[:2]
    for method in (heads.itsm, heads.itsm_after_pooling):
        found = heads.as_method(method, head)(None, pixels, CAPTIONS)
        np.testing.assert_array_equal(found, method(head, pixels, CAPTIONS))
