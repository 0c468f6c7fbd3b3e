from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from crosseyed.data import layouts, whatsup
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, permutation, protocols
from crosseyed.mitigations import scoring, tasks
from crosseyed.mitigations.base import Location, Mitigation
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.evaluation import choose, compare, evaluate
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.outcomes import OUTCOMES, outcomes
from crosseyed.mitigations.pooling import pool
from crosseyed.mitigations.scoring import BASELINE, score_all
from crosseyed.mitigations.tasks import Task, make_split
from crosseyed.mitigations.views import CyclicShifts, Gated, Padding, ViewEnsemble
from crosseyed.mitigations.visual_prompts import Prompted


@dataclass(frozen=True)
class Turned(Mitigation):
    """The picture upside down."""

    label: ClassVar[str] = "turned"

    def views(self, image, location):
        return [image[::-1]]


@dataclass(frozen=True)
class Turns(ViewEnsemble):
    """The picture, upside down, mirrored, and both."""

    label: ClassVar[str] = "turns"

    @property
    def n_views(self):
        return 4

    def others(self, image):
        yield from (image[::-1], image[:, ::-1], image[::-1, ::-1])


@dataclass(frozen=True)
class Darkened(Mitigation):
    """Black but for the object."""

    label: ClassVar[str] = "darkened"
    needs_location: ClassVar[bool] = True

    def views(self, image, location):
        rows, columns = (np.arange(length) / length for length in image.shape[:2])
        near = (abs(rows - location.y) < location.size / 2)[:, None] & (
            abs(columns - location.x) < location.size / 2
        )
        return [image * near[..., None].astype(np.uint8)]


@dataclass(frozen=True)
class Doubled(Mitigation):
    """The first summand of all tokens is doubled, as something that changes the tower."""

    label: ClassVar[str] = "doubled"
    strength: float = 1.0

    @contextmanager
    def applied(self, model):
        embedding = model.clip.visual.positional_embedding
        kept = embedding.detach().clone()
        embedding.mul_(1 + self.strength)
        try:
            yield
        finally:
            embedding.copy_(kept)


@pytest.fixture(scope="module")
def cutouts():
    return sample_objects(read_catalogue(["fluent", "twemoji"]), 8, seed=0)


@pytest.fixture(scope="module")
def labels(cutouts):
    return objects_of(cutouts)


@pytest.fixture(scope="module")
def split(cutouts, labels):
    return make_split(cutouts, labels, side=32, seed=1)


# --- pictures ---


def test_splits_share_no_object_and_keep_renderings_together(cutouts):
    first, second = tasks.split_objects(cutouts, [3, 4], seed=5)
    assert len(objects_of(first)) == 3
    assert len(objects_of(second)) == 4
    assert not {each.object for each in first} & {each.object for each in second}
    assert len(first) == 2 * 3  # both renderings
    assert [first, second] == tasks.split_objects(cutouts, [3, 4], seed=5)
    assert [first, second] != tasks.split_objects(cutouts, [3, 4], seed=6)


@pytest.mark.parametrize("sizes", [[1, 3], [5, 4]])
def test_splits_that_cannot_be_made_are_refused(cutouts, sizes):
    with pytest.raises(InputError, match=r"at least 2.*the 8 that there are"):
        tasks.split_objects(cutouts, sizes)


def test_a_split_asks_three_questions(cutouts, labels, split):
    grid, pair, control = split
    assert [task.protocol for task in split] == ["grid", "pair", "control"]
    by_cutout = grid.table.groupby(["object", "style"])
    assert len(by_cutout) == len(cutouts)
    assert (by_cutout["center"].sum() == 1).all()
    assert (by_cutout.size() == 3).all()
    assert (
        grid.table.loc[~grid.table["center"], ["row", "col"]].drop_duplicates().shape[0] > 2
    )  # not always the same
    assert pair.table.groupby("object")["relation"].agg(set).map(len).eq(4).all()
    assert pair.table.groupby("object")["style"].nunique().eq(1).all()
    assert set(pair.table["style"]) == {"fluent", "twemoji"}
    assert control.table["center"].all()
    assert sorted(control.table["object"]) == sorted(labels)
    assert control.table["size"].min() > grid.table["size"].max()


