"""The decomposition of the embedding against its identities and slow sums, for every kind of tower."""

import copy
import dataclasses
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import distance, listeners, model_input, sample_images
from torch.nn import functional as F  # noqa: N812

from crosseyed.errors import InputError
from crosseyed.files import DATA
from crosseyed.internals.attention import coverage
from crosseyed.internals.decompose import (
    centered,
    concatenate,
    decompose,
    effect_maps,
    effect_parts,
    head_effects,
    layer_effects,
    mean_ablation,
    radial_profile,
)
from crosseyed.internals.layer_reading import read_and_decompose, read_layers
from crosseyed.internals.trace import run
from crosseyed.measure import bootstrap
from crosseyed.measure.checks import EstimateWarning
from crosseyed.models.loading import load
from crosseyed.models.scorer import UnreadableImagesWarning
from crosseyed.models.towers.registry import adapter_of


@pytest.fixture(scope="module")
def whole(tiny_clip):
    """Three images taken apart in batches of two and one."""
    return concatenate(decompose(tiny_clip, sample_images(), head_tokens=True, batch_size=2))


def taken_apart(model, **options):
    (result,) = decompose(model, sample_images(), **options)
    return result


def directions(n_images=3, width=32):
    return np.random.default_rng(2).normal(size=(n_images, width)).astype(np.float32)


# --- the sum ----------------------------------------------------------------------------------------------


def assert_sums(result, tolerance):
    others = result.start + result.mlp.sum(0) + result.bias
    assert distance(others + result.heads.sum((0, 2)), result.embedding) < tolerance
    assert distance(others + result.tokens.sum(1), result.embedding) < tolerance


def test_contributions_add_up_to_the_embedding(model):
    result = taken_apart(model)
    assert_sums(result, 1e-5)
    assert np.array_equal(result.embedding.numpy().shape, model.encode_images(sample_images()).shape)
    np.testing.assert_allclose(result.embedding, model.encode_images(sample_images()), atol=1e-6)
    torch.testing.assert_close(result.length, model.clip.encode_image(model_input(model)).norm(dim=-1))


def test_single_tokens_and_heads_add_up_to_either(model):
    result = taken_apart(model, head_tokens=True)
    assert distance(result.head_tokens.sum(3), result.heads) < 1e-5
    assert distance(result.head_tokens.sum((0, 2)), result.tokens) < 1e-5
    assert taken_apart(model).head_tokens is None


@pytest.mark.parametrize("name", ["pocketclip-centered", "pocketclip-uniform"])
def test_pocketclips_embedding(name):
    if not (DATA / "models" / name / "open_clip_model.safetensors").exists():
        pytest.skip(f"{name} is not in this checkout")
    assert_sums(taken_apart(load(name, device="cpu")), 1e-4)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 3e-2), ("fp16", 5e-3)])
def test_half_precision_adds_up_as_far_as_it_rounds(model_of, precision, tolerance):
    full = model_of("class token")
    clip = copy.deepcopy(full.clip).to(torch.bfloat16 if precision == "bf16" else torch.float16)
    result = taken_apart(dataclasses.replace(full, clip=clip, precision=precision))
    assert result.heads.dtype == torch.float32
    assert_sums(result, tolerance)


# --- what the summands are --------------------------------------------------------------------------------


