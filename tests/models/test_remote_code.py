"""A folder that would run its own code when it is loaded, by each route that leads to code."""

import json
import os
import shutil

import pytest
import torch
from huggingface_hub import constants as hub_constants
from transformers.integrations import hub_kernels

from crosseyed import hub
from crosseyed.errors import CheckpointError, InputError
from crosseyed.files import DATA
from crosseyed.models.loading import load
from crosseyed.models.remote_code import refuse_remote_code, without_remote_code
from crosseyed.models.scorer import RANDOM

CODE = """
import pathlib
from transformers import PreTrainedTokenizerFast
pathlib.Path({marker!r}).touch()
class Own(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def folder(tmp_path):
    """A PocketCLIP whose tokenizer comes with a class of its own, in a file that leaves a mark when it runs."""
    folder = tmp_path / "model"
    shutil.copytree(DATA / "models" / "pocketclip-centered", folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings |= {"auto_map": {"AutoTokenizer": [None, "own.Own"]}, "tokenizer_class": "Own"}
    path.write_text(json.dumps(settings))
    (folder / "own.py").write_text(CODE.format(marker=str(tmp_path / "it ran")))
    return folder


def change(folder, **text):
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["text_cfg"] |= text
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("by_checkpoint", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        {"tokenizer_kwargs": {"trust_remote_code": True}},
        {"tokenizer_kwargs": {"trust_remote_code": "yes"}},
        {"trust_remote_code": True},
        {},
    ],
)
def test_a_folder_with_code_is_refused_and_its_code_does_not_run(folder, text, by_checkpoint, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a prompt appeared"))
    change(folder, **text)
    given = {"checkpoint": folder / "open_clip_model.safetensors"} if by_checkpoint else {}
    with pytest.raises(InputError, match=r"asks to run program code .*trust_remote_code"):
        load(f"local-dir:{folder}", **given)
    assert not (folder.parent / "it ran").exists()


def test_the_code_would_have_run(folder):
    """The folder is what it claims to be: transformers, told to trust it, does run its code."""
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert (folder.parent / "it ran").exists()


def test_a_key_that_turns_nothing_on_is_no_reason_to_refuse():
    refuse_remote_code(
        {"text_cfg": {"tokenizer_kwargs": {"trust_remote_code": False, "clean": ["lower"]}}}, "it"
    )
    with pytest.raises(InputError, match="it asks"):
        refuse_remote_code({"vision_cfg": [{"timm_kwargs": {"trust_remote_code": 1}}]}, "it")


def in_cache(monkeypatch, tmp_path, repository, files):
    """Lay files where huggingface_hub keeps what it has downloaded, without a network."""
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "_network_problem", lambda url: "there is no network here")
    home = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / ("0" * 40)
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("0" * 40)
    snapshot.mkdir(parents=True)
    for name, content in files.items():
        (snapshot / name).write_text(content)


@pytest.mark.parametrize("pretrained", [RANDOM, None])
def test_a_repository_with_code_is_refused_before_its_weights_are_asked_for(
    folder, tmp_path, monkeypatch, pretrained
):
    change(folder, hf_tokenizer_name="somebody/evil")
    files = {path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".json", ".py")}
    in_cache(monkeypatch, tmp_path, "somebody/evil", files | {"config.json": "{}"})
    with pytest.raises(InputError, match=r"asks to run program code .*trust_remote_code"):
        load("hf-hub:somebody/evil", pretrained)
    assert not (tmp_path / "it ran").exists()


def test_a_configuration_is_checked_before_the_weights_are_asked_for(tmp_path, monkeypatch):
    in_cache(monkeypatch, tmp_path, "somebody/wrong", {"open_clip_config.json": '{"model_cfg": 3}'})
    with pytest.raises(InputError, match="model_cfg of the configuration of open_clip"):
        load("hf-hub:somebody/wrong")


TEXT_TOWER = {
    "model_type": "own",
    "auto_map": {
        "AutoConfig": "own.OwnConfig",
        "AutoModel": "own.OwnModel",
        "AutoTokenizer": [None, "own.Own"],
    },
}
ROBERTA = {"model_type": "roberta", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.parametrize("config", [TEXT_TOWER, ROBERTA | {"attn_implementation": "somebody/kernel"}])
def test_a_text_tower_with_code_is_refused_and_its_code_does_not_run(folder, tmp_path, monkeypatch, config):
    ran = tmp_path / "it ran"
    monkeypatch.setattr(hub_kernels, "is_kernels_available", lambda: True)
    monkeypatch.setattr(hub_kernels, "get_kernel", lambda *_, **__: ran.touch())
    code = CODE.format(marker=str(ran))
    in_cache(monkeypatch, tmp_path, "somebody/tower", {"config.json": json.dumps(config), "own.py": code})
    (folder / "tokenizer_config.json").write_text("{}")
    change(folder, hf_model_name="somebody/tower")
    with pytest.raises(InputError, match=r"asks to run program code"):
        load(f"local-dir:{folder}", RANDOM)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("null", "NoneType"),
        ("{", "not a valid JSON"),
        (json.dumps({"model_type": "gpt2"}), "text tower 'somebody/tower' makes no model"),
        (json.dumps(ROBERTA | {"num_attention_heads": 5}), "multiple of the number of attention"),
        (json.dumps(ROBERTA | {"attn_implementation": "somebody/kernel"}), "makes no model that open_clip"),
        (json.dumps(ROBERTA | {"hidden_act": "os.system"}), "makes no model that open_clip can build"),
    ],
)
def test_a_text_tower_that_cannot_be_built_is_no_failed_download(
    folder, tmp_path, monkeypatch, config, words
):
    in_cache(monkeypatch, tmp_path, "somebody/tower", {"config.json": config})
    (folder / "tokenizer_config.json").write_text("{}")
    change(folder, hf_model_name="somebody/tower")
    with pytest.raises(InputError, match=words):
        load(f"local-dir:{folder}", RANDOM)


class Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pth", "pytorch_model.bin", "any.pt"])
def test_a_pickle_as_the_weights_of_a_folder_does_not_run(folder, tmp_path, name):
    (folder / "open_clip_model.safetensors").unlink()
    (folder / "tokenizer_config.json").write_text("{}")
    torch.save({"state_dict": Code(tmp_path / "it ran")}, folder / name)
    for given in ({}, {"checkpoint": folder / name}):
        with pytest.raises(CheckpointError, match=rf"{name}.*mkdir.*never run"):
            load(f"local-dir:{folder}", **given)
    assert not (tmp_path / "it ran").exists()


def test_files_beside_a_model_are_not_looked_at(folder, tmp_path):
    """Templates, requirements and modules in a folder have no say."""
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "auto_map": {"AutoTokenizer": [None, "own.Own"]},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "chat_template.jinja").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")
    (folder / "conftest.py").write_text(CODE.format(marker=str(tmp_path / "it ran")))
    try:
        load(f"local-dir:{folder}")
    except InputError as error:
        assert "asks to run program code" in str(error)
    assert not (tmp_path / "it ran").exists()


def test_whatever_transformers_decides_the_functions_that_run_code_refuse():
    from transformers import dynamic_module_utils

    before = dynamic_module_utils.get_class_in_module
    with pytest.raises(InputError, match="it asks to run"), without_remote_code("it"):
        dynamic_module_utils.get_class_from_dynamic_module("own.Own", "/nowhere")
    assert dynamic_module_utils.get_class_in_module is before