def test_pictures_are_those_of_the_table_and_locations_those_of_the_objects(cutouts, labels):
    grid, pair, _ = make_split(cutouts, labels, side=64, seed=2)
    scenes = {scene.name: scene for scene in layouts.grid(cutouts, size=0.3, seed=2, height=64, width=64)}
    for picture, row, location in zip(grid.images, grid.table.itertuples(), grid.locations, strict=True):
        assert (picture == scenes[row.image].render()).all()
        assert location == Location(row.x, row.y, row.size)
    at_center = [location.x == 0.5 and location.y == 0.5 for location in grid.locations]
    assert at_center == grid.table["center"].tolist()
    assert [(place.x, place.y) for place in pair.locations] == list(
        zip(pair.table["x"], pair.table["y"], strict=True)
    )


@pytest.mark.parametrize("n_objects", [2, 3, 5])
def test_pairs_can_be_made_of_few_objects(cutouts, labels, n_objects):
    few = sample_objects(cutouts, n_objects, seed=0)
    (pair,) = make_split(few, labels, protocols=["pair"], side=16)
    assert pair.table["object"].nunique() == n_objects


def test_a_split_with_impossible_wishes_is_refused(cutouts, labels):
    with pytest.raises(InputError, match="did you mean 'grid'"):
        make_split(cutouts, labels, protocols=["gird"])
    with pytest.raises(InputError, match="1 to 24"):
        make_split(cutouts, labels, cells=25)


def test_whatsup_is_a_task_without_locations(tmp_path, tiny_clip, cutouts):
    fluent = [cutout for cutout in cutouts if cutout.style == "fluent"]
    layouts.write_whatsup(
        [*layouts.pair(fluent, "on", seed=0), *layouts.pair(fluent, "under", seed=0)], tmp_path
    )
    table = whatsup.read_whatsup(tmp_path)
    task = tasks.whatsup_task(table)
    pd.testing.assert_frame_equal(
        task.score(tiny_clip), protocols.whatsup(tiny_clip, table).drop(columns="path")
    )
    rows = evaluate(tiny_clip, [Turned(), Darkened()], [task], resamples=20)
    assert rows["candidate"].tolist() == [BASELINE, "turned"]  # nobody can tell the oracle


# --- answers ---


def test_answers_are_those_of_each_candidate_alone(tiny_clip, split):
    turns = [Turns(aggregate=aggregate) for aggregate in ("max", "mean", "logsumexp")]
    mitigations = [Turned(), *turns, Darkened(), Doubled(), compose(Turned(), Doubled(0.5)), Doubled(0.0)]
    poolings = [pool(tiny_clip, "max"), pool(tiny_clip, "top-k", k=3), pool(tiny_clip, "caption-conditioned")]
    answers = score_all(tiny_clip, [*mitigations, *poolings, "average"], split)
    alone = {BASELINE: tiny_clip, "pooling: average": pool(tiny_clip, "average")}
    alone |= {f"pooling: {each.pooling}": each for each in poolings}
    assert set(answers["candidate"]) == {*alone, *(each.name for each in mitigations)}
    for task in split:
        told = {each.name: mitigate(tiny_clip, each, task.locations) for each in mitigations}
        for name, scorer in (alone | told).items():
            rows = answers[(answers["candidate"] == name) & (answers["protocol"] == task.protocol)]
            expected = task.score(scorer)
            assert rows["image"].tolist() == expected["image"].tolist()
            assert rows["choice"].tolist() == expected["choice"].tolist()
            assert rows["margin"].to_numpy() == pytest.approx(expected["margin"].to_numpy(), abs=1e-4)


def test_views_in_common_are_encoded_once_and_counted_for_each(tiny_clip, split):
    encoded = []
    hook = tiny_clip.clip.visual.register_forward_hook(lambda _, given, __: encoded.append(len(given[0])))
    try:
        turns = [Turns(aggregate=aggregate) for aggregate in ("max", "mean")]
        gated = Gated(Turns(aggregate="logsumexp"), 0.5)  # whose first view is the plain one
        asked_again = Gated(Turned(), 0.5)  # which needs the plain one besides
        candidates = [*turns, gated, Turned(), asked_again, "max", "average"]
        answers = score_all(tiny_clip, candidates, split[:1])
    finally:
        hook.remove()
    passes = answers.drop_duplicates("candidate").set_index("candidate")["passes"]
    assert passes.tolist() == [1, 4, 4, 4, 1, 2, 1, 1]
    n_images = len(split[0].images)
    # the plain pass, four views for all ensembles, one for Turned, two for it gated, one pass for both poolings
    assert sum(encoded) == n_images * (1 + 4 + 1 + 2 + 1)


