import nbformat
import pytest
from small_notebooks import NOTEBOOKS, write_notebook

from crosseyed.errors import InputError
from crosseyed.report.parameters import CHAPTERS
from crosseyed.workflow.notebooks import LONGEST_FIRST, loads_model, names, reads, urgency


def test_a_notebook_states_in_its_metadata_what_it_reads(tmp_path):
    write_notebook(tmp_path / "plain.ipynb")
    assert reads(tmp_path / "plain.ipynb") == []
    notebook = nbformat.v4.new_notebook(metadata={"crosseyed": {"reads": ["data/results/models"]}})
    nbformat.write(notebook, tmp_path / "reader.ipynb")
    assert reads(tmp_path / "reader.ipynb") == ["data/results/models"]


def test_a_notebook_states_in_its_metadata_that_it_loads_a_model(tmp_path):
    write_notebook(tmp_path / "plain.ipynb", 'device = "auto"')
    assert not loads_model(tmp_path / "plain.ipynb")
    notebook = nbformat.v4.new_notebook(metadata={"crosseyed": {"loads_model": True}})
    nbformat.write(notebook, tmp_path / "loader.ipynb")
    assert loads_model(tmp_path / "loader.ipynb")


@pytest.mark.parametrize("name", names(NOTEBOOKS))
def test_a_notebook_of_the_repository_loads_a_model_if_its_parameters_say_where(name):
    assert loads_model(NOTEBOOKS / f"{name}.ipynb") == ("device" in CHAPTERS[name].model_fields)


@pytest.mark.parametrize(
    "text",
    [
        *("", "<<<<", "[1]", "{}", '{"metadata": 1}', '{"metadata": {"crosseyed": 1}}', "\ud800"),
        '{"metadata": {"crosseyed": {"reads": 5, "loads_model": "yes"}}}',
    ],
)
def test_what_is_no_notebook_states_nothing(tmp_path, text):
    (tmp_path / "a.ipynb").write_text(text, errors="surrogatepass")
    assert reads(tmp_path / "a.ipynb") == []
    assert not loads_model(tmp_path / "a.ipynb")


def test_a_notebook_may_have_any_name_but_that_of_another_result(tmp_path):
    for name in ("01 (1)", "._01", "大きい"):
        (tmp_path / f"{name}.ipynb").touch()
    assert names(tmp_path) == ["01 (1)", "大きい"]
    for name in ("book.ipynb", "{a}.ipynb", "a\nb.ipynb", "a.IPYNB"):
        (tmp_path / name).touch()
        with pytest.raises(InputError, match="cannot be executed under this name"):
            names(tmp_path)
        (tmp_path / name).unlink()


def test_the_longest_notebooks_are_begun_first_and_others_after_them():
    present = names(NOTEBOOKS)
    assert set(LONGEST_FIRST) < set(present)
    begun = sorted([*reversed(present), "another"], key=urgency, reverse=True)
    assert tuple(begun[: len(LONGEST_FIRST)]) == LONGEST_FIRST
    assert urgency("another") == urgency("06_model_family") == 0
