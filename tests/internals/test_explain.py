"""Maps against slow references and identities, for every kind of tower; their scores against worked values."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from small_models import OPEN_CLIP_TOWERS, listeners, model_input, traced
from torch import nn
from torch.nn import functional as F  # noqa: N812

from crosseyed.data import layouts
from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.internals import explain, map_scores
from crosseyed.internals.trace import hooked
from crosseyed.models.loading import load
from crosseyed.models.towers.base import UnsupportedTower
from crosseyed.models.towers.registry import adapter_of

TEXTS = ["a photo of a cup", "a photo of a dog", "a photo of a tree"]
CAPTIONS = [*TEXTS, "a photo of a ball"]
METHODS = explain.methods(CAPTIONS)
FEW = ["class token", "average", "pooler", "ResNet"]

every_method = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))


def upsampled(values, model):
    """Give each pixel the mean of the nearest cells, weighted by how near their middles are."""
    grid, size = adapter_of(model).grid, model.image_size
    nearness = []
    for cells, pixels in zip(grid, size, strict=True):
        place = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
        nearness.append(np.clip(1 - np.abs(place[:, None] - np.arange(cells)), 0, 1))
    return np.einsum("yr,brc,xc->byx", nearness[0], np.asarray(values).reshape(-1, *grid), nearness[1])


def embedded(model, texts=TEXTS):
    return torch.from_numpy(model.encode_texts(texts))


def similarity(model, pixels, texts=TEXTS):
    return (F.normalize(model.clip.encode_image(pixels), dim=-1) * embedded(model, texts)).sum(-1)


# --- every method -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FEW)
@every_method
def test_maps_are_one_an_image_and_depend_on_that_image_alone(method, kind, model_of):
    model = model_of(kind)
    pixels = model_input(model)
    maps = method(model, pixels, TEXTS)
    assert maps.shape == (3, *model.image_size)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()
    alone = method(model, pixels[1:2], TEXTS[1:2])
    np.testing.assert_allclose(alone[0], maps[1], atol=1e-5)
    assert not listeners(model)
    assert not any(parameter.requires_grad for parameter in model.clip.parameters())


@every_method
def test_maps_depend_on_the_caption(method, tiny_clip):
    pixels = model_input(tiny_clip)[:1].expand(2, -1, -1, -1)
    first, second = method(tiny_clip, pixels, TEXTS[:2])
    assert np.abs(first - second).max() > 1e-6


@every_method
def test_half_precision_stays_near(method, tiny_clip, tiny_folder):
    half = load(f"local-dir:{tiny_folder}", precision="bf16", device="cpu")
    found = method(half, model_input(half), TEXTS)
    expected = method(tiny_clip, model_input(tiny_clip), TEXTS)
    assert found.dtype == np.float32
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


# --- maps from tokens ---------------------------------------------------------------------------------------


def tokens_alone(model):
    """The embedding of each last token on its own, by open_clip's modules: (batch, spatial tokens, embed_dim)."""
    visual = model.clip.visual
    if type(visual).__name__ == "ModifiedResNet":
        with hooked({"pool": visual.attnpool}) as calls:
            visual(model_input(model))
        cells = calls["pool"][0].flatten(2).mT + visual.attnpool.positional_embedding[1:]
        return visual.attnpool.c_proj(visual.attnpool.v_proj(cells))
    with hooked({"transformer": visual.transformer}) as calls:
        visual(model_input(model))
    tokens = calls["transformer"][1]
    if visual.attn_pool is not None:
        one = tokens.flatten(0, 1)[:, None]
        read = visual.attn_pool.ln_k(one)
        query = visual.attn_pool.ln_q(visual.attn_pool.query)[None, :1].expand(len(one), -1, -1)
        tokens = visual.attn_pool.attn(query, read, read)[0].unflatten(0, tokens.shape[:2])[:, :, 0]
    return (visual.ln_post(tokens) @ visual.proj)[:, 1:]


