import dataclasses
import json
import os
from pathlib import Path

import pytest

from crosseyed.editions import Description, Edition, edition_name, folder_digest
from crosseyed.errors import InputError
from crosseyed.files import DATA


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("pocketclip-centered",), "pocketclip-centered"),
        (("ViT-B-32", "openai"), "ViT-B-32--openai"),
        (("ViT-B-32", None, "weights/negclip.pth", 0, "1a2b3c4d"), "ViT-B-32--negclip-1a2b3c4d"),
        (("ViT-B-32", "openai", "negclip.pth", 2, "1a2b3c4d"), "ViT-B-32--openai--negclip-1a2b3c4d--seed2"),
        (("ViT-B-32", None, "...", 0, "1a2b3c4d"), "ViT-B-32--1a2b3c4d"),
        (("hf-hub:timm/ViT-B-16-SigLIP",), "hf-hub--timm--ViT-B-16-SigLIP"),
        (("local-dir:some/where/my model/", None, None, 0, "1a2b3c4d"), "my-model-1a2b3c4d"),
        (("local-dir:some/where/m", None, "w.pt", 0, "1a2b3c4d"), "m--w-1a2b3c4d"),
        (("local-dir:some/where/猫", None, None, 1, "1a2b3c4d"), "猫-1a2b3c4d--seed1"),
        (("../../etc", "a/b"), "etc--a-b"),
        (("ViT-B-32", "openai", None, 1, None, "quick"), "ViT-B-32--openai--seed1--quick"),
        (("ViT-B-32", "openai", None, 0, None, "standard"), "ViT-B-32--openai"),
        (("ViT-B-32", "openai", None, 0, None, "full"), "ViT-B-32--openai--full"),
        (("pocketclip-uniform", None, None, 0, None, "full"), "pocketclip-uniform"),
        (("pocketclip-uniform", None, None, 0, None, "standard"), "pocketclip-uniform--standard"),
        (
            ("ViT-B-32", "openai", "w.pt", 2, "1a2b3c4d", "quick", "bf16"),
            "ViT-B-32--openai--w-1a2b3c4d--bf16--seed2--quick",
        ),
        (("hf-hub:me/pocketclip-a", None, None, 0, None, "full"), "hf-hub--me--pocketclip-a--full"),
    ],
)
def test_names_editions(arguments, name):
    assert edition_name(*arguments) == name


@pytest.mark.parametrize("letter", ["a", "猫", "\N{CAT FACE}"])
def test_a_name_fits_a_folder_however_long_its_parts(letter, tmp_path):
    name = edition_name(f"a{300 * letter}", f"b{300 * letter}", f"c{300 * letter}.pt", 7, "1a2b3c4d")
    (tmp_path / name).mkdir()
    assert name.endswith("-1a2b3c4d--seed7")


@pytest.mark.parametrize("model", ["", "..", "hf-hub:", "/"])
def test_refuses_a_model_without_a_name(model):
    with pytest.raises(InputError, match="names no model"):
        edition_name(model)


def test_checkpoints_of_one_file_name_are_different_editions_and_equal_ones_the_same(tmp_path):
    editions = []
    for run, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        file = tmp_path / run / "epoch_10.pt"
        file.parent.mkdir()
        file.write_bytes(content)
        editions.append(Edition.from_mapping({"model": "ViT-B-32", "checkpoint": str(file)}))
    first, second, third = (edition.name for edition in editions)
    assert first != second and first == third
    file.write_bytes(b"2")
    assert Edition.from_mapping({"model": "ViT-B-32", "checkpoint": str(file)}).name == second


@pytest.mark.parametrize("name", ["null", "random", "007", "True", "1e5"])
def test_a_checkpoint_of_any_name_is_no_other_edition(tmp_path, name):
    (tmp_path / f"{name}.safetensors").write_bytes(b"1")
    edition = Edition.from_mapping({"model": "ViT-B-32", "checkpoint": str(tmp_path / f"{name}.safetensors")})
    assert edition.name not in (f"ViT-B-32--{name}", "ViT-B-32")
    assert edition.name.startswith(f"ViT-B-32--{name}-")


def test_a_folder_that_is_called_like_a_shipped_model_is_another_edition(tmp_path):
    folder = tmp_path / "pocketclip-centered"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text("{}")
    edition = Edition.from_mapping({"model": f"local-dir:{folder}"})
    assert edition.name.startswith("pocketclip-centered-") and edition.digest == folder_digest(folder)
    shipped = Edition.from_mapping({"model": f"local-dir:{DATA / 'models' / 'pocketclip-centered'}"})
    assert (shipped.name, shipped.size, edition.size) == ("pocketclip-centered", "full", "standard")


