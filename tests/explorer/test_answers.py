"""Every number that a page reads is the library's answer to that one image."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from scipy.special import softmax
from small_explorer import read_back
from small_models import build_timm

from crosseyed import progress
from crosseyed.data.backgrounds import Background
from crosseyed.data.cutouts import read_catalogue
from crosseyed.data.scenes import Placement, Scene
from crosseyed.explorer import answers, format, notebook
from crosseyed.explorer.scenes import arranged, everywhere, in_twos
from crosseyed.files import CACHE_VARIABLE
from crosseyed.internals import trace
from crosseyed.measure import protocols
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.settings import settings

CATALOGUE = read_catalogue(["fluent"])
LABELS = [each.object for each in CATALOGUE[:7]]
CUTOUTS = CATALOGUE[2:4]
GROUNDS = [Background("plain", 1), Background("noise", 1)]
SIZES = [0.25, 0.5]
N_PLACES = (5, 3)
SHAPES = [(2, 2, n, n) for n in N_PLACES]
CAPTIONS = [settings.caption(label) for label in LABELS]
CHOSEN = ([1], 0, 1)


@pytest.fixture(scope="module")
def encoders(tiny_clip):
    return [tiny_clip, build_timm(tiny_clip, "ConvNeXt")]


@pytest.fixture(scope="module")
def shown(encoders):
    """The script of a page, as a page reads it back."""
    single = [
        answers.single(encoders, everywhere(CUTOUTS, ground, SIZES, n), shape, LABELS)
        for ground, n, shape in zip(GROUNDS, N_PLACES, SHAPES, strict=True)
    ]
    two = arranged([(CUTOUTS[0], CUTOUTS[1])], GROUNDS)
    pairs, _ = answers.pairs(encoders, two, [each.object for each in CUTOUTS], len(GROUNDS))
    some = everywhere(CUTOUTS[1:], GROUNDS[0], SIZES[1:], N_PLACES[0])
    mitigated = answers.mitigations(encoders, some, single[0], CHOSEN, LABELS)
    data = notebook.data(encoders, LABELS, (CUTOUTS, GROUNDS, SIZES, N_PLACES), single, pairs, mitigated)
    return read_back(format.script(data))


def scene_at(shown, number, ground, size, row, col):
    """The scene that a reader sees, composed from what the page says of it."""
    name = shown["names"][shown["objects"][number]["name"]]
    cutout = next(each for each in CATALOGUE if each.object == name)
    y, x = (shown["places"][ground][size][place] for place in (row, col))
    background = next(each for each in GROUNDS if each.kind == shown["backgrounds"][ground]["name"])
    return Scene("seen", background, (Placement(cutout, x, y, shown["sizes"][size]),))


def assert_answers(found, place, similarities, encoder, own):
    """Compare what is kept of one image with similarities (n_names,) that were computed by themselves."""
    shares = softmax(encoder.logit_scale * similarities)
    assert abs(int(found["own"][place]) - 1000 * shares[own]) <= 0.6
    clearly_better = (shares > shares[own] + 1e-5).sum()
    assert 1 + clearly_better <= found["rank"][place] <= 1 + (shares > shares[own] - 1e-5).sum()
    top = found["top"][place]
    assert len(set(top.tolist())) == format.TOP
    np.testing.assert_allclose(shares[top], np.sort(shares)[::-1][: format.TOP], atol=1e-5)
    np.testing.assert_allclose(found["share"][place], 1000 * shares[top], atol=0.6)


def test_answers_and_attention_at_every_place_are_those_of_the_image_alone(shown, encoders):
    places = [(ground, *place) for ground, shape in enumerate(SHAPES) for place in np.ndindex(shape)]
    for ground, number, *rest in places:
        scene = scene_at(shown, number, ground, *rest)
        single, place = shown["single"][ground], (number, *rest)
        own = LABELS.index(scene.placements[0].cutout.object)
        for model, encoder in enumerate(encoders):
            (similarities,) = encoder.similarities([scene.render], CAPTIONS)
            assert_answers(single, (model, *place), similarities, encoder, own)
        (seen,) = trace.run(encoders[0], [scene.render], "attention", attention_rows="all")
        looks = seen.attention[-1, 0, :, 0, 1:].mean(0)
        looks = (looks / looks.sum()).reshape(4, 4).numpy()
        found = single["attention"][0][place] / 255 * single["peak"][0][place] / 100 / 16
        np.testing.assert_allclose(found, looks, atol=1e-3)
        assert single["attention"][0][place].max() == 255


def test_a_model_without_attention_says_why_in_place_of_its_maps(shown):
    first, second = shown["models"]
    assert (first["role"], first["attention"], first["noAttention"]) == ("edition", [4, 4], "")
    assert (second["role"], second["attention"]) == ("yardstick", None)
    assert second["noAttention"].startswith("Its tower does not offer the probabilities")
    for single in shown["single"]:
        assert single["attention"][1] is None
        assert single["peak"][1] is None


def test_two_objects_are_asked_about_as_the_protocol_does(shown, encoders):
    pairs = shown["pairs"]
    assert pairs["captions"] == [list(settings.four_captions(*(each.object for each in CUTOUTS)))]
    assert [each["together"] for each in pairs["arrangements"]] == [True, *4 * [False], *3 * [True]]
    for ground, way in np.ndindex(2, 8):
        told = pairs["arrangements"][way]
        first, second = (
            Placement(cutout, *at, pairs["size"]) for cutout, at in zip(CUTOUTS, told["at"], strict=True)
        )
        scene = Scene("seen", GROUNDS[ground], (first, second), told["together"], told["relation"])
        for number, encoder in enumerate(encoders):
            answer = protocols.pair(encoder, [scene]).iloc[0]
            found = pairs["share"][number, 0, ground, way]
            assert abs(int(found[0]) - 1000 * answer["probability"]) <= 0.6
            assert abs(int(found.sum()) - 1000) <= 2
            if abs(answer["margin"]) > 0.01:
                assert (found.argmax() == 0) == answer["correct"]


def test_mitigations_answer_as_they_do_for_the_image_alone(shown, encoders):
    mode = shown["mitigations"]
    assert ([*mode["objects"]], mode["background"], mode["size"]) == CHOSEN
    for encoder, found in zip(encoders, mode["models"], strict=True):
        names = [each["name"] for each in found["candidates"]]
        passes = [each["passes"] for each in found["candidates"]]
        assert names[0] == answers.PLAIN
        assert passes[0] == 1
        own = LABELS.index(CUTOUTS[1].object)
        for row, col in np.ndindex(N_PLACES[0], N_PLACES[0]):
            scene = scene_at(shown, 1, 0, 1, row, col)
            for number, name in enumerate(names):
                candidate = answers.CANDIDATES.get(name)
                asked = mitigate(encoder, candidate) if candidate else encoder
                (similarities,) = asked.similarities([scene.render], CAPTIONS)
                assert_answers(found, (number, 0, row, col), similarities, encoder, own)
    without = mode["models"][1]["leftOut"]
    assert {each["name"] for each in without} == {*answers.CANDIDATES} - {*names}
    assert len(without) == 2
    assert all(each["reason"] for each in without)


def test_a_fine_map_is_averaged_over_neighbors():
    maps = torch.rand(3, 32, 24, generator=torch.Generator().manual_seed(1))
    maps /= maps.sum((1, 2), keepdim=True)
    coarse = answers._coarse(maps)
    assert coarse.shape == (3, 16, 16)
    torch.testing.assert_close(coarse.sum((1, 2)), torch.ones(3))
    halved = answers._coarse(maps[:, :, :16])
    sums = maps[:, :, :16].reshape(3, 16, 2, 16).sum(2)
    torch.testing.assert_close(halved, sums / sums.sum((1, 2), keepdim=True))


def test_fewer_objects_are_in_the_same_twos():
    few, many = (in_twos(CATALOGUE, n, seed=3) for n in (5, 8))
    assert few == many[:4]
    assert len({each for two in many for each in two}) == 8
    assert all((second, first) in many for first, second in many)
    assert in_twos(CATALOGUE, 1, seed=3) == []


def test_no_object_leaves_the_image():
    for scene in everywhere(CUTOUTS, GROUNDS[0], SIZES, 5) + arranged([tuple(CUTOUTS)], GROUNDS):
        for each in scene.placements:
            assert min(each.x, each.y) - each.size / 2 > -1e-6
            assert max(each.x, each.y) + each.size / 2 < 1 + 1e-6


def test_models_that_answer_side_by_side_say_and_count_the_same(encoders):
    scenes = everywhere(CUTOUTS, GROUNDS[1], SIZES, N_PLACES[1])
    some = everywhere(CUTOUTS[1:], GROUNDS[1], SIZES[1:], N_PLACES[1])
    before, found, counts = torch.get_num_threads(), [], []
    try:
        for cores in (1, 2):
            torch.set_num_threads(cores)
            start = progress.counted().computed
            single = answers.single(encoders, scenes, SHAPES[1], LABELS)
            found.append((single, answers.mitigations(encoders, some, single, CHOSEN, LABELS)))
            counts.append(progress.counted().computed - start)
            assert torch.get_num_threads() == cores
    finally:
        torch.set_num_threads(before)
    assert counts[0] == counts[1] >= len(scenes)
    for name in (field.name for field in fields(format.Answers)):
        np.testing.assert_array_equal(*(getattr(single.answers, name) for single, _ in found), name)
        for one, other in zip(*(mitigated.models for _, mitigated in found), strict=True):
            np.testing.assert_array_equal(getattr(one.answers, name), getattr(other.answers, name))
    np.testing.assert_array_equal(*(single.attention[0] for single, _ in found))


def test_a_second_run_shows_the_models_nothing_and_has_the_same_answers(encoders, tmp_path, monkeypatch):
    ground = GROUNDS[0]
    scenes = everywhere(CUTOUTS, ground, SIZES, N_PLACES[0])
    expected = answers.single(encoders, scenes, SHAPES[0], LABELS)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    fewer = everywhere(CUTOUTS[:1], ground, SIZES, N_PLACES[1])  # of a smaller size
    answers.single(encoders, fewer, (1, *SHAPES[1][1:]), LABELS)
    before = progress.counted().kept
    first = answers.single(encoders, scenes, SHAPES[0], LABELS)
    assert progress.counted().kept - before == len(encoders) * len(fewer)
    before = progress.counted().computed
    second = answers.single(encoders, scenes, SHAPES[0], LABELS)
    assert progress.counted().computed == before
    for found in (first, second):
        for field in fields(answers.Answers):
            assert np.array_equal(getattr(found.answers, field.name), getattr(expected.answers, field.name))
        assert np.array_equal(found.attention[0], expected.attention[0])
