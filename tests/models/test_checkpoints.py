"""Weights from files: what is understood, what is refused, and how it is said."""

import argparse
import json
import os
import pickle

import open_clip
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from small_models import TINY_CONFIG, TINY_PREPROCESS
from torch import nn

from crosseyed.errors import CheckpointError
from crosseyed.models.checkpoints import load_weights, read_state_dict
from crosseyed.models.loading import load


@pytest.fixture(scope="session")
def weights(tiny_folder):
    return load_file(tiny_folder / "open_clip_model.safetensors")


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
    ],
    ids=["plain", "state_dict", "module", "namespace"],
)
def test_what_training_scripts_wrap_around_the_weights_is_taken_off(tmp_path, weights, wrap):
    torch.save(wrap(weights), tmp_path / "checkpoint.pt")
    clip = open_clip.CLIP(**TINY_CONFIG)
    load_weights(clip, tmp_path / "checkpoint.pt", "tiny")
    assert_loaded(clip, weights)


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


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_program_code_in_a_pickle_is_named_and_not_run(tmp_path):
    proof = tmp_path / "proof"
    torch.save({"state_dict": Code(proof)}, tmp_path / "zip.pt")
    (tmp_path / "pickle.bin").write_bytes(pickle.dumps({"state_dict": Code(proof)}, protocol=2))
    for name in ("zip.pt", "pickle.bin"):
        with pytest.raises(CheckpointError, match=rf"{name}.*mkdir.*never run"):
            read_state_dict(tmp_path / name)
    assert not proof.exists()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*looks like a TorchScript")
def test_a_torchscript_archive_is_refused_as_program_code(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "openai.pt")
    with pytest.raises(CheckpointError, match=r"openai\.pt.*TorchScript.*never run"):
        read_state_dict(tmp_path / "openai.pt")


def damaged_files(folder):
    tensors = {"weight": torch.zeros(64, 64)}
    save_file(tensors, folder / "whole.safetensors")
    torch.save(tensors, folder / "whole.pt")
    torch.save(tensors, folder / "whole.pth", _use_new_zipfile_serialization=False)
    for name in ("whole.safetensors", "whole.pt", "whole.pth"):
        content = (folder / name).read_bytes()
        (folder / name.replace("whole", "half")).write_bytes(content[: len(content) // 2])
    for suffix in ("safetensors", "pt"):
        (folder / f"empty.{suffix}").touch()
        (folder / f"pointer.{suffix}").write_text("version https://git-lfs.github.com/spec/v1\n")


@pytest.mark.parametrize(
    "name",
    [
        "half.safetensors",
        "half.pt",
        "half.pth",
        "empty.safetensors",
        "empty.pt",
        "pointer.safetensors",
        "pointer.pt",
    ],
)
def test_a_damaged_file_is_named_with_its_size(tmp_path, name):
    damaged_files(tmp_path)
    size = f"{(tmp_path / name).stat().st_size:,} bytes"
    with pytest.raises(CheckpointError, match=rf"{name}.*{size}.*damaged"):
        read_state_dict(tmp_path / name)


def test_a_file_without_weights_says_what_it_holds(tmp_path):
    torch.save({"epoch": 3, "best": 0.5}, tmp_path / "log.pt")
    with pytest.raises(CheckpointError, match=r"log\.pt.*no weights.*epoch, best"):
        read_state_dict(tmp_path / "log.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match=r"list\.pt.*found a list"):
        read_state_dict(tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match=r"no checkpoint file.*missing\.pt"):
        read_state_dict(tmp_path / "missing.pt")


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
