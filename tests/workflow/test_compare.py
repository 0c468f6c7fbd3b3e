"""Two editions side by side: which can be compared, and that every difference is paired."""

import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from crosseyed.editions import Description, Edition
from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, dyadic
from crosseyed.report import tables
from crosseyed.settings import PROTOCOL_VERSION
from crosseyed.workflow.claims import CLAIMS
from crosseyed.workflow.compare import compare
from crosseyed.workflow.paired import compare as differences

CHAPTERS = list(dict.fromkeys(claim.chapter for claim in CLAIMS))


def described(name):
    return Description(Edition(name), name, "openai", 151_000_000, {}, "cpu", "1a2b3c4d")


def grid(model, seed, n_objects=8):
    """Return answers on a 3 × 3 grid: a recipe for each image, and answers of a seed."""
    rng = np.random.default_rng(seed)
    rows = [
        {"image": f"o{number}_{row}{col}", "object": f"o{number}", "row": row, "col": col, "seed": 7}
        | {"center": (row, col) == (1, 1), "x": (col + 0.5) / 3, "y": (row + 0.5) / 3}
        for number in range(n_objects)
        for row in range(3)
        for col in range(3)
    ]
    table = pd.DataFrame(rows).assign(model=model, pretrained="openai")
    table["eccentricity"] = np.hypot(table["x"] - 0.5, table["y"] - 0.5) / np.hypot(0.5, 0.5)
    return table.assign(
        correct=pd.array(rng.random(len(table)) < 0.4 + 0.4 * table["center"], dtype="boolean")
    )


def pair(model, seed, n_objects=8):
    rng = np.random.default_rng(seed)
    rows = [
        {"image": f"p{number}_{place}", "object": f"o{number}", "object2": f"o{(number + 3) % n_objects}"}
        | {"together": place == 0, "seed": 7}
        for number in range(n_objects)
        for place in range(4)
    ]
    table = pd.DataFrame(rows).assign(model=model, pretrained="openai")
    choice = rng.choice(["both", "object", "object2", "other"], len(table))
    return table.assign(choice=choice, correct=pd.array(choice == "both", dtype="boolean"))


def add_edition(build, name, seed, n_objects=8):
    """Put an edition with a grid and pairs among the editions, in which all else is registered as unavailable."""
    results, by = build / "editions" / name / "results", ["model", "pretrained"]
    grids, pairs = grid(name, seed, n_objects), pair(name, seed, n_objects)
    written = {
        "grid": grids,
        "bias": bootstrap.center_bias(grids, by=by, resamples=100),
        "grid_by_eccentricity": bootstrap.accuracy_by_eccentricity(grids, by="model", resamples=100),
        "pair": pairs,
        "pair_bias": dyadic.together_gap(pairs, by=by),
        "pair_left_out": dyadic.left_out(pairs, by=by),
    }
    for chapter in CHAPTERS:
        (results / chapter).mkdir(parents=True)
        names = [
            each for each in tables.TABLES[chapter] if chapter != "01_center_bias" or each not in written
        ]
        tables.write_record(
            results / chapter, tables.Record(unavailable=dict.fromkeys(names, "it is made up"))
        )
    for each, table in written.items():
        tables.write(results / "01_center_bias", each, table)
    described(name).write(build / "models" / f"{name}.json")
    return results


@pytest.fixture
def build(tmp_path):
    add_edition(tmp_path, "one", 1)
    add_edition(tmp_path, "two", 2)
    return tmp_path


def of(build, *names):
    return [(build / "editions" / name / "results", described(name)) for name in names]


def test_differences_are_those_of_the_same_images(build):
    table = differences(*of(build, "one", "two")).set_index("what")
    both = pd.concat([grid("one", 1), grid("two", 2)], ignore_index=True)
    (gap,) = bootstrap.paired_difference(both, "model", ("one", "two"), quantity="gap").to_dict("records")
    found = table.loc["center-bias gap (points)"]
    assert [found["difference"], found["difference_low"], found["difference_high"]] == pytest.approx(
        [gap["difference"], gap["low"], gap["high"]]
    )
    assert (found["n"], found["n_objects"]) == (72, 8)
    assert found["first"] == pytest.approx(gap["first_value"])
    center = table.loc["one object at the center (%)"]
    assert center["difference"] == pytest.approx(center["first"] - center["second"])
    pairs = table.loc["two objects together minus apart (points)"]
    assert pairs["difference"] == pytest.approx(pairs["first"] - pairs["second"])
    assert pairs["n"] == 32
    left = table.loc["two objects: border object left out, minus its partner (points)"]
    assert left["difference"] == pytest.approx(left["first"] - left["second"])


def test_what_an_edition_lacks_is_said_of_each(build):
    results = build / "editions" / "two" / "results" / "01_center_bias"
    record = tables.read_record(results)
    record.unavailable["whatsup_bias"] = "no photographs"
    tables.write_record(results, record)
    (results / "pair_bias.csv").unlink()
    record.unavailable["pair_bias"] = "no pairs"
    tables.write_record(results, record)
    reasons = differences(*of(build, "one", "two")).set_index("what")["reason"]
    assert (
        reasons["photographs together, both named (%)"]
        == "not in one: it is made up; not in two: no photographs"
    )
    assert reasons["two objects together, both named (%)"] == "not in two: no pairs"
    assert reasons["center-bias gap (points)"] == ""


