import inspect
import json

import numpy as np
import open_clip
import pytest
from safetensors.torch import save_file
from small_models import TINY_CONFIG, TINY_PREPROCESS

from crosseyed.data import layouts
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.mitigations import (
    adaptvis,
    composition,
    evaluation,
    falip,
    locate_then_correct,
    marks,
    positions,
    redistribution,
    rf_clip,
    scoring,
    tasks,
    views,
    visual_prompts,
)
from crosseyed.mitigations.base import MITIGATIONS, Location, Mitigation
from crosseyed.mitigations.locate_then_correct import LocateThenCorrect
from crosseyed.mitigations.pooling import PooledModel
from crosseyed.mitigations.pooling_methods import POOLINGS
from crosseyed.mitigations.registry import default_candidates, find, gates_of, views_of
from crosseyed.mitigations.rf_clip import RFClip
from crosseyed.models.loading import load


def test_the_registry_has_every_mitigation_that_can_be_made():
    made = {
        each
        for module in (
            *(views, visual_prompts, redistribution, positions),
            *(adaptvis, rf_clip, locate_then_correct, falip),
        )
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Mitigation) and not inspect.isabstract(each) and "label" in vars(each)
    }
    assert set(MITIGATIONS.values()) == made - {composition.Composed}
    assert all(find(name).label == name for name in MITIGATIONS)


def test_an_unknown_mitigation_is_refused_with_the_nearest_names():
    with pytest.raises(InputError, match=r"did you mean 'cyclic shifts'.*Choose from .*RF-CLIP"):
        find("cyclic shift")


def small_task(n_objects=2, seed=0):
    cutouts = sample_objects(read_catalogue(["fluent"]), n_objects, seed=seed)
    labels = objects_of(cutouts)
    (task,) = tasks.make_split(cutouts, labels, protocols=["grid"], cells=1, side=32, seed=seed)
    return task


def test_candidates_beyond_the_budget_are_left_out(tiny_clip):
    every, left_out = default_candidates(tiny_clip)
    few, beyond = default_candidates(tiny_clip, most_passes=2)
    dear = [each for each in every if isinstance(each, Mitigation) and each.passes > 2]
    assert [scoring.name_of(each) for each in few] == [
        scoring.name_of(each) for each in every if each not in dear
    ]
    assert set(beyond) - set(left_out) == {each.name for each in dear} != set()
    assert (
        beyond["cyclic shifts (side=3, aggregate=max)"]
        == "It takes 9 passes for an image, and 2 are allowed."
    )


def test_default_candidates_of_a_transformer(tiny_clip):
    candidates, left_out = default_candidates(tiny_clip, small_task())
    families = {scoring.family_of(each) for each in candidates if isinstance(each, Mitigation)}
    for expected in (
        *("cyclic shifts", "gated cyclic shifts", "crops", "tiles", "padding", "proposed prompts: crop"),
        *("radial attention", "ScalingVis", "AdaptVis", "RF-CLIP", "Locate-Then-Correct"),
        *("averaged positions", "FALIP"),
        *(f"visual prompt: {kind}" for kind in marks.PROMPTS),
    ):
        assert expected in families
    pooled = {each.method.name for each in candidates if isinstance(each, PooledModel)}
    assert pooled == set(POOLINGS) - {"attention", "class token"}  # the class token is what it pools anyway
    assert set(left_out) == {"pooling: attention"}


def test_all_default_candidates_can_be_evaluated(tiny_clip):
    task = small_task()
    candidates, _ = default_candidates(tiny_clip, task)
    table = evaluation.evaluate(tiny_clip, candidates, [task], resamples=10)
    assert len(table) == len(candidates) + 1
    assert table[["center", "off_center", "acts"]].notna().all(axis=None)
    assert set(evaluation.choose(table)["family"]) == set(table["family"]) - {scoring.BASELINE}