@pytest.mark.parametrize("size", [None, "quick", "standard", "full"])
@pytest.mark.parametrize("model", ["pocketclip-centered", "ViT-B-32"])
def test_a_configuration_makes_the_same_edition_again(model, size):
    edition = Edition.from_mapping({"model": model, "seed": 3, "size": size})
    assert Edition.from_mapping(edition.configuration) == edition


def test_reads_an_edition_from_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").touch()
    (tmp_path / "m").mkdir()
    edition = Edition.from_mapping({"model": " ViT-B-32", "pretrained": "", "checkpoint": "w.pt"})
    assert (edition.model, edition.pretrained) == ("ViT-B-32", None)
    assert edition.checkpoint == str(tmp_path / "w.pt")
    assert edition.parameters == {
        "model": "ViT-B-32",
        "pretrained": None,
        "checkpoint": str(tmp_path / "w.pt"),
        "seed": 0,
        "precision": "fp32",
    }
    assert edition.size == "standard" and Edition.from_mapping({}).size == "full"
    assert Edition.from_mapping({"model": "ViT-B-32", "size": ""}) == Edition("ViT-B-32", size="standard")
    assert Edition.from_mapping({}).name == "pocketclip-centered"
    assert Edition.from_mapping({"model": "local-dir:m"}).model == f"local-dir:{tmp_path / 'm'}"


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"checkpoint": "v.pt"}, r"There is no 'v\.pt'"),
        ({"checkpoint": "."}, "no weights in"),
        ({"weights": "v.pt"}, "no 'weights'.*It has model, pretrained, checkpoint, seed, size"),
        ({"modell": "a"}, "did you mean 'model'"),
        ({"model": "local-dir:nowhere"}, "There is no 'nowhere'"),
        ({"pretrained": 7}, "pretrained of an edition is 7; it should be a valid string"),
        ({"pretrained": True}, "pretrained"),
        ({"seed": "one"}, "seed of an edition is 'one'"),
        ({"seed": 1.5}, "seed"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": True}, "seed"),
        ({"checkpoint": "a\0b"}, "null"),
        ({"checkpoint": "x" * 300}, "File name too long"),
        ({"model": "local-dir:"}, "'local-dir:' names no model"),
        ({"model": "hf-hub:"}, "'hf-hub:' names no model"),
        ({"model": ""}, "'' names no model; give one, for example MODEL=pocketclip-centered"),
        ({"model": "  "}, "'  ' names no model"),
        ({"model": None}, "None names no model"),
        ({"model": 7}, "model of an edition is 7"),
        ({"seed": "1"}, "seed of an edition is '1'"),
        ({"size": "qick"}, "size of an edition: Unknown size 'qick'; did you mean 'quick'"),
        ({"size": "Full"}, "did you mean 'full'"),
        ({"precision": "bf61"}, "precision of an edition: Unknown precision 'bf61'; did you mean 'bf16'"),
        ({"size": 3}, "size of an edition is 3"),
    ],
)
def test_refuses_what_cannot_be_meant(mapping, words):
    with pytest.raises(InputError, match=words):
        Edition.from_mapping({"model": "ViT-B-32", **mapping})


@pytest.mark.parametrize("given", ["ViT-B-32", ["ViT-B-32"], None, 7])
def test_refuses_what_is_no_mapping(given):
    with pytest.raises(InputError, match="is not an edition; give a mapping such as"):
        Edition.from_mapping(given)


def test_long_names_that_begin_alike_are_different_editions():
    names = {edition_name(f"hf-hub:organization/{'a' * 80}{end}") for end in ("", "1", "2")}
    assert len(names) == 3 and max(map(len, names)) <= 70


DESCRIBED = Description(Edition("ViT-B-32", "openai"), "ViT-B-32", "openai", 151, {}, "cpu", "1a2b3c4d")


def test_a_description_reads_back_the_same(tmp_path):
    DESCRIBED.write(tmp_path / "model.json")
    assert Description.read(tmp_path / "model.json") == DESCRIBED


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"edition": 7}', "7"])
def test_a_description_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(InputError, match="description of an edition"):
        Description.read(tmp_path / "model.json")


@pytest.mark.parametrize(
    "change", [{"weights": None}, {"parameters": "many"}, {"tower": [1]}, {"edition": {"model": 7}}]
)
def test_a_description_with_a_value_of_another_kind_is_refused(tmp_path, change):
    (tmp_path / "model.json").write_text(json.dumps(dataclasses.asdict(DESCRIBED) | change))
    with pytest.raises(InputError, match="description of an edition"):
        Description.read(tmp_path / "model.json")


def test_a_path_that_no_notebook_can_hold_is_refused(tmp_path):
    file = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.pt")
    Path(file).write_bytes(b"1")
    with pytest.raises(InputError, match=r"caf.*not text in UTF-8.*rename it"):
        Edition.from_mapping({"model": "ViT-B-32", "checkpoint": file})
