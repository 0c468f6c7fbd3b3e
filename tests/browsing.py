"""A site of one page in the theme of the book, and the system's Chromium to look at it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from crosseyed.workflow.printing import find_browser

WIDTHS = {1280: 900, 390: 844}
"""Heights of the windows in which pages are looked at, by their widths."""

STATIC = Path(__file__).parents[1] / "book" / "_static"

_SETTINGS = f"""
project = "book"
html_theme = "sphinx_book_theme"
html_static_path = [{str(STATIC)!r}]
html_css_files = ["book.css", "explorer.css"]
html_context = {{"default_mode": "auto"}}
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; skip the test where there is none."""
    found = find_browser()
    if found is None:
        pytest.skip("no Chromium on this machine; install it as .ci/run does, apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def build_page(folder: Path, html: str) -> Path:
    """Render a page that holds some HTML as the book would, and return its file."""
    source = folder / "source"
    (source / "notebooks").mkdir(parents=True)
    (source / "conf.py").write_text(_SETTINGS, encoding="utf-8")
    (source / "index.rst").write_text("Book\n====\n\n.. toctree::\n\n   notebooks/page\n", encoding="utf-8")
    body = "\n".join(f"   {line}" for line in html.splitlines())
    page = f"Move it yourself\n================\n\n.. raw:: html\n\n{body}\n\nWhat follows\n------------\n\nMore.\n"
    (source / "notebooks" / "page.rst").write_text(page, encoding="utf-8")
    built = folder / "html"
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", source, built],
        check=True,
        capture_output=True,
    )
    return built / "notebooks" / "page.html"


class Visit:
    """A page that is looked at, and what it complains of and asks other hosts for."""

    def __init__(self, context: BrowserContext, own: str = "file:") -> None:
        """Open a tab; `own` is how the addresses begin from which the page may load."""
        self._own = own
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self._note("error", str(error)))
        self.page.on("request", lambda request: self._look_at(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(text)

    def _look_at(self, url: str) -> None:
        if not url.startswith((self._own, "data:", "blob:")):
            self.complaints.append(f"asked for {url}")


def choose(page: Page, words: str) -> None:
    """Choose one of several by the words beside it."""
    page.get_by_role("radio", name=words, exact=True).check(force=True)
