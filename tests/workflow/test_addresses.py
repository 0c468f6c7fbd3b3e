"""The two addresses of the book's configuration: taken as they are meant, and refused in one sentence."""

from pathlib import Path

import pytest

from crosseyed.errors import InputError
from crosseyed.workflow.addresses import Addresses, from_configuration, read

ROOT = Path(__file__).parents[2]


def given(url="", baseurl="", **repository):
    return {"repository": {"url": url, **repository}, "html": {"baseurl": baseurl}}


def test_the_repository_ships_without_addresses():
    assert read(ROOT / "_config.yml") == Addresses()


@pytest.mark.parametrize("configuration", [{}, {"repository": None, "html": None}, given(), given(" ", None)])
def test_what_is_not_set_is_empty(configuration):
    assert from_configuration(configuration) == Addresses("", "main", "")


@pytest.mark.parametrize("end", ["", "/", ".git", " "])
def test_an_address_is_taken_without_what_browsers_and_git_append(end):
    found = from_configuration(given(f"https://github.com/Owner/cross-eyed{end}", branch="v1.0"))
    assert found == Addresses("https://github.com/Owner/cross-eyed", "v1.0", "")
    assert found.on_github


def test_gitlab_is_not_github():
    assert not from_configuration(given("https://gitlab.com/owner/github.com")).on_github


@pytest.mark.parametrize(
    "url",
    [
        "github.com/owner/name",
        "http://github.com/owner/name",
        "https://github.com/owner",
        "https://github.com/owner/name/tree/main",
        "https://example.org/owner/name",
        'https://github.com/owner/name"; import os',
        "git@github.com:owner/name",
    ],
)
def test_what_is_no_repository_is_refused(url):
    with pytest.raises(InputError, match=r"repository: url.*such as https://github.com/OWNER"):
        from_configuration(given(url))


@pytest.mark.parametrize("url", ["example.org", "ftp://example.org", "https://example.org/?a", "https://a b"])
def test_what_is_no_site_is_refused(url):
    with pytest.raises(InputError, match=r"html: baseurl.*or nothing"):
        from_configuration(given(baseurl=url))


@pytest.mark.parametrize("branch", ["--upload-pack=x", "a b", 'x"', ""])
def test_a_branch_is_a_name(branch):
    if branch:
        with pytest.raises(InputError, match="is not a branch"):
            from_configuration(given(branch=branch))
    else:
        assert from_configuration(given(branch=branch)).branch == "main"


def test_an_edition_has_an_address_where_the_site_has_one():
    assert (
        Addresses(site="https://example.org/book").of_edition("a--b")
        == "https://example.org/book/editions/a--b"
    )
    assert Addresses().of_edition("a--b") == ""