def test_a_heads_contribution_is_what_the_class_token_gains_from_it(tiny_clip):
    """Token by token, with the final norm written out."""
    result, visual = taken_apart(tiny_clip, head_tokens=True), tiny_clip.clip.visual
    (traced,) = run(tiny_clip, sample_images(), ("attention", "values"))
    for layer, image, head in product(range(2), range(3), range(2)):
        weights = adapter_of(tiny_clip).attention(layer + 1)
        for token in (0, 1, 16):
            value = traced.values[layer, image, head, token]
            written = traced.attention[layer, image, head, token] * value @ weights.output[head]
            normed = visual.ln_post.weight * (written - written.mean()) / traced.norm_std[image, 0]
            expected = normed @ visual.proj / result.length[image]
            found = result.head_tokens[layer, image, head, token]
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_average_of_tokens_gains_the_average_of_their_heads(model_of):
    """What each head adds to each token, averaged as pooling averages, token after token."""
    model = model_of("average")
    result, visual = taken_apart(model), model.clip.visual
    (traced,) = run(model, sample_images(), ("attention", "values"), attention_rows="all")
    for layer, image, head in product(range(2), range(3), range(2)):
        weights = adapter_of(model).attention(layer + 1)
        written = (
            traced.attention[layer, image, head] @ traced.values[layer, image, head] @ weights.output[head]
        )
        normed = (written - written.mean(-1, keepdim=True)) / traced.norm_std[image][:, None]
        expected = (visual.ln_post.weight * normed)[1:].mean(0) @ visual.proj / result.length[image]
        torch.testing.assert_close(result.heads[layer, image, head], expected, rtol=1e-4, atol=1e-6)


def test_an_mlp_counts_by_what_its_output_changes(tiny_clip):
    """Take one MLP's output away from the last tokens, hold the norm's statistics, and project."""
    result, visual = taken_apart(tiny_clip), tiny_clip.clip.visual
    (traced,) = run(tiny_clip, sample_images(), ("tokens", "mlp"))

    def embed(token):
        normed = (token - token.mean(-1, keepdim=True)) / traced.norm_std[:, :1]
        return normed * visual.ln_post.weight @ visual.proj / result.length[:, None]

    for block in range(2):
        last = traced.tokens[-1, :, 0]
        expected = embed(last) - embed(last - traced.mlp[block, :, 0])
        torch.testing.assert_close(result.mlp[block], expected, rtol=1e-3, atol=1e-5)


def test_a_resnets_heads_are_those_of_its_pooling(model_of):
    result = taken_apart(model_of("ResNet"))
    assert (result.layers, result.grid, result.prefix) == ((5,), (2, 2), 1)
    assert result.heads.shape[:2] == (1, 3)
    assert len(result.mlp) == 0
    assert not result.start.any()


def test_batches_join_to_the_whole(tiny_clip, whole):
    at_once = taken_apart(tiny_clip, head_tokens=True)
    assert whole.images == range(3)
    for field in dataclasses.fields(whole):
        torch.testing.assert_close(getattr(whole, field.name), getattr(at_once, field.name))


def test_hooks_come_off(tiny_clip):
    taken_apart(tiny_clip)
    assert listeners(tiny_clip) == []


def test_an_unreadable_image_is_nan_and_the_others_are_not(tiny_clip, whole, tmp_path):
    images = sample_images()
    with pytest.warns(UnreadableImagesWarning):
        (result,) = decompose(tiny_clip, [images[0], tmp_path / "absent.png", images[2]])
    assert result.embedding[1].isnan().all()
    torch.testing.assert_close(result.tokens[::2], whole.tokens[::2])
    ablated = mean_ablation(result, [(1, 0)])
    assert np.isfinite(ablated[::2]).all()


# --- direct effects on a caption --------------------------------------------------------------------------


def test_centered_captions_differ_as_before_and_have_nothing_in_common():
    captions = directions(4)
    found = centered(captions)
    np.testing.assert_allclose(found[0] - found[1], captions[0] - captions[1], atol=1e-6)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)


def test_a_map_holds_the_effects_of_the_spatial_tokens_in_reading_order(whole):
    maps = effect_maps(whole, directions())
    assert maps.shape == (3, 4, 4)
    for image, row, col in [(0, 0, 0), (1, 0, 3), (2, 3, 1)]:
        expected = whole.tokens[image, 1 + 4 * row + col].numpy() @ directions()[image]
        assert maps[image, row, col] == pytest.approx(expected, abs=1e-6)


