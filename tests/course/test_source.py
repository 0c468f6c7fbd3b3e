"""A lab is read from its text, and one that contradicts itself is refused with a message that says what to do."""

import shutil
from pathlib import Path

import pytest

from crosseyed.course import source
from crosseyed.errors import InputError

HERE = Path(__file__).parent
DATA = HERE / "example_data"


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(HERE / "example_lab", tmp_path / "counting"))


def change(folder, old, new, file="lab.py"):
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_lab_holds_what_its_source_says(folder):
    lab = source.read(folder, DATA)
    assert (lab.name, lab.title, lab.version, lab.minutes) == ("counting", "Count answers", 3, 10)
    assert [(each.name, each.points, each.manual) for each in lab.questions] == [
        ("q1", 3, False),
        ("q2", 2, False),
        ("q3", 4, True),
    ]
    assert "names the object" in lab.question("q3").rubric
    checks = [check for cell in lab.hidden for check in cell.checks]
    assert [(check.name, check.question, check.points) for check in checks] == [
        ("unseen_table", "q1", 2),
        ("table_unchanged", "q1", 1),
        ("prediction", "q2", 1),
        ("unseen_gap", "q2", 1),
    ]
    assert [cell.source.splitlines()[0] for cell in lab.cells if cell.id in lab.long] == [
        "# long: skipped in grading, kept result in data/answers.csv"
    ]
    assert [path.name for path in lab.data] == ["answers.csv"]


def test_a_wrong_answer_states_its_misconception_and_the_points_of_all_questions(folder):
    percent, reversed_gap = source.read(folder, DATA).wrong
    assert percent.misconception == "Accuracy is given in percent."
    assert dict(percent.points) == {"q1": 0, "q2": 1}
    assert dict(reversed_gap.points) == {"q1": 3, "q2": 1}
    assert percent.body.startswith("def accuracy") and "Question:" not in percent.body


def test_identifiers_of_cells_are_unique_and_stay_equal(folder):
    first, second = (source.read(folder, DATA) for _ in range(2))
    assert first == second
    assert len({cell.id for cell in first.cells}) == len(first.cells)


def test_a_cell_added_to_one_question_leaves_the_identifiers_of_the_others(folder):
    before = {cell.id: cell.source for cell in source.read(folder, DATA).cells if cell.question == "q2"}
    change(folder, "# # END QUESTION\n# %% [markdown]", "# # END QUESTION\n# %%\n1 + 1\n# %% [markdown]")
    after = {cell.id: cell.source for cell in source.read(folder, DATA).cells if cell.question == "q2"}
    assert before == after


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# name: q2", "# name: q1", ["'counting'", "'q1' a second time"]),
        ('@hidden_check("q1", points=1', '@hidden_check("q4", points=1', ["'q4'", "q1, q2, q3"]),
        ("# points: 3", "# points: 5", ["'q1'", "5 points", "3"]),
        ("counting/answers.csv", "counting/answer.csv", ["answer.csv", "answers.csv", "'counting'"]),
        ("models: []", "models: [pocketclip-centred]", ["pocketclip-centred", "pocketclip-centered"]),
        (
            '@hidden_check("q1", points=1',
            '@hidden_check("q1", points=number',
            ["table_unchanged", "plain values"],
        ),
        ("def unseen_gap(student, rng):", "def unseen_gap(student, rng)", ["not Python"]),
        ('tags=["rubric"]', "", ["'q3'", "rubric"]),
        ('[markdown] tags=["rubric"]', 'tags=["rubric"]', ["'rubric'", "holds code"]),
        ("#   version: 3\n", "", ["version"]),
        ("# manual: true\n", "", ["'q3'", "no hidden check"]),
        ("# # END SOLUTION\n", "# # END SOLUTIONS\n", ["cells before it"]),
        ("# # END SOLUTION\n", "# # END TESTS\n", ["cells before it"]),
        ("# name: counting", "# name: ../counting", ["small letters"]),
        ("# name: counting\n", "# name: counting\n# generate: true\n", ["generate"]),
    ],
)
def test_a_lab_that_contradicts_itself_is_refused(folder, old, new, words):
    change(folder, old, new)
    with pytest.raises(InputError) as refused:
        source.read(folder, DATA)
    assert all(word in str(refused.value) for word in words), str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Question: q1", "Question: q3", ["percent.py", "q1, q2"]),
        ("Points: 0", "Points: 7", ["7", "3"]),
        ("Points: 0", "Points: few", ["few", "number"]),
        ("def accuracy(table):", "def accuracy(table)", ["not Python"]),
    ],
)
def test_a_wrong_answer_that_fits_no_question_is_refused(folder, old, new, words):
    change(folder, old, new, "wrong/percent.py")
    with pytest.raises(InputError) as refused:
        source.read(folder, DATA)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_a_question_that_no_check_grades_is_refused(folder):
    text = (folder / "lab.py").read_text()
    begin = text.index('# %% tags=["hidden"]')
    (folder / "lab.py").write_text(text[:begin] + text[text.index("# %% [raw]\n# # END QUESTION") :])
    with pytest.raises(InputError, match="'q1' of the lab 'counting' has no hidden check"):
        source.read(folder, DATA)


def test_a_misspelt_question_is_answered_with_the_nearest(folder):
    with pytest.raises(InputError, match="q1, q2, q3"):
        source.read(folder, DATA).question("q11")
