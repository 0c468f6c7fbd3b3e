import open_clip
import pytest

from crosseyed.errors import InputError
from crosseyed.files import DATA
from crosseyed.report.model_list import ModelList, read_list


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [{model: a, pretraind: b}]", "no 'pretraind'; did you mean 'pretrained'"),
        ("models: [{model: a}]\nnotebook: [x]", "no 'notebook'; did you mean 'notebooks'"),
        ("models: []", "names no models"),
        ("seeds: [1]", "names no models"),
        ("just a text", "names no models"),
        ("", "names no models"),
        ("- {model: a}", "names no models"),
        ("models: [a]", "entry 'a'"),
        ("models: [{model: '--'}]", "'--' names no model"),
        ("models: [{model: 'local-dir:/'}]", "names no model"),
        ("models: [{model: }]", "model of the entry .* is None"),
        ("models: [{model: ''}]", "model of the entry .* is ''; .* at least 1 character"),
        ("models: [{model: a}]\nseeds: [1_0]", "seeds.0 .* is '1_0'"),
        ("models: [{model: a}]\nseeds: [²]", "seeds.0 .* is '²'"),
        ("models: [{model: a}]\nnotebooks: ['']", "notebooks.0 .* is ''"),
        ("models: [{pretrained: openai}]", "entry .* lacks 'model'"),
        ("models: [{model: a}]\nseeds: [one]", "seeds.0 .* is 'one'; it should be a valid integer"),
        ("models: [{model: a}]\nseeds: [-1]", "seeds.0 .* is -1; it should be greater"),
        ("models: [{model: a}]\nseeds: 4294967296", "seeds.0 .* is 4294967296; it should be less"),
        ("models: [{model: a}]\nseeds: [0.5]", "seeds.0 .* is '0.5'"),
        ("models: [{model: a}]\nseeds: {a: b}", "seeds.0 .* is {'a': 'b'}"),
        ("models: [{model: a}]\nnotebooks: [[a]]", r"notebooks.0 .* is \['a'\]; it should be a valid string"),
        ("models: [{model: a}]\n[x]: y", "models.yml"),
        (
            "models: [{model: a, pretrained: [b, c]}]",
            r"pretrained of the entry .* is \['b', 'c'\]; it should be a valid string",
        ),
        ("models: [{model: a}]\nmodels: [{model: b}]", "'models' comes twice"),
        ("models: [{model: a", "is not YAML"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, text, message):
    path = tmp_path / "models.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_list(path)
    assert "models.yml" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_one_entry_may_stand_alone_in_any_encoding(tmp_path, encoding):
    path = tmp_path / "models.yml"
    path.write_text("models: {model: ViT-B-32}\nseeds: 3\nnotebooks: 01_center_bias\n", encoding=encoding)
    assert read_list(path) == ModelList(({"model": "ViT-B-32"},), (3,), ("01_center_bias",))


@pytest.mark.parametrize("name", ["400m_e31", "1e5", "007", "null", "yes", "True", "1_000", "2024-01-01"])
def test_names_are_the_text_that_is_written(tmp_path, name):
    path = tmp_path / "models.yml"
    path.write_text(f"models:\n- model: {name}\n  pretrained: {name}\n  checkpoint:\nseeds:\n")
    assert read_list(path) == ModelList(({"model": name, "pretrained": name},))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*nothing\.yml"):
        read_list(tmp_path / "nothing.yml")


def test_every_published_model_of_the_list_is_known_to_open_clip():
    entries = read_list(DATA.parent / "models.yml").models
    known = set(open_clip.list_pretrained())
    published = [entry for entry in entries if "pretrained" in entry and "checkpoint" not in entry]
    assert len(published) >= 30
    assert [entry for entry in published if (entry["model"], entry["pretrained"]) not in known] == []
    assert all(entry["download"].endswith(" GB") and entry["data"] and entry["year"] for entry in published)
