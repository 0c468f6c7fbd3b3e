"""RF-CLIP against loops over heads and patches, and on towers in which it finds nothing."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from attention_by_hand import embedded, under
from small_models import build_timm, distance, listeners, model_input, sample_images

from crosseyed.errors import InputError
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.redirection import Scope
from crosseyed.mitigations.redistribution import RadialAttention
from crosseyed.mitigations.rf_clip import CHANNELS, RFClip, outlying_channels
from crosseyed.models.towers.registry import adapter_of

ACTIVE = {"threshold": 0.055, "kept": 0.6, "alpha": 0.4, "sigma": 1.0, "channels": (1, 3, 6)}


def refocused_by_hand(attention, threshold, kept):
    """The attention of one head, (17, 17) with the class token first, in double precision, number by number."""
    changed = attention.double().clone()
    sinks = [j for j in range(1, 17) if sum(float(attention[i, j]) for i in range(1, 17)) / 16 > threshold]
    others = [j for j in range(1, 17) if j not in sinks]
    for i in range(1, 17):
        freed = sum((1 - kept) * float(attention[i, j]) for j in sinks)
        rest = sum(float(attention[i, j]) for j in others)
        for j in sinks:
            changed[i, j] *= kept
        for j in others:
            changed[i, j] += freed * float(attention[i, j]) / rest
    return changed.float(), sinks


def denoised_by_hand(patches, channels, sigma, alpha):
    """The tokens of a 4 × 4 image, one after another."""
    result, found = patches.clone(), []
    for place in range(16):
        above = patches[place] - patches[place].min()
        if max(float(above[channel] / above.sum()) for channel in channels) <= sigma / len(above):
            continue
        found.append(place)
        row, col = divmod(place, 4)
        around = torch.zeros_like(patches[place])
        for r in range(row - 1, row + 2):
            for c in range(col - 1, col + 2):
                if 0 <= r < 4 and 0 <= c < 4:
                    around += patches[4 * r + c] / 9
        result[place] = (1 - alpha) * patches[place] + alpha * around
    return result, found


def by_hand(model, method):
    """The embeddings of a small transformer under RF-CLIP, and how many sinks and distraction tokens there were."""
    visual, counts = model.clip.visual, [0, 0]
    blocks = visual.transformer.resblocks
    with torch.no_grad():
        tokens = visual._embeds(model_input(model))
        for number, block in enumerate(blocks):
            normed, attn = block.ln_1(tokens), block.attn
            query, key, value = (normed @ attn.in_proj_weight.T + attn.in_proj_bias).chunk(3, -1)
            width = query.shape[-1] // attn.num_heads
            gathered = torch.zeros_like(query)
            for image in range(len(tokens)):
                for head in range(attn.num_heads):
                    part = slice(head * width, (head + 1) * width)
                    weights = (query[image, :, part] @ key[image, :, part].T / width**0.5).softmax(-1)
                    if number < len(blocks) - 1:
                        weights, sinks = refocused_by_hand(weights, method.threshold, method.kept)
                        counts[0] += len(sinks)
                    gathered[image, :, part] = weights @ value[image, :, part]
            tokens = tokens + block.ls_1(attn.out_proj(gathered))
            tokens = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
            for image in range(len(tokens)):
                tokens[image, 1:], found = denoised_by_hand(
                    tokens[image, 1:], method.channels, method.sigma, method.alpha
                )
                counts[1] += len(found)
        return visual._pool(tokens)[0] @ visual.proj, counts


@pytest.mark.parametrize("kind", ["class token", "layer scale", "average"])
def test_the_tower_by_hand(model_of, kind):
    model, method = model_of(kind), RFClip(**ACTIVE)
    expected, (sinks, distracted) = by_hand(model, method)
    assert sinks > 0
    assert distracted > 0
    assert distance(under(method, model), expected) < 1e-5
    assert distance(expected, embedded(model)) > 1e-4
    assert listeners(model) == []


@pytest.mark.parametrize("alone", [{"kept": 1.0}, {"alpha": 0.0}])
def test_either_half_by_hand(model_of, alone):
    model, method = model_of("class token"), RFClip(**ACTIVE | alone)
    assert distance(under(method, model), by_hand(model, method)[0]) < 1e-5
    assert distance(under(method, model), under(RFClip(**ACTIVE), model)) > 1e-6


def test_refocusing_with_worked_values():
    """Two patches of four draw 0.5 and 0.3 of all attention: the first is a sink and gives 0.4 of its part away."""
    row = torch.tensor([0.1, 0.5, 0.2, 0.1, 0.1])
    attention = row.expand(1, 1, 5, 5)
    changed = RFClip(threshold=0.3, kept=0.6).refocus(attention, Scope((2, 2), 1))
    expected = torch.tensor([0.1, 0.3, 0.3, 0.15, 0.15])
    torch.testing.assert_close(changed[0, 0, 1:], expected.expand(4, 5))
    assert torch.equal(changed[0, 0, 0], row)  # the class token attends as before


def test_denoising_with_worked_values():
    """Of four tokens the first has 8 of 8 in channel 0; around it are itself and three of (1, 1), and five zeros."""
    patches = torch.tensor([[[8.0, 0.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]])
    changed = RFClip((0,), sigma=1.5, alpha=0.4).denoise(patches, (2, 2))
    expected = torch.tensor([0.6 * 8 + 0.4 * 11 / 9, 0.4 * 3 / 9])
    torch.testing.assert_close(changed[0, 0], expected)
    assert torch.equal(changed[0, 1:], patches[0, 1:])
    assert torch.equal(
        RFClip((1,), sigma=1.5, alpha=0.4).denoise(patches, (2, 2)), patches
    )  # another channel


def test_a_tower_without_sinks_and_distraction_tokens_is_left_as_it_is_bit_for_bit(model_of):
    model, method = model_of("class token"), RFClip((0, 1), threshold=0.9, sigma=15.0)
    assert not method.neutral
    assert torch.equal(under(method, model), embedded(model))


def test_only_images_that_have_sinks_change(model_of):
    model = model_of("class token")
    threshold = 0.0
    for threshold in np.linspace(0.05, 0.3, 101):
        moved = (under(RFClip(threshold=threshold), model) != embedded(model)).any(1)
        if 0 < moved.sum() < len(moved):
            break
    assert 0 < moved.sum() < len(moved)
    assert torch.equal(under(RFClip(threshold=threshold), model)[~moved], embedded(model)[~moved])


def test_it_joins_a_change_of_the_class_tokens_row_in_whatever_order(model_of):
    model, method, radial = model_of("class token"), RFClip(**ACTIVE), RadialAttention(1.5, last=2)
    one, other = under(compose(method, radial), model), under(compose(radial, method), model)
    assert distance(one, other) < 1e-6
    assert distance(one, under(method, model)) > 1e-4
    assert distance(one, under(radial, model)) > 1e-6


@pytest.mark.parametrize("neutral", [RFClip((1, 2), kept=1.0, alpha=0.0), RFClip(kept=1.0)])
def test_at_strength_zero_the_model_is_left_alone(tiny_clip, neutral):
    assert neutral.neutral
    with neutral.applied(tiny_clip):
        assert listeners(tiny_clip) == []
    found = mitigate(tiny_clip, neutral).encode_images(sample_images())
    assert np.array_equal(found, tiny_clip.encode_images(sample_images()))


def test_the_channels_of_largest_magnitude_are_found(model_of):
    model = model_of("class token")
    clip = copy.deepcopy(model.clip)
    clip.visual.positional_embedding.data[1:, 5] += 40.0
    clip.visual.positional_embedding.data[1:, 2] -= 60.0
    loud = dataclasses.replace(model, clip=clip)
    clip.visual.ln_pre = torch.nn.Identity().eval()
    assert outlying_channels(loud, sample_images(), 2) == (2, 5)


def test_the_authors_channels_are_taken_for_their_towers(model_of):
    model = model_of("class token")
    assert {len(channels) for channels in CHANNELS.values()} == {8}
    fitted = RFClip.fitted(dataclasses.replace(model, model="ViT-B-16", pretrained="openai"), [], None, [])
    assert {each.channels for each in fitted} == {CHANNELS["ViT-B-16", "openai"]}
    own = RFClip.fitted(model, sample_images(), None, [])
    assert {each.channels for each in own} == {outlying_channels(model, sample_images())}
    assert [(each.kept, each.alpha) for each in own] == [(0.6, 0.4), (1.0, 0.4), (0.6, 0.0)]


def test_towers_and_numbers_that_do_not_fit(model_of, tiny_clip):
    with pytest.raises(InputError, match=r"transformer blocks; .* has none"):
        RFClip().check(model_of("ResNet"))
    with pytest.raises(InputError, match="has none"):
        RFClip().check(build_timm(tiny_clip, "ConvNeXt"))
    width = adapter_of(tiny_clip).attention(1).query.shape[1]
    with pytest.raises(InputError, match=f"channels 0 to {width - 1}"):
        RFClip((width,)).check(tiny_clip)
    with pytest.raises(InputError, match="from 0 to 1"):
        RFClip(kept=1.1)
    with pytest.raises(InputError, match="whole numbers"):
        RFClip(5)
