"""The course in the book: chapters with goals, exercises, quizzes and reading, and the pages about the course."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
EXPLORER = "09_move_it_yourself"
MEASURED = [path for path in CHAPTERS if path.stem != EXPLORER]
PAGES = sorted((BOOK / "course").glob("*.md"))

DOC = re.compile(r"\{doc\}`(?:[^`<]*<)?([^`<>]+)>?`")
CITED = re.compile(r"\{cite(?::t)?\}`([^`]+)`")
FUNCTION = re.compile(r"\{py:func\}`crosseyed\.([\w.]+)`")
ANSWER = re.compile(
    r'<details class="answer"><summary>(.*?)</summary>\s*\*\*(Right|Wrong)\.\*\* (.*?)\s*</details>', re.S
)

chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
measured = pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def text_of(path):
    """Return what readers see of a page, or of a notebook's text and code."""
    if path.suffix == ".ipynb":
        return "\n\n".join("".join(cell["source"]) for cell in cells_of(path))
    return path.read_text(encoding="utf-8")


def linked(page, name):
    """Return the file of the book that a ``{doc}`` link of a page leads to."""
    if name.startswith("/notebooks/"):
        return ROOT / f"{name[1:]}.ipynb"
    return (BOOK / name[1:] if name.startswith("/") else page.parent / name).with_suffix(".md")