def test_only_shared_images_are_paired(build):
    add_edition(build, "small", 3, n_objects=5)
    small = differences(*of(build, "one", "small")).set_index("what").loc["one object off-center (%)"]
    ours, theirs = (grid(*each) for each in (("one", 1), ("small", 3, 5)))
    both = ours.merge(theirs, on="image")
    both = both[~both["center_x"]]
    assert small["n"] == len(both) == 40
    assert small["difference"] == pytest.approx(100 * (both["correct_x"].mean() - both["correct_y"].mean()))


def test_without_a_shared_image_it_says_that_nothing_is_paired(build):
    results = build / "editions" / "two" / "results"
    other = grid("two", 2).assign(seed=8)
    tables.write(results / "01_center_bias", "grid", other)
    row = differences(*of(build, "one", "two")).set_index("what").loc["center-bias gap (points)"]
    assert np.isnan(row["difference"]) and row["n"] == 0
    assert "share no image" in row["reason"]


@pytest.mark.parametrize(
    ("name", "made", "side", "what"),
    [
        ("grid", grid, "center", "center-bias gap (points)"),
        ("pair", pair, "together", "two objects together minus apart (points)"),
    ],
)
@pytest.mark.parametrize("kept", [True, False])
def test_of_shared_images_on_one_side_alone_it_says_why_nothing_is_subtracted(
    build, name, made, side, what, kept
):
    results = build / "editions" / "two" / "results"
    table = made("two", 2)
    moved = table.assign(seed=table["seed"].where(table[side] == kept, 8))
    tables.write(results / "01_center_bias", name, moved)
    row = differences(*of(build, "one", "two")).set_index("what").loc[what]
    assert np.isnan(row["difference"])
    assert row["reason"] == (
        f"{(table[side] == kept).sum()} shared images, {'all' if kept else 'none'} of them {side}: there is nothing to "
        "subtract"
    )


def test_the_page_shows_each_number_and_stands_alone(build):
    page = compare(["one", "two"], build)
    assert page == build / "compare" / "one" / "two.html"
    source = page.read_text(encoding="utf-8")
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", source)).replace("\xa0", " ").split())
    row = differences(*of(build, "one", "two")).set_index("what").loc["center-bias gap (points)"]
    ends = (row[f"difference{end}"] for end in ("", "_low", "_high"))
    shown = "{:+.1f} [{:+.1f}, {:+.1f}] 72 images of 8 objects".format(*ends).replace("-", "−")
    assert shown in text
    assert text.count("not testable here") == 2 * (len(CLAIMS) - 4)
    assert not re.search(r'<script|(?:src|href)="(?!data:)', source)
    assert all('alt="' in each for each in re.findall("<img [^>]*>", source))


def test_what_scrolls_has_a_name_and_is_reached_by_keyboard(build):
    source = compare(["one", "two"], build).read_text(encoding="utf-8")
    regions = re.findall('<div class="scrolls" tabindex="0" role="region" aria-label="([^"]+)">', source)
    assert len(set(regions)) == len(regions) == source.count('class="scrolls"') > 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "two editions, and none were given; There are one, two"),
        (("one",), r"1 \(one\) were given"),
        (("one", "two", "one"), r"3 \(one, two, one\) were given"),
        (("one", "one"), "Both editions are 'one'"),
        (("one", "tow"), "did you mean 'two'.* Choose from one, two"),
        (("one", "../one"), "Unknown edition"),
    ],
)
def test_what_cannot_be_compared_is_said_with_the_editions_that_exist(build, names, message):
    with pytest.raises(InputError, match=message):
        compare(names, build)
    assert not (build / "compare").exists()


def test_without_editions_it_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match=r"'a' does not exist.*make book"):
        compare(["a", "b"], tmp_path)


def test_an_edition_that_is_not_complete_is_named_with_what_it_lacks(build):
    folder = build / "editions" / "two" / "results"
    (folder / "01_center_bias" / "grid.csv").write_text("cut off")
    (folder / "05_mitigations" / "tables.json").unlink()
    with pytest.raises(InputError, match="'two' is not complete: it lacks 01_center_bias, 05_mitigations"):
        compare(["one", "two"], build)
    (build / "models" / "one.json").unlink()
    with pytest.raises(InputError, match="'one' is not complete: it lacks the description of its model"):
        compare(["one", "two"], build)


def test_tables_of_another_version_of_the_protocol_are_refused(build):
    folder = build / "editions" / "two" / "results" / "05_mitigations"
    record = tables.read_record(folder)
    record.protocol_version = PROTOCOL_VERSION - 1
    tables.write_record(folder, record)
    with pytest.raises(
        InputError, match=f"05_mitigations of the edition 'two' .* version {PROTOCOL_VERSION - 1}"
    ):
        compare(["one", "two"], build)
