import json
import re

import pandas as pd
import pytest

from crosseyed.editions import Description, Edition
from crosseyed.files import DATA
from crosseyed.report.presence import PROBE
from crosseyed.report.tables import TABLES
from crosseyed.report.tables import write as write_to
from crosseyed.workflow.claims import CLAIMS
from crosseyed.workflow.evidence import Evidence

MODEL = Description(
    Edition("ViT-B-32", "openai"), "ViT-B-32", "openai", 1, tower={}, device="cpu", weights="1a2b3c4d"
)
NAN = float("nan")
BY_TABLE = {claim.table: claim for claim in CLAIMS}
BIAS, PAIRED, LOST, OVERLOOKED, BACKGROUND, MASKED, POOLED, PROMPTED, ATTENDED, FAMILY = (
    BY_TABLE[name]
    for name in (
        *(
            "bias",
            "pair_left_out",
            "lost",
            "found",
            "contrast",
            "masked_max",
            "poolings",
        ),
        *("visual_prompts", "attention_changes", "recent"),
    )
)


@pytest.fixture
def tables(tmp_path):
    def write_rows(chapter, name, rows, **columns):
        (tmp_path / chapter).mkdir(exist_ok=True)
        write_to(tmp_path / chapter, name, pd.DataFrame(rows).assign(**columns))
        return tmp_path

    return write_rows


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1, 3, "supported"),
        (-1, 3, "not supported"),
        (-3, -1, "contradicted"),
        (0, 3, "not supported"),
        (NAN, NAN, "not testable here"),
    ],
)
def test_the_verdict_follows_from_the_interval(low, high, verdict):
    assert Evidence("it", (low + high) / 2, low, high).verdict == verdict


@pytest.mark.parametrize(
    ("evidence", "number"),
    [
        (Evidence("it", 48.94, 44.66, 53.6), "+48.9 points [+44.7,\xa0+53.6]"),
        (Evidence("it", -0.04, -1.5, 0.04), "0.0 points [−1.5,\xa00.0]"),
        (Evidence("it", -0.04, -1.5, 0.004, unit=""), "−0.04 [−1.50,\xa00.00]"),
    ],
)
def test_a_number_is_written_as_in_the_tables(evidence, number):
    assert evidence.number == number


@pytest.mark.parametrize(
    ("low", "high", "needed", "verdict"),
    [
        (1, 3, 1, "supported"),
        (1, 3, -1, "not supported"),
        (-1, 3, 1, "not supported"),
        (-3, -1, 1, "contradicted"),
        (-3, -1, -1, "contradicted"),
        (1, 3, NAN, "not testable here"),
    ],
)
def test_what_a_quantity_needs_can_withhold_support_and_nothing_else(low, high, needed, verdict):
    needs = (Evidence("it", 5, 4, 6), Evidence("the other", needed, needed - 0.5, needed + 0.5))
    evidence = Evidence("this", (low + high) / 2, low, high, needs=needs)
    assert evidence.verdict == verdict
    assert [part.partition(":")[0] for part in str(evidence).split("; ")] == ["this", "it", "the other"]


def test_the_gap_is_that_of_the_editions_own_model(tables):
    row = {"model": "ViT-B-32", "pretrained": "openai", "gap": 75, "gap_low": 50, "gap_high": 100}
    other = {**row, "pretrained": "laion2b", "gap": 0}
    evidence = BIAS.evidence(tables("01_center_bias", "bias", [other, row]), MODEL)
    assert (evidence.value, evidence.low, evidence.high) == (75, 50, 100)
    assert "75.0 points" in str(evidence)


def test_of_two_objects_it_counts_which_one_is_left_out(tables):
    row = {"model": "ViT-B-32", "pretrained": "openai", "first": 40.0, "second": 42.0, "difference": -2.0}
    row |= {"difference_low": -3.0, "difference_high": -1.0}
    evidence = PAIRED.evidence(tables("01_center_bias", "pair_left_out", [row]), MODEL)
    assert (evidence.value, evidence.verdict) == (-2, "contradicted")


def test_what_speaks_for_a_claim_is_positive(tables):
    contrasts = [
        {"contrast": "after", "mean": 0.9, "low": 0.8, "high": 1},
        {"contrast": "before", "mean": -0.5, "low": -0.6, "high": -0.4},
        {"contrast": "own", "mean": 0.2, "low": 0.1, "high": 0.3},
    ]
    folder = tables("03_attention_maps", "contrast", contrasts, model="ViT-B-32", pretrained="openai")
    evidence = BACKGROUND.evidence(folder, MODEL)
    assert (evidence.value, evidence.low, evidence.high) == (0.5, 0.4, 0.6)
    added = "on one scale with the map of its place without it: −0.20 [−0.30,\xa0−0.10]"
    assert f"what the object itself adds, {added}" in evidence.what
    found = [
        {"attention": name, "difference": value, "difference_low": value - 1, "difference_high": value + 1}
        for name, value in (("with the object", 3), ("the place alone", 5), ("added by the object", -2))
    ]
    evidence = OVERLOOKED.evidence(tables("03_attention_maps", "found", found, model="ViT-B-32"), MODEL)
    assert (evidence.value, evidence.verdict) == (-2, "contradicted")
    assert "of the place alone: +5.00 [+4.00,\xa0+6.00]" in evidence.what


