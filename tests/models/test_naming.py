"""Names that other writers give to the tensors of a CLIP."""

import copy
import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from small_models import TINY_CONFIG, build_timm
from torch import nn
from transformers import CLIPConfig, CLIPModel

from crosseyed.errors import CheckpointError
from crosseyed.models.checkpoints import load_weights
from crosseyed.models.naming import fitting_architectures, named_as_in

TINY_TRANSFORMERS = {
    "projection_dim": 32,
    "text_config": {
        "vocab_size": 49408,
        "hidden_size": 32,
        "intermediate_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
        "hidden_act": "gelu",
    },
    "vision_config": {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "hidden_act": "gelu",
    },
}


@pytest.fixture(scope="module")
def of_transformers():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)
        clip = CLIPModel(CLIPConfig(**copy.deepcopy(TINY_TRANSFORMERS))).eval()
        for parameter in clip.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return clip


@pytest.mark.parametrize("kind", [open_clip.CLIP, open_clip.CustomTextCLIP])
@pytest.mark.parametrize("prefix", ["", "model.", "module.clip."])
def test_a_clip_of_transformers_gives_the_same_embeddings(tmp_path, of_transformers, kind, prefix):
    state = {prefix + name: tensor for name, tensor in of_transformers.state_dict().items()}
    state[f"{prefix}text_model.embeddings.position_ids"] = torch.arange(16)[None]  # of older versions
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "model.safetensors")
    clip = kind(**TINY_CONFIG).eval()
    load_weights(clip, tmp_path / "model.safetensors", "tiny")
    images = torch.randn(2, 3, 32, 32)
    tokens = open_clip.tokenize(["a cat", "two dogs on a bench"], context_length=16)
    with torch.no_grad():
        theirs = of_transformers(input_ids=tokens, pixel_values=images)
        ours = [clip.encode_image(images, normalize=True), clip.encode_text(tokens, normalize=True)]
    for found, expected in zip(ours, (theirs.image_embeds, theirs.text_embeds), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert clip.logit_scale.item() == of_transformers.logit_scale.item()


def eva_names(clip):
    """Return the weights of a model with timm's EVA-02 as the code of its authors, and DeCLIP's, names them."""
    theirs = {
        "attn.q_proj.bias": "attn.q_bias",
        "attn.v_proj.bias": "attn.v_bias",
        "attn.norm": "attn.inner_attn_ln",
        "mlp.norm": "mlp.ffn_ln",
        "mlp.fc1_g": "mlp.w1",
        "mlp.fc1_x": "mlp.w2",
        "mlp.fc2": "mlp.w3",
        "visual.trunk.": "visual.",
    }
    state = {}
    for name, tensor in clip.state_dict().items():
        for ours, named in theirs.items():
            name = name.replace(ours, named) if name.startswith("visual.") else name
        state[name] = tensor
    tables = {"visual.rope", "visual.blocks.0.attn.rope", "visual.blocks.1.attn.rope"}
    return state | {
        f"{table}.freqs_{part}": torch.ones(16, 16) for table in tables for part in ("cos", "sin")
    }


@pytest.mark.parametrize("prefix", ["", "module.", "student."])
def test_the_names_of_evas_authors_are_those_of_declip(tmp_path, tiny_clip, recwarn, prefix):
    saved, loaded = (build_timm(tiny_clip, "EVA-02").clip for _ in range(2))
    state = eva_names(saved)
    for name in ("visual.cls_token", "visual.blocks.1.attn.v_bias", "visual.head.weight", "text_projection"):
        assert name in state
    # as DeCLIP's training writes it, with what comes last from its optimizer
    content = {
        "epoch": 6,
        "name": "declip",
        "state_dict": {prefix + name: each for name, each in state.items()},
    }
    torch.save(content | {"optimizer": {"state": {}, "param_groups": []}}, tmp_path / "epoch_6.pt")
    for parameter in loaded.parameters():
        parameter.data.zero_()
    load_weights(loaded, tmp_path / "epoch_6.pt", "tiny")
    assert not recwarn.list
    for name, tensor in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_the_gate_of_evas_feedforward_layer_stays_the_gate(tiny_clip):
    clip = build_timm(tiny_clip, "EVA-02").clip
    names = {name: each for name, each in eva_names(clip).items() if name.startswith("visual.blocks.0.mlp")}
    tokens = torch.randn(3, 48)

    def linear(name, values):
        part = f"visual.blocks.0.mlp.{name}"
        return nn.functional.linear(values, names[f"{part}.weight"], names[f"{part}.bias"])

    hidden = nn.functional.silu(linear("w1", tokens)) * linear("w2", tokens)  # as their code has it
    norm = [names[f"visual.blocks.0.mlp.ffn_ln.{part}"] for part in ("weight", "bias")]
    expected = linear("w3", nn.functional.layer_norm(hidden, hidden.shape[-1:], *norm, eps=1e-6))
    torch.testing.assert_close(clip.visual.trunk.blocks[0].mlp(tokens), expected)


def openai_state(quick_gelu):
    state = open_clip.CLIP(**TINY_CONFIG, quick_gelu=quick_gelu).half().state_dict()
    numbers = {"input_resolution": 32, "context_length": 16, "vocab_size": 49408}
    return state | {name: torch.tensor(number) for name, number in numbers.items()}


def test_openais_form_is_read_where_its_activation_function_is_that_of_the_model(tmp_path, recwarn):
    torch.save(openai_state(quick_gelu=True), tmp_path / "openai.pt")
    load_weights(open_clip.CLIP(**TINY_CONFIG, quick_gelu=True), tmp_path / "openai.pt", "tiny")
    assert not recwarn.list
    with pytest.raises(
        CheckpointError, match=r"openai\.pt.*needs .*QuickGELU and not GELU.*pretrained='openai'"
    ):
        load_weights(open_clip.CLIP(**TINY_CONFIG), tmp_path / "openai.pt", "tiny")


@pytest.mark.parametrize(("written", "quick"), [("quick_gelu", True), ("gelu", False), (None, True)])
def test_the_settings_of_transformers_say_which_activation_function_it_is(
    tmp_path, of_transformers, written, quick
):
    save_file(of_transformers.state_dict(), tmp_path / "model.safetensors")
    tower = {"hidden_act": written} if written else {}
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": tower, "text_config": tower}))
    assert load_weights(open_clip.CLIP(**TINY_CONFIG, quick_gelu=quick), tmp_path, "tiny")
    with pytest.raises(
        CheckpointError,
        match="needs the activation function .*" + ("ends with -quick" if quick else "leave out"),
    ):
        load_weights(open_clip.CLIP(**TINY_CONFIG, quick_gelu=not quick), tmp_path, "tiny")
    (tmp_path / "config.json").unlink()
    assert not load_weights(open_clip.CLIP(**TINY_CONFIG), tmp_path, "tiny")


@pytest.mark.parametrize(
    ("vision", "text", "words"),
    [
        ({"hidden_act": "relu"}, {"hidden_act": "relu"}, "hidden_act.*'relu' of the image tower"),
        ({"hidden_act": "gelu_new"}, {"hidden_act": "gelu_new"}, "expected 'gelu' or 'quick_gelu' of both"),
        (
            {"hidden_act": "gelu"},
            {"hidden_act": "quick_gelu"},
            "'gelu' of the image .* 'quick_gelu' of the text",
        ),
        ({"hidden_act": ["gelu"]}, {"hidden_act": "gelu"}, "hidden_act"),
        (
            {"hidden_act": "gelu", "num_attention_heads": 8},
            {"hidden_act": "gelu"},
            "8 attention heads .* has 2",
        ),
        ({"hidden_act": "gelu"}, {"hidden_act": "gelu", "num_attention_heads": 4}, "4 .*text tower.* has 2"),
    ],
)
def test_what_the_settings_of_transformers_ask_for_and_open_clip_lacks_is_refused(
    tmp_path, of_transformers, vision, text, words
):
    save_file(of_transformers.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": vision, "text_config": text}))
    for kind in (open_clip.CLIP, open_clip.CustomTextCLIP):
        with pytest.raises(CheckpointError, match=words):
            load_weights(kind(**TINY_CONFIG), tmp_path, "tiny")


@pytest.mark.parametrize(
    "settings", ["null", "[]", "{}", '{"model_type": "clip"}', '{"vision_config": null}']
)
def test_settings_that_say_nothing_of_the_towers_say_nothing(tmp_path, of_transformers, settings):
    save_file(of_transformers.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(settings)
    for quick in (False, True):
        assert not load_weights(open_clip.CLIP(**TINY_CONFIG, quick_gelu=quick), tmp_path, "tiny")


def test_of_a_clip_of_transformers_what_is_missing_is_named_and_nothing_else(tmp_path, of_transformers):
    state = of_transformers.state_dict()
    del state["text_model.encoder.layers.0.self_attn.k_proj.bias"]
    torch.save(state, tmp_path / "cut.pt")
    with pytest.raises(
        CheckpointError, match=r"1 of 50 expected tensors are missing: \S+\.attn\.in_proj_bias\."
    ):
        load_weights(open_clip.CLIP(**TINY_CONFIG), tmp_path / "cut.pt", "tiny")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["base.lora_A.weight", "base.lora_B.weight"], "a LoRA adapter; merge"),
        (["vision_model.head.probe", "vision_model.head.attention.in_proj_weight"], "SigLIP.*hf-hub:timm"),
        (["visual_encoder.cls_token", "text_encoder.cls.bias"], "BLIP"),
        (["patch_embed.proj.weight", "blocks.0.norm1.weight"], "timm without a text tower"),
        (["image_encoder.model.patch_emb.0.weight", "text_encoder.a", "logit_scale"], "MobileCLIP; name"),
        (["text_model.final_layer_norm.weight"], "one tower of transformers' CLIP"),
        (["text_model.embeddings.token_embedding.weight", "text_model.a"], "one tower of transformers' CLIP"),
        (["encoder.layers.0.self_attn.k_proj.weight"], "one tower of transformers' CLIP"),
        (["vision_model.head.probe", "text_model.a", "logit_scale", "logit_bias"], "SigLIP"),
        (["head.probe", "head.attention.in_proj_weight", "embeddings.a"], "SigLIP"),
        (["model.layers.0.mlp.weight"], "a language model"),
    ],
)
def test_names_of_other_models_are_called_by_name(tmp_path, names, words):
    torch.save({name: torch.ones(2) for name in names}, tmp_path / "other.pt")
    with pytest.raises(
        CheckpointError, match=rf"other\.pt.*does not fit 'tiny': its names are those of .*{words}"
    ):
        load_weights(open_clip.CLIP(**TINY_CONFIG), tmp_path / "other.pt", "tiny")