def test_what_changes_the_tower_is_never_remembered(tiny_clip, split):
    weights = {name: value.clone() for name, value in tiny_clip.clip.state_dict().items()}
    answers = score_all(tiny_clip, [Turned(), compose(Turned(), Doubled()), Doubled()], split[:1])
    margins = answers.pivot(index="image", columns="candidate", values="margin")
    assert (margins["doubled (strength=1)"] != margins[BASELINE]).any()
    assert (margins["turned + doubled (strength=1)"] != margins["turned"]).any()
    assert all(torch.equal(value, weights[name]) for name, value in tiny_clip.clip.state_dict().items())


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([Turned(), Turned()], "'turned' is given more than once"),
        ([3], "mitigation, the name of a pooling"),
        (["maxx"], "did you mean 'max'"),
    ],
)
def test_what_is_no_candidate_is_refused(tiny_clip, split, candidates, message):
    with pytest.raises(InputError, match=message):
        score_all(tiny_clip, candidates, split)


def test_a_pooling_of_another_model_is_refused(tiny_clip, tiny_folder, split):
    from crosseyed.models.loading import load

    other = pool(load(f"local-dir:{tiny_folder}"), "max")
    with pytest.raises(InputError, match="with another pooling"):
        score_all(tiny_clip, [other], split)


def test_settings_of_the_same_mitigation_are_one_family():
    family = scoring.family_of
    assert family(CyclicShifts(side=2, aggregate="mean")) == family(CyclicShifts(side=3)) == "cyclic shifts"
    assert family(Gated(CyclicShifts(), 0.3)) == "gated cyclic shifts"
    assert family(Prompted("circle", width=0.1)) == "visual prompt: circle"
    assert family(compose(Prompted("circle"), Padding(0.2))) == "visual prompt: circle + padding"


# --- numbers ---


def answered(**correct: list[list[bool]]) -> pd.DataFrame:
    """Return answers: for each candidate and object, whether it is right at the center and in two other cells."""
    rows = [
        {
            "protocol": "grid",
            "candidate": name,
            "family": name.split("_")[0],
            "kind": BASELINE if name == BASELINE else "mitigation",
            "oracle": False,
            "passes": 1.0,
            "image": f"{place:02}{cell}",
            "object": f"object{place}",
            "center": cell == 0,
            "correct": right,
        }
        for name, objects in correct.items()
        for place, cells in enumerate(objects)
        for cell, right in enumerate(cells)
    ]
    return pd.DataFrame(rows).astype({"correct": "boolean"})


def random_answers(seed=0, n_objects=30):
    rng = np.random.default_rng(seed)
    likely = {BASELINE: (0.9, 0.2), "a_1": (0.9, 0.5), "a_2": (0.5, 0.9), "b_1": (0.9, 0.25)}
    return answered(
        **{
            name: [
                [rng.random() < (center if cell == 0 else off) for cell in range(3)] for _ in range(n_objects)
            ]
            for name, (center, off) in likely.items()
        }
    )


def test_compare_by_hand():
    answers = answered(
        none=[[True, False, False], [True, True, False]],
        a=[[True, True, True], [False, True, False]],
    )
    plain, changed = compare(answers, resamples=50).to_dict("records")
    assert (plain["center"], plain["off_center"], plain["gap"]) == (100, 25, 75)
    assert (changed["center"], changed["off_center"], changed["gap"]) == (50, 75, -25)
    assert (changed["center_change"], changed["off_center_change"], changed["gap_change"]) == (-50, 50, -100)
    assert (plain["center_change"], plain["off_center_change"], plain["gap_change"]) == (0, 0, 0)
    assert (changed["n_center"], changed["n_off_center"], changed["n_objects"]) == (2, 4, 2)
    assert np.isnan(plain["off_center_p"])
    assert changed["off_center_p"] == 1  # one object changed: either sign is as likely


