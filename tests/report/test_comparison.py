import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_results import collected, write_results

from crosseyed.editions import edition_name
from crosseyed.report import comparison, kept_results
from crosseyed.report.verdicts import comparison as verdicts
from crosseyed.settings import PROTOCOL_VERSION
from crosseyed.tables import write_table

LISTED = [
    {"model": "pocketclip-centered", "data": "drawings"},
    {"model": "ViT-B-32", "pretrained": "openai", "download": "0.6 GB", "data": "WIT-400M", "year": "2021"},
    {
        "model": "ViT-B-32",
        "pretrained": "openai",
        "checkpoint": "data/negclip.pth",
        "data": "WIT-400M + COCO",
        "year": "2023",
    },
    {"model": "ViT-L-14", "pretrained": "openai", "download": "1.7 GB"},
]


def kept(*rows):
    """Return a table of results with these columns filled, and the rest of the schema empty."""
    table = pd.DataFrame(rows).reindex(columns=list(kept_results.SCHEMA))
    return kept_results.typed(table)


def row(edition, model="ViT-B-32", seed=0, protocol="grid", pretrained="openai", **numbers):
    return {
        "edition": edition,
        "model": model,
        "pretrained": pretrained,
        "seed": seed,
        "size": "standard",
        "precision": "fp32",
        "protocol": protocol,
        **numbers,
    }


def test_results_of_another_version_of_the_protocol_stand_apart():
    rows = [row("a", protocol_version=PROTOCOL_VERSION), row("b", protocol_version=PROTOCOL_VERSION - 1)]
    own, others = comparison.by_version(kept(*rows))
    assert (own["edition"].tolist(), others["edition"].tolist()) == (["a"], ["b"])
    said = verdicts.apart(others)
    assert f"b (version {PROTOCOL_VERSION - 1})" in said and "compared with nothing" in said
    assert verdicts.apart(own[:0]) == ""


TABLE = kept(
    row("ViT-B-32--openai--seed2", seed=2, gap=9.0),
    row("ViT-B-32--openai", gap=7.0),
    row("ViT-B-32--openai", protocol="pair", gap=1.0),
    row("ViT-B-32--openai--negclip-1a2b3c4d", gap=5.0),
    row("pocketclip-centered", model="pocketclip-centered", pretrained="crosseyed", gap=60.0),
    row("mine--bf16--seed1--full", model="mine", seed=1, size="full", precision="bf16", gap=-9.0),
    row("mine--seed1", model="mine", seed=1, gap=0.0),
    row("mine--seed1--full", model="mine", seed=1, size="full", gap=-1.0),
    row("mine--quick", model="mine", size="quick", gap=2.0),
)


def test_the_list_says_what_a_model_was_trained_on_whatever_its_seed():
    table = comparison.describe(TABLE, LISTED)
    assert table["name"].tolist() == [
        "ViT-B-32--openai",
        "ViT-B-32--openai",
        "ViT-B-32--openai",
        "ViT-B-32--openai--negclip-1a2b3c4d",
        "pocketclip-centered",
        *["mine"] * 4,
    ]
    assert table["year"].tolist() == [2021] * 3 + [2023, *[pd.NA] * 5]
    assert comparison.recent(table)["name"].tolist() == ["ViT-B-32--openai--negclip-1a2b3c4d"]
    assert table["data"].tolist() == ["WIT-400M"] * 3 + ["WIT-400M + COCO", "drawings", *["not stated"] * 4]
    assert table["published"].tolist() == [True] * 4 + [False, *[True] * 4]


def test_a_name_that_ends_like_a_digest_is_not_another_model():
    long = "hf-hub:" + "m" * 90  # whose name is cut and ends with a digest
    listed = [{"model": each, "data": each} for each in ("ViT-1a2b3c4d", "RN50", long)]
    listed += [{"model": "local-dir:runs/best", "checkpoint": "0.pt", "data": "mine"}]
    results = kept(
        row("ViT-1a2b3c4d", gap=1.0),
        row("RN50-1a2b3c4d", gap=1.0),
        row(edition_name(long), gap=1.0),
        row("best--0-1a2b3c4d", gap=1.0),
    )
    table = comparison.describe(results, listed)
    assert table["data"].tolist() == ["ViT-1a2b3c4d", "not stated", long, "mine"]
    assert comparison.awaiting(table, listed)["model"].tolist() == ["RN50"]


def test_models_without_a_result_await_their_run():
    table = comparison.awaiting(comparison.describe(TABLE, LISTED), LISTED)
    assert table.to_dict("records") == [
        {
            "model": "ViT-L-14",
            "weights": "openai",
            "data": "not stated",
            "download": "1.7 GB",
            "gigabytes": 1.7,
        }
    ]


