"""Every family of towers: assigned by configuration, traced and taken apart against the model's own numbers."""

import copy
import dataclasses
import re

import numpy as np
import open_clip
import pytest
import timm
import torch
from conftest import TINY_CONFIG
from test_trace import distance, model_input, pictures
from timm.models import convnext, eva, fastvit, swin_transformer, vision_transformer, vitamin
from timm.models import vision_transformer_relpos as relpos
from torch import nn
from torch.nn import functional as F  # noqa: N812

from crosseyed import attention as looking
from crosseyed import decompose, explain, families, notices, pooling
from crosseyed import trace as tracing
from crosseyed.adapters import OFFERS
from crosseyed.mitigate import mitigate
from crosseyed.redistribution import UniformMix
from crosseyed.timm_adapters import TIMM_ADAPTERS
from crosseyed.towers import describe_tower
from crosseyed.trace import WANTS, UnsupportedTower, able, adapter_of, hooked, trace

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}
EVA02 = {
    "qkv_fused": False,
    "mlp_ratio": 8 / 3,
    "swiglu_mlp": True,
    "scale_mlp": True,
    "scale_attn_inner": True,
}
ROPE = {"use_rot_pos_emb": True, "ref_feat_shape": (3, 3)}
HYBRID = vitamin.VitCfg(embed_dim=(8, 16, 48), depths=(1, 1, 1), stem_width=8)
PE = {
    "attn_type": "rope",
    "use_pre_transformer_norm": True,
    "rope_grid_offset": 1.0,
    "rope_grid_indexing": "xy",
}
CONVNEXT = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 48)}
SWIN = {
    "img_size": 64,
    "patch_size": 4,
    "window_size": 4,
    "embed_dim": 24,
    "depths": (1, 2),
    "num_heads": (2, 3),
}
FASTVIT = {
    "layers": (1, 1, 1, 2),
    "embed_dims": (8, 16, 32, 64),
    "mlp_ratios": (2, 2, 2, 2),
    "token_mixers": ("repmixer", "repmixer", "repmixer", "attention"),
}
TRUNKS = {
    "ViT": (vision_transformer._create_vision_transformer, {**VIT, "pre_norm": True, "init_values": 0.4}),
    "SigLIP": (vision_transformer._create_vision_transformer, {**VIT, "class_token": False}),
    "ViT-GAP": (
        vision_transformer._create_vision_transformer,
        {**VIT, "class_token": False, "global_pool": "avg", "fc_norm": False},
    ),
    "RelPos": (
        relpos._create_vision_transformer_relpos,
        {**VIT, "class_token": True, "global_pool": "token", "rel_pos_dim": 16, "init_values": 0.4},
    ),
    "ViTamin": (
        vitamin._create_vitamin,
        {
            **VIT,
            "img_size": 64,
            "patch_size": 1,
            "embed_cfg": HYBRID,
            "mlp_layer": vitamin.GeGluMlp,
            "class_token": False,
            "global_pool": "avg",
        },
    ),
    "EVA-01": (eva._create_eva, VIT),
    "EVA-02": (eva._create_eva, {**VIT, **EVA02, **ROPE}),
    "EVA-02 post-norm": (eva._create_eva, {**VIT, "use_post_norm": True}),
    "EVA, layer scale": (eva._create_eva, {**VIT, **ROPE, "init_values": 0.4, "rope_rotate_half": True}),
    "PE": (eva._create_eva, {**VIT, **ROPE, **PE, "attn_pool_num_heads": 4}),
    "ConvNeXt": (convnext._create_convnext, CONVNEXT),
    "Swin": (swin_transformer._create_swin_transformer, SWIN),
    "FastViT": (fastvit._create_fastvit, FASTVIT),
}
HEADS = {
    "ViT": ("token", None),
    "SigLIP": ("map", "none"),
    "ViT-GAP": ("", "linear"),
    "RelPos": ("", "linear"),
    "ViTamin": ("", "linear"),
    "PE": ("map", None),
    "ConvNeXt": ("", "linear"),
    "ConvNeXt, MLP": ("", "mlp"),
    "Swin": ("", "linear"),
    "FastViT": ("avg", None),
}
KINDS = ["ConvNeXt, MLP", *TRUNKS]
TRANSFORMERS = [kind for kind in TRUNKS if kind not in ("ConvNeXt", "Swin", "FastViT")]
SUMS = [kind for kind in KINDS if kind not in ("SigLIP", "PE", "ConvNeXt, MLP")]


