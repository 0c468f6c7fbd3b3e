"""Candidates that share a run of the tower, against each of them alone."""

import numpy as np
import pytest
from attention_by_hand import TEXTS
from small_mitigations import Turned
from small_models import TIMM_TOWERS, build_open_clip, build_timm, listeners, sample_images

from crosseyed.data.images import UnreadableImage
from crosseyed.errors import InputError
from crosseyed.internals.trace import encode_from, hooked
from crosseyed.mitigations.base import Mitigation
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.pooling import PooledModel
from crosseyed.mitigations.positions import AveragedPositions
from crosseyed.mitigations.redirection import redirected
from crosseyed.mitigations.redistribution import RadialAttention, UniformMix
from crosseyed.mitigations.registry import default_candidates
from crosseyed.mitigations.sharing import Remembering, SharedRun, depth_in_common
from crosseyed.models.scorer import UnreadableImagesWarning
from crosseyed.models.towers.registry import adapter_of

KINDS = ["class token", "average, then norm", "pooler", "ResNet", "ViT", "SigLIP", "RelPos", "EVA-02", "PE"]
SHARING = {"max", "caption-conditioned"}  # of the poolings, which test_pooling runs together as well


@pytest.fixture(scope="module")
def model_of(tiny_clip):
    """A random model by the kind of its tower, open_clip's or timm's."""
    built = {}

    def build(kind):
        if kind not in built:
            built[kind] = (build_timm if kind in TIMM_TOWERS else build_open_clip)(tiny_clip, kind)
        return built[kind]

    return build


def late(model):
    """All that chapter 5 tries of what shares a run, with other layers, and one behind another."""
    candidates, _ = default_candidates(model)
    if adapter_of(model).blocks:
        candidates.append(UniformMix(0.3, last=2))
        candidates.append(compose(RadialAttention(2.0, heads=(1,)), UniformMix(0.3, last=2)))
    return {
        str(each): each
        for each in candidates
        if (
            each.method.name in SHARING
            if isinstance(each, PooledModel)
            else depth_in_common(model, each) is not None
        )
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_answers_as_it_does_alone(model_of, kind):
    model, images = model_of(kind), sample_images()
    members = {"plain": model, **late(model)}
    assert sum(isinstance(each, Mitigation) for each in members.values()) >= 6
    run = SharedRun(Remembering(model, {}), members)
    for name, each in members.items():
        alone = mitigate(model, each) if isinstance(each, Mitigation) else each
        expected = alone.similarities(images, TEXTS, progress=False)
        assert run.similarities(name, images, TEXTS) == pytest.approx(expected, abs=1e-5)
    mixed = run.answers[str(UniformMix(1.0))]
    assert abs(mixed - run.answers["plain"]).max() > 1e-3
    assert not listeners(model)


def test_what_is_run_again_is_as_much_as_changes(model_of):
    model = model_of("class token")
    halves = {"one": UniformMix(), "both": UniformMix(last=2), "pooled": model}
    run = SharedRun(Remembering(model, {}), halves)
    run.similarities("one", sample_images(), TEXTS)
    assert run.repeated == {"one": 0.5, "both": 1, "pooled": 0}
    assert [run.bill(["one", "both"]), run.bill(["both", "pooled"])] == [1.5, 0]
    assert [run.alone(name) for name in halves] == [1, 1, 1]
    assert run.plain.passes == 3
    pooler = model_of("pooler")
    run = SharedRun(Remembering(pooler, {}), {"pooling": UniformMix(), "block": UniformMix(last=2)})
    run.similarities("block", sample_images(), TEXTS)
    assert run.repeated == {"pooling": 0, "block": 0.5}


def test_what_may_change_anything_shares_no_run(tiny_clip):
    assert depth_in_common(tiny_clip, UniformMix()) == 1
    assert depth_in_common(tiny_clip, compose(UniformMix(), RadialAttention(last=2))) == 0
    for each in (Turned(), AveragedPositions(), compose(UniformMix(), Turned())):
        assert depth_in_common(tiny_clip, each) is None


def test_a_change_before_the_depth_is_refused(tiny_clip):
    adapter = adapter_of(tiny_clip)
    (pixels, _), *_ = tiny_clip.read_batches(sample_images())
    with hooked(adapter.modules(())) as calls:
        tiny_clip.clip.encode_image(tiny_clip.to_input(pixels))
    with (
        redirected(tiny_clip, {1: UniformMix().change}),
        pytest.raises(InputError, match="behind a block that is changed"),
    ):
        encode_from(tiny_clip, 1, adapter.state(calls, 1))
    assert not listeners(tiny_clip)


def test_unreadable_images_have_no_answers_and_are_named_once(tiny_clip):
    def broken():
        raise UnreadableImage("broken", "for the test")

    first, second, third = sample_images()
    members = {"plain": tiny_clip, "mix": UniformMix()}
    run = SharedRun(Remembering(tiny_clip, {}), members)
    with pytest.warns(UnreadableImagesWarning, match="1 of 4 images") as told:
        answers = [run.similarities(name, [first, broken, second, third], TEXTS) for name in members]
    assert len(told) == 1
    for found, each in zip(answers, (tiny_clip, mitigate(tiny_clip, UniformMix())), strict=True):
        assert np.isnan(found[1]).all()
        expected = each.similarities([first, second, third], TEXTS, progress=False)
        assert found[[0, 2, 3]] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["class token", "average, then norm", "ResNet"])
def test_of_the_plain_model_only_what_is_pooled_is_computed_in_the_last_block(model_of, kind):
    model, images = model_of(kind), sample_images()
    adapter = adapter_of(model)
    with hooked(adapter.modules(())) as calls:
        found = Remembering(model, {}).encode_images(images, progress=False)
    assert found == pytest.approx(model.encode_images(images, progress=False), abs=1e-6)
    if adapter.pooled_token is not None:
        assert calls[f"block {adapter.blocks[-1]}"][1].shape[1] == 1
    assert not listeners(model)


def test_images_that_look_alike_to_the_model_are_encoded_once(tiny_clip):
    first, second, _ = sample_images()
    model = Remembering(tiny_clip, {})
    found = model.encode_images([first, second, first.copy(), lambda: first], progress=False)
    assert model.passes == 2
    expected = tiny_clip.encode_images([first, second], progress=False)
    assert found == pytest.approx(expected[[0, 1, 0, 0]], abs=1e-6)
    assert np.array_equal(model.encode_images([second], progress=False), found[1:2])
    assert model.passes == 2
    assert model.encode_images([], progress=False).shape == (0, 32)
