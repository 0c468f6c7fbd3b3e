"""Executed notebooks as pages for readers."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from crosseyed.workflow import chapter_pages


def image(text):
    return new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": text})


def chapter(*cells):
    tags = {"tags": ["parameters"]}, {"tags": ["injected-parameters"]}
    setup = [
        new_code_cell("seed = 0", metadata=tags[0]),
        new_code_cell("seed = 3", metadata=tags[1]),
        new_code_cell("import os"),
        new_code_cell("from os import path"),
    ]
    return new_notebook(cells=[new_markdown_cell("# A chapter"), *setup, *cells])


def test_the_set_up_is_one_cell_and_all_code_is_folded():
    shown = new_code_cell("6 * 7", outputs=[new_output("stream", text="42")])
    given = chapter(new_markdown_cell("## Method"), shown)
    given.cells[3].outputs = []
    pages = chapter_pages.for_readers(given, code_shown=True)
    assert [cell.cell_type for cell in pages.cells] == ["markdown", "code", "markdown", "code"]
    assert pages.cells[1].source == "seed = 0\n\nseed = 3\n\nimport os\n\nfrom os import path"
    folded = chapter_pages.for_readers(chapter(new_markdown_cell("## Method"), shown))
    assert all(cell.metadata.tags == ["hide-input"] for cell in folded.cells if cell.cell_type == "code")
    nbformat.validate(folded)


def test_a_command_of_ipython_is_no_part_of_the_set_up():
    given = chapter(new_code_cell("%matplotlib inline"), new_markdown_cell("text"))
    pages = chapter_pages.for_readers(given, code_shown=True)
    assert pages.cells[1].source.endswith("from os import path")
    assert pages.cells[2].source == "%matplotlib inline"


def test_folded_code_without_an_output_stands_with_the_next_that_has_one():
    out = [new_output("stream", text="42")]
    cells = [
        new_code_cell("a = 1"),
        new_markdown_cell("text"),
        new_code_cell("a", outputs=out),
        new_code_cell("b"),
    ]
    pages = chapter_pages.for_readers(new_notebook(cells=cells))
    assert [cell.source for cell in pages.cells] == ["text", "a = 1\n\na", "b"]
    cells = [new_code_cell("a = 1"), new_code_cell("a", outputs=out)]
    assert len(chapter_pages.for_readers(new_notebook(cells=cells), code_shown=True).cells) == 2


def test_code_can_stay_unfolded():
    pages = chapter_pages.for_readers(chapter(new_code_cell("6 * 7")), code_shown=True)
    assert not any("hide-input" in cell.metadata.get("tags", []) for cell in pages.cells)


def test_a_set_up_that_says_something_and_a_page_without_one_stay_as_they_are():
    said = chapter()
    said.cells[3].outputs = [new_output("stream", text="a warning")]
    assert len(chapter_pages.for_readers(said, code_shown=True).cells) == 5
    assert len(chapter_pages.for_readers(new_notebook(cells=[new_code_cell("1")])).cells) == 1


def test_images_have_what_their_figures_say_as_alternative_text():
    cell = new_code_cell("figure", outputs=[image("The gap\nis 43 points."), image("The index.")])
    plain = new_code_cell("1", outputs=[new_output("execute_result", {"text/plain": "1"}, execution_count=1)])
    pages = chapter_pages.for_readers(chapter(cell, plain))
    assert pages.cells[1].metadata["mystnb"] == {"image": {"alt": "The gap is 43 points. The index."}}
    assert "mystnb" not in pages.cells[2].metadata


def test_a_cell_that_no_page_shows_is_not_joined_with_one_that_is_shown():
    colab = new_code_cell("colab", metadata={"tags": ["remove-cell"]})
    shown = new_code_cell("figure", outputs=[image("The gap.")])
    found = chapter_pages.for_readers(new_notebook(cells=[colab, new_code_cell("a"), shown])).cells
    assert [each.source for each in found] == ["colab", "a\n\nfigure"]
    assert "remove-cell" not in found[1].metadata.tags


def test_code_of_a_solution_is_not_folded_once_more_and_joined_with_nothing():
    out = [new_output("stream", text="42")]
    first = new_code_cell("a = 1", metadata={"tags": ["solution"]})
    last = new_code_cell("a", outputs=out, metadata={"tags": ["solution"]})
    given = [new_code_cell("before = 0"), new_markdown_cell("start"), first, last, new_markdown_cell("end")]
    pages = chapter_pages.for_readers(new_notebook(cells=given)).cells
    assert [cell.source for cell in pages] == ["start", "a = 1", "a", "end", "before = 0"]
    tags = [list(cell.metadata.get("tags", [])) for cell in pages]
    assert tags == [[], ["solution"], ["solution"], [], ["hide-input"]]


def test_tables_that_pages_link_to_go_with_them(tmp_path):
    link = '<a href="../results/01_a/bias.csv">bias.csv</a> <a href="../other/01_a/x.csv">x</a>'
    cell = new_code_cell("table", outputs=[new_output("display_data", {"text/html": link})])
    (tmp_path / "notebooks").mkdir()
    nbformat.write(chapter(cell), tmp_path / "notebooks" / "01_a.ipynb")
    (tmp_path / "results" / "01_a").mkdir(parents=True)
    (tmp_path / "results" / "01_a" / "bias.csv").write_text("gap\n43\n")
    (tmp_path / "pages").mkdir()
    chapter_pages.stage(tmp_path / "notebooks", tmp_path / "results", tmp_path / "pages", code_shown=False)
    assert (tmp_path / "pages" / "extra" / "results" / "01_a" / "bias.csv").read_text() == "gap\n43\n"
    assert (
        nbformat.read(tmp_path / "pages" / "notebooks" / "01_a.ipynb", 4)
        .cells[1]
        .source.startswith("seed = 0")
    )


@pytest.mark.parametrize("has_data", [True, False])
def test_what_the_explorer_loads_is_where_no_other_page_loads_it(has_data, tmp_path):
    pages, results = tmp_path / "pages", tmp_path / "results"
    (pages / "_static").mkdir(parents=True)
    for name in ("book.js", "explorer.js", "explorer-view.js", "explorer.css"):
        (pages / "_static" / name).write_text(name)
    (tmp_path / "notebooks").mkdir()
    (results / "09_a" / "explorer").mkdir(parents=True)
    if has_data:
        (results / "09_a" / "explorer" / "data.js").write_text("window.crosseyedExplorer = {};")
    chapter_pages.stage(tmp_path / "notebooks", results, pages, code_shown=False)
    assert [path.name for path in (pages / "_static").iterdir()] == ["book.js"]
    found = {
        str(path.relative_to(pages / "extra")) for path in (pages / "extra").rglob("*") if path.is_file()
    }
    scripts = {f"_static/{name}" for name in ("explorer.js", "explorer-view.js", "explorer.css")}
    assert found == scripts | ({"explorer/data.js"} if has_data else set())