def build(tiny_clip, kind):
    """A random model of a family in which no bias is 0, no gain 1 and no two layers alike."""
    pool, proj = HEADS.get(kind, ("token", None))
    create, arguments = TRUNKS[kind.removesuffix(", MLP")]
    size = 32 * 32 // 8 if "dims" in arguments or "layers" in arguments else arguments["img_size"]
    config = copy.deepcopy(TINY_CONFIG)
    config["embed_dim"] = 48 if proj == "none" else 32
    config["vision_cfg"] = {
        "timm_model_name": "tiny",
        "timm_pool": pool,
        "timm_proj": proj,
        "image_size": size,
    }

    def tiny(_name, pretrained=False, **options):
        return create("tiny", pretrained=pretrained, **{**arguments, **options})

    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", tiny)
        torch.default_generator.manual_seed(3)
        clip = open_clip.CLIP(**config)
        for parameter in clip.visual.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    clip.eval().requires_grad_(False)
    resize = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(size=clip.visual.image_size), is_train=False
    )
    return dataclasses.replace(
        tiny_clip, name=kind, clip=clip, preprocess=resize, tower=describe_tower(clip.visual, config)
    )


@pytest.fixture(scope="module")
def model_of(tiny_clip):
    built = {}
    return lambda kind: built.setdefault(kind, build(tiny_clip, kind))


@pytest.fixture(params=KINDS)
def model(request, model_of):
    return model_of(request.param)


@pytest.fixture(params=TRANSFORMERS)
def transformer(request, model_of):
    return model_of(request.param)


@pytest.fixture(params=SUMS)
def summed(request, model_of):
    return model_of(request.param)


def traced(model, **options):
    offers = adapter_of(model).offers
    want = WANTS if "tokens" in offers else ("tokens",)
    (result,) = trace(model, pictures(), want, **options)
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
    """A picture that is bright in one corner changes the tokens of that corner most."""
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


@pytest.mark.parametrize("kind", ["SigLIP", "PE"])
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
    (parts,) = decompose.decompose(summed, pictures(), head_tokens=True)
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
        scores = pooling.pool(model, name).similarities(pictures(), texts, progress=False)
        assert scores.shape == (3, 2), name
        assert np.isfinite(scores).all(), name
        assert (abs(scores) <= 1 + 1e-6).all(), name


def test_the_towers_own_pooling_gives_its_own_embedding(model):
    own = pooling.pool(model, pooling.native(model)).encode_images(pictures(), progress=False)
    np.testing.assert_allclose(own, model.encode_images(pictures(), progress=False), rtol=1e-4, atol=1e-6)


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
    changed = mitigate(model, mix).encode_images(pictures(), progress=False)
    np.testing.assert_allclose(changed, without.encode_images(pictures(), progress=False), atol=1e-5)


# --- what a tower lacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SigLIP", "PE", "ConvNeXt, MLP"])
def test_an_embedding_that_is_no_sum_is_not_taken_apart(model_of, kind):
    model = model_of(kind)
    assert traced(model).readout is None
    with pytest.raises(UnsupportedTower, match=r"no decomposition .*an MLP follows its pooling"):
        decompose.decompose(model, pictures())
    with pytest.raises(UnsupportedTower, match="an MLP follows its pooling"):
        explain.itsm_after_pooling(model, model_input(model), ["a", "b", "c"])


@pytest.mark.parametrize(
    ("kind", "why"), [("ConvNeXt", "convolutions"), ("Swin", "windows"), ("FastViT", "last stages")]
)
def test_a_tower_without_attention_says_why(model_of, kind, why):
    with pytest.raises(UnsupportedTower, match=rf"no attention .*{why}.*It offers decomposition"):
        trace(model_of(kind), pictures(), ("tokens", "attention"))
    with pytest.raises(UnsupportedTower, match=r"no tokens .*stages differ"):
        trace(model_of(kind), pictures(), "mlp")


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
        TIMM_ADAPTERS[0](visual)


@pytest.mark.parametrize("method", [explain.itsm, explain.grad_cam])
def test_maps_are_of_the_picture(model, method):
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


# --- which family -----------------------------------------------------------------------------------------

