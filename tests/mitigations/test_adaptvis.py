"""ScalingVis and AdaptVis against attention computed by hand from logits, and against one another."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from attention_by_hand import embedded, under
from mitigations_by_hand import TEXTS
from small_models import distance, listeners, model_input, sample_images

from crosseyed.errors import InputError
from crosseyed.mitigations import adaptvis
from crosseyed.mitigations.adaptvis import AdaptVis, ScalingVis
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.redirection import Scope
from crosseyed.mitigations.scoring import score_all
from crosseyed.mitigations.tasks import Task


def by_hand(model, weight):
    """The embeddings of a small transformer whose class token's logits are scaled on the image in every block."""
    visual = model.clip.visual
    with torch.no_grad():
        tokens = visual._embeds(model_input(model))
        for block in visual.transformer.resblocks:
            normed, attn = block.ln_1(tokens), block.attn
            query, key, value = (normed @ attn.in_proj_weight.T + attn.in_proj_bias).chunk(3, -1)
            width = query.shape[-1] // attn.num_heads
            gathered = torch.zeros_like(query)
            for image in range(len(tokens)):
                for head in range(attn.num_heads):
                    part = slice(head * width, (head + 1) * width)
                    logits = query[image, :, part] @ key[image, :, part].T / width**0.5
                    rows = [0] if visual.pool_type == "tok" else range(17)
                    for row in rows:
                        for token in range(1, 17):
                            logits[row, token] *= weight
                    gathered[image, :, part] = logits.softmax(-1) @ value[image, :, part]
            tokens = tokens + block.ls_1(attn.out_proj(gathered))
            tokens = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
        return visual._pool(tokens)[0] @ visual.proj


@pytest.mark.parametrize("weight", [0.5, 2.0])
@pytest.mark.parametrize("kind", ["class token", "layer scale", "average"])
def test_scaled_logits_by_hand(model_of, kind, weight):
    expected = by_hand(model_of(kind), weight)
    assert distance(under(ScalingVis(weight), model_of(kind)), expected) < 1e-5
    assert distance(expected, embedded(model_of(kind))) > 1e-4
    assert listeners(model_of(kind)) == []


class Logits:
    """An attention whose logits are given."""

    def __init__(self, logits):
        self.given = torch.tensor(logits).reshape(1, 1, 1, -1)

    def logits(self, reading, read, *, exact):
        assert exact  # without what the keys' biases add, logits cannot be scaled
        return self.given


def test_worked_values():
    """Logits 0 | 1, -1 times two are 0 | 2, -2: the class token loses, and negative logits move the other way."""
    weights = Logits([0.0, 1.0, -1.0])
    scope = Scope((1, 2), 1, weights)
    changed = ScalingVis(2.0).change(weights.given.softmax(-1), scope)
    total = 1 + math.exp(2) + math.exp(-2)
    expected = torch.tensor([1 / total, math.exp(2) / total, math.exp(-2) / total])
    torch.testing.assert_close(changed.flatten(), expected)


def scored(model, mitigation, images=None):
    return mitigate(model, mitigation).similarities(images or sample_images(), TEXTS)


def confidences(model, images):
    plain = model.logit_scale * model.similarities(images, TEXTS)
    return (np.exp(plain) / np.exp(plain).sum(1, keepdims=True)).max(1)


def test_confidence_decides_image_by_image(model_of, monkeypatch):
    monkeypatch.setattr(adaptvis, "_PORTION", 2)
    model, images = model_of("class token"), sample_images(5)
    confident = confidences(model, images)
    threshold = float(np.sort(confident)[1:3].mean())
    found = scored(model, AdaptVis(0.5, 2.0, threshold), images)
    low, high = (scored(model, ScalingVis(weight), images) for weight in (0.5, 2.0))
    np.testing.assert_allclose(found, np.where((confident < threshold)[:, None], low, high), atol=1e-6)
    assert np.abs(low - high).max() > 1e-4


def test_settings_share_the_scaled_runs(model_of):
    model, images = model_of("class token"), sample_images(5)
    threshold = float(np.median(confidences(model, images)))
    task = Task("grid", images, _table(images), ["dog", "cat"])
    settings = [ScalingVis(0.5), *(AdaptVis(0.5, high, threshold) for high in (1.5, 2.0))]
    together = score_all(model, settings, [task], progress=False)
    assert together["computed"].sum() == 4 * len(images)  # the baseline, and three weights
    assert together.groupby("candidate")["passes"].first().to_dict() == {
        "none": 1.0,
        settings[0].name: 1.0,
        settings[1].name: 2.0,
        settings[2].name: 2.0,
    }
    for setting in settings:
        alone = task.score(mitigate(model, setting))
        rows = together[together["candidate"] == setting.name]
        np.testing.assert_allclose(rows["margin"].astype(float), alone["margin"].astype(float), atol=1e-4)


def _table(images):
    return pd.DataFrame({"image": range(len(images)), "object": "dog", "center": True})


@pytest.mark.parametrize("neutral", [ScalingVis(1.0), AdaptVis(1.0, 1.0)])
def test_neutral_settings_are_the_plain_model(tiny_clip, neutral):
    assert neutral.passes == 1
    assert np.array_equal(scored(tiny_clip, neutral), tiny_clip.similarities(sample_images(), TEXTS))
    vectors = mitigate(tiny_clip, neutral).encode_images(sample_images())
    assert np.array_equal(vectors, tiny_clip.encode_images(sample_images()))


def test_a_weight_of_one_leaves_the_plain_answer(model_of):
    model = model_of("class token")
    found = scored(model, AdaptVis(0.5, 1.0, threshold=0.0))  # all are confident
    assert np.array_equal(found, model.similarities(sample_images(), TEXTS))


def test_the_authors_settings_are_among_those_tried():
    assert AdaptVis(0.5, 1.5, 0.4) in AdaptVis.candidates()  # of the script that they publish
    assert {each.weight for each in ScalingVis.candidates()} == {0.5, 0.8, 1.2, 1.5, 2.0}
    scalings = {scaling for each in AdaptVis.candidates() for scaling in each.scalings}
    assert scalings == set(ScalingVis.candidates())  # so that they cost no further run
    assert AdaptVis().passes == 2


@pytest.mark.filterwarnings("ignore::crosseyed.models.scorer.UnreadableImagesWarning")
def test_an_unreadable_image_has_no_confidence(model_of, tmp_path):
    images = [sample_images()[0], tmp_path / "absent.png", sample_images()[2]]
    found = scored(model_of("class token"), AdaptVis(threshold=0.0), images)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()


def test_confidence_depends_on_the_captions_so_there_is_no_vector(model_of):
    with pytest.raises(InputError, match="no single vector"):
        mitigate(model_of("class token"), AdaptVis()).encode_images(sample_images())


def test_numbers_out_of_range():
    with pytest.raises(InputError, match="weight is from 0 to 100"):
        ScalingVis(-0.5)
    with pytest.raises(InputError, match="threshold is from 0 to 1"):
        AdaptVis(threshold=2.0)