def test_changes_and_intervals_are_those_of_paired_differences():
    answers = random_answers()
    table = compare(answers, resamples=500, seed=3).set_index("candidate")
    sides = {"center": answers[answers["center"]], "off_center": answers[~answers["center"]], "gap": answers}
    for name in ("a_1", "a_2", "b_1"):
        for quantity, rows in sides.items():
            expected = bootstrap.paired_difference(
                rows,
                "candidate",
                (name, BASELINE),
                quantity="gap" if quantity == "gap" else "accuracy",
                resamples=500,
                seed=3,
            ).iloc[0]
            found = table.loc[name, [f"{quantity}_change{end}" for end in ("", "_low", "_high")]]
            assert found.tolist() == pytest.approx(expected[["difference", "low", "high"]].tolist())


def test_p_values_are_corrected_for_the_number_of_candidates():
    answers = random_answers()
    table = compare(answers, resamples=2000, seed=3).set_index("candidate")
    plain = answers[answers["candidate"] == BASELINE].set_index("image")["correct"].astype(float)
    changed = answers.assign(change=answers["correct"].astype(float) - answers["image"].map(plain))
    changed = changed[changed["candidate"] != BASELINE]
    for quantity, rows in {"center_p": changed["center"], "off_center_p": ~changed["center"]}.items():
        tests = permutation.sign_flip_test(changed[rows], "change", "candidate", resamples=2000, seed=3)
        running = 0.0
        for rank, test in enumerate(tests.sort_values("p_value").itertuples()):
            running = max(running, min(1.0, test.p_value * (len(tests) - rank)))
            assert table.loc[test.candidate, quantity] == pytest.approx(running)
    assert table.loc["a_2", "off_center_p"] < 0.01 < table.loc["b_1", "off_center_p"]


def test_the_gap_is_tested_as_the_difference_of_its_sides():
    """Center and off-center change alike: both sides change beyond doubt, the gap not at all."""
    rows = [[False, False, False]] * 12
    better = (
        compare(answered(none=rows, a=[[True, True, True]] * 12), resamples=2000)
        .set_index("candidate")
        .loc["a"]
    )
    assert better["center_p"] < 0.01
    assert better["off_center_p"] < 0.01
    assert (better["gap_change"], better["gap_p"]) == (0, 1)


def test_a_control_without_border_has_no_gap():
    control = random_answers().query("center").assign(protocol="control")
    table = compare(pd.concat([random_answers(), control]), resamples=50).set_index(["protocol", "candidate"])
    expected = bootstrap.accuracy(control, "candidate", resamples=50).set_index("candidate")["accuracy"]
    assert table.loc["control", "center"].to_dict() == expected.to_dict()
    assert table.loc["control"].filter(regex="off_center_change|gap").isna().all(axis=None)
    assert table.loc["control", "n_off_center"].eq(0).all()
    assert table.loc[("control", "a_2"), "center_change"] == expected["a_2"] - expected[BASELINE]


def test_unreadable_pictures_are_left_out_of_changes():
    answers = answered(
        none=[[True, False, False], [True, True, False]], a=[[True, True, False], [True, True, True]]
    )
    answers.loc[(answers["candidate"] == "a") & (answers["image"] == "012"), "correct"] = pd.NA
    table = compare(answers, resamples=50).set_index("candidate")
    assert table.loc["a", "off_center_change"] == pytest.approx(100 / 3)
    assert table.loc["a", "unreadable"] == 1


def test_compare_refuses_other_pictures():
    answers = random_answers()
    with pytest.raises(InputError, match="lack those of the plain model"):
        compare(answers[answers["candidate"] != BASELINE])
    with pytest.raises(InputError, match="'a_1' was not scored once on each image"):
        compare(answers.drop(answers.index[answers["candidate"] == "a_1"][0]))


# --- choosing ---


def settings(**rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """Return a table of settings: family, center change, accuracy off-center and passes."""
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["family", "center_change", "off_center", "passes"]
    )
    return table.rename_axis("candidate").reset_index().assign(protocol="grid")


