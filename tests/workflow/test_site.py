"""The site that is published: all that is whole and current, nothing else, with links that stay and lead somewhere."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest

from crosseyed.editions import Description, Edition
from crosseyed.errors import InputError
from crosseyed.report import tables
from crosseyed.workflow import processes, site_index
from crosseyed.workflow.addresses import Addresses
from crosseyed.workflow.site import FOLDER, BrokenLinksError, publish
from crosseyed.workflow.site_index import Row

SITE = Addresses(site="https://owner.example.org/name")
FILES = {
    "index.html": '<meta http-equiv="Refresh" content="0; url=intro.html"/><a href="intro.html">on</a>',
    "intro.html": '<h1 id="title">T</h1><a href="notebooks/01.html#gap">g</a>',
    "notebooks/01.html": '<h2 id="gap">G</h2><a href="../intro.html#title">t</a>',
    "genindex.html": "<p>I</p>",
    "_modules/code.html": "<p>C</p>",
    "_static/a.css": "a {}",
}


def add_edition(model="pocketclip-centered", gap=12.3, **given):
    """Write what an edition that is whole consists of; return it."""
    edition = Edition.from_mapping({"model": model, **given})
    Description(edition, model, "crosseyed", 7, {}, "cpu", "1a2b3c4d").write(
        f"_build/models/{edition.name}.json"
    )
    for name, text in FILES.items():
        file = edition.folder / "html" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    row = {"model": model, "pretrained": "crosseyed", "gap": gap, "gap_low": gap - 2, "gap_high": gap + 2}
    row |= {"center_accuracy": 64.4, "off_center_accuracy": 64.4 - gap, "confidence": 0.95, "n_objects": 50}
    tables.clear(edition.folder / "results/01_center_bias")
    tables.write(edition.folder / "results/01_center_bias", "bias", pd.DataFrame([row]))
    note(edition, "folded")
    return edition


def note(edition, code):
    file = edition.folder / "done" / "book"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"0123456789abcdef-{code}\nid\n")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nothing_due(_editions, _code):
    return set()


def test_an_edition_gets_a_link_that_stays_and_nothing_is_lost():
    edition = add_edition()
    made = publish(FOLDER, SITE, nothing_due)
    for name, text in FILES.items():
        assert (FOLDER / "editions" / edition.name / name).read_text() == text
    assert {path.name for path in FOLDER.iterdir()} == {
        "editions", "index.html", "sitemap.xml", "robots.txt", ".nojekyll"
    }  # fmt: skip
    assert not made.left_out
    assert made.sizes == {edition.name: sum(len(text) for text in FILES.values())}
    everything = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert made.size == everything
    assert f"{everything / 1e6:.1f} MB" in str(made)


def test_what_is_not_whole_or_not_current_is_left_out_with_the_reason():
    first, stale, bare, gone, busy, unloaded = (add_edition(seed=seed) for seed in range(6))
    (bare.folder / "html/index.html").unlink()
    (gone.folder.parents[1] / "models" / f"{gone.name}.json").write_text("{")
    (Path("_build/models") / f"{unloaded.name}.json").unlink()
    asked = []

    def due(editions, code):
        asked.extend((each.name, code) for each in editions)
        return {stale.folder / "done/book", stale.folder / "done/05_mitigations", bare.folder / "done/book"}

    with processes.only_writer(busy.name, wait=0):
        made = publish(FOLDER, SITE, due)
    assert list(made.sizes) == [first.name]
    assert asked == [(first.name, "folded"), (stale.name, "folded")]
    assert (
        made.left_out[stale.name]
        == "it is not whole or not current (05_mitigations, book due); make it again"
    )
    assert made.left_out[bare.name] == "it has no pages yet"
    assert "is not the description of an edition" in made.left_out[gone.name]
    assert "Another run is working on" in made.left_out[busy.name]
    assert "was not loaded to the end" in made.left_out[unloaded.name]
    for name, why in made.left_out.items():
        assert f"left out {name}: {why}" in str(made)


def test_an_edition_whose_pages_show_their_code_is_current_by_that():
    folded, shown = add_edition(), add_edition(seed=1)
    note(shown, "shown")
    asked = {}
    publish(
        FOLDER, SITE, lambda editions, code: asked.update({code: [each.name for each in editions]}) or set()
    )
    assert asked == {"folded": [folded.name], "shown": [shown.name]}


def test_weights_that_have_changed_are_another_edition(project):
    (project / "mine.pt").write_bytes(b"one")
    add_edition("ViT-B-32", checkpoint=str(project / "mine.pt"))
    kept = add_edition()
    (project / "mine.pt").write_bytes(b"two")
    made = publish(FOLDER, SITE, nothing_due)
    assert list(made.sizes) == [kept.name]
    (why,) = made.left_out.values()
    assert "its weights have changed" in why


def test_without_an_edition_there_is_no_site_and_the_older_one_stays():
    edition = add_edition()
    publish(FOLDER, SITE, nothing_due)
    (edition.folder / "html/index.html").unlink()
    with pytest.raises(
        InputError, match=r"no edition to publish; make one with make book\.\n.*has no pages yet"
    ):
        publish(FOLDER, SITE, nothing_due)
    assert (FOLDER / "editions" / edition.name / "intro.html").is_file()


def test_a_broken_link_is_named_and_the_older_site_stays():
    edition = add_edition()
    publish(FOLDER, SITE, nothing_due)
    (edition.folder / "html/intro.html").write_text('<a href="nowhere.html">x</a>')
    with pytest.raises(BrokenLinksError) as error:
        publish(FOLDER, SITE, nothing_due)
    assert f"editions/{edition.name}/intro.html: 'nowhere.html' names a file that is not there" in str(
        error.value
    )
    assert (FOLDER / "editions" / edition.name / "intro.html").read_text() == FILES["intro.html"]
    assert not FOLDER.with_name(".site.new").exists()


def test_of_two_runs_at_once_the_second_says_so_and_touches_nothing(project):
    edition = add_edition()
    asked = []

    def due(editions, code):
        if not asked:
            asked.append(code)
            started = project / "_build/.site.new/started"
            started.mkdir(parents=True)
            with pytest.raises(InputError, match=r"^Another run is publishing; wait for it\.$"):
                publish(FOLDER, SITE, nothing_due)
            started.rmdir()  # still there
        return set()

    assert list(publish(FOLDER, SITE, due).sizes) == [edition.name]
    assert list(publish(FOLDER, SITE, due).sizes) == [edition.name]


def test_headlines_are_read_while_no_other_run_can_write_them(monkeypatch):
    edition = add_edition()
    read = tables.read

    def read_locked(*table):
        with (
            pytest.raises(InputError, match="Another run is working on"),
            processes.only_writer(edition.name, wait=0),
        ):
            pass
        return read(*table)

    monkeypatch.setattr(tables, "read", read_locked)
    publish(FOLDER, SITE, nothing_due)
    assert ">12 [10,\xa014]<" in (FOLDER / "index.html").read_text(encoding="utf-8")


def test_an_interrupted_run_leaves_the_older_site(monkeypatch):
    edition = add_edition()
    publish(FOLDER, SITE, nothing_due)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("crosseyed.workflow.site.links.broken", stop)
    add_edition(seed=1)
    with pytest.raises(KeyboardInterrupt):
        publish(FOLDER, SITE, nothing_due)
    assert [path.name for path in (FOLDER / "editions").iterdir()] == [edition.name]


ROWS = [
    Row("a--<b>&x", "a", "<b>&x", "quick", "1a2b3c4d", 64.4, 64.6, -0.2, -1.4, 9.6, 0.95, 40),
    Row("z", "z", "openai", "full", "5e6f7a8b", 90.0, 40.0, 50.0, 43.6, 57.4, 0.95, 120),
]


def test_the_page_of_editions_states_gap_and_interval_and_names_as_text(project):
    site_index.write(project, ROWS, Addresses())
    text = (project / "index.html").read_text(encoding="utf-8")
    assert text.index(">50 [44,\xa057]<") < text.index(">0 [−1,\xa010]<")
    assert "<b>" not in text
    assert '<a href="editions/a--%3Cb%3E%26x/intro.html">a--&lt;b&gt;&amp;x</a>' in text
    assert "canonical" not in text
    site_index.write(project, ROWS, SITE)
    text = (project / "index.html").read_text(encoding="utf-8")
    assert '<link rel="canonical" href="https://owner.example.org/name/">' in text


def pages_of(sitemap):
    return [
        each.text for each in ET.fromstring(sitemap).iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")
    ]


@pytest.mark.parametrize(("address", "first"), [(SITE.site, f"{SITE.site}/"), ("", "index.html")])
def test_the_sitemap_lists_the_pages_that_are_worth_finding(address, first):
    edition = add_edition()
    made = publish(FOLDER, Addresses(site=address), nothing_due)
    before = f"{address}/" if address else ""
    assert pages_of((FOLDER / "sitemap.xml").read_text()) == [
        first,
        *(f"{before}editions/{edition.name}/{name}" for name in ("intro.html", "notebooks/01.html")),
    ]
    assert ("relative addresses" in str(made)) == (not address)
    robots = (FOLDER / "robots.txt").read_text()
    assert robots.startswith("User-agent: *\nAllow: /\n")
    assert (f"Sitemap: {SITE.site}/sitemap.xml" in robots) == bool(address)