def seen_by(model, act):
    """Return the images that the tower encodes during an action, as bytes of its input."""
    seen = set()
    handle = model.clip.visual.register_forward_pre_hook(
        lambda _, given: seen.update(image.numpy().tobytes() for image in given[0])
    )
    act()
    handle.remove()
    return seen


def test_a_fit_sees_the_validation_images_and_nothing_else(tiny_clip):
    validation, test = small_task(3, seed=0), small_task(3, seed=5)
    assert not set(validation.table["object"]) & set(test.table["object"])
    shown = [
        seen_by(tiny_clip, lambda task=task: tiny_clip.encode_images(task.images))
        for task in (validation, test)
    ]
    assert len(shown[0]) == len(validation.images)
    assert not shown[0] & shown[1]
    seen = seen_by(tiny_clip, lambda: default_candidates(tiny_clip, validation))
    assert seen == shown[0]  # so that an image of the test would be noticed


def test_without_validation_images_nothing_is_fitted(tiny_clip):
    candidates, left_out = default_candidates(tiny_clip)
    assert not any(isinstance(each, RFClip | LocateThenCorrect) for each in candidates)
    assert all("No validation images" in left_out[name] for name in ("RF-CLIP", "Locate-Then-Correct"))
    assert seen_by(tiny_clip, lambda: default_candidates(tiny_clip)) == set()


@pytest.fixture
def resnet(tmp_path):
    """A ResNet of random weights."""
    config = TINY_CONFIG | {
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 4, "image_size": 96, "patch_size": None}
    }
    folder = tmp_path / "resnet"
    folder.mkdir()
    described = {"model_cfg": config, "preprocess_cfg": TINY_PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    return load(f"local-dir:{folder}")


def test_what_a_tower_cannot_do_is_left_out_in_words(resnet):
    candidates, left_out = default_candidates(resnet)
    assert "cyclic shifts" in {scoring.family_of(each) for each in candidates if isinstance(each, Mitigation)}
    assert all(
        reason.endswith((".", "?")) and "resnet" in reason
        for name, reason in left_out.items()
        if name not in ("RF-CLIP", "Locate-Then-Correct")
    )
    assert {"pooling: class token", "pooling: value only"} <= set(left_out)
    assert any(name.startswith("radial attention") and "last=2" in name for name in left_out)
    for each in candidates:
        if isinstance(each, Mitigation):
            each.check(resnet)  # all that is left can be done


def test_each_family_of_views_shows_its_first_view_after_the_plain_image(tiny_clip):
    candidates, _ = default_candidates(tiny_clip)
    scene = layouts.grid(sample_objects(read_catalogue(["fluent"]), 1, seed=0), size=0.3, seed=0)[0]
    shown, image = views_of(candidates, scene), scene.render()
    of_views = [
        each
        for each in candidates
        if isinstance(each, Mitigation) and each.only_views and not isinstance(each, views.Gated)
    ]
    assert list(shown) == list(dict.fromkeys(map(scoring.family_of, of_views)))
    shifts = next(each for each in of_views if scoring.family_of(each) == "cyclic shifts")
    np.testing.assert_array_equal(shown["cyclic shifts"], shifts.views(image, None)[1])
    placed = scene.placements[0]
    crop = next(each for each in of_views if scoring.family_of(each) == "visual prompt: crop")
    told = crop.views(image, Location(placed.x, placed.y, placed.size))
    np.testing.assert_array_equal(shown["visual prompt: crop"], told[min(1, len(told) - 1)])
    assert not {"radial attention", "gated cyclic shifts", "ScalingVis"} & set(shown)


def test_the_gates_of_an_ensemble_are_those_with_its_views():
    one, other = views.CyclicShifts(), views.Padding()
    gates = views.Gated.each([one, other])
    candidates = [one, *gates, other]
    assert gates_of(candidates, [other]) == [each for each in gates if each.ensemble == other]
    assert gates_of(candidates, []) == []
