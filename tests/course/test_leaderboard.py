"""A class's own mitigations, compared on objects that the lab does not show."""

import nbformat
import numpy as np
import pandas as pd
import pytest

from crosseyed.course import handout, leaderboard, source
from crosseyed.data.cutouts import read_catalogue
from crosseyed.errors import InputError
from crosseyed.measure import protocols
from crosseyed.mitigations.tasks import split_objects
from crosseyed.models.loading import load


@pytest.fixture(scope="module")
def model():
    return load("pocketclip-centered")


@pytest.fixture(scope="module")
def tasks():
    return leaderboard.fresh_tasks()


@pytest.fixture(scope="module")
def plain(model, tasks):
    return leaderboard.plain_answers(model, tasks)


class Answering:
    """Stands for a submission's process that gives what it is told to."""

    def __init__(self, **said):
        self.said = {"name": "mine", "strength": 0.5, "passes": 2.0} | said

    def run(self, code, **inputs):
        self.inputs = inputs
        return self.said


def altered(plain, correct, **about):
    """An entry whose answers are those of the plain model, but for what is right."""
    rows = plain.assign(correct=pd.array(correct, dtype="boolean"), margin=plain["margin"] + 1)
    return {
        "student": "a",
        "problem": "",
        "name": "mine",
        "strength": 1.0,
        "passes": 2.0,
        "answers": rows,
    } | about


def test_its_objects_are_none_that_the_lab_shows(tasks):
    lab = source.find(leaderboard.LAB)
    text = (lab.folder / "lab.py").read_text(encoding="utf-8")
    assert (
        f"split_objects(cutouts, {list(leaderboard.SPLIT)}, seed={leaderboard.SPLIT_SEED})" in text
    )  # else it shows others
    cutouts = read_catalogue(["fluent", "twemoji"])
    shown = {
        cutout.object
        for part in split_objects(cutouts, list(leaderboard.SPLIT), seed=leaderboard.SPLIT_SEED)
        for cutout in part
    }
    assert len(shown) == sum(leaderboard.SPLIT)
    for task in tasks:
        assert not shown & set(task.table["object"])


def test_changes_are_those_against_the_plain_model_at_each_place(plain):
    center, grid = plain["center"].to_numpy(bool), (plain["protocol"] == "grid").to_numpy()
    right = plain["correct"].to_numpy(bool)
    all_found = altered(plain, right | (grid & ~center), student="helper")
    none_left = altered(plain, right & grid, student="breaker")
    refused = {"student": "late", "problem": "It could not be measured (StudentError)."}
    table = leaderboard.rank([refused, none_left, all_found], plain)
    assert list(table) == leaderboard.COLUMNS
    assert list(table["student"]) == ["helper", "breaker", "late"]
    assert table["rank"].tolist()[:2] == [1, 2] and table["rank"].isna().tolist() == [False, False, True]
    missed = 100 * (1 - right[grid & ~center].mean())
    assert table["off_center_change"].tolist()[:2] == pytest.approx([missed, 0])
    assert table["center_change"].tolist()[:2] == pytest.approx([0, 0])
    assert table["control_change"].tolist()[:2] == pytest.approx([0, -100 * right[~grid].mean()])
    assert table["verdict"].tolist()[:2] == ["helps", "costs"]


def test_more_passes_than_the_protocol_allows_are_over_budget(plain):
    entry = altered(plain, [True] * len(plain), passes=11.0)
    assert leaderboard.rank([entry], plain)["verdict"].tolist() == ["over budget"]


def test_what_is_right_is_decided_here(model, tasks):
    images, labels = sum(len(task.images) for task in tasks), tasks[0].labels
    rng = np.random.default_rng(0)
    similarities = rng.normal(size=(images, len(labels)))
    student = Answering(similarities=similarities)
    answers = leaderboard.measure(student, model, tasks)["answers"]
    truth = pd.concat([task.table for task in tasks])["object"].to_numpy()
    chosen = np.array(labels)[similarities.argmax(axis=1)]
    assert (answers["choice"] == chosen).all()
    assert (answers["correct"].to_numpy(bool) == (chosen == truth)).all()
    assert set(student.inputs) == {"images", "texts"}  # the truth never leaves
    assert list(student.inputs["texts"]) == protocols.captions_of(labels, None, "label")


@pytest.mark.parametrize(
    "similarities", [np.zeros((3, 3)), np.array("x"), [[1.0], [2.0, 3.0]]], ids=["shape", "text", "ragged"]
)
def test_what_is_no_table_of_similarities_is_refused(model, tasks, similarities):
    with pytest.raises((InputError, ValueError)):
        leaderboard.measure(Answering(similarities=similarities), model, tasks)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_similarities_that_are_not_finite_are_refused(model, tasks, value):
    shape = sum(len(task.images) for task in tasks), len(tasks[0].labels)
    with pytest.raises(InputError, match="finite"):
        leaderboard.measure(Answering(similarities=np.full(shape, value)), model, tasks)


def test_another_lab_has_no_leaderboard(tmp_path):
    with pytest.raises(InputError, match="has no leaderboard"):
        leaderboard.make(tmp_path, source.find("the_family"), tmp_path / "grades")


def test_nothing_is_ranked_where_all_have_problems(plain):
    table = leaderboard.rank([{"student": "a", "problem": "It holds no notebook."}], plain)
    assert table["rank"].isna().all()
    assert "It holds no notebook." in leaderboard.shown(table)


def test_a_name_that_an_entry_chose_is_text_on_the_terminal(plain):
    entry = altered(plain, [True] * len(plain), student="李\x1b[2J", name="=cmd\n1")
    shown = leaderboard.shown(leaderboard.rank([entry], plain))
    assert "李" in shown and "\x1b" not in shown and len(shown.splitlines()) == 1


def test_the_output_may_not_lie_among_the_submissions(tmp_path):
    with pytest.raises(InputError, match="lies among the submissions"):
        leaderboard.make(tmp_path, source.find(leaderboard.LAB), tmp_path / "grades")


@pytest.mark.slow
def test_a_class_is_ranked_from_what_it_handed_in(tmp_path):
    lab = source.find(leaderboard.LAB)
    given = tmp_path / "given"
    given.mkdir()
    solved = handout.solution_notebook(lab)
    nbformat.write(solved, given / "anna.ipynb")
    nbformat.write(handout.student_notebook(lab), given / "ben.ipynb")
    table = leaderboard.make(given, lab, tmp_path / "grades", say=lambda _: None)
    assert table["student"].tolist() == ["anna", "ben"]
    assert table["verdict"].iloc[0] == "helps" and table["off_center_change_low"].iloc[0] > 0
    assert "Not entered" in table["problem"].iloc[1]
    kept = pd.read_csv(tmp_path / "grades" / "leaderboard.csv")
    assert kept["off_center_change"].iloc[0] == pytest.approx(table["off_center_change"].iloc[0])
    assert not (tmp_path / "grades" / ".leaderboard").exists()