def test_parts_of_the_similarity_add_up_to_it(tiny_clip, whole):
    masks = np.zeros((3, 32, 32), bool)
    masks[0, :8, :8] = masks[1, :16, 8:12] = True
    found = effect_parts(whole, directions(), coverage(masks, whole.grid))
    cosine = (tiny_clip.encode_images(sample_images()) * directions()).sum(1)
    np.testing.assert_allclose(found["similarity"], cosine, atol=1e-5)
    np.testing.assert_allclose(
        found[["on_object", "elsewhere", "prefix", "rest"]].sum(axis=1), cosine, atol=1e-5
    )
    maps = effect_maps(whole, directions())
    # one whole patch, then half of each of two patches, then nothing
    halves = (maps[1, 0, 1] + maps[1, 1, 1]) / 2
    np.testing.assert_allclose(found["on_object"], [maps[0, 0, 0], halves, 0], atol=1e-6)
    np.testing.assert_allclose(found["per_object_token"], [maps[0, 0, 0], halves, np.nan], atol=1e-6)


def test_a_radial_profile_worked_by_hand():
    maps = np.array([[[1.0, 2, 3], [4, 9, 6], [7, 8, 5]], [[0.0] * 3] * 3])
    found = radial_profile(maps, bins=4)
    # centers of 3 x 3 patches are at 0, at 1/3 of the side (eccentricity 0.47) and at 2/3 (corners)
    assert found["image"].tolist() == [0, 0, 0, 1, 1, 1]
    assert found["patches"].tolist() == [1, 4, 4] * 2
    assert found["effect"].tolist() == [9, (2 + 4 + 6 + 8) / 4, (1 + 3 + 7 + 5) / 4, 0, 0, 0]
    np.testing.assert_allclose(found["ring"][:3], [0, np.sqrt(2) / 3, 2 / 3])


def test_head_effects_and_their_drop(whole):
    table = head_effects(whole, directions())
    assert len(table) == 3 * 2 * 2
    row = table[(table["image"] == 1) & (table["layer"] == 2) & (table["head"] == 0)]
    expected = whole.heads[1, 1, 0].numpy() @ directions()[1]
    assert row["effect"].item() == pytest.approx(expected, abs=1e-6)
    about = pd.DataFrame({"image": range(3), "object": ["a", "b", "b"], "center": [True, False, False]})
    with pytest.warns(EstimateWarning):  # one object at either place
        drop = bootstrap.center_difference(table.merge(about), "effect", ["layer", "head"], resamples=50)
    effects = [float(whole.heads[1, i, 0].numpy() @ directions()[i]) for i in range(3)]
    found = drop[(drop["layer"] == 2) & (drop["head"] == 0)]["difference"].item()
    assert found == pytest.approx(effects[0] - (effects[1] + effects[2]) / 2, abs=1e-6)


def test_effects_of_layers_add_up_to_the_similarity(model):
    result = taken_apart(model)
    own = directions(3, result.embedding.shape[1])
    table = layer_effects(result, own)
    similarity = (result.embedding.numpy() * own).sum(1)
    np.testing.assert_allclose(table.groupby("image")["effect"].sum(), similarity, atol=1e-4)
    last = table[(table["part"] == "attention") & (table["layer"] == result.layers[-1])]
    expected = (result.heads[-1].sum(1).numpy() * own).sum(1)
    np.testing.assert_allclose(last["effect"], expected, atol=1e-5)
    assert (table["part"] == "mlp").sum() == 3 * len(result.mlp)


def test_mean_ablation_takes_away_what_a_head_says_about_the_single_image(whole):
    found = mean_ablation(whole, [(1, 0), (2, 1)])
    expected = whole.embedding.clone()
    for place, head in [(0, 0), (1, 1)]:
        contribution = whole.heads[place, :, head]
        expected += contribution.mean(0) - contribution
    np.testing.assert_allclose(found, F.normalize(expected, dim=-1), atol=1e-6)
    np.testing.assert_allclose(mean_ablation(whole, []), whole.embedding, atol=1e-6)


# --- layer by layer ---------------------------------------------------------------------------------------


