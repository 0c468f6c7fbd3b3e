"""Weights from files: what is understood, what is refused, and how it is said."""

import argparse
import json

import open_clip
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from small_models import TINY_CONFIG, TINY_PREPROCESS

from crosseyed.errors import CheckpointError
from crosseyed.models.checkpoints import load_weights
from crosseyed.models.loading import load


@pytest.fixture(scope="session")
def weights(tiny_folder):
    return load_file(tiny_folder / "open_clip_model.safetensors")


PREFIXES = [
    "_orig_mod.",
    "module._orig_mod.",
    "_orig_mod.module.",
    "model.",
    "student.",
    "clip.",
    "clip_model.",
    "base_model.model.",
    "net.clip_model.model.",
    "_fsdp_wrapped_module.",
]


def prefixed(weights, prefix):
    return {prefix + name: tensor for name, tensor in weights.items()}


def assert_loaded(clip, weights):
    state = clip.state_dict()
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weights[name]) for name in weights)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"state_dict": weights, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda weights: {"state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}},
        lambda weights: {"model": weights, "args": argparse.Namespace(lr=0.1)},
        lambda weights: {"epoch": 3, "runs": {"last": {"weights": weights}}},
        lambda weights: {"module": weights, "dp_world_size": 8},
        lambda weights: {"state_dict": prefixed(weights, "model.") | {"loss.scale": torch.ones(3)}},
        *(lambda weights, prefix=prefix: prefixed(weights, prefix) for prefix in PREFIXES),
        lambda weights: {name.replace("visual.", "visual._orig_mod."): weights[name] for name in weights},
        lambda weights: prefixed(weights, "module.") | {"n_averaged": torch.tensor(3)},
    ],
)
@pytest.mark.filterwarnings("ignore:1 tensors of .*loss")
def test_what_training_scripts_wrap_around_the_weights_is_taken_off(tmp_path, weights, wrap):
    torch.save(wrap(weights), tmp_path / "checkpoint.pt")
    clip = open_clip.CLIP(**TINY_CONFIG)
    load_weights(clip, tmp_path / "checkpoint.pt", "tiny")
    assert_loaded(clip, weights)


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_are_read(tmp_path, weights, kind, custom):
    save_file({name: tensor.to(kind) for name, tensor in weights.items()}, tmp_path / "mine.safetensors")
    clip = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**TINY_CONFIG)
    load_weights(clip, tmp_path / "mine.safetensors", "tiny")
    name = "visual.conv1.weight"
    assert torch.equal(clip.state_dict()[name], weights[name].to(kind).float())


def test_half_precision_safetensors_are_read(tmp_path, weights):
    save_file({name: tensor.half() for name, tensor in weights.items()}, tmp_path / "half.safetensors")
    clip = open_clip.CLIP(**TINY_CONFIG)
    load_weights(clip, tmp_path / "half.safetensors", "tiny")
    assert_loaded(clip, {name: tensor.half().float() for name, tensor in weights.items()})


def test_a_checkpoint_with_a_text_module_and_an_auxiliary_head_loads(tmp_path, weights):
    """SuperCLIP's form: the text tower as a module of its own, and a head for its classification loss."""
    custom = open_clip.CustomTextCLIP(**TINY_CONFIG).state_dict()
    moved = {name: weights[name.removeprefix("text.")] for name in custom}
    torch.save({"state_dict": moved | {"text_decoder.weight": torch.zeros(3)}}, tmp_path / "super.pt")
    clip = open_clip.CLIP(**TINY_CONFIG)
    with pytest.warns(UserWarning, match=r"1 tensors of .*super\.pt.*text_decoder\.weight"):
        load_weights(clip, tmp_path / "super.pt", "tiny")
    assert_loaded(clip, weights)


def test_a_checkpoint_without_a_text_module_loads_into_a_model_with_one(tmp_path, weights):
    save_file(weights, tmp_path / "plain.safetensors")
    clip = open_clip.CustomTextCLIP(**TINY_CONFIG)
    load_weights(clip, tmp_path / "plain.safetensors", "tiny")
    assert_loaded(clip, {name: weights[name.removeprefix("text.")] for name in clip.state_dict()})


