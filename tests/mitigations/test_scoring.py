import pytest
import torch
from small_mitigations import Darkened, Doubled, Turned, Turns

from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.mitigations import scoring
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.pooling import pool
from crosseyed.mitigations.scoring import BASELINE, score_all
from crosseyed.mitigations.tasks import make_split
from crosseyed.mitigations.views import CyclicShifts, Gated, Padding
from crosseyed.mitigations.visual_prompts import Prompted


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


def test_cost_is_relative_to_the_plain_model(tiny_clip, split):
    cost = scoring.measure_cost(tiny_clip, [Turned(), Darkened(), "max"], split[0], n_images=4, rounds=1)
    assert cost["candidate"].tolist() == [BASELINE, "turned", "darkened", "pooling: max"]
    assert cost["cost"].iloc[0] == 1
    assert (cost[["cost", "seconds"]] > 0).all(axis=None)