def test_the_best_harmless_setting_of_each_family_is_chosen():
    table = settings(
        none=(BASELINE, 0, 99, 1),
        a_strong=("a", -5, 80, 1),
        a_weak=("a", -2, 60, 1),
        a_weaker=("a", 0, 40, 1),
        b_bad=("b", -9, 90, 1),
        b_less=("b", -4, 10, 1),
        c_slow=("c", 0, 50, 9),
        c_fast=("c", -1, 50, 4),
        d_first=("d", 0, 50, 4),
        d_second=("d", 1, 50, 4),
    )
    other = table.assign(protocol="pair", off_center=0.0)
    chosen = choose(pd.concat([table, other])).set_index("family")
    assert chosen["candidate"].to_dict() == {"a": "a_weak", "b": "b_less", "c": "c_fast", "d": "d_first"}
    assert chosen["harmless"].to_dict() == {"a": True, "b": False, "c": True, "d": True}
    assert chosen["settings"].to_dict() == {"a": 3, "b": 2, "c": 2, "d": 2}
    assert choose(table, most_loss=5)["candidate"].tolist()[0] == "a_strong"


def test_choosing_among_nothing_is_refused():
    with pytest.raises(InputError, match="no candidate under the protocol 'pair'"):
        choose(settings(a=("a", 0, 1, 1)), protocol="pair")


# --- what becomes of an object ---


def test_outcomes_by_hand():
    answers = answered(
        none=[[True, False, False], [True, False, False]],
        a=[[True, True, False], [False, False, False]],
    )
    found = pd.DataFrame(
        {
            "image": ["000", "001", "002", "010", "011", "012"],
            "correct": [False, False, True, True, False, True],
        }
    )
    table = outcomes(answers, "a", found, resamples=50)
    assert table["outcome"].tolist() == 2 * list(OUTCOMES)
    shares = table.set_index(["center", "outcome"])["share"].unstack("center").reindex(columns=[True, False])
    assert shares.loc["recognised before and after"].tolist() == [50, 0]
    assert shares.loc["repaired"].tolist() == [0, 25]
    assert shares.loc["broken"].tolist() == [50, 0]
    assert shares.loc["in the object's tokens, yet lost"].tolist() == [0, 50]
    assert shares.loc["not found in the tokens"].tolist() == [0, 25]
    assert table["n"].tolist() == 5 * [2] + 5 * [4]


def test_outcomes_refuse_what_was_not_asked():
    answers = random_answers()
    with pytest.raises(InputError, match="'a_3' was not scored under the protocol 'grid'; did you mean"):
        outcomes(answers, "a_3", answers)
    with pytest.raises(InputError, match="found lacks"):
        outcomes(answers, "a_1", pd.DataFrame({"image": ["000"], "correct": [True]}))


# --- cost ---


def test_cost_is_relative_to_the_plain_model(tiny_clip, split):
    cost = scoring.measure_cost(tiny_clip, [Turned(), Darkened(), "max"], split[0], n_images=4, rounds=1)
    assert cost["candidate"].tolist() == [BASELINE, "turned", "darkened", "pooling: max"]
    assert cost["cost"].iloc[0] == 1
    assert (cost[["cost", "seconds"]] > 0).all(axis=None)


def test_evaluate_puts_it_together(tiny_clip, split):
    options = {"resamples": 50, "seed": 1}
    table = evaluate(tiny_clip, [Turned(), "max"], split[:1], **options)
    expected = compare(score_all(tiny_clip, [Turned(), "max"], split[:1]), **options)
    pd.testing.assert_frame_equal(table, expected)
    assert evaluate(tiny_clip, [], split[2:], **options)["candidate"].tolist() == [BASELINE]


def test_tasks_may_be_ones_own(tiny_clip):
    pictures = [np.full((32, 32, 3), level, np.uint8) for level in (0, 90, 180, 255)]
    table = pd.DataFrame(
        {"image": list("abcd"), "object": ["dog", "dog", "cup", "cup"], "center": [True, False, True, False]}
    )
    rows = evaluate(tiny_clip, [Turned()], [Task("grid", pictures, table, ["dog", "cup"])], resamples=50)
    assert rows["n_objects"].tolist() == [2, 2]
    assert rows["gap_change"].tolist() == [0, 0]  # an even picture is the same upside down
