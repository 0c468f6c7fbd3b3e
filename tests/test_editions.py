import pytest

from crosseyed.editions import Edition, edition_name
from crosseyed.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("pocketclip-centered",), "pocketclip-centered"),
        (("ViT-B-32", "openai"), "ViT-B-32--openai"),
        (("ViT-B-32", "openai", "weights/negclip.pth"), "ViT-B-32--negclip"),
        (("hf-hub:timm/ViT-B-16-SigLIP",), "timm--ViT-B-16-SigLIP"),
        (("local-dir:some/where/my model/",), "my-model"),
        (("../../etc", "a/b"), "etc--a-b"),
    ],
)
def test_names_editions(arguments, name):
    assert edition_name(*arguments) == name


@pytest.mark.parametrize("model", ["", "..", "hf-hub:"])
def test_refuses_a_model_without_a_name(model):
    with pytest.raises(InputError, match="names no model"):
        edition_name(model)


def test_reads_an_edition_from_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").touch()
    assert Edition.from_mapping({"model": "ViT-B-32", "pretrained": "", "checkpoint": "w.pt"}) == Edition(
        "ViT-B-32", None, str(tmp_path / "w.pt")
    )
    assert Edition.from_mapping({}).name == "pocketclip-centered"
    assert Edition.from_mapping({"model": "local-dir:m"}).model == f"local-dir:{tmp_path / 'm'}"
    with pytest.raises(InputError, match=r"v\.pt does not exist"):
        Edition.from_mapping({"model": "ViT-B-32", "checkpoint": "v.pt"})
    with pytest.raises(InputError, match="no 'weights'"):
        Edition.from_mapping({"model": "ViT-B-32", "weights": "v.pt"})
