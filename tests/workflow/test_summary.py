"""The summary of an edition: every number on it is that of a table, and every name is text."""

import re
from html import unescape

import pandas as pd
import pytest
from PIL import Image

from crosseyed.editions import Description, Edition
from crosseyed.report import tables
from crosseyed.workflow import headline, printing, summary
from crosseyed.workflow.claims import CLAIMS
from crosseyed.workflow.evidence import NOT_TESTABLE
from crosseyed.workflow.verdict_pages import judge

NAME = "<b>a</b> {{x}} $y$"
MODEL = Description(Edition("ViT-B-32"), NAME, "openai", 151_000_000, {}, "cpu", "1a2b3c4d")


def spread(levels, reach):
    """Return quantities with the ends of their intervals, each end another number."""
    filled = dict(levels)
    for number, (name, value) in enumerate(levels.items(), start=1):
        filled[f"{name}_low"], filled[f"{name}_high"] = value - reach - number, value + reach + number + 0.5
    return filled


@pytest.fixture
def results(tmp_path):
    """Return made-up tables with a gap, pairs and one mitigation, in which no other claim is testable."""
    written = {
        "bias": spread(
            {"center_accuracy": 91.1, "off_center_accuracy": 42.2, "gap": 48.9, "bias_index": 0.54}, 1.2
        ),
        "pair_bias": spread({"together_accuracy": 81.3, "apart_accuracy": 32.4}, 2.3),
        "pair_left_out": spread({"first": 33.0, "second": 8.0, "difference": 25.7}, 3.4),
    }
    counts = {
        "n_objects": 123,
        "n_center": 1000,
        "n_off_center": 3321,
        "n_together": 45,
        "n_apart": 55,
        "n": 67,
    }
    for claim in CLAIMS:
        reasons = {each.table: "it is made up" for each in CLAIMS if each.chapter == claim.chapter}
        reasons = {name: why for name, why in reasons.items() if name not in written}
        (tmp_path / claim.chapter).mkdir(exist_ok=True)
        tables.write_record(tmp_path / claim.chapter, tables.Record(unavailable=reasons))
    first = tmp_path / "01_center_bias"
    for name, levels in written.items():
        row = {"model": NAME, "pretrained": "openai", **levels, **counts, "confidence": 0.95}
        tables.write(first, name, pd.DataFrame([row]))
    ring = {
        "model": NAME,
        "eccentricity": 0.1,
        "accuracy": 90.0,
        "low": 80.0,
        "high": 95.0,
        "confidence": 0.95,
    }
    tables.write(first, "grid_by_eccentricity", pd.DataFrame([ring, {**ring, "eccentricity": 0.6}]))
    shared = {"protocol": "grid", "oracle": False, "acts": 100.0, "n_objects": 40, "confidence": 0.95}
    sides = spread({"center": 88.8, "off_center": 44.4}, 1.1)
    changes = spread({"center_change": -1.3, "off_center_change": 12.6}, 2.2)
    named = {"candidate": "r(2)", "family": "<i>radial</i>", "validation_rank": 1.0, "passes": 2.5}
    plain = {"candidate": "none", "family": "none", "passes": 1.0}
    rows = [{**shared, **sides, **changes, **named}, {**shared, **sides, **plain}]
    tables.write(tmp_path / "05_mitigations", "evaluation", pd.DataFrame(rows))
    return tmp_path


@pytest.fixture
def page(results, tmp_path, monkeypatch):
    """Write the summary without a browser and return it as text without markup."""
    monkeypatch.setattr(printing, "BROWSERS", ())
    folder = tmp_path / "html"
    why = summary.write(
        folder, MODEL, NAME, results, headline.read(results, MODEL), judge(results, MODEL), "https://a.b/"
    )
    assert why == "no Chromium was found on this machine"
    return folder / summary.PAGE


