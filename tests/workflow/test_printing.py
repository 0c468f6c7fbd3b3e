"""Pages printed by a browser that may be missing, or fail."""

import sys

import pytest

from crosseyed.workflow import printing


@pytest.fixture
def browser(tmp_path, monkeypatch):
    """Return a function that puts a program in the browser's place; it runs the given lines of Python."""

    def install(*lines):
        program = tmp_path / "browser"
        program.write_text(f"#!{sys.executable}\nimport sys\n" + "\n".join(lines))
        program.chmod(0o755)
        monkeypatch.setattr(printing, "BROWSERS", ("missing-browser", str(program)))
        return program

    return install


OUT = "out = next(a.partition('=')[2] for a in sys.argv if a.startswith('--print-to-pdf='))"


def test_the_first_browser_that_is_there_prints_the_page(browser, tmp_path):
    program = browser(OUT, "open(out, 'w').write(sys.argv[-1])")
    assert printing.find_browser() == str(program)
    assert printing.print_page(tmp_path / "a b.html", tmp_path / "a.pdf") == ""
    assert (tmp_path / "a.pdf").read_text() == (tmp_path / "a b.html").as_uri()


@pytest.mark.parametrize("lines", [("sys.exit(1)",), (OUT,)], ids=["fails", "writes nothing"])
def test_a_browser_that_does_not_print_leaves_the_old_file_and_is_named(browser, tmp_path, lines):
    program = browser(*lines)
    (tmp_path / "a.pdf").write_text("old")
    assert str(program) in printing.print_page(tmp_path / "a.html", tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_text() == "old"


def test_without_a_browser_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(printing, "BROWSERS", ("missing-browser",))
    assert "no Chromium" in printing.print_page(tmp_path / "a.html", tmp_path / "a.pdf")