def test_detailclip_computes_with_its_averaged_teacher(tmp_path):
    """Against timm's tower and the definition: class token after the last norm, times the projection."""
    config = {
        **TINY_CONFIG,
        "vision_cfg": {
            "timm_model_name": "vit_tiny_patch16_224",
            "timm_pool": "token",
            "timm_proj": "linear",
            "image_size": 224,
        },
    }
    folder = tmp_path / "detail"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": TINY_PREPROCESS})
    )
    torch.manual_seed(0)
    student, teacher = (timm.create_model("vit_tiny_patch16_224", num_classes=0).eval() for _ in range(2))
    text = open_clip.CLIP(**TINY_CONFIG).state_dict()
    text = {name: tensor for name, tensor in text.items() if not name.startswith("visual.")}
    projection = torch.randn(192, 32)
    state = {
        **{f"module.visual.{name}": tensor for name, tensor in student.state_dict().items()},
        **{f"module.visual_ema.{name}": tensor for name, tensor in teacher.state_dict().items()},
        **{f"module.{name}": tensor for name, tensor in text.items()},
        **{
            f"module.transformer_e.{name.removeprefix('transformer.')}": tensor + 1
            for name, tensor in text.items()
            if name.startswith("transformer.")
        },
        "module.text_projection_e": text["text_projection"] + 1,
        "module.image_projection": torch.randn(192, 32),
        "module.image_projection_e": projection,
    }
    torch.save(
        {"state_dict": state, "args": argparse.Namespace(model="DetailCLIP_VITB16")}, tmp_path / "best.pt"
    )
    clip = load(f"local-dir:{folder}", checkpoint=tmp_path / "best.pt").clip
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = teacher.forward_features(images)[:, 0] @ projection
        torch.testing.assert_close(clip.encode_image(images), expected, rtol=1e-4, atol=1e-5)
    loaded = clip.state_dict()
    assert torch.equal(loaded["text_projection"], text["text_projection"] + 1)
    name = "transformer.resblocks.0.mlp.c_fc.weight"
    assert torch.equal(loaded[name], text[name] + 1)
    assert torch.equal(loaded["token_embedding.weight"], text["token_embedding.weight"])