def test_layers_are_read_where_the_object_is(model):
    grid = adapter_of(model).grid
    covered = np.zeros((3, *grid))
    covered[:, 0, 1], covered[:, 1, 1] = 1, 0.5
    found = read_layers(model, sample_images(), covered, batch_size=2)
    (traced,) = run(model, sample_images(), "tokens")
    assert found.layers == traced.layers
    spatial = traced.tokens[:, :, 1:].unflatten(2, grid)
    under = (spatial[:, :, 0, 1] + 0.5 * spatial[:, :, 1, 1]) / 1.5
    np.testing.assert_allclose(found.vectors[:, :, 0], under, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.vectors[:, :, 1], spatial.mean((2, 3)), rtol=1e-4, atol=1e-4)
    assert np.isnan(found.vectors[:, :, 2]).all() == (adapter_of(model).pooled_token is None)
    np.testing.assert_allclose(found.projected[-1, :, 2], model.encode_images(sample_images()), atol=1e-5)
    projected = F.normalize(adapter_of(model).project(under), dim=-1)
    np.testing.assert_allclose(found.projected[:, :, 0], projected, atol=1e-4)


def test_the_pooled_token_through_norm_and_projection(tiny_clip):
    visual = tiny_clip.clip.visual
    found = read_layers(tiny_clip, sample_images(), np.ones((3, 4, 4)))
    (traced,) = run(tiny_clip, sample_images(), "tokens")
    expected = F.normalize(visual.ln_post(traced.tokens[:, :, 0]) @ visual.proj, dim=-1)
    np.testing.assert_allclose(found.projected[:, :, 2], expected, atol=1e-5)


@pytest.mark.parametrize("chosen", [[False, True, True], [True, False, True], [True, True, True]])
def test_one_pass_reads_and_decomposes_as_two_do(model, chosen):
    chosen, images = np.array(chosen), sample_images()
    covered = np.random.default_rng(0).random((3, *adapter_of(model).grid))
    reading, whole = read_and_decompose(model, images, covered, chosen)
    expected = read_layers(model, images, covered)
    assert reading.layers == expected.layers
    for name in ("vectors", "projected"):
        np.testing.assert_allclose(getattr(reading, name), getattr(expected, name), atol=1e-4)
    some = concatenate(decompose(model, [images[n] for n in np.flatnonzero(chosen)]))
    assert whole.images == some.images == range(chosen.sum())
    for name in ("embedding", "start", "heads", "tokens", "mlp", "bias"):
        torch.testing.assert_close(getattr(whole, name), getattr(some, name), atol=1e-4, rtol=0)


# --- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda whole: effect_maps(whole, directions(2)), r"\(2, 32\), expected \(3, 32\)"),
        (lambda whole: head_effects(whole, directions(3, 8)), r"\(3, 8\), expected \(3, 32\)"),
        (lambda whole: effect_parts(whole, directions(), np.ones((3, 2, 2))), r"expected \(3, 4, 4\)"),
        (lambda whole: mean_ablation(whole, [(3, 0)]), "head 0 in layer 3: layers are 1, 2, heads 0 to 1"),
        (lambda whole: mean_ablation(whole, [(1, 2)]), "head 2 in layer 1"),
        (lambda _: radial_profile(np.ones((3, 3))), "n_images, rows, columns"),
        (lambda _: radial_profile(np.ones((1, 3, 3)), bins=0), "at least 1 ring"),
        (lambda _: centered(np.ones((1, 8))), "at least two captions"),
        (lambda _: centered(np.ones((0, 8))), "at least two captions"),
        (lambda _: concatenate([]), "at least one image"),
    ],
)
def test_what_does_not_fit_is_refused(whole, call, message):
    with pytest.raises(InputError, match=message):
        call(whole)


@pytest.mark.parametrize(("n_covered", "said"), [(2, "more"), (4, "3")])
def test_coverage_of_another_number_of_images(tiny_clip, n_covered, said):
    with pytest.raises(InputError, match=f"{n_covered} images, but there are {said}"):
        read_layers(tiny_clip, sample_images(), np.ones((n_covered, 4, 4)), batch_size=2)


def test_training_mode_is_refused(tiny_clip):
    clip = copy.deepcopy(tiny_clip.clip)
    clip.visual.train()
    with pytest.raises(InputError, match="training mode"):
        decompose(dataclasses.replace(tiny_clip, clip=clip), sample_images())
