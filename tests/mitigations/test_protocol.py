import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_notebooks import defaults

from crosseyed.data.cutouts import objects_of, read_catalogue, reordered
from crosseyed.errors import InputError
from crosseyed.mitigations import tasks
from crosseyed.mitigations.protocol import FILE, deal, read_protocol
from crosseyed.settings import SIGNIFICANCE, settings

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_mitigations.ipynb"


@pytest.fixture(scope="module")
def registered():
    return read_protocol()


def written(folder, change):
    """Write the protocol with a change of its content, made by a function."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    change(content)
    path = folder / "protocol.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_the_protocol_agrees_with_the_settings_of_the_study(registered):
    assert registered.settings == settings.model_dump()
    assert registered.statistics.significance == SIGNIFICANCE


def test_the_chapter_states_that_it_reads_the_protocol():
    stated = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["metadata"]["crosseyed"]["reads"]
    assert [str(Path(path).relative_to("data")) for path in stated] == ["protocols/mitigations.yml"]
    assert FILE.parts[-2:] == ("protocols", "mitigations.yml")


def test_the_defaults_of_the_chapter_are_those_of_the_protocol(registered):
    given = defaults("05_mitigations")
    names = ("seed", "styles", "n_validation", "n_test", "object_size", "most_loss")
    assert registered.differences(registered.altered(**{name: given[name] for name in names})) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 3),
        ("seed", 1),
        ("n_validation", 8),
        ("styles", ["noto"]),
        ("test", ["grid"]),
        ("image_size", 64),
        ("most_loss", 1.5),
        ("most_passes", 3),
        ("confidence", 0.9),
    ],
)
def test_every_change_changes_the_digest_and_is_told(registered, name, value):
    other = registered.altered(**{name: value})
    assert other.digest != registered.digest
    (told,) = registered.differences(other)
    assert told.startswith(f"{name} {other._values()[name]} (not ")
    assert other.altered(**{name: registered._values()[name]}) == registered


def test_nothing_is_changed_by_what_says_the_same(registered, tmp_path):
    same = registered.altered(styles=["fluent", "twemoji"], **settings.model_dump())
    assert same.digest == registered.digest and registered.differences(same) == []
    assert read_protocol(written(tmp_path, lambda content: None)).digest == registered.digest


def test_a_rule_with_other_words_or_limits_is_another_protocol(registered, tmp_path):
    def harder(content):
        content["rule"][3]["when"] = ["off_center_change_low > 1"]

    other = read_protocol(written(tmp_path, harder))
    assert other.digest != registered.digest and len(registered.differences(other)) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("budget"), ["lacks the part 'budget'"]),
        (lambda content: content.pop("rule"), ["lacks the rule"]),
        (lambda content: content.pop("seed"), ["lacks 'seed'"]),
        (lambda content: content["splits"].pop("n_test"), ["part splits", "lacks 'n_test'"]),
        (lambda content: content["splits"].update(n_tset=3), ["no 'n_tset'", "did you mean 'n_test'"]),
        (lambda content: content.update(sede=3), ["no 'sede'", "did you mean 'seed'"]),
        (lambda content: content["splits"].update(n_test="many"), ["n_test", "'many'", "integer"]),
        (lambda content: content["splits"].update(styles=["fluint"]), ["did you mean 'fluent'"]),
        (lambda content: content["tasks"].update(test=["pair"]), ["does not begin with grid"]),
        (lambda content: content["tasks"].update(grid_size=4), ["4 is even"]),
        (lambda content: content["budget"].update(most_passes=0), ["most_passes", "greater"]),
        (lambda content: content["statistics"].update(correction="none"), ["correction", "'holm'"]),
        (lambda content: content["rule"].pop(), ["end with one without conditions"]),
        (lambda content: content["rule"].pop(0), ["begin with one for 'passes > most_passes'"]),
        (lambda content: content["rule"][1].update(when=["act = 0"]), ["'act'", "not measured", "'acts'"]),
        (lambda content: content["rule"][1].update(when=["acts = few"]), ["limit 'few'", "most_loss"]),
        (lambda content: content["rule"][1].update(when=["acts is 0"]), ["'acts is 0'", "with >, < or ="]),
        (lambda content: content["rule"][1].update(wen=[]), ["no 'wen'"]),
    ],
)
def test_a_protocol_that_says_nothing_certain_is_refused(change, words, tmp_path):
    with pytest.raises(InputError) as caught:
        read_protocol(written(tmp_path, change))
    assert not [word for word in [*words, "protocol.yml"] if word not in str(caught.value)]


def test_an_unknown_name_cannot_be_altered(registered):
    with pytest.raises(InputError, match="no 'n_objects'; it has version"):
        registered.altered(n_objects=3)


def test_objects_are_dealt_as_the_protocol_says(registered):
    small = {"n_validation": 4, "n_test": 4, "image_size": 32, "grid_size": 3, "seed": 5}
    agreed = registered.altered(**small)
    with settings.overridden(**agreed.settings):
        dealt = deal(agreed)
        cutouts = read_catalogue(["fluent", "twemoji"])
        labels = objects_of(cutouts)
        known, new = tasks.split_objects(cutouts, [4, 4], 5)
        new = reordered(new, 5)
        half = {"protocols": ["grid"], "cells": 1}
        validation = tasks.make_split(known, labels, **half, size=0.3, side=32, seed=6)
        test = tasks.make_split(new, labels, cells=2, size=0.3, side=32, seed=7)
    assert dealt.labels == labels and dealt.shown == new
    assert not set(dealt.validation[0].table["object"]) & {
        name for each in test for name in each.table["object"]
    }
    for found, expected in ((dealt.validation, validation), (dealt.test, test)):
        assert [each.protocol for each in found] == [each.protocol for each in expected]
        for task, other in zip(found, expected, strict=True):
            assert task.table.equals(other.table) and task.locations == other.locations
            assert all(map(np.array_equal, task.images, other.images))
