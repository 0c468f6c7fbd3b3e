import re

import pandas as pd
import pytest

from crosseyed.files import DATA
from crosseyed.workflow import claims, results
from crosseyed.workflow.claims import CLAIMS, Evidence, Untestable, tabulate
from crosseyed.workflow.editions import Description

MODEL = Description("ViT-B-32--openai", "ViT-B-32", "openai", 1, tower={}, device="cpu")
BIAS, LOST, OVERLOOKED, BACKGROUND, MASKED, POOLED, PROMPTED, ATTENDED, FAMILY = (
    CLAIMS[number].test for number in (0, 3, 4, 5, 6, 7, 8, 9, 10)
)


@pytest.fixture
def tables(tmp_path):
    def write(chapter, name, rows, **columns):
        (tmp_path / chapter).mkdir(exist_ok=True)
        pd.DataFrame(rows).assign(**columns).to_csv(tmp_path / chapter / f"{name}.csv", index=False)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict"),
    [
        (1, 3, None, "supported"),
        (-1, 3, None, "not supported"),
        (-3, -1, None, "contradicted"),
        (1, 3, 0.04, "supported"),
        (1, 3, 0.06, "not supported"),
        (-3, -1, 0.04, "contradicted"),
        (1, 3, float("nan"), "not supported"),
    ],
)
def test_the_verdict_follows_from_interval_and_corrected_p(low, high, p, verdict):
    assert Evidence("it", (low + high) / 2, low, high, p=p).verdict == verdict


def test_the_gap_is_that_of_the_editions_own_model(tables):
    rows = [
        {
            "object": name,
            "center": center,
            "correct": center or name == "a",
            "model": "ViT-B-32",
            "pretrained": "openai",
        }
        for name in "abcd"
        for center in (True, False)
    ]
    other = [{**row, "correct": True, "pretrained": "laion2b"} for row in rows]
    evidence = BIAS(tables("01_center_bias", "grid", rows + other), MODEL)
    assert evidence.value == 75
    assert 0 <= evidence.low <= 75 <= evidence.high <= 100
    assert "75.0 points" in str(evidence)


def test_what_speaks_for_a_claim_is_positive(tables):
    scores = [{"object": name, "contrast": -0.5, "method": "ITSM"} for name in "abc"]
    scores += [{"object": "a", "contrast": 0.9, "method": "occlusion"}]
    folder = tables("03_attention_maps", "scores", scores, model="ViT-B-32", pretrained="openai")
    assert (BACKGROUND(folder, MODEL).value, BACKGROUND(folder, MODEL).low) == (0.5, 0.5)
    lost = [{"reader": "logit lens", "difference": 9, "low": 8, "high": 10}]
    lost += [{"reader": "probe", "difference": 5, "low": -1, "high": 6}]
    folder = tables("02_embedding_decomposition", "lost", lost)
    assert (LOST(folder, MODEL).value, LOST(folder, MODEL).verdict) == (5, "not supported")
    found = [{"model": "ViT-B-32", "difference": 2, "difference_low": 1, "difference_high": 3}]
    assert OVERLOOKED(tables("03_attention_maps", "found", found), MODEL).verdict == "supported"
    changes = [{"map": "ITSM, trained", "mean": -0.1, "low": -0.2, "high": -0.05}]
    assert MASKED(tables("04_pooling_ablation", "maps_changes", changes), MODEL).verdict == "contradicted"


def candidates():
    def row(family, change, p, kind="mitigation", protocol="grid"):
        return {
            "protocol": protocol,
            "candidate": f"{family} (2)",
            "family": family,
            "kind": kind,
            "off_center_change": change,
            "off_center_change_low": change - 1,
            "off_center_change_high": change + 1,
            "off_center_p": p,
        }

    return [
        {**row("none", 0, float("nan"), "baseline"), "candidate": "none"},
        row("visual prompt: crop", 20, 0.001),
        row("visual prompt: circle", -10, 0.001),
        row("proposed prompts: crop", 30, 0.001),
        row("radial attention", 2, 0.2),
        row("head suppression", 1, 0.3),
        row("head suppression", 50, 0.001, protocol="pair"),
        row("max", 4, 0.01, "pooling"),
    ]


def test_of_several_remedies_of_a_kind_the_best_is_taken(tables):
    folder = tables("05_mitigations", "evaluation", candidates())
    assert PROMPTED(folder, MODEL).what.endswith("best of 2, visual prompt: crop (2)")
    assert (ATTENDED(folder, MODEL).value, ATTENDED(folder, MODEL).verdict) == (2, "not supported")
    folder = tables("04_pooling_ablation", "training_free", candidates())
    assert (POOLED(folder, MODEL).value, POOLED(folder, MODEL).verdict) == (4, "supported")


def test_the_family_is_judged_by_published_models_alone(monkeypatch):
    def family(**models):
        rows = [
            {
                "edition": name,
                "model": name,
                "protocol": "grid",
                "gap": gap,
                "gap_low": gap - 2,
                "gap_high": gap + 2,
            }
            for name, gap in models.items()
        ]
        table = pd.DataFrame(rows, columns=["edition", "model", "protocol", "gap", "gap_low", "gap_high"])
        monkeypatch.setattr(results, "read", lambda: table)
        return FAMILY(DATA, MODEL)

    with pytest.raises(Untestable, match="make sweep"):
        family(**{"pocketclip-centered": 60})
    assert family(**{"pocketclip-uniform": 0, "a": 9, "b": 5}).value == 5
    assert family(a=9, b=1).verdict == "not supported"


def test_the_table_has_every_claim_and_says_why_one_cannot_be_tested(tmp_path):
    table = tabulate(tmp_path, MODEL)
    rows = table.splitlines()[2:]
    assert len(rows) == len(CLAIMS)
    assert all(row.count("|") == 4 and "**not testable here** – " in row for row in rows[:-1])
    assert "crosseyed download whatsup" in table


def test_every_claim_names_a_chapter_and_a_source_that_exist():
    chapters = {path.stem for path in (DATA.parent / "notebooks").glob("*.ipynb")}
    sources = set(re.findall(r"@\w+\{(\w+),", (DATA.parent / "book" / "references.bib").read_text()))
    assert {claim.chapter for claim in claims.CLAIMS} <= chapters
    assert {claim.source for claim in claims.CLAIMS} <= sources
