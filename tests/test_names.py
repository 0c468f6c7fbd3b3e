"""Arbitrary names on their way: checkpoint, edition, workflow, results, figure, verdict, page."""

import csv
import io
import json
import os
import re
import shlex
import warnings
from dataclasses import asdict
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pandas as pd
import pytest
import submitted
from figure_tables import gaps, words
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from papermill.translators import PythonTranslator
from small_notebooks import NOTEBOOKS
from small_results import TOWER, WEIGHTS, bias, collected, write_results
from snakemake.utils import QuotedFormatter

from crosseyed.course import gradebook, leaderboard, submissions
from crosseyed.course.grading import Graded
from crosseyed.course.verdict import Verdict
from crosseyed.editions import Description, Edition
from crosseyed.errors import InputError
from crosseyed.escapes import one_line
from crosseyed.report import kept_results, notices, tables
from crosseyed.report.figures import bars
from crosseyed.report.figures.lettering import MissingGlyphWarning
from crosseyed.report.verdicts import attention_maps, center_bias, comparison, lost_object
from crosseyed.tables import write_table
from crosseyed.workflow.book import banner
from crosseyed.workflow.results import collect

ONE_BY_ONE = (
    "null",
    "007",
    "1e5",
    "True",
    "NA",
    "`",
    "$x$",
    "{{x}}",
    "{b}",
    "[b](c)",
    "_x_",
    "a|b",
    "<b>",
    "&amp;",
)
TOGETHER = """a--b "c" 'd' \\(e\\) **f** {term}`g` #h $i :j: %k 猫 قطة 🐱"""


def about(number, names=(*ONE_BY_ONE, TOGETHER)):
    """Try this number of texts, and nasty names."""

    def decorate(test):
        for name in names:
            test = example(name)(test)
        checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
        return settings(deadline=None, max_examples=number, suppress_health_check=checks)(test)

    return decorate


def described(model, pretrained="mine"):
    return Description(Edition("a"), model, pretrained, 7, TOWER, "cpu", WEIGHTS)


def text_of(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


FILE_NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=50
)


@about(40)
@given(FILE_NAMES)
def test_a_checkpoint_of_any_name_has_an_edition_that_the_workflow_takes(tmp_path, name):
    snakefile = (Path(__file__).parents[1] / "Snakefile").read_text(encoding="utf-8")
    (allowed,) = re.findall(r'edition=r"(.*)"', snakefile)
    file = tmp_path / f"x{name}.pt"
    editions = []
    for content in (b"1", b"2"):
        file.write_bytes(content)
        edition = Edition.from_mapping({"model": "ViT-B-32", "checkpoint": str(file)})
        assert re.fullmatch(allowed, edition.name) and len(os.fsencode(edition.name)) < 200
        assert Edition(**json.loads(json.dumps(asdict(edition)))) == edition
        Description(edition, "m", "p", 7, {}, "cpu", WEIGHTS).write(tmp_path / "model.json")
        assert Description.read(tmp_path / "model.json").edition == edition
        editions.append(edition.name)
    assert editions[0] != editions[1]
    file.unlink()