@pytest.mark.parametrize(
    ("change", "after", "verdict"),
    [
        (-0.1, 0.2, "contradicted"),  # the place's part alone has grown
        (0.1, 0.0, "not supported"),  # the object adds more than before, and still nothing
        (0.0, 0.2, "not supported"),
        (0.1, 0.2, "supported"),
    ],
)
def test_a_map_has_moved_onto_the_object_if_the_object_adds_more_to_it_and_something_at_all(
    tables, change, after, verdict
):
    means = {
        "change": {"with the object": change + 0.2, "the place alone": 0.2, "added by the object": change},
        "after": {"with the object": after + 0.5, "the place alone": 0.5, "added by the object": after},
    }
    rows = [
        {"quantity": quantity, "part": part, "mean": mean, "low": mean - 0.05, "high": mean + 0.05}
        for quantity, parts in means.items()
        for part, mean in parts.items()
    ]
    evidence = MASKED.evidence(tables("04_pooling_ablation", "masked_max", rows), MODEL)
    assert (evidence.value, evidence.verdict) == (change, verdict)
    assert (
        f"of the whole map: {change + 0.2:+.2f}" in evidence.what
        and "of the place alone: +0.20" in evidence.what
    )


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ({"embedding": 5, "random weights": 7, "shuffled names": 20}, "supported"),
        ({"embedding": 5, "random weights": 0.5, "shuffled names": 20}, "not supported"),
        ({"embedding": 0.5, "random weights": 7, "shuffled names": 20}, "not supported"),
        ({"embedding": -5, "random weights": 7, "shuffled names": 20}, "contradicted"),
    ],
)
def test_an_object_is_lost_only_if_it_was_present(tables, differences, verdict):
    rows = [
        {"reader": reader, "against": name, "difference": value, "low": value - 1, "high": value + 1}
        for reader, factor in ((PROBE, 1), ("nearest mean, same cell", -1))
        for name, value in ((name, factor * value) for name, value in differences.items())
    ]
    evidence = LOST.evidence(tables("02_embedding_decomposition", "lost", rows), MODEL)
    assert (evidence.value, evidence.verdict) == (differences["embedding"], verdict)
    assert f"minus random weights: {differences['random weights']:+.1f} points" in str(evidence)


def test_of_several_candidates_the_one_is_taken_that_other_objects_picked(tables):
    def row(candidate, change, p, rank):
        ends = {"off_center_change_low": change - 1, "off_center_change_high": change + 1}
        about = {"candidate": candidate, "validation_rank": rank}
        return about | {"off_center_change": change, "off_center_p": p, **ends}

    rows = [row("blur", 20, 0.001, 9.0), row("circle", -10, 0.001, 30.0), row("gray", 2, 0.2, 4.0)]
    evidence = PROMPTED.evidence(tables("05_mitigations", "visual_prompts", rows), MODEL)
    assert evidence.what == ("change off-center by gray, picked on other objects; of 3, 1 gain and 1 lose")
    assert (evidence.value, evidence.low, evidence.verdict) == (2, 1, "supported")
    rows = [row("radial attention", 2, 0.2, 2.0), row("head suppression", -8, 0.3, 1.0)]
    evidence = ATTENDED.evidence(tables("05_mitigations", "attention_changes", rows), MODEL)
    assert (evidence.value, evidence.verdict) == (-8, "contradicted")
    folder = tables("04_pooling_ablation", "poolings", [row("max", 0.5, 0.01, 1.0)])
    assert POOLED.evidence(folder, MODEL).verdict == "not supported"


def test_the_family_is_judged_by_the_smallest_gap_of_recent_models(tables):
    def family(**gaps):
        rows = [
            {
                "edition": name,
                "model": name,
                "year": 2023,
                "gap": gap,
                "gap_low": gap - 2,
                "gap_high": gap + 2,
            }
            for name, gap in gaps.items()
        ]
        return FAMILY.evidence(tables("06_model_family", "recent", rows), MODEL)

    assert family(a=9, b=5).value == 5
    assert family(a=9, b=1).verdict == "not supported"


def test_every_claim_reads_a_table_that_its_chapter_declares():
    assert all(claim.table in TABLES[claim.chapter] for claim in CLAIMS)


def test_every_claim_names_a_source_and_a_heading_that_exist():
    sources = set(re.findall(r"@\w+\{(\w+),", (DATA.parent / "book" / "references.bib").read_text()))
    assert {claim.source for claim in CLAIMS} <= sources
    for claim in CLAIMS:
        cells = json.loads((DATA.parent / "notebooks" / f"{claim.chapter}.ipynb").read_text())["cells"]
        text = "".join(
            line for cell in cells if cell["cell_type"] == "markdown" for line in [*cell["source"], "\n"]
        )
        assert re.search(rf"^#+ {re.escape(claim.section)}$", text, re.MULTILINE), claim.section


def test_claims_have_a_table_of_their_own_and_say_all_that_a_reader_needs():
    assert len(BY_TABLE) == len(CLAIMS)
    for claim in CLAIMS:
        told = (claim.statement, claim.made, claim.quantity, claim.rule, claim.would_change)
        assert all(told) and "supported" in claim.rule.lower(), claim.table