def text_of(page):
    return " ".join(
        unescape(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8"))).replace("\xa0", " ").split()
    )


def test_every_number_is_that_of_the_table(page, results):
    text = text_of(page)
    for number in (
        "91.1 [88.9, 93.8] 123 objects, 4,321 scenes",
        "42.2 [39.0, 45.9]",
        "48.9 [44.7, 53.6]",
        "0.54 [-4.66, 6.24]".replace("-", "−"),
        "81.3 [78.0, 85.1] 123 objects, 100 scenes",
        "32.4 [28.1, 37.2]",
        "+25.7 [+19.3, +32.6] 123 objects, 67 scenes",
        "<i>radial</i>: off-center (points) +12.6 [+8.4, +17.3] 40 objects, 2.5 passes an image",
        "<i>radial</i>: at the center (points) −1.3 [−4.5, +2.4]",
        "supported +48.9 points [+44.7, +53.6]",
        "151.0 million parameters",
        "digest of the weights 1a2b3c4d",
        "size standard",
    ):
        assert number in text
    assert (
        text.count(NOT_TESTABLE) == len(CLAIMS) - 4
    )  # two are supported, of two the method is not published


def test_names_are_text(page):
    source = page.read_text(encoding="utf-8")
    assert "<b>" not in source and "<i>" not in source
    assert f"Is {NAME} cross-eyed?" in text_of(page)
    assert f"{NAME} is cross-eyed : of 123 objects it names 91 % [89, 94]" in text_of(page)


def test_it_stands_alone(page):
    source = page.read_text(encoding="utf-8")
    addresses = {each.partition(";")[0] for each in re.findall(r'(?:src|href)="([^"]+)', source)}
    assert addresses <= {"intro.html", "data:image/png", "data:image/svg+xml"}
    assert "<script" not in source and "url(" not in source
    images = re.findall(r"<img [^>]+>", source)
    assert len(images) == 2 and all(
        re.search(r'width="\d+" height="\d+" alt="[^"]+"', each) for each in images
    )


def test_what_scrolls_has_a_name_and_is_reached_by_keyboard(page):
    source = page.read_text(encoding="utf-8")
    regions = re.findall('<div class="scrolls" tabindex="0" role="region" aria-label="([^"]+)">', source)
    assert regions == ["In numbers", "Published claims"]
    assert source.count('class="scrolls"') == 2


def test_the_card_has_the_size_that_sites_expect_and_its_whole_address(page):
    assert Image.open(page.with_name("card.png")).size == (1200, 630)
    assert '<meta property="og:image" content="https://a.b/card.png">' in page.read_text(encoding="utf-8")
    assert not page.with_name(summary.PDF).exists()


def write_printed_by(browser, results, folder, monkeypatch):
    """Write the summary with a program as the browser; return why there is no PDF, and where the page leads."""
    browser.chmod(0o755)
    monkeypatch.setattr(printing, "BROWSERS", (str(browser),))
    why = summary.write(folder, MODEL, NAME, results, headline.read(results, MODEL), judge(results, MODEL))
    return why, set(re.findall('href="([^"]+)', (folder / summary.PAGE).read_text(encoding="utf-8")))


def test_it_leads_to_a_pdf_that_is_there(results, tmp_path, monkeypatch):
    browser = tmp_path / "browser"
    browser.write_text(
        '#!/bin/sh\nfor each; do case $each in --print-to-pdf=*) echo %PDF >"${each#*=}";; esac; done\n'
    )
    why, links = write_printed_by(browser, results, tmp_path / "html", monkeypatch)
    assert why == "" and links == {"intro.html", "summary.pdf"}
    assert (tmp_path / "html" / summary.PDF).read_text() == "%PDF\n"


def test_it_leads_to_no_pdf_where_printing_failed(results, tmp_path, monkeypatch):
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\nexit 1\n")
    why, links = write_printed_by(browser, results, tmp_path / "html", monkeypatch)
    assert "did not print it" in why and links == {"intro.html"}
    assert not (tmp_path / "html" / summary.PDF).exists()


@pytest.mark.skipif(printing.find_browser() is None, reason="no Chromium is installed")
def test_it_prints_on_one_page_of_paper(results, tmp_path):
    folder = tmp_path / "html"
    assert (
        summary.write(folder, MODEL, NAME, results, headline.read(results, MODEL), judge(results, MODEL))
        == ""
    )
    printed = (folder / summary.PDF).read_bytes()
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
    (box,) = set(re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", printed))
    assert [round(float(side) / 72 * 25.4) for side in box] == [210, 297]
