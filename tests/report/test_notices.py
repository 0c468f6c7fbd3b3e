"""Boxes for the reader: whose numbers follow, and what a tower does not support."""

import dataclasses

import pytest
from small_models import build_timm

from crosseyed.report import notices


@pytest.fixture(scope="module")
def swin(tiny_clip):
    return dataclasses.replace(build_timm(tiny_clip, "Swin"), name="<Swin>")


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"pretrained": "random"}, "warning", "has learned nothing"),
        ({"pretrained": "crosseyed"}, "note", "A small CLIP that this project trained"),
        ({"pretrained": "openai"}, "note", "All numbers below are about this model"),
    ],
)
def test_the_box_says_whose_numbers_follow(tiny_clip, changes, kind, words):
    box = notices.weights(dataclasses.replace(tiny_clip, name="<name>", **changes)).data
    assert f'class="admonition {kind}"' in box
    assert words in box
    assert "&lt;name&gt;" in box


def test_a_tower_that_supports_everything_needs_no_box(tiny_clip):
    assert notices.reasons(tiny_clip, "attention", "heads") == []
    assert notices.left_out(tiny_clip, []) is None


def test_a_box_gives_the_reason_and_the_model_shown_instead(swin, tiny_clip):
    reasons = notices.reasons(swin, "attention")
    box = notices.left_out(swin, reasons, instead=tiny_clip).data
    for words in (
        "Left out for &lt;Swin&gt;",
        "Its tower does not offer the probabilities",
        "within windows",
    ):
        assert words in box
    assert f"{tiny_clip.name} is shown instead." in box
    assert "instead" not in notices.left_out(swin, reasons, instead=swin).data
    (reason,) = notices.reasons(swin, "attention", "tokens")[:1]
    assert reason.startswith("its tower does not offer")