def section(text, heading):
    """Return a section of a page, up to the next heading of its level."""
    (found,) = re.findall(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found


def entries():
    """Return the glossary: for each term, the definition."""
    (listed,) = re.findall(r"```\{glossary\}\n(.*?)\n```", text_of(BOOK / "course" / "glossary.md"), re.S)
    found = {}
    for entry in listed.split("\n\n"):
        lines = entry.splitlines()
        terms = [line for line in lines if not line.startswith("  ")]
        definition = " ".join(line.strip() for line in lines[len(terms) :])
        found |= dict.fromkeys(terms, (terms, definition))
    return found


def plain(text):
    """Return a text in small letters, on one line and without marks of emphasis."""
    return " ".join(re.sub(r"[*_]", "", text).lower().split())


@chapter
def test_a_chapter_begins_with_goals_and_each_leads_to_what_checks_it(path):
    first = "".join(cells_of(path)[0]["source"])
    (goals,) = re.findall(r"\*\*What you can do after it\*\*\n\n((?:- .*?\n(?:  .*\n)*)+)", f"{first}\n")
    assert goals.count("\n- ") >= 1
    if path.stem != EXPLORER:
        checked = re.findall(r"\{ref\}`[^`<]+<([\w-]+)>`", goals)
        assert len(checked) == len(re.findall(r"^- ", goals, re.M))
        assert set(checked) == set(
            re.findall(r"^:label: (exercise-\d\d-[\w-]+?)(?<!-solution)$", text_of(path), re.M)
        )


@measured
def test_a_chapter_has_exercises_each_with_a_solution_that_is_executed(path):
    text = text_of(path)
    exercises = re.findall(r"\{exercise\} .+\n:label: ([\w-]+)", text)
    assert 2 <= len(exercises) <= 4
    assert re.findall(r"\{solution-start\} ([\w-]+)", text) == exercises
    inside, computed = None, set()
    for cell in cells_of(path):
        source = "".join(cell["source"])
        if "{solution-end}" in source:
            inside = None
        if started := re.search(r"\{solution-start\} ([\w-]+)", source):
            inside = started[1]
        if cell["cell_type"] == "code":
            assert ("solution" in cell["metadata"].get("tags", [])) == (inside is not None), source
            computed |= {inside} - {None}
    assert computed == set(exercises)


@chapter
def test_a_quiz_has_right_and_wrong_answers_each_with_its_reason(path):
    quiz = section(text_of(path), "Check yourself")
    questions = re.split(r"^\*\*Question \d\.\*\*", quiz, flags=re.M)[1:]
    assert (2 if path.stem == EXPLORER else 3) <= len(questions) <= 5
    for question in questions:
        answers = ANSWER.findall(question)
        assert len(answers) == question.count("<details") == question.count("<summary") >= 2
        assert [kind for _, kind, _ in answers].count("Right") == 1, question
        assert all(reason.strip() for *_, reason in answers)
        assert [words[:2] for words, *_ in answers] == [f"{letter}:" for letter in "ABCDE"[: len(answers)]]


@chapter
def test_the_right_answer_is_not_always_the_same_letter(path):
    quiz = section(text_of(path), "Check yourself")
    right = [words[0] for words, kind, _ in ANSWER.findall(quiz) if kind == "Right"]
    assert len(set(right)) > 1 or len(right) < 3


@chapter
def test_works_to_read_on_are_known_and_come_with_a_question(path):
    listed = re.findall(
        r"^- \{cite:t\}`(\w+)`\. (.*?)(?=^- |\Z)", section(text_of(path), "Read on"), re.M | re.S
    )
    assert (1 if path.stem == EXPLORER else 2) <= len(listed) <= 3
    assert all(question.strip().endswith("?") or "." in question for _, question in listed)
    assert all("?" in question or "Find" in question for _, question in listed)


@pytest.mark.parametrize("path", [*CHAPTERS, *PAGES], ids=lambda path: path.stem)
def test_what_is_cited_is_in_the_references(path):
    known = set(re.findall(r"^@\w+\{(\w+),", text_of(BOOK / "references.bib"), re.M))
    cited = {key for keys in CITED.findall(text_of(path)) for key in keys.split(",")}
    assert cited <= known


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_link_of_a_page_about_the_course_leads_somewhere(path):
    for name in DOC.findall(text_of(path)):
        assert linked(path, name).is_file(), name


def test_the_contents_list_the_pages_about_the_course():
    listed = re.findall(r"file: (course/\w+)", text_of(BOOK / "_toc.yml"))
    assert sorted(listed) == sorted(f"course/{path.stem}" for path in PAGES)


def test_every_term_of_the_vocabulary_is_in_the_glossary():
    vocabulary = section(text_of(BOOK / "architecture.md"), "One vocabulary")
    terms = [
        term.strip() for line in re.findall(r"^(\S.*)\n: ", vocabulary, re.M) for term in line.split(",")
    ]
    assert len(terms) > 20
    assert not set(terms) - set(entries())


@pytest.mark.parametrize("term", sorted(entries()))
def test_a_term_is_used_where_its_entry_says(term):
    terms, definition = entries()[term]
    places = DOC.findall(definition)
    assert places and "Used in" in definition
    page = BOOK / "course" / "glossary.md"
    for place in places:
        used = plain(text_of(linked(page, place)))
        assert any(each.lower() in used for each in terms), place


def test_every_formula_names_its_source_and_a_public_function_that_computes_it():
    page = text_of(BOOK / "course" / "formulas.md")
    blocks = re.split(r"^(?=\*\*\w)", re.sub(r"^## .*$", "", page, flags=re.M), flags=re.M)[1:]
    assert len(blocks) > 20
    for block in blocks:
        functions = FUNCTION.findall(block)
        assert functions, block
        for name in functions:
            module, _, function = name.rpartition(".")
            file = ROOT / "lib" / "crosseyed" / f"{module.replace('.', '/')}.py"
            defined = [
                each.name for each in ast.parse(file.read_text()).body if isinstance(each, ast.FunctionDef)
            ]
            assert function in defined, name
        assert CITED.search(block) or re.search(
            r"\d{4}|[Dd]efinitions? of this study|standard|textbooks", block
        ), block


def test_every_session_of_the_plan_takes_90_minutes():
    plan = section(text_of(BOOK / "course" / "teachers.md"), "Four sessions")
    sessions = plan.split("\n### ")[1:]
    assert len(sessions) == 4
    for session in sessions:
        assert sum(int(minutes) for minutes in re.findall(r"^\| (\d+) \|", session, re.M)) == 90, session
    assert re.findall(r"\blab (\d)", plan.replace("labs", "")) == ["1", "1", "2", "3", "4", "5", "6", "7"]


def test_every_misconception_is_refuted_in_a_section_that_exists():
    table = section(text_of(BOOK / "course" / "teachers.md"), "Misconceptions, and what refutes each")
    rows = re.findall(r"^\| .*?\| (\{doc\}`.*?`), \*(.*?)\* \|$", table, re.M)
    assert len(rows) == len(re.findall(r"^\| ", table, re.M)) - 1 > 8
    page = BOOK / "course" / "teachers.md"
    for link, heading in rows:
        (place,) = DOC.findall(link)
        assert re.search(rf"^##+ {re.escape(heading)}$", text_of(linked(page, place)), re.M), heading