@about(15)
@given(FILE_NAMES)
def test_a_checkpoint_of_any_name_reaches_command_notebook_results_and_page(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("way")
    file = folder / f"x{name}.pt"
    file.write_bytes(b"1")
    edition = Edition.from_mapping({"model": "ViT-B-32", "checkpoint": str(file)})
    argument = json.dumps(asdict(edition))
    assert shlex.split(QuotedFormatter().format("{edition:q}", edition=argument)) == [argument]
    parameters = {}
    exec(PythonTranslator.codify(edition.parameters), parameters)
    assert parameters["checkpoint"] == str(file)
    whole = collected(write_results(folder / "made"))
    named = {"edition": edition.name, "model": file.name, "notebook_parameters": argument}
    table = kept_results.typed(whole.assign(**named))
    write_table(table, folder / f"kept/{edition.name}.csv")
    read = kept_results.read(folder / "kept")
    pd.testing.assert_frame_equal(read, table)
    said = comparison.gaps(read.assign(name=read["model"]))
    assert one_line(file.name) in text_of(MarkdownIt("commonmark").enable("table").render(said))


@given(st.binary(min_size=1, max_size=20).filter(lambda raw: not set(raw) & set(b"/\0")))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_checkpoint_whose_name_is_not_utf_8_is_refused_in_words_that_can_be_shown(tmp_path, raw):
    file = os.path.join(tmp_path, os.fsdecode(b"x\xff" + raw + b".pt"))
    try:
        Path(file).write_bytes(b"1")
    except OSError:
        pytest.skip("this file system holds no such names")
    with pytest.raises(
        InputError, match="not text in UTF-8, and a notebook cannot hold it; rename it"
    ) as refusal:
        Edition.from_mapping({"model": "ViT-B-32", "checkpoint": file})
    str(refusal.value).encode("utf-8")
    os.unlink(file)


@about(5)
@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_results_of_a_model_of_any_name_are_read_as_they_were_written(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("results")
    chapter = folder / "tables/01_center_bias"
    for table in ("bias", "pair_bias"):
        tables.write(chapter, table, pd.DataFrame([bias("another", 100, 90), bias(name, 100, 25)]))
    tables.write_record(
        chapter, tables.Record(WEIGHTS, tables.read_record(chapter).tables, {"whatsup_bias": name})
    )
    collected = collect(folder / "tables", described(name, "openai"))
    write_table(collected, folder / "kept/a.csv")
    pd.testing.assert_frame_equal(kept_results.read(folder / "kept"), collected)
    with pytest.raises(tables.UnavailableTableError) as reason:
        tables.read(folder / "tables", "01_center_bias", "whatsup_bias")
    assert str(reason.value) == name


@about(6, ["_x_ $y$ {{z}}", TOGETHER, "a\r\tb\x1cc"])
@given(st.text(min_size=1, max_size=20))
def test_any_name_is_drawn_and_what_no_font_has_is_said(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = bars.gap_bars(gaps(name)[:1], label="model", title=f"of {name}")
        figure.savefig(io.BytesIO(), dpi=30)
    assert {warning.category for warning in caught} <= {MissingGlyphWarning} and len(caught) <= 1
    if not caught:
        assert "".join(name.split()) in "".join(words(figure).split())


INTERVAL = {"low": 1.0, "high": 2.0}
BIAS = {"gap": 1.0, "gap_low": 0.5, "gap_high": 2.0, "center_accuracy": 9.0, "off_center_accuracy": 8.0}
ENDS = {
    "difference": 1.0,
    "difference_low": 0.5,
    "difference_high": 2.0,
    "center_mean": 1.0,
    "off_center_mean": 0.0,
}
VERDICTS = {
    "center bias": lambda name: center_bias.summary(
        name, pd.DataFrame([BIAS]), pd.DataFrame([BIAS]), pd.DataFrame([ENDS | INTERVAL])
    ),
    "attention": lambda name: attention_maps.attended(
        name, pd.DataFrame([ENDS] * 3, index=["with the object", "the place alone", "added by the object"])
    ),
    "preference": lambda name: attention_maps.preferred(
        name,
        pd.DataFrame([{"contrast": each, "mean": 1.5, **INTERVAL} for each in ("before", "prior", "own")]),
    ),
    "contributions": lambda name: lost_object.contributions(
        name, pd.DataFrame([{"part": "on_object", **ENDS}])
    ),
    "concept": lambda name: lost_object.concepts(
        "a",
        pd.Series(ENDS),
        pd.DataFrame([{"concept": name, "center": 1.0, "off_center": 2.0, "p_value": 0.01}]),
    ),
    "edition": lambda name: comparison.models(
        pd.DataFrame({"edition": ["b"], "size": ["full"], "name": ["b"], "published": [True]}),
        pd.DataFrame([BIAS]),
        name,
        None,
    ),
    "family": lambda name: comparison.gaps(pd.DataFrame([BIAS | {"name": name}])),
}


@about(30)
@given(st.text(min_size=1))
def test_verdicts_show_any_name_as_it_is(name):
    for verdict in VERDICTS.values():
        assert one_line(name) in text_of(MarkdownIt("commonmark").enable("table").render(verdict(name)))


@about(15)
@given(FILE_NAMES)
def test_students_of_any_name_are_told_apart_in_table_summary_and_feedback(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("class")
    for first in "xy":
        (folder / f"{first}{name}.ipynb").write_text("{}", encoding="utf-8")
    found = submissions.find(folder)
    assert len({each.person for each in found}) == len(found) == 2
    lab = submitted.example_lab()
    graded = [Graded(each, Verdict.of_none(lab, f"{each.place} is empty.", True)) for each in found]
    gradebook.write(folder / "out", lab, graded, seed=0)
    with (folder / "out" / "grades.csv").open(encoding="utf-8", newline="") as file:
        assert [row["student"] for row in csv.DictReader(file)] == [one_line(each.student) for each in found]
    summary = (folder / "out" / "summary.html").read_text(encoding="utf-8")
    links = [unquote(unescape(link)) for link in re.findall(r'href="(feedback/[^"]*)"', summary)]
    assert len(set(links)) == 2
    for each, link in zip(found, links, strict=True):
        assert one_line(each.student) in text_of(summary)
        assert one_line(each.student) in text_of((folder / "out" / link).read_text(encoding="utf-8"))
    board = leaderboard.shown(leaderboard.rank([{"student": name, "problem": name}] * 2, pd.DataFrame()))
    assert [one_line(name) in line for line in board.splitlines()] == [True] * 2


@about(30)
@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_boxes_and_banners_show_any_name_as_it_is(name):
    for html in (
        notices.weights(SimpleNamespace(name=name, pretrained="openai")).data,
        banner(described(name)),
    ):
        assert " ".join(name.split()) in text_of(html)


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_escape_the_names_that_they_show(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    for source in ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"):
        assert source.count(".style.") <= source.count('escape="html"'), source
        if "Markdown(" in source:
            assert not re.search(r"\{(\w+\.name|model|edition)\}", source), source
