import open_clip
import pytest

from crosseyed.errors import InputError
from crosseyed.files import DATA
from crosseyed.report.model_list import read_models


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [{model: a, pretraind: b}]", "unknown key 'pretraind'; did you mean 'pretrained'"),
        ("models: [{model: a}]\nnotebook: [x]", "unknown key 'notebook'; did you mean 'notebooks'"),
        ("models: []", "names no models"),
        ("seeds: [1]", "names no models"),
        ("just a text", "names no models"),
        ("models: [a]", "entry 'a'"),
        ("models: [{pretrained: openai}]", "entry .*each is a mapping with `model`"),
        ("models: [{model: a}]\nseeds: [one]", "seed 'one'"),
        ("models: [{model: a}]\nseeds: [-1]", "seed -1"),
        ("models: [{model: a", "is not YAML"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, text, message):
    path = tmp_path / "models.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_models(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.yml cannot be read"):
        read_models(tmp_path / "nothing.yml")


def test_every_published_model_of_the_list_is_known_to_open_clip():
    entries = read_models(DATA.parent / "models.yml")
    known = set(open_clip.list_pretrained())
    published = [entry for entry in entries if "pretrained" in entry and "checkpoint" not in entry]
    assert len(published) >= 30
    assert [entry for entry in published if (entry["model"], entry["pretrained"]) not in known] == []
    assert all(entry["download"].endswith(" GB") and entry["data"] for entry in published)