@pytest.mark.parametrize("kind", FEW)
def test_itsm_compares_each_token_on_its_own_with_the_caption(kind, model_of):
    model = model_of(kind)
    cosines = F.cosine_similarity(tokens_alone(model), embedded(model)[:, None], dim=-1)
    found = explain.itsm(model, model_input(model), TEXTS)
    np.testing.assert_allclose(found, upsampled(cosines, model), atol=1e-5)


@pytest.mark.parametrize("kind", OPEN_CLIP_TOWERS)
def test_itsm_after_pooling_is_what_each_token_adds(kind, model_of):
    model = model_of(kind)
    result = traced(model)
    direction = embedded(model) / result.embedding.norm(dim=-1, keepdim=True)
    added = []
    for token in range(result.tokens.shape[2]):
        alone = torch.zeros_like(result.tokens[-1])
        if kind in ("average", "average, then norm", "ResNet") or "pooler" in kind:
            alone[:, token] = result.tokens[-1][:, token]
        else:
            output = adapter_of(model).attention(result.blocks[-1]).output
            passed_on = result.attention[-1][:, :, token, None] * result.values[-1][:, :, token]
            alone[:, 0] = torch.einsum("bhd,hdw->bw", passed_on, output)
        added.append((result.readout(alone) * direction).sum(-1))
    found = explain.itsm_after_pooling(model, model_input(model), TEXTS)
    expected = upsampled(torch.stack(added, 1)[:, 1:], model)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max() + 1e-6)


def second_path(model):
    """The embedding of each token on CLIP Surgery's second path, of whose two blocks it has the last."""
    visual = model.clip.visual
    block = visual.transformer.resblocks[-1]
    with hooked({"last": block}) as calls:
        visual(model_input(model))
    tokens = calls["last"][0]
    values = F.linear(block.ln_1(tokens), block.attn.in_proj_weight, block.attn.in_proj_bias).chunk(3, -1)[2]
    gathered = [value @ value.mT / value.shape[-1] ** 0.5 for value in values.chunk(block.attn.num_heads, -1)]
    parts = zip(gathered, values.chunk(block.attn.num_heads, -1), strict=True)
    written = torch.cat([logits.softmax(-1) @ value for logits, value in parts], -1)
    return (visual.ln_post(tokens + block.attn.out_proj(written)) @ visual.proj)[:, 1:]


def test_clip_surgery_takes_the_mean_over_captions_away_from_tokens_of_the_second_path(tiny_clip):
    pixels = model_input(tiny_clip)
    tokens, every = F.normalize(second_path(tiny_clip), dim=-1), embedded(tiny_clip, CAPTIONS)
    image = F.normalize(tiny_clip.clip.encode_image(pixels), dim=-1)
    expected = []
    for number, own in enumerate(range(len(TEXTS))):
        weights = (2 * image[number] @ every.T).softmax(0)
        weights = weights / weights.mean()
        products = tokens[number][:, None] * every * weights[:, None]  # (tokens, captions, embed_dim)
        expected.append((products - products.mean(1, keepdim=True)).sum(-1)[:, own])
    found = explain.clip_surgery(tiny_clip, pixels, TEXTS, captions=CAPTIONS)
    np.testing.assert_allclose(found, upsampled(torch.stack(expected), tiny_clip), atol=1e-5)


def test_clip_surgery_adds_a_caption_that_is_not_among_the_others(tiny_clip):
    pixels = model_input(tiny_clip)
    found = explain.clip_surgery(tiny_clip, pixels, TEXTS, captions=CAPTIONS[1:])
    reordered = [*CAPTIONS[1:], CAPTIONS[0]]
    expected = explain.clip_surgery(tiny_clip, pixels, TEXTS, captions=reordered)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# --- maps by Captum -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["class token", "ResNet"])
def test_integrated_gradients_sum_to_the_similarity_gained(kind, model_of):
    model = model_of(kind)
    pixels = model_input(model)
    maps = explain.integrated_gradients(model, pixels, TEXTS, steps=64)
    gained = similarity(model, pixels) - similarity(model, torch.zeros_like(pixels))
    np.testing.assert_allclose(maps.sum((1, 2)), gained, atol=0.02 * gained.abs().max().item())


