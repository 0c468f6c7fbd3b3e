"""Scores of maps."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from crosseyed.data import layouts
from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.internals import explain, map_scores
from crosseyed.internals.map_scores import pooling_contrasts


def scores(*methods):
    places = pd.Categorical(["center", "edge"], ["center", "edge"])
    images = pd.DataFrame({"model": "ViT", "object": "cup", "image": ["a", "b"], "place": places})
    tables = [
        images.assign(method=name, contrast=[place, 2 * place], present=7, prior=[5, 0], own=[2, 7])
        for place, name in enumerate(methods, 1)
    ]
    return pd.concat(tables, ignore_index=True)


def test_the_contrast_is_compared_before_and_after_pooling():
    table = pooling_contrasts(scores("ITSM", "occlusion", "ITSM after pooling"))
    values = table.set_index(["contrast", "image"])["value"].to_dict()
    assert values == {
        ("before", "a"): 1,
        ("before", "b"): 2,
        ("after", "a"): 3,
        ("after", "b"): 6,
        ("shift", "a"): 2,
        ("shift", "b"): 4,
        ("present", "a"): 7,
        ("present", "b"): 7,
        ("prior", "a"): 5,
        ("prior", "b"): 0,
        ("own", "a"): 2,
        ("own", "b"): 7,
    }
    assert list(table["contrast"].cat.categories) == ["before", "after", "shift", "present", "prior", "own"]


@pytest.mark.parametrize(
    ("method", "kept"), [("ITSM", {"before", "present", "prior", "own"}), ("occlusion", set())]
)
def test_a_map_that_a_tower_does_not_have_is_left_out(method, kept):
    assert set(pooling_contrasts(scores(method))["contrast"]) == kept


@pytest.fixture
def few_at_once(monkeypatch):
    """Batches of four images."""
    monkeypatch.setattr(map_scores, "IMAGES_AT_ONCE", 4)


@pytest.fixture(scope="module")
def shown():
    """Two objects at three places, with their captions."""
    scenes, _ = layouts.three_places(sample_objects(read_catalogue(["fluent"]), 2, 0))
    return scenes, [f"a photo of a {scene.placements[0].cutout.object}" for scene in scenes]


def test_without_steps_maps_are_scored_and_no_curve_is_computed(tiny_clip, shown, monkeypatch):
    scenes, texts = shown
    maps = map_scores.maps_of(tiny_clip, scenes, texts, {"ITSM": explain.itsm})
    scored = map_scores.compare(tiny_clip, scenes, texts, maps, steps=2)
    monkeypatch.delattr(map_scores, "removal_curves")
    plain = map_scores.compare(tiny_clip, scenes, texts, maps, steps=0)
    pd.testing.assert_frame_equal(scored.drop(columns=["deletion", "insertion"]), plain)


def scored_alone(model, scene, text, drawn, steps):
    """The scores of one map, nothing shared."""
    (pixels, _), *_ = model.read_batches([scene.render])
    pixels, score = model.to_input(pixels), map_scores.similarity_to(model, [text])
    row = map_scores.score_maps(drawn[None], map_scores.fit_masks(model, scene.masks())).iloc[0].to_dict()
    order = torch.from_numpy((-drawn).ravel().argsort(kind="stable"))
    for way in ("deletion", "insertion"):
        curve = []
        for portion in range(steps + 1):
            kept = torch.full((drawn.size,), float(way == "deletion"))
            kept[order[: -(-portion * drawn.size // steps)]] = float(way == "insertion")
            curve.append(score(pixels * kept.reshape(drawn.shape)).item())
        row[way] = np.trapezoid(curve) / steps
    return row


def test_maps_and_scores_of_batches_are_those_of_one_image_after_the_other(tiny_clip, shown, few_at_once):
    scenes, texts = shown
    methods = explain.methods(texts, tiny_clip)
    methods["integrated gradients"] = partial(explain.integrated_gradients, steps=2)
    maps = map_scores.maps_of(tiny_clip, scenes, texts, methods)
    table = map_scores.compare(tiny_clip, scenes, texts, maps, steps=3).set_index(["method", "image"])
    assert len(table) == len(methods) * len(scenes)
    for name, method in methods.items():
        for number, (scene, text) in enumerate(zip(scenes, texts, strict=True)):
            drawn = maps[name][number]
            (pixels, _), *_ = tiny_clip.read_batches([scene.render])
            alone = method(tiny_clip, tiny_clip.to_input(pixels), [text])[0]
            np.testing.assert_allclose(drawn, alone, atol=1e-5, err_msg=name)
            expected = scored_alone(tiny_clip, scene, text, drawn, 3)
            found = table.loc[(name, scene.name), list(expected)].astype(float)
            np.testing.assert_allclose(found, list(expected.values()), atol=1e-5, err_msg=name)


def test_no_map_and_no_end_of_a_curve_is_computed_twice(tiny_clip, shown, few_at_once, monkeypatch):
    scenes, texts = shown
    drawn, ends = [], []

    def method(model, pixels, captions):
        drawn.extend(
            (image.numpy().tobytes(), caption) for image, caption in zip(pixels, captions, strict=True)
        )
        return explain.itsm(model, pixels, captions)

    ends_of = map_scores.ends_of
    monkeypatch.setattr(
        map_scores, "ends_of", lambda score, pixels: ends.append(len(pixels)) or ends_of(score, pixels)
    )
    methods = {"first": method, "second": explain.itsm}
    maps = map_scores.maps_of(tiny_clip, scenes, texts, methods)
    scored = map_scores.compare(tiny_clip, scenes, texts, maps, steps=2)
    map_scores.with_prior(scored, tiny_clip, scenes, texts, methods, maps)
    assert len(drawn) == len(set(drawn)) == len(scenes) + 2  # one background for each object
    assert ends == [4, 2]  # for both methods at once


def test_the_prior_is_the_contrast_of_the_same_place_without_the_object(tiny_clip, shown):
    scenes, texts = shown
    methods = {"ITSM": explain.itsm, "Grad-CAM": explain.grad_cam}
    maps = map_scores.maps_of(tiny_clip, scenes, texts, methods)
    plain = map_scores.compare(tiny_clip, scenes, texts, maps, steps=0)
    table = map_scores.with_prior(plain, tiny_clip, scenes, texts, methods, maps).set_index(
        ["method", "image"]
    )
    for name, method in methods.items():
        for number, (scene, text) in enumerate(zip(scenes, texts, strict=True)):
            (pixels, _), *_ = tiny_clip.read_batches([scene.empty().render])
            without = method(tiny_clip, tiny_clip.to_input(pixels), [text])[0]
            mask = map_scores.fit_masks(tiny_clip, scene.masks())[0]
            drawn, row = maps[name][number], table.loc[(name, scene.name)]
            unit = max(without.max(), drawn.max()) - min(without.min(), drawn.min())
            for each, part in ((drawn, "present"), (without, "prior")):
                assert row[part] == pytest.approx((each[mask].mean() - each[~mask].mean()) / unit, abs=1e-4)
            assert row["prior"] + row["own"] == pytest.approx(row["present"], abs=1e-6)
            assert np.sign(row["present"]) == np.sign(row["contrast"])
            pairs = without[mask][:, None] - without[~mask]  # the AUROC by its definition
            place = (np.sum(pairs > 0) + 0.5 * np.sum(pairs == 0)) / pairs.size
            assert row["auroc_prior"] == pytest.approx(place, abs=1e-3)
            assert row["auroc_own"] == pytest.approx(row["auroc"] - place, abs=1e-3)
    pd.testing.assert_frame_equal(table.reset_index()[list(plain)], plain)


def test_an_object_that_a_map_does_not_react_to_adds_nothing(tiny_clip, shown):
    scenes, texts = (each[:3] for each in shown)
    slope = np.linspace(0, 5, 32 * 32, dtype=np.float32).reshape(
        32, 32
    )  # prefers the lower right, whatever is there
    methods = {"a habit": lambda model, pixels, captions: np.repeat(slope[None], len(pixels), 0)}
    maps = map_scores.maps_of(tiny_clip, scenes, texts, methods)
    plain = map_scores.compare(tiny_clip, scenes, texts, maps, steps=0)
    table = map_scores.with_prior(plain, tiny_clip, scenes, texts, methods, maps)
    np.testing.assert_allclose(table[["own", "auroc_own"]], 0, atol=1e-6)
    assert table["prior"].abs().max() > 0.2
    assert table["auroc"].sub(0.5).abs().max() > 0.3  # the habit alone


def test_each_map_is_compared_with_one_of_them_image_by_image():
    columns = ["object", "image", "method", "auroc", "auroc_prior", "auroc_own"]
    rows = [
        ("cup", "1", "a", 0.5, 0.4, 0.1),
        ("cup", "1", "b", 0.8, 0.4, 0.4),
        ("cup", "2", "a", 0.6, 0.6, 0.0),
    ]
    rows += [("cup", "2", "b", 0.5, 0.8, -0.3)]
    changes = map_scores.auroc_changes(pd.DataFrame(rows, columns=columns), "a").set_index(["image", "part"])
    assert set(changes["map"]) == {"b"}
    expected = {
        ("1", "with the object"): 0.3,
        ("1", "the place alone"): 0.0,
        ("1", "added by the object"): 0.3,
        ("2", "with the object"): -0.1,
        ("2", "the place alone"): 0.2,
        ("2", "added by the object"): -0.3,
    }
    assert changes["value"].to_dict() == pytest.approx(expected)


def test_one_map_alone_has_no_changes_and_an_unknown_reference_is_named():
    columns = ["object", "image", "method", "auroc", "auroc_prior", "auroc_own"]
    scores = pd.DataFrame([("cup", "1", "a", 0.5, 0.4, 0.1)], columns=columns)
    assert map_scores.auroc_changes(scores, "a").empty
    with pytest.raises(InputError, match="Unknown reference 'b'"):
        map_scores.auroc_changes(scores, "b")


def in_parts(model, shown, with_object, without):
    """The parts of a map that is one with the object and another without it."""
    scenes, texts = (each[:1] for each in shown)
    maps = {"map": with_object[None]}
    plain = map_scores.compare(model, scenes, texts, maps, steps=0)
    methods = {"map": lambda model, pixels, captions: without[None]}
    return map_scores.with_prior(plain, model, scenes, texts, methods, maps).loc[0, map_scores.PARTS].tolist()


def test_what_a_place_has_is_bounded_however_little_a_map_varies_with_the_object(tiny_clip, shown):
    """In the range of the map with the object, which is next to nothing here, the place would have thousands."""
    mask = map_scores.fit_masks(tiny_clip, shown[0][0].masks())[0]
    faint = np.zeros((32, 32), dtype=np.float32)
    faint[0, 0] = 1e-6
    strong = np.where(mask, 5, -3).astype(np.float32)
    present, prior, own = in_parts(tiny_clip, shown, faint, strong)
    assert (present, prior, own) == pytest.approx((0, 1, -1), abs=1e-6)
    assert in_parts(tiny_clip, shown, strong, faint) == pytest.approx([1, 0, 1], abs=1e-6)


def test_parts_are_nothing_where_both_maps_are_flat_and_all_where_they_are_opposites(tiny_clip, shown):
    mask = map_scores.fit_masks(tiny_clip, shown[0][0].masks())[0].astype(np.float32)
    assert in_parts(tiny_clip, shown, np.ones_like(mask), np.ones_like(mask)) == [0, 0, 0]
    assert in_parts(tiny_clip, shown, mask, -mask) == pytest.approx([0.5, -0.5, 1])
    assert in_parts(tiny_clip, shown, mask, 1 - mask) == pytest.approx([1, -1, 2])
