import dataclasses

import pytest
from small_mitigations import Darkened, Doubled, Turned, Turns

from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.mitigations.tasks import make_split
from crosseyed.mitigations.views import CyclicShifts, Padding
from crosseyed.workflow.mitigation_trial import ChangedModelError, State, try_out


@pytest.fixture(scope="module")
def task():
    cutouts = sample_objects(read_catalogue(["fluent"]), 3, seed=0)
    (task,) = make_split(cutouts, objects_of(cutouts), protocols=["grid"], cells=1, side=32)
    return task


def test_what_is_in_order_passes_and_leaves_the_model_as_it_was(tiny_clip, task):
    before = State.of(tiny_clip, task)
    try_out(tiny_clip, [Turned(), Turns(), Darkened(), Doubled(), Padding(), CyclicShifts(2)], task)
    before.check("nobody")


def test_a_change_of_text_or_image_tower_is_seen_and_a_view_of_it_is_not(model_of, task):
    model = model_of("class token")
    before = State.of(model, task)
    hook = model.clip.ln_final.register_forward_hook(lambda *given: given[-1] * 2 + 1)
    with pytest.raises(ChangedModelError, match="me leaves the model changed"):
        before.check("me")
    hook.remove()
    before.check("me")
    bias = model.clip.ln_final.bias.data
    bias[0] += 1
    with pytest.raises(ChangedModelError, match="me changes the weights"):
        before.check("me")
    bias[0] -= 1
    before.check("me")
    assert dataclasses.replace(model).digest == before.weights