@pytest.mark.parametrize("kind", FEW)
def test_grad_cam_weighs_the_last_tokens_by_their_mean_gradients(kind, model_of):
    model = model_of(kind)
    pixels = model_input(model).requires_grad_()
    visual = model.clip.visual
    module = visual.attnpool if kind == "ResNet" else visual.transformer.resblocks[-1]
    captions = ["tree", "ball", "dog"]  # for these some of every map is above 0
    with hooked({"last": module}) as calls:
        score = similarity(model, pixels, captions).sum()
    tokens = calls["last"][0 if kind in ("class token", "ResNet") else 1]
    (gradient,) = torch.autograd.grad(score, tokens)
    if kind == "ResNet":
        tokens, gradient = tokens.flatten(2).mT, gradient.flatten(2).mT
    else:
        tokens, gradient = tokens[:, 1:], gradient[:, 1:]
    cam = (tokens * gradient.mean(1, keepdim=True)).sum(-1).clamp(min=0).detach()
    found = explain.grad_cam(model, pixels.detach(), captions)
    assert cam.max() > 0
    np.testing.assert_allclose(found, upsampled(cam, model), atol=1e-4 * cam.max().item())


def test_occlusion_is_the_mean_fall_over_windows_of_two_cells(tiny_clip):
    pixels = model_input(tiny_clip)
    whole = similarity(tiny_clip, pixels)
    fall, windows = torch.zeros(3, 32, 32), torch.zeros(32, 32)
    for top in range(0, 32 - 8, 8):
        for left in range(0, 32 - 8, 8):
            hidden = pixels.clone()
            hidden[:, :, top : top + 16, left : left + 16] = 0
            change = whole - similarity(tiny_clip, hidden)
            fall[:, top : top + 16, left : left + 16] += change[:, None, None]
            windows[top : top + 16, left : left + 16] += 1
    found = explain.occlusion(tiny_clip, pixels, TEXTS)
    np.testing.assert_allclose(found, fall / windows, atol=1e-5)


# --- scores -------------------------------------------------------------------------------------------------


def squares(n_maps=4, side=12):
    masks = np.zeros((n_maps, side, side), dtype=bool)
    for number, mask in enumerate(masks):
        mask[number : number + 4, 2 : 7 + number] = True
    return masks


def noise(masks, seed=0):
    generator = np.random.default_rng(seed)
    return (generator.normal(size=masks.shape) + 0.7 * masks).round(1).astype(np.float32)  # with ties


def test_a_perfect_map_scores_best_and_its_opposite_worst():
    masks = squares()
    best, worst = (map_scores.score_maps(sign * 3.0 * masks + 7, masks) for sign in (1, -1))
    assert (best[list(map_scores.SCORES)] == 1).all(axis=None)
    assert (worst["contrast"] == -1).all()
    assert (worst[["iou", "auroc", "pointing"]] == 0).all(axis=None)


def test_a_map_that_is_the_same_everywhere_scores_as_guessing_does():
    masks = squares()
    scores = map_scores.score_maps(np.full(masks.shape, 0.3, dtype=np.float32), masks)
    assert (scores["auroc"] == 0.5).all()
    assert (scores[["iou", "contrast"]] == 0).all(axis=None)
    np.testing.assert_allclose(scores["pointing"], masks.mean((1, 2)))


def test_auroc_is_that_of_scikit_learn_ties_included():
    masks = squares()
    maps = noise(masks)
    expected = [roc_auc_score(mask.ravel(), values.ravel()) for mask, values in zip(masks, maps, strict=True)]
    np.testing.assert_allclose(map_scores.score_maps(maps, masks)["auroc"], expected, atol=1e-9)


def test_scores_of_a_worked_example():
    maps = np.array([[[0.0, 2.0], [6.0, 8.0]]])
    masks = np.array([[[False, True], [False, True]]])
    scores = map_scores.score_maps(maps, masks).iloc[0]
    # scaled: 0, 1/4, 3/4, 1; at least a half: 6 and 8, of which 8 is on the object
    assert scores["iou"] == pytest.approx(1 / 3)
    assert scores["contrast"] == pytest.approx((0.25 + 1) / 2 - (0 + 0.75) / 2)
    assert scores["auroc"] == pytest.approx(3 / 4)
    assert scores["pointing"] == 1


