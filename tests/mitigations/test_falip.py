"""FALIP against attention computed by hand, place by place, and against worked values of its bump."""

import math

import numpy as np
import pytest
import torch
from mitigations_by_hand import TEXTS
from small_models import listeners

from crosseyed.errors import InputError
from crosseyed.mitigations.base import Location
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.falip import Falip, _box, bump
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.views import Padding

PLACES = [Location(0.3, 0.3, 0.3), Location(0.7, 0.6, 0.4), Location(0.3, 0.3, 0.3)]


def squares(n_images=3):
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(n_images)]


def bump_by_hand(top, bottom, left, right):
    """The authors' mask of a box, patch by patch."""
    values = {}
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            away = math.hypot(row - (top + bottom) / 2, column - (left + right) / 2)
            values[row, column] = math.exp(-0.5 * (away / 100) ** 2)
    least, most = min(values.values()), max(values.values())
    return {place: (value - least + 1e-6) / (most - least + 1e-6) for place, value in values.items()}


def by_hand(model, images, boxes, strength):
    """Similarities with the bump added to the class token's logits in the last block, image by image."""
    visual, captions, rows = model.clip.visual, model.encode_texts(TEXTS), []
    for image, box in zip(images, boxes, strict=True):
        (pixels, _), *_ = model.read_batches([image], progress=False)
        with torch.no_grad():
            tokens = visual._embeds(model.to_input(pixels))
            for block in visual.transformer.resblocks[:-1]:
                tokens = block(tokens)
            block = visual.transformer.resblocks[-1]
            normed, attn = block.ln_1(tokens)[0], block.attn
            query, key, value = (normed @ attn.in_proj_weight.T + attn.in_proj_bias).chunk(3, -1)
            width, gathered = query.shape[-1] // attn.num_heads, torch.zeros_like(query)
            for head in range(attn.num_heads):
                part = slice(head * width, (head + 1) * width)
                logits = query[:, part] @ key[:, part].T / width**0.5
                for (row, column), added in bump_by_hand(*box).items():
                    logits[0, 1 + 4 * row + column] += strength * added
                gathered[:, part] = logits.softmax(-1) @ value[:, part]
            tokens = tokens + attn.out_proj(gathered)
            tokens = tokens + block.mlp(block.ln_2(tokens))
            embedding = (visual._pool(tokens)[0] @ visual.proj)[0].numpy()
        rows.append(captions @ (embedding / np.linalg.norm(embedding)))
    return np.array(rows)


@pytest.mark.parametrize("strength", [0.2, 3.0])
def test_the_last_block_by_hand(model_of, strength):
    """The tower has two blocks and patches of 8 pixels: of 32, the places touch those from 4.8 to 14.4, and so on."""
    model = model_of("class token")
    found = mitigate(model, Falip(strength), PLACES).similarities(squares(), TEXTS)
    boxes = [(0, 1, 0, 1), (1, 3, 1, 3), (0, 1, 0, 1)]
    np.testing.assert_allclose(found, by_hand(model, squares(), boxes, strength), atol=1e-6)
    plain = model.similarities(squares(), TEXTS)
    assert (np.abs(found - plain).max(1) > 1e-7).all()
    assert listeners(model) == []


def test_the_box_is_that_of_the_authors_code(model_of):
    model = model_of("class token")
    assert model.image_size == (32, 32)  # patches of 8
    for location, box in [
        (Location(0.5, 0.5, 0.5), (0, 2, 0, 2)),  # from 8 to 24: the code counts the patch that ends at 8
        (Location(0.1, 0.9, 0.5), (2, 3, 0, 1)),  # from -4.8 to 11.2 and from 20.8 to 36.8, cut at the border
        (Location(0.45, 0.45, 0.1), (1, 1, 1, 1)),  # from 12.8 to 16
    ]:
        (told,) = Falip().views(squares(1)[0], location)
        assert _box(model, told) == box


def test_the_bump_with_worked_values():
    """3 patches in a row: nearly 1 in the middle, nearly 0 at the ends; a single patch has 1."""
    least = math.exp(-0.5 / 100**2)
    end = 1e-6 / (1 - least + 1e-6)
    expected = torch.zeros(4, 4)
    expected[2, 1:4] = torch.tensor([end, 1.0, end])
    torch.testing.assert_close(bump((4, 4), (2, 2, 1, 3)), expected)
    alone = torch.zeros(4, 4)
    alone[0, 3] = 1.0
    torch.testing.assert_close(bump((4, 4), (0, 0, 3, 3)), alone)
    for (row, column), value in bump_by_hand(0, 2, 1, 3).items():
        assert float(bump((4, 4), (0, 2, 1, 3))[row, column]) == pytest.approx(value, rel=1e-6)


def test_at_strength_zero_it_is_the_plain_model_bit_for_bit(tiny_clip):
    neutral = mitigate(tiny_clip, Falip(0.0), PLACES)
    assert np.array_equal(neutral.similarities(squares(), TEXTS), tiny_clip.similarities(squares(), TEXTS))
    assert np.array_equal(neutral.encode_images(squares()), tiny_clip.encode_images(squares()))


def test_an_object_outside_of_what_the_model_sees_changes_nothing(model_of):
    """The model crops a wide image to its middle."""
    model, wide = model_of("class token"), np.random.default_rng(3).integers(0, 256, (32, 96, 3), np.uint8)
    found = mitigate(model, Falip(3.0), [Location(0.05, 0.5, 0.2)]).similarities([wide], TEXTS)
    assert np.array_equal(found, model.similarities([wide], TEXTS))


@pytest.mark.filterwarnings("ignore::crosseyed.models.scorer.UnreadableImagesWarning")
def test_an_unreadable_image_has_no_scores(model_of, tmp_path):
    images = [squares()[0], tmp_path / "absent.png", squares()[2]]
    found = mitigate(model_of("class token"), Falip(3.0), PLACES).similarities(images, TEXTS)
    assert np.isnan(found[1]).all()
    whole = mitigate(model_of("class token"), Falip(3.0), PLACES).similarities(squares(), TEXTS)
    np.testing.assert_allclose(found[[0, 2]], whole[[0, 2]], atol=1e-6)


def test_what_it_does_not_fit(model_of):
    with pytest.raises(InputError, match="has to be told"):
        mitigate(model_of("class token"), Falip())
    for kind in ("average", "pooler", "ResNet"):
        with pytest.raises(InputError, match="pooled class token"):
            Falip().check(model_of(kind))
    padded = mitigate(model_of("class token"), compose(Falip(), Padding()), PLACES)
    with pytest.raises(InputError, match="put FALIP last"):
        padded.similarities(squares(), TEXTS)
