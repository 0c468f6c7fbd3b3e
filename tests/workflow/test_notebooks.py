import nbformat
from small_notebooks import write_notebook

from crosseyed.workflow.notebooks import reads


def test_a_notebook_states_in_its_metadata_what_it_reads(tmp_path):
    write_notebook(tmp_path / "plain.ipynb")
    assert reads(tmp_path / "plain.ipynb") == []
    notebook = nbformat.v4.new_notebook(metadata={"crosseyed": {"reads": ["data/results/models"]}})
    nbformat.write(notebook, tmp_path / "reader.ipynb")
    assert reads(tmp_path / "reader.ipynb") == ["data/results/models"]