BY_NAME = {
    r"RN\d+": "ModifiedResNetAdapter",
    r"convnext": "ConvNeXtAdapter",
    r"swin": "SwinAdapter",
    r"MobileCLIP2?-S\d": "FastVitAdapter",
    r"EVA|PE-Core": "EvaAdapter",
    r"ViTamin|MobileCLIP|vit_|.*SigLIP|nllb-clip-\w+-siglip": "PlainTransformerAdapter",
    r"": "VisionTransformerAdapter",
}
ONE_OF_EACH = [
    *("ViT-B-32", "coca_ViT-B-32", "ViT-L-14-CLIPA", "RN50", "ViT-B-16-SigLIP", "ViTamin-S", "MobileCLIP-B"),
    *("MobileCLIP2-S3", "vit_medium_patch16_gap_256", "vit_relpos_medium_patch16_cls_224", "EVA02-B-16"),
    *("PE-Core-T-16-384", "convnext_tiny", "convnext_large_d_320", "swin_base_patch4_window7_224"),
]


def test_every_configuration_of_the_registry_belongs_to_a_family():
    for name in open_clip.list_models():
        expected = next(family for pattern, family in BY_NAME.items() if re.match(pattern, name))
        assert families.family_of(open_clip.get_model_config(name)).__name__ == expected, name


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_family_by_configuration_is_that_of_the_tower(name):
    model = families._without_weights(name)
    adapter = adapter_of(model)
    assert type(adapter) is families.family_of(open_clip.get_model_config(name))
    assert (adapter.grid, adapter.layers[-1]) == (model.tower.grid, model.tower.layers)
    assert adapter.native_pooling == {"mean": "average"}.get(model.tower.pooling, model.tower.pooling)


def test_an_architecture_of_no_family_is_named():
    with pytest.raises(UnsupportedTower, match=r"'resnet50' is defined in timm\.models\.resnet"):
        families.family_of({"vision_cfg": {"timm_model_name": "resnet50"}})


def test_the_table_of_what_works_names_every_configuration_once_and_gives_reasons(monkeypatch):
    monkeypatch.setattr(open_clip, "list_models", lambda: [*ONE_OF_EACH, "RN101", "RN50x4", "RN50x16"])
    table = families.what_works()
    named = ", ".join(table["models"]).split(", ")
    assert sorted(named) == sorted([*ONE_OF_EACH, "RN101", "RN50x4 and 1 more"])
    assert not table.drop(columns="models").duplicated().any()
    siglip = table[table["models"].str.contains("SigLIP")].iloc[0]
    assert (siglip["attention"], siglip["decomposition"]) == ("yes", "no")
    assert "an MLP follows its pooling" in siglip["missing"]
    for row in table.to_dict("records"):
        parts = [part.partition(": ")[0] for part in row["missing"].split("; ") if part]
        explained = {name for part in parts for name in part.split(", ")}
        lacking = {name for name in (*OFFERS, "attention change", "position change") if row[name] == "no"}
        assert explained == lacking - {"attention change"}
        assert row["attention change"] == row["attention"]


def test_models_are_chosen_and_refused_by_what_their_towers_offer(model_of):
    models = [model_of(kind) for kind in ("ViT", "SigLIP", "Swin")]
    assert able(models, "attention") == models[:2]
    assert able(models, "decomposition") == [models[0], models[2]]
    assert able(models, "decomposition", "heads") == models[:1]
    captions = ["a cup", "a dog"]
    left_out = set(explain.methods(captions)) - set(explain.methods(captions, models[1]))
    assert left_out == {"ITSM after pooling"}
    assert explain.methods(captions, models[2]).keys() == explain.methods(captions).keys()
    assert notices.lacking(models[0], "attention", "heads") is None
    box = notices.lacking(models[2], "attention", instead=models[0]).data
    for words in ("Left out for Swin", "does not offer the probabilities", "within windows", "ViT is shown"):
        assert words in box


def test_maps_of_attention_have_the_towers_grid_and_sum_to_the_attention_on_the_image(transformer):
    maps = looking.maps(transformer, pictures())
    every, adapter = traced(transformer), adapter_of(transformer)
    assert list(maps)[:2] == ["layer 1", "layer 2"]
    assert ("layer 3" in maps) == (adapter.native_pooling == "attention")
    for place, layer in enumerate(every.blocks):
        expected = every.attention[place].mean(1)[:, adapter.prefix :].reshape(3, *adapter.grid)
        np.testing.assert_allclose(maps[f"layer {layer}"], expected, rtol=1e-4, atol=1e-6)
    assert maps["rollout"].shape == (3, *adapter.grid)
    assert (maps["rollout"].sum((1, 2)) <= 1 + 1e-5).all()