def test_without_any_result_all_models_await_their_run():
    nothing = comparison.describe(kept(), LISTED)
    table = comparison.awaiting(nothing, LISTED)
    assert table["weights"].tolist() == ["", "openai", "data/negclip.pth", "openai"]
    assert table["gigabytes"].sum() == pytest.approx(2.3)
    assert np.isnan(table["gigabytes"][0])
    assert comparison.one_row_each(nothing).empty
    assert not comparison.can_compare(comparison.one_row_each(nothing), "pooling")


def test_when_all_is_done_nothing_awaits_its_run():
    done = comparison.describe(TABLE, LISTED[:3])
    table = comparison.awaiting(done, LISTED[:3])
    assert table.empty
    assert table["gigabytes"].sum() == 0


def test_random_weights_do_not_count_as_a_result(tmp_path):
    random = collected(write_results(tmp_path / "made")).assign(
        edition="ViT-L-14--openai", pretrained="random"
    )
    write_table(random, tmp_path / "kept" / "random.csv")
    table = comparison.describe(kept_results.read(tmp_path / "kept"), LISTED)
    assert table.empty
    assert "ViT-L-14" in comparison.awaiting(table, LISTED)["model"].tolist()


def test_each_published_model_has_one_row_of_its_largest_size_finest_precision_and_lowest_seed():
    table = comparison.one_row_each(comparison.describe(TABLE, LISTED))
    assert dict(zip(table["name"], table["gap"], strict=True)) == {
        "ViT-B-32--openai--negclip-1a2b3c4d": 5.0,
        "ViT-B-32--openai": 7.0,
        "mine": -1.0,
    }


@pytest.mark.parametrize(
    ("values", "enough"),
    [
        ([14] * 4 + [16] * 4, True),
        ([14] * 4 + [16] * 3 + [None], False),  # too few have a patch
        ([14] * 8 + [16], False),  # nothing to compare the 14 with
        ([14] * 6 + [16, 16, 32], True),
    ],
)
def test_a_property_is_compared_if_enough_models_have_it_and_differ(values, enough):
    models = pd.DataFrame({"patch_size": pd.array(values, dtype="Int64")})
    assert comparison.can_compare(models, "patch_size") is enough


def test_the_rank_correlation_is_spearmans_with_the_interval_of_bonett_and_wright():
    models = pd.DataFrame({"patch_size": [1, 2, 3, 4, 5, None], "gap": [1.0, 3.0, 2.0, 5.0, 4.0, 9.0]})
    found = comparison.rank_correlation(models, ["patch_size"]).iloc[0]
    # squared differences of ranks 0, 1, 1, 1, 1: 1 - 6 * 4 / (5 * 24)
    assert found["correlation"] == pytest.approx(0.8)
    error = np.sqrt((1 + 0.8**2 / 2) / 2)
    assert found["high"] == pytest.approx(np.tanh(np.arctanh(0.8) + 1.959964 * error))
    assert found["low"] == pytest.approx(np.tanh(np.arctanh(0.8) - 1.959964 * error))
    assert found["n"] == 5


def test_a_perfect_order_has_an_interval_within_its_range():
    models = pd.DataFrame({"parameters": range(8), "gap": [-float(each) for each in range(8)]})
    found = comparison.rank_correlation(models, ["parameters"]).iloc[0]
    assert found["correlation"] == pytest.approx(-1)
    assert -1 <= found["low"] <= found["high"] <= 1


def test_no_property_makes_an_empty_table_with_its_columns():
    table = comparison.rank_correlation(pd.DataFrame({"gap": []}), [])
    assert table.empty
    assert {"property", "correlation", "low", "high"} <= set(table)


def test_means_of_groups_have_students_interval_from_three_models_on():
    models = pd.DataFrame(
        {"data": ["b", "b", "b", "a", "a", None], "gap": pd.array([10, 20, 60, 4, 6, 99], dtype="Float64")}
    )
    table = comparison.group_means(models, "data").set_index("data")
    assert table.index.tolist() == ["a", "b"]  # by the mean
    assert table["mean"].tolist() == [5, 30]
    assert table["n"].tolist() == [2, 3]
    assert np.isnan(table.loc["a", ["low", "high"]].astype(float)).all()
    half = stats.t.ppf(0.975, 2) * np.std([10, 20, 60], ddof=1) / np.sqrt(3)
    assert table.loc["b", ["low", "high"]].tolist() == pytest.approx([30 - half, 30 + half])