def test_where_a_whole_tower_is_missing_it_is_named(tmp_path, of_transformers):
    state = open_clip.CLIP(**TINY_CONFIG).state_dict()
    image = {name: tensor for name, tensor in state.items() if name.startswith("visual.")}
    theirs = of_transformers.state_dict()
    vision = {name: tensor for name, tensor in theirs.items() if name.startswith("vis")}
    timm = {f"visual.trunk.{name}": torch.ones(2) for name in ("pos_embed", "blocks.0.norm1.weight")}
    text = {name: tensor for name, tensor in state.items() if name not in image}
    for parts, tower in [(image, "text"), (vision, "text"), (text, "image"), (text | timm, "image")]:
        torch.save(parts, tmp_path / "part.pt")
        with pytest.raises(
            CheckpointError, match=rf"has nothing of the {tower} tower\. Give the whole model"
        ):
            load_weights(open_clip.CLIP(**TINY_CONFIG), tmp_path / "part.pt", "tiny")


@pytest.mark.parametrize(
    "name", ["visual.conv1.lora_A", "visual.proj.lora_B.default.weight", "a.lora_down.b"]
)
def test_an_adapter_beside_weights_that_fit_is_refused(tmp_path, name):
    torch.save(open_clip.CLIP(**TINY_CONFIG).state_dict() | {name: torch.ones(2)}, tmp_path / "tuned.pt")
    with pytest.raises(
        CheckpointError, match=rf"tuned\.pt' holds a LoRA adapter beside its weights, {name}: merge"
    ):
        load_weights(open_clip.CLIP(**TINY_CONFIG), tmp_path / "tuned.pt", "tiny")


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight


@pytest.mark.parametrize("kept", ["first.weight", "second.weight"])
def test_of_tied_weights_one_is_enough(kept):
    named = named_as_in(Tied(), {kept: torch.eye(2)})
    assert {name: tensor.tolist() for name, tensor in named.items()} == dict.fromkeys(
        ["first.weight", "second.weight"], np.eye(2).tolist()
    )


def test_the_architecture_that_fits_is_named(tmp_path):
    with torch.device("meta"):
        state = open_clip.create_model("ViT-B-16", load_weights=False, device="meta").state_dict()
    assert fitting_architectures(state) == ["ViT-B-16", "ViT-B-16-quickgelu"]
    assert fitting_architectures({"visual.conv1.weight": torch.zeros(3)}) == []
    small = {name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in state.items()}
    clip = open_clip.CLIP(**TINY_CONFIG)
    torch.save(small, tmp_path / "b16.pt")
    with pytest.raises(
        CheckpointError, match=r"Its sizes are those of ViT-B-16, ViT-B-16-quickgelu\. Name the"
    ):
        load_weights(clip, tmp_path / "b16.pt", "tiny")