def test_scores_do_not_depend_on_the_units_of_a_map():
    masks = squares()
    maps = noise(masks)
    plain, other = map_scores.score_maps(maps, masks), map_scores.score_maps(50 * maps - 3, masks)
    np.testing.assert_allclose(plain, other, atol=1e-5)


def test_an_object_that_cannot_be_seen_or_fills_the_image_has_no_scores():
    masks = np.stack([np.zeros((4, 4), bool), np.ones((4, 4), bool)])
    assert map_scores.score_maps(noise(masks), masks).isna().all(axis=None)


def test_masks_are_cut_as_the_image_is(tiny_clip):
    masks = np.zeros((1, 64, 128), dtype=bool)
    masks[0, 32:, 64:] = True  # the crop keeps columns 32 to 96
    fitted = map_scores.fit_masks(tiny_clip, masks)
    assert fitted.shape == (1, 32, 32)
    expected = np.zeros((32, 32), dtype=bool)
    expected[16:, 16:] = True
    assert (fitted[0] == expected).all()


# --- deletion and insertion ---------------------------------------------------------------------------------


def planted(seed=0):
    """A linear score, images, and what each of their pixels contributes to it."""
    generator = torch.Generator().manual_seed(seed)
    weight, pixels = (torch.rand((n, 3, 8, 8), generator=generator) for n in (1, 5))
    contributions = (weight * pixels).sum(1).numpy()
    return (lambda images: (weight * images).sum((1, 2, 3))), pixels, contributions


