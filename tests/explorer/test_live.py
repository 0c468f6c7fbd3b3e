"""Every live answer is what the library says of the same image, and bad requests are told in a sentence."""

import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
import torch
from drawn_cutouts import disc, flag, write_cutout
from PIL import Image
from scipy.special import softmax

from crosseyed.data.scenes import Placement, Scene
from crosseyed.errors import InputError
from crosseyed.explorer import live
from crosseyed.explorer.live import GROUNDS, Live, Window, read_request
from crosseyed.explorer.uploads import Uploads
from crosseyed.internals import attention, explain
from crosseyed.internals.trace import run
from crosseyed.mitigations.base import Location
from crosseyed.mitigations.mitigated import mitigate

CAPTIONS = ["a photo of a dog", "a <b>bold</b> cat", "ein Hund & 猫"]
STAGE = {"kind": "stage", "object": "flag", "x": 0.2, "y": 0.7, "size": 0.4, "background": 4}
PHOTOGRAPH = np.random.default_rng(8).integers(0, 256, (90, 120, 3), dtype=np.uint8)


def request(seen=STAGE, **others):
    return {"seen": seen, "captions": CAPTIONS, **others}


def asked(seen=STAGE, **others):
    return read_request(json.loads(json.dumps(request(seen, **others))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("live")


@pytest.fixture(scope="module")
def live_of(folder):
    cutouts = [write_cutout(folder / f"{inside.__name__}.png", inside) for inside in (flag, disc)]
    return lambda model: Live(model, cutouts, Uploads(folder))


@pytest.fixture(scope="module")
def tiny(live_of, tiny_clip):
    return live_of(tiny_clip)


@pytest.fixture(scope="module")
def photograph(tiny):
    file = io.BytesIO()
    Image.fromarray(PHOTOGRAPH).save(file, "PNG")
    return tiny.uploads.add(file.getvalue()).key


def scene(tiny):
    placed = Placement(tiny.cutout("flag"), STAGE["x"], STAGE["y"], STAGE["size"])
    return Scene("s", GROUNDS[STAGE["background"]], (placed,)).render


def test_a_scene_is_answered_as_the_library_answers_it(tiny):
    answer = tiny.answer(asked())
    similarities = tiny.model.similarities([scene(tiny)], CAPTIONS)[0]
    np.testing.assert_allclose(answer["similarities"], similarities, atol=1e-6)
    np.testing.assert_allclose(answer["shares"], softmax(tiny.model.logit_scale * similarities), atol=1e-4)


@pytest.mark.parametrize("square", [False, True])
def test_the_whole_photograph_is_answered_as_the_library_answers_its_file(tiny, photograph, square):
    window = {"kind": "window", "photograph": photograph, "x": 0.5, "y": 0.5, "size": 1.0, "square": square}
    image = PHOTOGRAPH[:, 15:105] if square else PHOTOGRAPH
    expected = tiny.model.similarities([image], CAPTIONS)[0]
    np.testing.assert_allclose(tiny.answer(asked(window))["similarities"], expected, atol=1e-6)


def test_what_the_model_sees_is_shown_to_the_pixel(tiny, photograph):
    window = {"kind": "window", "photograph": photograph, "x": 0.1, "y": 0.9, "size": 0.5, "square": False}
    kind, _, data = tiny.answer(asked(window))["seen"].partition(",")
    assert kind == "data:image/png;base64"
    ((expected,), _), *_ = tiny.model.read_batches([PHOTOGRAPH[45:, :60]], progress=False)
    np.testing.assert_array_equal(Image.open(io.BytesIO(base64.b64decode(data))), expected)


@pytest.mark.parametrize(
    ("place", "box"),
    [
        ({"x": 0.5, "y": 0.5, "size": 1.0, "square": False}, (0, 0, 120, 90)),
        ({"x": 0.5, "y": 0.5, "size": 1.0, "square": True}, (15, 0, 105, 90)),
        ({"x": 0.5, "y": 0.5, "size": 0.5, "square": False}, (30, 22, 90, 67)),
        ({"x": 0.0, "y": 1.0, "size": 0.5, "square": True}, (0, 45, 45, 90)),
        ({"x": 1.0, "y": 0.0, "size": 0.02, "square": True}, (118, 0, 120, 2)),
    ],
)
def test_a_window_stays_inside_its_photograph(place, box):
    assert Window(kind="window", photograph="k", **place).box(120, 90) == box


def test_a_window_of_a_tiny_photograph_has_a_pixel():
    assert Window(kind="window", photograph="k", x=0.5, y=0.5, size=0.02, square=False).box(3, 1)[2:] > (0, 0)
    left, upper, right, lower = Window(
        kind="window", photograph="k", x=0.0, y=1.0, size=0.02, square=True
    ).box(3, 1)
    assert (right - left, lower - upper) == (1, 1)


def test_the_maps_are_those_of_the_library_in_every_tower(live_of, model):
    running = live_of(model)
    answer = running.answer(asked(caption=2))
    (pixels, _), *_ = model.read_batches([scene(running)], progress=False)
    drawn = torch.tensor(answer["map"]["values"]).reshape(1, *answer["map"]["grid"])
    spread = explain._upsample(drawn.flatten(1), tuple(answer["map"]["grid"]), model.to_input(pixels))
    expected = explain.itsm(model, model.to_input(pixels), [CAPTIONS[2]])
    np.testing.assert_allclose(spread, expected, atol=1e-5)
    if answer["attention"] is None:
        assert running.no_attention.startswith("No map: its tower does not offer")
        return
    (trace,) = run(model, [scene(running)], ("attention",), progress=False)
    by_layer = attention.pooled_attention(trace)
    expected = attention.on_grid(by_layer[max(by_layer)].mean(1), trace.grid, trace.prefix)[0]
    shown = np.reshape(answer["attention"]["values"], answer["attention"]["grid"])
    np.testing.assert_allclose(shown, expected / expected.sum(), atol=1e-5)
    assert shown.sum() == pytest.approx(1, abs=1e-5)


def test_a_tower_that_is_not_known_is_answered_without_maps_and_says_why(live_of, tiny_clip):
    class Unknown(type(tiny_clip.clip.visual)):
        pass

    visual = Unknown.__new__(Unknown)
    visual.__dict__ = tiny_clip.clip.visual.__dict__
    clip = type(tiny_clip.clip).__new__(type(tiny_clip.clip))
    clip.__dict__ = {**tiny_clip.clip.__dict__, "_modules": {**tiny_clip.clip._modules, "visual": visual}}
    running = live_of(dataclasses.replace(tiny_clip, clip=clip))
    answer = running.answer(asked())
    assert answer["attention"] is None and answer["map"] is None
    assert "cannot be traced" in running.offered()["noAttention"] and running.offered()["noMap"]
    expected = tiny_clip.similarities([scene(running)], CAPTIONS)[0]
    np.testing.assert_allclose(answer["similarities"], expected, atol=1e-6)


def test_every_mitigation_that_is_offered_answers_as_in_the_library(tiny):
    told = [Location(STAGE["x"], STAGE["y"], STAGE["size"])]
    offered = tiny.offered()["mitigations"]
    assert {"padding", "cyclic shifts", "radial attention"} <= {each["family"] for each in offered}
    assert all(1 <= each["passes"] <= live.MOST_PASSES for each in offered)
    for each in offered:
        chosen = tiny.mitigations[each["name"]]
        mitigated = mitigate(tiny.model, chosen, told if each["told"] else None)
        expected = mitigated.similarities([scene(tiny)], CAPTIONS, progress=False)[0]
        answer = tiny.mitigated(asked(mitigation=each["name"]))
        np.testing.assert_allclose(answer["similarities"], expected, atol=1e-6, err_msg=each["name"])
    plain = tiny.answer(asked())["similarities"]
    np.testing.assert_allclose(tiny.model.similarities([scene(tiny)], CAPTIONS)[0], plain, atol=1e-6)


def test_in_a_photograph_nobody_tells_a_mitigation_where_the_object_is(tiny, photograph):
    window = {"kind": "window", "photograph": photograph, "x": 0.5, "y": 0.5, "size": 1.0, "square": False}
    names = {each["told"]: each["name"] for each in tiny.offered()["mitigations"]}
    with pytest.raises(InputError, match="told where the object is"):
        tiny.mitigated(asked(window, mitigation=names[True]))
    assert len(tiny.mitigated(asked(window, mitigation=names[False]))["shares"]) == len(CAPTIONS)


def test_captions_are_read_once_and_not_kept_for_ever(tiny, monkeypatch):
    tiny.answer(asked())
    before = dict(tiny._texts)
    tiny.answer(asked(caption=1))
    assert {text: id(row) for text, row in tiny._texts.items()} == {
        text: id(row) for text, row in before.items()
    }
    monkeypatch.setattr(live, "_KEPT_TEXTS", 2)
    tiny.answer(asked(captions=["another"]))
    assert list(tiny._texts) == ["another"]
    monkeypatch.setattr(live, "_KEPT_TEXTS", 0)
    name = next(each["name"] for each in tiny.offered()["mitigations"])
    tiny.mitigated(asked(captions=["a third"], mitigation=name))
    assert list(tiny._texts) == ["a third"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "A request is a JSON object."),
        (request(captions=[]), "There are 0 captions; give at least 1 and at most 50."),
        (request(captions=[str(number) for number in range(51)]), "There are 51 captions"),
        (request(captions=["x" * 301]), "A caption has more than 300 characters"),
        (request(captions=["a", "a"]), "Two captions are the same"),
        (request(captions=[""]), "captions.0 of the request is ''"),
        (request(captions=[7]), "captions.0 of the request is 7"),
        (request(captions="a dog"), "captions of the request is 'a dog'"),
        (request(caption=3), "There is no caption number 4"),
        (request(caption=-1), "caption of the request is -1"),
        (request(mitigatoin="padding"), "The request has no 'mitigatoin'; did you mean 'mitigation'"),
        (request({**STAGE, "x": 1.2}), "is 1.2; it should be less than or equal to 1"),
        (request({**STAGE, "x": float("nan")}), "is nan; it should be"),
        (request({**STAGE, "size": 0}), "is 0; it should be greater than or equal to 0.02"),
        (request({**STAGE, "background": len(GROUNDS)}), "it should be less than"),
        (request({"kind": "moon"}), "seen of the request"),
        ({"captions": ["a"]}, "The request lacks 'seen'; give it."),
    ],
)
def test_a_request_that_cannot_be_is_told_in_one_sentence(given, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)) as refusal:
        read_request(given)
    assert "\n" not in str(refusal.value)


def test_what_is_not_known_is_named(tiny):
    with pytest.raises(InputError, match="no longer kept"):
        tiny.answer(asked({**STAGE, "object": "../../etc/passwd"}))
    with pytest.raises(InputError, match="Unknown mitigation 'paddling'"):
        tiny.mitigated(asked(mitigation="paddling"))


@pytest.mark.parametrize(
    ("pretrained", "word"), [("random", "are random"), ("crosseyed", "drawn objects"), ("openai", "")]
)
def test_what_has_to_be_known_of_the_weights_is_said(live_of, tiny_clip, pretrained, word):
    note = live_of(dataclasses.replace(tiny_clip, pretrained=pretrained)).offered()["note"]
    assert word in note and bool(word) == bool(note)


def test_the_shipped_objects_have_different_names():
    names = [each.object for each in live.shipped_objects()]
    assert names == sorted(set(names)) and "dog" in names
