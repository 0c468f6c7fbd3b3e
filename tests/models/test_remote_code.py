"""A folder that would run its own code when it is loaded, by each route that leads to code."""

import json
import shutil

import pytest

from crosseyed.errors import InputError
from crosseyed.files import DATA
from crosseyed.models.loading import load
from crosseyed.models.remote_code import refuse_remote_code

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
