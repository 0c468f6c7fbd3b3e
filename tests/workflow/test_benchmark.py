"""Mitigations of the study and of a user are measured alike, and what is wrong with one stops no other."""

import re
import sys
from pathlib import Path

import given_files
import pytest
import yaml
from typer.testing import CliRunner

from crosseyed import cli
from crosseyed.mitigations import evaluation, scoring
from crosseyed.mitigations.decision import summarize
from crosseyed.mitigations.protocol import FILE, deal, read_protocol
from crosseyed.mitigations.views import Padding
from crosseyed.models.loading import load
from crosseyed.settings import settings
from crosseyed.workflow import benchmark, benchmark_table
from crosseyed.workflow.benchmark import FailedMitigationsError, run

PAGE = Path(__file__).parents[2] / "book" / "benchmark.md"
SMALL = {
    "splits": {"n_validation": 3, "n_test": 3, "test_cells": 1, "styles": ["fluent"]},
    "tasks": {"image_size": 32, "grid_size": 3},
    "statistics": {"resamples": 100},
    "budget": {"most_passes": 5},
}


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    """A protocol with few and small images."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    for part, values in SMALL.items():
        content[part] |= values
    path = tmp_path_factory.mktemp("protocols") / "small.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """Work in an empty folder, and leave Python's path as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def silent(_text):
    """Say nothing."""


def test_a_registered_mitigation_has_the_row_that_the_functions_of_the_chapter_give(tiny_clip, protocol):
    (row,) = run(lambda: tiny_clip, ["padding"], "out.csv", protocol=protocol, say=silent).to_dict("records")
    agreed, candidates = read_protocol(protocol), list(Padding.candidates())
    with settings.overridden(**agreed.settings):
        dealt = deal(agreed)
        tried = evaluation.evaluate(tiny_clip, candidates, dealt.validation, resamples=100)
        chosen = evaluation.choose(tried, 2.0)["candidate"].tolist()
        best = [each for each in candidates if scoring.name_of(each) in chosen]
        compared = evaluation.evaluate(tiny_clip, best, dealt.test)
    expected = summarize(compared).iloc[0]
    assert [row["candidate"]] == chosen
    assert (row["candidates"], row["left_out"], row["compared"]) == (2, 0, 1)
    assert row["off_center_p"] == row["p_uncorrected"] == expected["off_center_p"]
    for name in (*benchmark_table.CHANGES, "passes", "acts", "n_objects", "confidence"):
        assert row[name] == pytest.approx(expected[name])
        if f"{name}_low" in expected:
            assert row[f"{name}_low"] == pytest.approx(expected[f"{name}_low"])
    assert row["verdict"] == agreed.verdicts(compared)[row["candidate"]]
    assert (row["weights"], row["protocol"], row["source"]) == (tiny_clip.digest, agreed.digest, "crosseyed")


def test_a_users_file_is_measured_beside_and_not_twice(tiny_clip, protocol, tmp_path, monkeypatch):
    name, said = given_files.write(tmp_path / "given.py"), []
    first = run(lambda: tiny_clip, [name], "out.csv", protocol=protocol, say=said.append)
    assert first["candidate"].tolist()[0] in ("mine (amount=0.1)", "mine (amount=0.4)")
    assert re.search(r"mine \(amount=0\.\d\): .* points off-center .*: \w+\.$", said[-1])
    with monkeypatch.context() as patch:
        patch.setattr(benchmark, "measure", lambda *_: pytest.fail("it was measured again"))
        assert run(lambda: tiny_clip, [name], "out.csv", protocol=protocol, say=silent).equals(first)
    given_files.write(tmp_path / "given.py", "\n")  # other code: another attempt, which counts
    again = run(lambda: tiny_clip, [name], "out.csv", protocol=protocol, say=silent)
    assert again["compared"].tolist() == [2, 2] and again["code"].nunique() == 2
    assert again["off_center_change"].nunique() == 1


def test_what_was_measured_before_an_interruption_is_kept(tiny_clip, protocol, tmp_path, monkeypatch):
    measure = benchmark.measure

    def interrupted(model, given, *others):
        if given.label == "padding":
            raise KeyboardInterrupt
        return measure(model, given, *others)

    monkeypatch.setattr(benchmark, "measure", interrupted)
    name = given_files.write(tmp_path / "given.py")
    with pytest.raises(KeyboardInterrupt):
        run(lambda: tiny_clip, [name, "padding"], "out.csv", protocol=protocol, say=silent)
    assert benchmark_table.read("out.csv", read_protocol(protocol))["mitigation"].tolist() == ["mine"]


def test_the_command_measures_and_says_where_the_table_is(tiny_folder, protocol, tmp_path):
    name = given_files.write(tmp_path / "given.py")
    given = ["--mitigation", name, "--protocol", str(protocol), "--output", "new/out.csv"]
    done = CliRunner().invoke(cli.app, ["benchmark", f"local-dir:{tiny_folder}", *given])
    assert done.exit_code == 0, done.output
    assert "mine: measuring with" in done.output and "the table is new/out.csv" in done.output
    assert len(benchmark_table.read("new/out.csv", read_protocol(protocol))) == 1


def test_more_passes_than_the_budget_are_listed_and_not_measured(tiny_clip, protocol, monkeypatch):
    said = []
    monkeypatch.setattr(benchmark, "score_all", lambda *_, **__: pytest.fail("it was measured"))
    (row,) = run(lambda: tiny_clip, ["cyclic shifts"], "out.csv", protocol=protocol, say=said.append).to_dict(
        "records"
    )
    assert (row["verdict"], row["passes"], row["candidates"], row["left_out"]) == ("over budget", 9, 0, 3)
    assert said[-1] == "cyclic shifts: over budget, with 9 passes."


@pytest.mark.parametrize("kind", given_files.BAD)
def test_a_bad_mitigation_is_refused_in_words_and_has_no_row(tiny_folder, protocol, tmp_path, kind):
    method, words = given_files.BAD[kind]
    name = given_files.write(tmp_path / "given.py", method)
    with pytest.raises(FailedMitigationsError) as caught:
        run(lambda: load(f"local-dir:{tiny_folder}"), [name], "out.csv", protocol=protocol, say=silent)
    message = str(caught.value)
    assert not [word for word in words if word not in message], message
    assert "\n" not in message
    assert not Path("out.csv").exists()


def test_after_one_that_changes_the_model_the_others_have_a_new_one(tiny_folder, protocol, tmp_path):
    name, loaded = given_files.write(tmp_path / "given.py", given_files.BAD["other weights"][0]), []

    def fresh():
        loaded.append(load(f"local-dir:{tiny_folder}"))
        return loaded[-1]

    with pytest.raises(FailedMitigationsError, match="mine changes the weights"):
        run(fresh, [name, "padding"], "out.csv", protocol=protocol, say=silent)
    table = benchmark_table.read("out.csv", read_protocol(protocol))
    alone = run(
        lambda: load(f"local-dir:{tiny_folder}"), ["padding"], "alone.csv", protocol=protocol, say=silent
    )
    assert table.equals(alone) and len(loaded) == 2


def test_the_example_of_the_page_can_be_copied(tiny_clip, protocol, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (file,) = set(re.findall(r"--mitigation (\w+\.py):(\w+)", PAGE.read_text(encoding="utf-8")))
    (tmp_path / file[0]).write_text(code, encoding="utf-8")
    (row,) = run(lambda: tiny_clip, [":".join(file)], "out.csv", protocol=protocol, say=silent).to_dict(
        "records"
    )
    assert row["acts"] > 0 and row["candidates"] > 1