def test_curves_of_a_linear_score_sum_pixels_in_the_order_of_the_map():
    score, pixels, contributions = planted()
    deletion, insertion = map_scores.removal_curves(score, pixels, contributions, steps=16)
    sorted_down = -np.sort(-contributions.reshape(5, -1), axis=1)
    expected = np.concatenate([np.zeros((5, 1)), sorted_down.cumsum(1)[:, 3::4]], axis=1)
    np.testing.assert_allclose(insertion, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(deletion, expected[:, -1:] - expected, rtol=1e-5, atol=1e-4)
    assert (np.diff(deletion, axis=1) <= 0).all()


def test_the_true_contributions_have_the_best_areas():
    score, pixels, contributions = planted()
    shuffled = np.random.default_rng(0).permuted(contributions.reshape(5, -1), axis=1).reshape(5, 8, 8)
    best, other = (map_scores.removal_curves(score, pixels, maps) for maps in (contributions, shuffled))
    assert (best[0].sum(1) < other[0].sum(1)).all()
    assert (best[1].sum(1) > other[1].sum(1)).all()


def test_curves_begin_and_end_with_the_whole_and_the_blank_image(tiny_clip):
    pixels = model_input(tiny_clip)
    score = map_scores.similarity_to(tiny_clip, TEXTS)
    maps = explain.itsm(tiny_clip, pixels, TEXTS)
    deletion, insertion = map_scores.removal_curves(score, pixels, maps, steps=3)
    ends = np.stack([similarity(tiny_clip, pixels), similarity(tiny_clip, torch.zeros_like(pixels))], 1)
    np.testing.assert_allclose(deletion[:, [0, 3]], ends, atol=1e-6)
    np.testing.assert_allclose(insertion[:, [3, 0]], ends, atol=1e-6)


# --- the table ----------------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_every_scene_and_method(tiny_clip):
    cutouts = sample_objects(read_catalogue(["fluent"]), 2, 0)
    scenes = layouts.grid(cutouts, 3, height=64, width=64)  # more than one batch
    texts = [f"a photo of a {scene.placements[0].cutout.object}" for scene in scenes]
    few = {name: METHODS[name] for name in ("ITSM", "Grad-CAM")}
    table = map_scores.compare(
        tiny_clip, scenes, texts, map_scores.maps_of(tiny_clip, scenes, texts, few), steps=4
    )
    assert len(table) == 36
    assert not table.duplicated(["image", "method"]).any()
    assert {"eccentricity", "center", "object", "model", "pretrained"} <= set(table)
    last = table[(table["image"] == scenes[17].name) & (table["method"] == "ITSM")].iloc[0]
    (pixels, _), *_ = tiny_clip.read_batches([scenes[17].render])
    maps = explain.itsm(tiny_clip, tiny_clip.to_input(pixels), texts[17:])
    expected = map_scores.score_maps(maps, map_scores.fit_masks(tiny_clip, scenes[17].masks()))
    # another batch rounds otherwise, which may swap nearly equal pixels in the ranks behind the AUROC
    np.testing.assert_allclose(last[list(map_scores.SCORES)].astype(float), expected.iloc[0], atol=2e-3)
    curve, _ = map_scores.removal_curves(
        map_scores.similarity_to(tiny_clip, texts[17:]), tiny_clip.to_input(pixels), maps, steps=4
    )
    between = (curve[0, 1:] + curve[0, :-1]) / 2
    assert last["deletion"] == pytest.approx(between.mean(), abs=1e-4)


# --- bad input ----------------------------------------------------------------------------------------------


@every_method
def test_captions_must_be_one_an_image(method, tiny_clip):
    pixels = model_input(tiny_clip)
    with pytest.raises(InputError, match="one caption for each of the 3 images"):
        method(tiny_clip, pixels, [])
    with pytest.raises(InputError, match="expected a list"):
        method(tiny_clip, pixels, "a photo of a cup")
    with pytest.raises(InputError, match="2 captions for 3 images"):
        method(tiny_clip, pixels, TEXTS[:2])


@every_method
def test_pixels_must_have_the_resolution_of_the_model(method, tiny_clip):
    with pytest.raises(InputError, match=r"\(batch, 3, 32, 32\).*to_input"):
        method(tiny_clip, torch.zeros(3, 3, 64, 64), TEXTS)


@every_method
def test_a_model_in_training_mode_is_refused(method, tiny_clip):
    pixels = model_input(tiny_clip)
    tiny_clip.clip.train()
    try:
        with pytest.raises(InputError, match="training mode"):
            method(tiny_clip, pixels, TEXTS)
    finally:
        tiny_clip.clip.eval()


@every_method
def test_an_unsupported_tower_is_refused(method, tiny_clip):
    pixels, visual = model_input(tiny_clip), tiny_clip.clip.visual
    tiny_clip.clip.visual = nn.Flatten()
    try:
        with pytest.raises(UnsupportedTower, match="known: ModifiedResNet, VisionTransformer"):
            method(tiny_clip, pixels, TEXTS)
    finally:
        tiny_clip.clip.visual = visual


def test_clip_surgery_needs_two_captions(tiny_clip):
    for captions in ([], ["a cup", "a cup"], "a cup"):
        with pytest.raises(InputError, match="at least two"):
            explain.methods(captions)
        with pytest.raises(InputError, match="at least two"):
            explain.clip_surgery(tiny_clip, model_input(tiny_clip), TEXTS, captions=captions)


def test_masks_and_maps_must_be_of_one_size(tiny_clip):
    with pytest.raises(InputError, match=r"\(4, 6, 6\), maps \(4, 12, 12\).*fit_masks"):
        map_scores.score_maps(noise(squares()), squares()[:, ::2, ::2])
    with pytest.raises(InputError, match=r"\(6, 6\); expected \(n_masks"):
        map_scores.fit_masks(tiny_clip, np.zeros((6, 6), dtype=bool))


def test_curves_refuse_maps_of_another_size_and_no_steps():
    score, pixels, contributions = planted()
    with pytest.raises(InputError, match=r"expected \(5, 8, 8\)"):
        map_scores.removal_curves(score, pixels, contributions[:, :4])
    with pytest.raises(InputError, match="steps is 0"):
        map_scores.removal_curves(score, pixels, contributions, steps=0)


def test_no_scenes_are_refused(tiny_clip):
    with pytest.raises(InputError, match="scenes is empty"):
        map_scores.maps_of(tiny_clip, [], [], METHODS)
    with pytest.raises(InputError, match="scenes is empty"):
        map_scores.compare(tiny_clip, [], [], {})
