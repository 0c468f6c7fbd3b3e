"""The checker of links: each kind of broken link is found and named, and nothing else."""

import pytest

from crosseyed.workflow.links import Broken, broken


@pytest.fixture
def site(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<h1 id="top-title">A</h1><a name="old">x</a><meta name="robots" content="all">'
    )
    (tmp_path / "sub" / "b c.html").write_text('<p id="größe">B</p>')
    (tmp_path / "sub" / "index.html").write_text("<p id=first>I</p>")
    (tmp_path / "picture.png").touch()
    return tmp_path


def check(site, html):
    (site / "page.html").write_text(html)
    return broken(site)


@pytest.mark.parametrize(
    "link",
    [
        *(
            "a.html",
            "./a.html",
            "a.html?q=1",
            "a.html#top-title",
            "a.html#old",
            "#here",
            "#",
            "#top",
            "",
            "sub/",
        ),
        *(
            "sub/b%20c.html#gr%C3%B6%C3%9Fe",
            "sub/b c.html#größe",
            "sub#first",
            "sub/../a.html",
            "picture.png#any",
        ),
        *(
            "https://example.org/x#y",
            "mailto:a@example.org",
            "data:image/png;base64,AA",
            "javascript:f()",
            "//host/x",
        ),
    ],
)
def test_what_is_there_or_elsewhere_is_no_fault(site, link):
    assert check(site, f'<p id="here"><a href="{link}">x</a>') == []


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("b.html", "names a file that is not there"),
        ("A.html", "names a file that is not there"),
        ("a.html#robots", "names a place that a.html does not have"),
        ("#there", "names a place that page.html does not have"),
        ("sub/#second", "names a place that sub/index.html does not have"),
        ("/a.html", "begins with a slash, and the site need not be at the top of its host"),
        ("../a.html", "leaves the site"),
    ],
)
def test_what_leads_nowhere_is_named_with_its_page(site, link, why):
    assert check(site, f'<p id="here"><a href="{link}">x</a>') == [Broken("page.html", link, why)]


@pytest.mark.parametrize(
    "html",
    [
        '<img src="x.png">',
        '<img srcset="picture.png 1x, x.png 2x">',
        '<script src="x.png"></script>',
        '<link rel="stylesheet" href="x.png">',
        '<object data="x.png"></object>',
        '<video poster="x.png"></video>',
    ],
)
def test_every_kind_of_link_is_looked_at(site, html):
    (found,) = check(site, html)
    assert str(found) == "page.html: 'x.png' names a file that is not there"
    assert check(site, html.replace("x.png", "picture.png")) == []


def test_text_is_no_link(site):
    assert (
        check(
            site, '<p data="x.png">href="y.html" <!-- <a href="z.html"> --><script>"<a href=w.html>"</script>'
        )
        == []
    )


def test_a_link_is_named_once_for_each_page(site):
    (site / "sub" / "more.html").write_text('<a href="x.html">1</a><a href="x.html">2</a>')
    assert [found.page for found in check(site, '<a href="x.html">3</a>')] == ["page.html", "sub/more.html"]
