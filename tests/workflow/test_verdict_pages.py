"""What pages say about the claims, for an edition whose tables are made up."""

from dataclasses import replace

import pandas as pd
import pytest

from crosseyed.editions import Description, Edition
from crosseyed.report import tables
from crosseyed.report.tables import MissingTableError, Record
from crosseyed.settings import PROTOCOL_VERSION
from crosseyed.workflow.claims import CLAIMS
from crosseyed.workflow.verdict_pages import copy_tables, describe, judge, tabulate

MODEL = Description(
    Edition("ViT-B-32", "openai"), "ViT-B-32", "openai", 1, tower={}, device="cpu", weights="1a2b3c4d"
)


@pytest.fixture
def results(tmp_path):
    """Return tables of an edition in which nothing can be tested."""
    for claim in CLAIMS:
        reasons = {each.table: f"no {each.table}" for each in CLAIMS if each.chapter == claim.chapter}
        (tmp_path / claim.chapter).mkdir(exist_ok=True)
        tables.write_record(tmp_path / claim.chapter, Record(unavailable=reasons))
    return tmp_path


def of_claims(judged):
    return {each.claim.table: each for each in judged}


def add_changes(results, table, change, p_value=0.001):
    """Write the table of a claim about mitigations with one candidate."""
    ends = {"off_center_change_low": change - 1, "off_center_change_high": change + 1}
    row = {
        "candidate": "gray",
        "validation_rank": 1.0,
        "off_center_change": change,
        "off_center_p": p_value,
        **ends,
    }
    folder = results / "05_mitigations"
    record = tables.read_record(folder)
    del record.unavailable[table]
    tables.write_record(folder, record)
    tables.write(folder, table, pd.DataFrame([row]))


def test_a_missing_table_is_an_error_that_names_it(tmp_path):
    with pytest.raises(MissingTableError, match=r"'bias' of the chapter 01_center_bias"):
        judge(tmp_path, MODEL)


def test_a_claim_is_not_testable_where_the_chapter_registered_why(results):
    judged = judge(results, MODEL)
    rows = tabulate(judged).splitlines()[2:]
    assert len(rows) == len(CLAIMS)
    for row, claim in zip(rows, CLAIMS, strict=True):
        assert row.count("|") == 4
        verdict = "method not published" if claim.unpublished else "not testable here"
        assert f"**{verdict}** – " in row and f"no {claim.table}" in row
        assert "{download}" not in row


def test_no_verdict_is_passed_on_a_method_that_is_not_published(results):
    add_changes(results, "visual_prompts", 5.0)
    add_changes(results, "attention_changes", -5.0)
    add_changes(results, "zoom", 5.0)
    judged = of_claims(judge(results, MODEL))
    prompts, redistribution = judged["visual_prompts"], judged["attention_changes"]
    assert (prompts.verdict, redistribution.verdict) == ("method not published",) * 2
    assert "our own methods are supported: change off-center by gray" in prompts.found
    assert "our own methods are contradicted" in redistribution.found
    assert judged["zoom"].verdict == "supported"


def test_rows_of_another_version_of_the_protocol_stand_apart(results):
    chapter = results / "06_model_family"
    record = tables.read_record(chapter)
    tables.write_record(chapter, replace(record, protocol_version=PROTOCOL_VERSION - 1))
    own, apart = tabulate(judge(results, MODEL)).split("\n\nComputed under version")
    assert apart.startswith(f" {PROTOCOL_VERSION - 1} of the protocol, so that these rows cannot be compared")
    recent = next(claim for claim in CLAIMS if claim.table == "recent").statement
    assert recent in apart and recent not in own
    assert own.count("\n| ") + apart.count("\n| ") == len(CLAIMS) + 1  # one head is the first line


def test_a_record_without_a_version_is_of_the_first(results):
    path = results / "01_center_bias" / tables.RECORD
    text = path.read_text()
    path.write_text(text.replace(f',\n "protocol_version": {PROTOCOL_VERSION}', ""))
    assert path.read_text() != text
    assert tables.read_record(path.parent).protocol_version == 1
    assert tables.read_record(results / "05_mitigations").protocol_version == PROTOCOL_VERSION


def test_every_test_is_told_in_full(results):
    add_changes(results, "zoom", 5.0)
    page = describe(judge(results, MODEL))
    for claim in CLAIMS:
        for words in (
            claim.statement,
            claim.source,
            claim.made,
            claim.quantity,
            claim.rule,
            claim.would_change,
        ):
            assert words in page
    assert "{download}`table </results/05_mitigations/zoom.csv>`" in page
    assert f"(version {PROTOCOL_VERSION} of the protocol)" in page


def test_the_tables_that_links_lead_to_are_copied(results, tmp_path):
    add_changes(results, "zoom", 5.0)
    copy_tables(judge(results, MODEL), results, tmp_path / "pages")
    copied = [path.relative_to(tmp_path / "pages") for path in (tmp_path / "pages").rglob("*.csv")]
    assert [str(path) for path in copied] == ["results/05_mitigations/zoom.csv"]
