"""Whatever a notebook is given is checked when its chapter begins, before a model is loaded."""

import json

import pytest
from small_notebooks import NOTEBOOKS, defaults

from crosseyed.errors import InputError
from crosseyed.internals.layer_reading import SOURCES
from crosseyed.models import loading
from crosseyed.report.chapter import Chapter, begin
from crosseyed.report.parameters import CHAPTERS, check


@pytest.fixture(autouse=True)
def no_model(monkeypatch):
    """Fail if a model is loaded before the parameters are checked."""

    def load(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(loading, "load", load)


def test_every_notebook_has_parameters_that_are_checked():
    assert sorted(CHAPTERS) == sorted(path.stem for path in NOTEBOOKS.glob("[!.]*.ipynb"))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_defaults_of_a_notebook_are_what_its_parameters_may_be(chapter):
    given = defaults(chapter)
    assert check(chapter, given).model_dump() == given
    assert given.keys() == CHAPTERS[chapter].model_fields.keys()


@pytest.mark.parametrize(
    ("chapter", "given", "words"),
    [
        ("01_center_bias", {"modle": "x"}, ["no 'modle'", "did you mean 'model'"]),
        ("01_center_bias", {"n_object": 3}, ["no 'n_object'", "did you mean 'n_objects'"]),
        ("01_center_bias", {"N_OBJECTS": 3}, ["no 'N_OBJECTS'", "did you mean 'n_objects'"]),
        ("05_mitigations", {"n_objects": 3}, ["no 'n_objects'"]),
        ("06_model_family", {"device": "cpu"}, ["no 'device'"]),
        ("01_center_bias", {"chapter": "x"}, ["no 'chapter'"]),
        ("01_center_bias", {"n_objects": "twelve"}, ["n_objects", "'twelve'", "valid integer"]),
        ("01_center_bias", {"n_objects": 12.5}, ["n_objects", "12.5"]),
        ("01_center_bias", {"n_objects": 12.0}, ["n_objects", "12.0"]),
        ("01_center_bias", {"n_objects": True}, ["n_objects", "True"]),
        ("01_center_bias", {"n_objects": -1}, ["n_objects", "-1", "greater"]),
        ("02_embedding_decomposition", {"top": 0}, ["top", "0", "greater"]),
        ("04_pooling_ablation", {"n_maps": 10**9}, ["n_maps", "less"]),
        ("07_origins", {"n_images": None}, ["n_images", "None"]),
        ("07_origins", {"seed": 2**32}, ["seed", str(2**32)]),
        ("03_attention_maps", {"seed": -1}, ["seed", "-1"]),
        ("03_attention_maps", {"seed": 1.5}, ["seed", "1.5"]),
        ("01_center_bias", {"styles": "fluent"}, ["styles", "'fluent'", "list"]),
        ("01_center_bias", {"styles": []}, ["styles", "at least 1"]),
        ("01_center_bias", {"styles": ["fluint"]}, ["styles", "did you mean 'fluent'"]),
        ("05_mitigations", {"styles": ["fluent"] * 2}, ["styles", "'fluent' comes more than once"]),
        ("04_pooling_ablation", {"test_style": "emoji"}, ["test_style", "Unknown style 'emoji'"]),
        ("04_pooling_ablation", {"training_style": "twemoji"}, ["training_style", "style of the test"]),
        ("02_embedding_decomposition", {"references": "pocketclip-uniform"}, ["references", "list"]),
        ("02_embedding_decomposition", {"references": [""]}, ["references", "at least 1"]),
        ("02_embedding_decomposition", {"references": [7]}, ["references", "7"]),
        ("02_embedding_decomposition", {"references": ["a", "a"]}, ["references", "'a'", "more than once"]),
        ("01_center_bias", {"object_size": 0}, ["object_size", "greater than 0"]),
        ("01_center_bias", {"object_size": 30}, ["object_size", "30"]),
        ("01_center_bias", {"object_size": float("nan")}, ["object_size", "nan"]),
        ("05_mitigations", {"most_loss": -2}, ["most_loss", "-2"]),
        ("01_center_bias", {"device": "gpu"}, ["device", "'gpu' is not available", "auto"]),
        ("01_center_bias", {"device": 0}, ["device", "0"]),
        ("01_center_bias", {"model": ""}, ["model", "at least 1"]),
        ("01_center_bias", {"model": 7}, ["model", "7"]),
        ("01_center_bias", {"checkpoint": 7}, ["checkpoint", "7"]),
        ("01_center_bias", {"output": ""}, ["output", "at least 1"]),
        ("01_center_bias", {"output": None}, ["output", "None"]),
        ("01_center_bias", {"settings": "{confidence: 0.9}"}, ["settings", "dictionary"]),
        ("01_center_bias", {"settings": {"confidense": 0.9}}, ["no 'confidense'", "did you mean"]),
        ("01_center_bias", {"cutout_folder": "nowhere"}, ["cutout_folder", "There is no 'nowhere'"]),
        ("05_mitigations", {"whatsup_folder": __file__}, ["whatsup_folder", "is a file"]),
        ("06_model_family", {"results_folder": "nowhere"}, ["results_folder", "There is no"]),
        ("06_model_family", {"models_file": "."}, ["models_file", "is a folder"]),
        ("04_pooling_ablation", {"pretraining_table": "no.csv"}, ["pretraining_table", "There is no"]),
        ("07_origins", {"origins_table": 7}, ["origins_table", "7"]),
        ("09_move_it_yourself", {"n_places": 9}, ["n_places", "9", "list"]),
        ("09_move_it_yourself", {"n_places": [9, 4]}, ["n_places", "4", "odd"]),
        ("09_move_it_yourself", {"n_places": [9]}, ["n_places", "as many", "backgrounds, 2"]),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(chapter, given, words, tmp_path):
    kept = tmp_path / "kept.csv"
    kept.touch()
    with pytest.raises(InputError) as caught:
        begin(chapter, defaults(chapter) | {"output": str(tmp_path)} | given)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message and len(message) < 500
    assert [path.name for path in tmp_path.iterdir()] == ["kept.csv"]


def test_a_parameter_that_is_missing_is_named():
    given = defaults("01_center_bias")
    del given["seed"]
    with pytest.raises(InputError, match="notebook 01_center_bias lacks 'seed'"):
        check("01_center_bias", given)


def test_what_python_and_imports_define_is_no_parameter():
    names = {"__name__": "__main__", "_": 3, "_i1": "code", "In": [""], "Out": {}, "exit": exit, "json": json}
    check("02_embedding_decomposition", defaults("02_embedding_decomposition") | names | {"SOURCES": SOURCES})


def test_a_chapter_that_begins_again_may_have_variables_of_its_own(tmp_path):
    given = defaults("07_origins") | {"output": str(tmp_path)}
    names = given | {"chapter": begin("07_origins", given), "labels": ["a"]}
    assert isinstance(begin("07_origins", names), Chapter)


@pytest.mark.parametrize("output", ["file/results", "/dev/null/results", "a\0b", 300 * "x"])
def test_an_output_that_cannot_be_written_to_is_refused_before_a_model_is_loaded(output, tmp_path):
    (tmp_path / "file").touch()
    given = defaults("01_center_bias") | {"output": str(tmp_path / output)}
    with pytest.raises(InputError, match="Cannot write"):
        begin("01_center_bias", given)
