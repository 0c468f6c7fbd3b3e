"""How the study is cited: read from one file, which the format's own validator accepts, and told to indexes."""

import json
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crosseyed.errors import InputError
from crosseyed.workflow.citation import Citation, page_tags, read

ROOT = Path(__file__).parents[2]
WRITTEN = """
title: A study
authors:
  - {family-names: Lovelace, given-names: Ada}
  - name: The others
version: 1.2.0
license: MIT
date-released: 2026-05-04
"""
READ = Citation("A study", ("Ada Lovelace", "The others"), "1.2.0", "MIT", "2026-05-04")


@pytest.fixture
def file(tmp_path):
    (tmp_path / "CITATION.cff").write_text(WRITTEN)
    return tmp_path / "CITATION.cff"


def test_reads_title_authors_and_date(file):
    assert read(file) == READ


@pytest.mark.parametrize("name", ["title", "version", "license", "date-released"])
def test_names_what_the_citation_lacks(file, name):
    file.write_text(re.sub(rf"^{name}: .*\n", "", WRITTEN, flags=re.MULTILINE))
    with pytest.raises(InputError, match=f"lacks '{name}'"):
        read(file)


@pytest.mark.parametrize(
    ("old", "new"), [("2026-05-04", "May 2026"), ("name: The others", "email: a@b"), (WRITTEN, "- a list")]
)
def test_refuses_what_is_no_citation(file, old, new):
    file.write_text(WRITTEN.replace(old, new))
    with pytest.raises(InputError, match=re.escape(file.name)):
        read(file)


class _Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.metas, self.data, self.elements = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        given = dict(attributes)
        if tag == "meta":
            self.metas.append((given["name"], given["content"]))

    def handle_data(self, text):
        self.data += text.strip()


def test_a_page_tells_indexes_who_wrote_it_when_and_where_it_is():
    url = "https://example.org/editions/a/intro.html"
    tags = _Tags(page_tags(READ, title="Title", edition="a", language="en", url=url))
    assert tags.metas == [
        ("citation_title", "Title"),
        ("citation_author", "Ada Lovelace"),
        ("citation_author", "The others"),
        ("citation_publication_date", "2026/05/04"),
        ("citation_inbook_title", "A study (edition a)"),
        ("citation_language", "en"),
        ("citation_public_url", url),
        ("citation_fulltext_html_url", url),
    ]
    data = json.loads(tags.data)
    assert (data["@type"], data["url"], data["datePublished"]) == ("Chapter", url, "2026-05-04")
    assert [each["name"] for each in data["author"]] == ["Ada Lovelace", "The others"]
    assert data["isPartOf"] == {"@type": "Book", "name": "A study (edition a)", "version": "1.2.0"}


def test_a_page_without_an_address_names_none():
    text = page_tags(READ, title="Title", edition="a", language="en")
    assert "url" not in text
    assert "example" not in text


def test_a_name_with_markup_stays_text():
    name = """</script><script>f()</script> "quoted" & <b>"""
    tags = _Tags(page_tags(READ, title=name, edition=name, language="en"))
    assert tags.elements.count("script") == 1
    assert dict(tags.metas)["citation_title"] == name
    assert unescape(json.loads(tags.data)["name"]) == name


@pytest.mark.slow
def test_the_validator_of_the_format_accepts_the_citation_file(tmp_path):
    # in an environment of its own: it needs an older jsonschema than the study
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "cffconvert==2.0.0"], check=True)
    command = [python.with_name("cffconvert"), "--validate", "--infile", ROOT / "CITATION.cff"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "valid according to schema version 1.2.0" in run.stdout + run.stderr
