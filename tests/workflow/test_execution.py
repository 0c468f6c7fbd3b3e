import pytest
from small_notebooks import write_notebook

from crosseyed.workflow.execution import NotebookError, execute


def test_names_the_cell_in_which_the_kernel_died(tmp_path):
    write_notebook(tmp_path / "01.ipynb", "x = 1", "import os\nos._exit(1)", "y = 1")
    with pytest.raises(NotebookError, match=r"01\.ipynb failed in cell \[4\], which begins with `import os`"):
        execute(tmp_path / "01.ipynb", tmp_path / "edition", {"model": "m"})
    assert [path.name for path in (tmp_path / "edition").rglob("*.ipynb")] == ["01.ipynb"]


def test_says_that_a_file_is_no_notebook(tmp_path):
    (tmp_path / "01.ipynb").write_text("<<<<<<< HEAD")
    with pytest.raises(NotebookError, match=r"01\.ipynb is not a notebook"):
        execute(tmp_path / "01.ipynb", tmp_path / "edition", {"model": "m"})


def test_what_a_kernel_logs_of_its_own_is_not_shown(tmp_path, capfd):
    say = "from tornado.log import gen_log\ntry:\n    1 / 0\nexcept ArithmeticError:\n    gen_log.exception('stop')"
    write_notebook(
        tmp_path / "01.ipynb", say, "assert '__import__' not in globals() and 'logging' not in globals()"
    )
    execute(tmp_path / "01.ipynb", tmp_path / "edition", {"model": "m"})
    assert "ZeroDivisionError" not in "".join(capfd.readouterr())


def test_a_notebook_looks_for_garbage_once_its_chapter_has_begun(tmp_path):
    write_notebook(tmp_path / "01.ipynb", "import gc", "assert not gc.isenabled()")
    execute(tmp_path / "01.ipynb", tmp_path / "edition", {"model": "m"})
