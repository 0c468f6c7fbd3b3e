"""The code on the page about reading inside a CLIP does what the page says."""

import re
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from small_models import model_input, sample_images, traced

from crosseyed.models import loading

PAGE = (Path(__file__).parents[1] / "book" / "reading_inside.md").read_text(encoding="utf-8")
WITH_LIBRARY, WITHOUT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_library_gives_tokens_attention_and_maps(tiny_clip, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(sample_images()[0]).save("photo.jpg")
    monkeypatch.setattr(loading, "load", lambda model, pretrained: tiny_clip)
    names = {}
    exec(WITH_LIBRARY, names)
    assert names["tokens"].shape == (3, 1, 17, 64)
    assert names["looked"].shape == (2, 1, 2, 17)
    assert names["maps"].shape == (2, 1, 4, 4)
    expected = tiny_clip.encode_images(["photo.jpg"])
    found = torch.nn.functional.normalize(names["embedding"], dim=-1)
    assert np.array_equal(found.numpy(), expected)


def test_open_clip_alone_gives_the_same_attention(tiny_clip, monkeypatch):
    def create(model, pretrained):
        return tiny_clip.clip, None, None

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    names = {"images": model_input(tiny_clip)}
    try:
        exec(WITHOUT, names)
    finally:
        for block in tiny_clip.clip.visual.transformer.resblocks:
            block._forward_pre_hooks.clear()
    expected = traced(tiny_clip, ("attention",), attention_rows="all").attention
    for number, attention in names["attention"].items():
        torch.testing.assert_close(attention, expected[number - 1])
    assert list(names["attention"]) == [1, 2]


@pytest.mark.parametrize("code", [WITH_LIBRARY, WITHOUT])
def test_about_ten_lines_suffice(code):
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 10