def test_a_checkpoint_of_another_architecture_names_tensors_and_shapes_and_changes_nothing(tmp_path, weights):
    other = {**TINY_CONFIG, "vision_cfg": {**TINY_CONFIG["vision_cfg"], "patch_size": 16, "layers": 3}}
    clip = open_clip.CLIP(**other)
    before = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    save_file(weights | {"extra": torch.zeros(1)}, tmp_path / "tiny.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_weights(clip, tmp_path / "tiny.safetensors", "other")
    message = str(caught.value)
    assert "tiny.safetensors" in message
    assert "'other'" in message
    assert "visual.conv1.weight (expected (64, 3, 16, 16), found (64, 3, 8, 8))" in message
    assert "visual.positional_embedding (expected (5, 64), found (17, 64))" in message
    assert "12 of " in message  # a block has twelve tensors
    assert "visual.transformer.resblocks.2.ln_1.weight" in message
    assert "1 found are unknown: extra" in message
    assert_loaded(clip, before)


@pytest.mark.filterwarnings("ignore:.*nested tensors")
def test_tensors_of_several_sizes_in_one_have_no_place(tmp_path, weights):
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    torch.save(weights | {"visual.proj": nested}, tmp_path / "nested.pt")
    with pytest.raises(CheckpointError, match=r"nested\.pt.*1 of 50 have another shape: visual\.proj"):
        load_weights(open_clip.CLIP(**TINY_CONFIG), tmp_path / "nested.pt", "tiny")


def changed(weights):
    return {name: tensor + 1 for name, tensor in weights.items()}


@pytest.mark.parametrize(
    ("plain", "average"),
    [
        ("state_dict", "state_dict_ema"),
        ("model", "model_ema"),
        ("state_dict", "ema_state_dict"),
        ("model", "ema"),
        ("model_state_dict", "swa_model"),
        ("state_dict", "EMA"),
    ],
)
def test_of_weights_and_their_average_the_average_is_taken_and_said(tmp_path, weights, plain, average):
    torch.save({average: changed(weights), plain: weights}, tmp_path / "run.pt")
    clip = open_clip.CLIP(**TINY_CONFIG)
    with pytest.warns(
        UserWarning, match=rf"run\.pt.*{plain!r}.*average \({average!r}\): the average is taken"
    ):
        load_weights(clip, tmp_path / "run.pt", "tiny")
    assert_loaded(clip, changed(weights))


@pytest.mark.parametrize("average", ["ema.", "ema_model.", "model_ema.module."])
def test_an_average_is_told_by_its_prefix_too_and_alone_needs_no_word(tmp_path, weights, average, recwarn):
    clip = open_clip.CLIP(**TINY_CONFIG)
    torch.save({"state_dict_ema": weights}, tmp_path / "alone.pt")
    load_weights(clip, tmp_path / "alone.pt", "tiny")
    assert_loaded(clip, weights)
    assert not recwarn.list
    both = prefixed(weights, "model.") | prefixed(changed(weights), average)
    torch.save({"state_dict": both}, tmp_path / "both.pt")
    with pytest.warns(UserWarning, match=r"'state_dict\.model'.*'state_dict\.\w*ema\w*'"):
        load_weights(clip, tmp_path / "both.pt", "tiny")
    assert_loaded(clip, changed(weights))


@pytest.mark.parametrize(
    "average",
    [
        lambda weights: {"model": weights, "ema": {"decay": 0.99, "shadow_params": list(weights.values())}},
        lambda weights: (
            prefixed(weights, "model.")
            | {f"model_ema.{name.replace('.', '')}": tensor for name, tensor in weights.items()}
        ),
    ],
)
def test_an_average_whose_names_do_not_fit_is_told(tmp_path, weights, average):
    torch.save(average(weights), tmp_path / "run.pt")
    clip = open_clip.CLIP(**TINY_CONFIG)
    with pytest.warns(
        UserWarning, match=r"'model'\) and a running average \('\w*ema[\w.]*'\) whose names do not fit"
    ):
        load_weights(clip, tmp_path / "run.pt", "tiny")
    assert_loaded(clip, weights)


def test_several_models_are_not_guessed_at_but_one_that_comes_twice_is_one(tmp_path, weights):
    clip = open_clip.CLIP(**TINY_CONFIG)
    torch.save(prefixed(weights, "student.") | prefixed(changed(weights), "teacher."), tmp_path / "two.pt")
    with pytest.raises(CheckpointError, match=r"several models that fit: 'student', 'teacher'"):
        load_weights(clip, tmp_path / "two.pt", "tiny")
    torch.save({"model": weights, "state_dict": dict(weights)}, tmp_path / "twice.pt")
    load_weights(clip, tmp_path / "twice.pt", "tiny")
    assert_loaded(clip, weights)


CONV, PROJ, BIAS, GAIN = "visual.conv1.weight", "visual.proj", "visual.ln_post.bias", "visual.ln_post.weight"


def with_one(tensor, number):
    tensor = tensor.clone()
    tensor.view(-1)[7] = number
    return tensor


IMPOSSIBLE = {
    "1 of 50 tensors are of type int8, visual.proj": {PROJ: lambda each: (each * 100).to(torch.int8)},
    "1 of 50 tensors are of type int64, visual.proj": {PROJ: lambda each: each.long()},
    "1 of 50 tensors are of type bool, visual.proj": {PROJ: lambda each: each > 0},
    "1 of 50 tensors are of type complex64, visual.proj": {PROJ: lambda each: each.to(torch.complex64)},
    "1 of 50 tensors are of type float8_e4m3fn, visual.proj": {
        PROJ: lambda each: each.to(torch.float8_e4m3fn)
    },
    "1 of 50 tensors are sparse, visual.proj": {PROJ: lambda each: each.to_sparse()},
    "1 of 50 tensors are sparse, text_projection": {"text_projection": lambda each: each.to_sparse_csr()},
    "1 of 50 tensors have no values .meta tensors., visual.proj": {PROJ: lambda each: each.to("meta")},
    "1 of 50 tensors are quantised, visual.proj": {
        PROJ: lambda each: torch.quantize_per_tensor(each, 0.1, 0, torch.qint8)
    },
    "1 of 50 tensors are NaN or infinite, visual.conv1.weight": {
        CONV: lambda each: with_one(each, float("nan"))
    },
    "2 of 50 tensors are NaN or infinite, visual.proj, visual.ln_post.bias": {
        PROJ: lambda each: with_one(each, float("inf")),
        BIAS: lambda each: with_one(each, float("-inf")),
    },
    "1 of 50 tensors are too large for float32, visual.proj": {
        PROJ: lambda each: with_one(each.double(), 1e300)
    },
    "1 of 50 tensors should be the logarithm of a factor, 4.6 for 100, logit_scale": {
        "logit_scale": lambda each: torch.full_like(each, 100.0)
    },
    "1 of 50 tensors hold one value throughout, visual.conv1.weight": {CONV: torch.zeros_like},
    "2 of 50 tensors hold one value throughout, visual.proj, visual.conv1.weight": {
        CONV: torch.ones_like,
        PROJ: torch.zeros_like,
    },
    "1 of 50 tensors hold one value throughout, visual.ln_post.weight": {GAIN: torch.zeros_like},
}


@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:.*deprecated", "ignore:Validating sparse")
@pytest.mark.parametrize("words", IMPOSSIBLE)
def test_what_cannot_be_weights_is_refused_by_name(tmp_path, weights, words):
    changes = {name: change(weights[name]) for name, change in IMPOSSIBLE[words].items()}
    torch.save({"state_dict": weights | changes}, tmp_path / "odd.pt")
    clip = open_clip.CLIP(**TINY_CONFIG)
    before = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    with pytest.raises(CheckpointError, match=rf"odd\.pt.*cannot be used: {words}"):
        load_weights(clip, tmp_path / "odd.pt", "tiny")
    assert_loaded(clip, before)


def test_all_zero_weights_are_refused_with_three_names_and_a_count(tmp_path, weights):
    save_file(
        {name: torch.zeros_like(tensor) for name, tensor in weights.items()}, tmp_path / "zero.safetensors"
    )
    with pytest.raises(
        CheckpointError, match=r"\d+ of 50 tensors hold one value throughout, (\S+, ){2}\S+ and \d+ more"
    ):
        load_weights(open_clip.CLIP(**TINY_CONFIG), tmp_path / "zero.safetensors", "tiny")


@pytest.mark.parametrize(
    "name", [BIAS, "visual.class_embedding", "visual.positional_embedding", "positional_embedding"]
)
def test_what_may_be_zero_is_no_reason_to_refuse(tmp_path, weights, name):
    save_file(weights | {name: torch.zeros_like(weights[name])}, tmp_path / "mine.safetensors")
    load_weights(open_clip.CLIP(**TINY_CONFIG), tmp_path / "mine.safetensors", "tiny")


def test_what_half_precision_cannot_hold_is_refused(tmp_path, weights):
    save_file(weights | {PROJ: with_one(weights[PROJ], 1e6)}, tmp_path / "large.safetensors")
    clip = open_clip.CLIP(**TINY_CONFIG).half()
    with pytest.raises(CheckpointError, match=r"1 of 50 tensors are too large for float16, visual\.proj"):
        load_weights(clip, tmp_path / "large.safetensors", "tiny")


def test_counters_of_a_model_stay_integers(tmp_path):
    config = TINY_CONFIG | {
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8, "image_size": 32}
    }
    state = open_clip.CLIP(**config).state_dict()
    torch.save(state, tmp_path / "resnet.pt")
    clip = open_clip.CLIP(**config)
    load_weights(clip, tmp_path / "resnet.pt", "tiny")
    assert_loaded(clip, state)
    counter = next(name for name in state if name.endswith("num_batches_tracked"))
    torch.save(state | {counter: torch.tensor(1.5)}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=rf"1 of \d+ tensors should be integers, {counter}"):
        load_weights(clip, tmp_path / "odd.pt", "tiny")
