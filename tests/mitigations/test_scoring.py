import pandas as pd
import pytest
import torch
from small_mitigations import Darkened, Doubled, Turned, Turns

from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.files import CACHE_VARIABLE
from crosseyed.mitigations import scoring
from crosseyed.mitigations.adaptvis import AdaptVis, ScalingVis
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.pooling import pool
from crosseyed.mitigations.redistribution import UniformMix
from crosseyed.mitigations.scoring import BASELINE, score_all
from crosseyed.mitigations.tasks import make_split
from crosseyed.mitigations.views import CyclicShifts, Gated, Padding
from crosseyed.mitigations.visual_prompts import Prompted
from crosseyed.models.store import Store


@pytest.fixture(scope="module")
def cutouts():
    return sample_objects(read_catalogue(["fluent", "twemoji"]), 8, seed=0)


@pytest.fixture(scope="module")
def labels(cutouts):
    return objects_of(cutouts)


@pytest.fixture(scope="module")
def split(cutouts, labels):
    return make_split(cutouts, labels, side=32, seed=1)


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


def encoded_by(model, candidates, task):
    """The answers, and the number of images that went through the tower."""
    encoded = []
    hook = model.clip.visual.register_forward_hook(lambda _, given, __: encoded.append(len(given[0])))
    try:
        return score_all(model, candidates, [task], progress=False), sum(encoded)
    finally:
        hook.remove()


def of_candidates(answers, column):
    return answers.drop_duplicates("candidate")[column].tolist()


def test_what_is_in_common_is_encoded_once_and_counted_for_each(tiny_clip, split):
    turns = [Turns(aggregate=aggregate) for aggregate in ("max", "mean")]
    gated = Gated(Turns(aggregate="logsumexp"), 0.5)  # whose first view is the plain one
    asked_again = Gated(Turned(), 0.5)  # which needs the plain one besides
    candidates = [*turns, gated, Turned(), asked_again, "max", "average"]
    answers, encoded = encoded_by(tiny_clip, candidates, split[0])
    assert of_candidates(answers, "passes") == [1, 4, 4, 4, 1, 2, 1, 1]
    # the plain pass, which both poolings read, and three other views for all ensembles, which are also all of Turned
    assert of_candidates(answers, "computed") == [1, 3, 0, 0, 0, 0, 0, 0]
    assert encoded == answers["computed"].sum() == len(split[0].images) * 4


def of_views(model, candidates, tasks, folder, monkeypatch):
    """The answers with a cache in a folder, and the images of which embeddings were computed and kept there."""
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    made, keep = [], Store.keep
    monkeypatch.setattr(
        Store, "keep", lambda own, kind, rows: made.append(len(rows)) or keep(own, kind, rows)
    )
    answers = score_all(model, candidates, tasks, progress=False)
    monkeypatch.setattr(Store, "keep", keep)
    return answers, sum(made)


def test_a_second_run_encodes_no_view_and_has_the_same_table_to_the_bit(
    tiny_clip, split, tmp_path, monkeypatch
):
    candidates = [Turns(aggregate="mean"), Darkened(), Gated(Turned(), 0.5), UniformMix(), Doubled(), "max"]
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    without = score_all(tiny_clip, candidates, split, progress=False)
    first, made = of_views(tiny_clip, candidates, split, tmp_path, monkeypatch)
    assert made == (3 + 1) * sum(len(task.images) for task in split)
    second, made = of_views(tiny_clip, candidates, split, tmp_path, monkeypatch)
    assert made == 0
    pd.testing.assert_frame_equal(first, without, check_exact=True)
    pd.testing.assert_frame_equal(second, without, check_exact=True)


def test_a_larger_size_takes_over_what_a_smaller_one_has_computed(
    tiny_clip, cutouts, labels, split, tmp_path, monkeypatch
):
    fewer = make_split(cutouts, labels, shown=cutouts[:4], side=32, seed=1)
    candidates = [Turns(aggregate="mean"), Darkened(), Padding(0.25)]
    expected, all_views = of_views(tiny_clip, candidates, split, tmp_path / "empty", monkeypatch)
    _, some = of_views(tiny_clip, candidates, fewer, tmp_path / "filled", monkeypatch)
    found, others = of_views(tiny_clip, candidates, split, tmp_path / "filled", monkeypatch)
    assert 0 < some < all_views
    assert some + others == all_views
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_what_changes_the_last_block_costs_no_more_than_that_block(tiny_clip, split):
    candidates = [UniformMix(), UniformMix(last=2), Doubled(), Turned(), UniformMix(0.2)]
    answers, _ = encoded_by(tiny_clip, candidates, split[0])
    # of two blocks; what moves all positions runs the whole tower
    assert of_candidates(answers, "computed") == [1, 0.5, 1, 1, 1, 0.5]
    assert of_candidates(answers, "passes") == [1] * 6


def test_settings_that_choose_between_the_same_scalings_run_them_once(tiny_clip, split):
    candidates = [ScalingVis(0.5), AdaptVis(0.5, 2.0, 0.3), AdaptVis(0.5, 2.0, 0.4), AdaptVis(1.0, 0.5, 0.3)]
    answers, _ = encoded_by(tiny_clip, candidates, split[0])
    assert of_candidates(answers, "computed") == [1, 1, 1, 0, 0]
    assert of_candidates(answers, "passes") == [1, 1, 2, 2, 2]
    for each in candidates:
        rows = answers[answers["candidate"] == each.name]
        expected = split[0].score(mitigate(tiny_clip, each))
        assert rows["margin"].to_numpy() == pytest.approx(expected["margin"].to_numpy(), abs=1e-4)


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


def test_cost_is_relative_to_the_plain_model(tiny_clip, split):
    cost = scoring.measure_cost(tiny_clip, [Turned(), Darkened(), "max"], split[0], n_images=4, rounds=1)
    assert cost["candidate"].tolist() == [BASELINE, "turned", "darkened", "pooling: max"]
    assert cost["cost"].iloc[0] == 1
    assert (cost[["cost", "seconds"]] > 0).all(axis=None)
