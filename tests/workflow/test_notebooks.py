from pathlib import Path

import nbformat
import pytest
from small_notebooks import write_notebook

from crosseyed.errors import InputError
from crosseyed.workflow.notebooks import LONGEST_FIRST, loads_model, names, reads, urgency


def test_a_notebook_states_in_its_metadata_what_it_reads(tmp_path):
    write_notebook(tmp_path / "plain.ipynb")
    assert reads(tmp_path / "plain.ipynb") == []
    notebook = nbformat.v4.new_notebook(metadata={"crosseyed": {"reads": ["data/results/models"]}})
    nbformat.write(notebook, tmp_path / "reader.ipynb")
    assert reads(tmp_path / "reader.ipynb") == ["data/results/models"]


def test_a_notebook_with_a_device_loads_a_model(tmp_path):
    present = Path(__file__).parents[2] / "notebooks"
    assert {name for name in names(present) if not loads_model(present / f"{name}.ipynb")} == {
        "06_model_family",
        "07_origins",
    }
    write_notebook(tmp_path / "plain.ipynb", 'device = "auto"')  # in another cell
    assert not loads_model(tmp_path / "plain.ipynb")


@pytest.mark.parametrize(
    "text",
    ["", "<<<<", "[1]", "{}", '{"metadata": 1}', '{"metadata": {"crosseyed": {"reads": 5}}}', "\ud800"],
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
    present = names(Path(__file__).parents[2] / "notebooks")
    assert set(LONGEST_FIRST) < set(present)
    begun = sorted([*reversed(present), "another"], key=urgency, reverse=True)
    assert tuple(begun[: len(LONGEST_FIRST)]) == LONGEST_FIRST
    assert urgency("another") == urgency("06_model_family") == 0
