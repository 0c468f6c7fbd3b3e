"""Locate-Then-Correct against loops over images and heads, and against worked values."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from mitigations_by_hand import TEXTS
from small_models import build_timm, sample_images

from crosseyed.data import layouts
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.data.scenes import scene_table
from crosseyed.errors import InputError
from crosseyed.internals.decompose import Decomposition, concatenate, decompose
from crosseyed.mitigations.locate_then_correct import LocateThenCorrect, _told_apart, locate
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.scoring import score_all
from crosseyed.mitigations.tasks import Task
from crosseyed.models.towers.base import UnsupportedTower


@pytest.fixture(scope="module")
def scenes():
    cutouts = sample_objects(read_catalogue(["fluent", "twemoji"]), 8, seed=0)
    drawn = layouts.grid(cutouts, k=3, size=0.3, seed=0)
    return [scene.render() for scene in drawn], scene_table(drawn), objects_of(cutouts)


def located_by_hand(model, images, table, labels):
    """The shares of the heads, image by image, and the heads that they tell apart."""
    sums = concatenate(decompose(model, images, progress=False))
    captions = model.encode_texts([f"a photo of {article(label)} {label}" for label in labels])
    counts, totals = {}, {True: 0, False: 0}
    for image, row in enumerate(table.itertuples()):
        if row.center:
            continue
        similarities = [float(sums.embedding[image].numpy() @ caption) for caption in captions]
        order = sorted(range(len(labels)), key=lambda label: -similarities[label])
        right = labels[order[0]] == row.object
        other = order[1] if right else labels.index(row.object)
        scores = {
            (layer, head): float(
                sums.heads[place, image, head].numpy() @ (captions[order[0]] - captions[other])
            )
            for place, layer in enumerate(sums.layers)
            for head in range(sums.heads.shape[2])
        }
        key = max(scores, key=scores.get), right
        counts[key] = counts.get(key, 0) + 1
        totals[right] += 1
    heads = {head for head, _ in counts}
    lead = {
        head: counts.get((head, True), 0) / totals[True] - counts.get((head, False), 0) / totals[False]
        for head in heads
    }
    return (
        sorted(head for head in heads if -lead[head] > 1 / len(heads)),
        sorted(head for head in heads if lead[head] > 1 / len(heads)),
        sums.heads.mean(1),
        sums.layers,
    )


def article(label):
    return "an" if label[0] in "aeiou" else "a"


def test_heads_are_located_as_by_hand(model_of, scenes):
    images, table, labels = scenes
    model = model_of("class token")
    found = locate(model, images, table, labels)
    spurious, target, means, layers = located_by_hand(model, images, table, labels)
    assert (list(found.spurious), list(found.target)) == (spurious, target)
    assert not found.neutral
    expected = [found, dataclasses.replace(found, target=())] if spurious and target else [found]
    assert LocateThenCorrect.fitted(model, images, table, labels) == expected
    for head, mean in zip(found.spurious, [] if found.means is None else found.means, strict=True):
        np.testing.assert_allclose(mean, means[layers.index(head[0]), head[1]], atol=1e-5)


def test_worked_shares():
    """Off-center, head 0 decides 3 of 4 right answers, head 1 all wrong ones, head 2 one right answer; K is 3."""
    top = torch.tensor([0, 0, 0, 2, 1, 1, 3, 3, -1])
    right = torch.tensor([True, True, True, True, False, False, True, True, False])
    group = torch.tensor([True, True, True, True, True, True, False, False, True])
    spurious, target = _told_apart(top, right, group, (2, 2))
    assert spurious == [(0, 1)]
    assert target == [(0, 0)]  # head 2 leads by 0.25, which is less than a third
    assert _told_apart(top, torch.ones_like(right), group, (2, 2)) == (
        [],
        [],
    )  # nothing wrong to compare with


def corrected_by_hand(sums, method, captions):
    embeddings = []
    for image in range(len(sums.embedding)):
        plain = sums.embedding[image].double().numpy()
        order = np.argsort(-(captions @ plain))
        differences = [captions[order[0]] - captions[other] for other in order[1 : method.rivals + 1]]
        directions = []
        for difference in differences:  # Gram and Schmidt, what a QR decomposition gives but for signs
            rest = difference - sum((difference @ each) * each for each in directions)
            directions.append(rest / np.linalg.norm(rest))
        total = plain.copy()
        for number, (layer, head) in enumerate(method.spurious):
            total += method.means[number] - sums.heads[sums.layers.index(layer), image, head].numpy()
        for layer, head in method.target:
            own = vector = sums.heads[sums.layers.index(layer), image, head].double().numpy()
            for direction in directions:
                vector = vector + vector @ direction / np.linalg.norm(vector) * direction
                vector = vector / np.linalg.norm(vector)
            total += vector - own
        embeddings.append(total / np.linalg.norm(total))
    return np.array(embeddings)


def some_heads(sums, **given):
    means = sums.heads[[0, 1], :, [1, 0]].mean(1).numpy()
    return LocateThenCorrect(**{"spurious": ((1, 1), (2, 0)), "target": ((2, 1),), "means": means} | given)


@pytest.mark.parametrize("given", [{}, {"spurious": (), "means": None}, {"target": ()}, {"rivals": 1}])
@pytest.mark.parametrize("kind", ["class token", "average"])
def test_scores_by_hand(model_of, kind, given):
    model, texts = model_of(kind), [*TEXTS, "a tree", "a house"]
    sums = concatenate(decompose(model, sample_images(), progress=False))
    method, captions = some_heads(sums, **given), model.encode_texts(texts).astype(float)
    expected = corrected_by_hand(sums, method, captions) @ captions.T
    found = mitigate(model, method).similarities(sample_images(), texts)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - model.similarities(sample_images(), texts)).max() > 1e-4


def test_a_target_head_with_worked_values():
    """A head that writes (0.1, 0) and a direction along x: the head becomes (1, 0), 0.9 more than it was."""
    heads = torch.tensor([0.1, 0.0]).reshape(1, 1, 1, 2)
    embedding = torch.tensor([[0.6, 0.8]])
    part = Decomposition(range(1), (1,), (1, 1), 1, embedding, *[torch.zeros(1)] * 2, heads, *[None] * 3)
    captions = torch.tensor([[0.6, 0.8], [-0.6, 0.8]])  # their difference is along x
    corrected = LocateThenCorrect(target=((1, 0),), rivals=1).corrected(part, captions)
    expected = torch.tensor([[1.5, 0.8]]) / (1.5**2 + 0.8**2) ** 0.5
    torch.testing.assert_close(corrected, expected)


def test_it_takes_one_pass_and_acts(model_of):
    model = model_of("class token")
    sums = concatenate(decompose(model, sample_images(), progress=False))
    table = pd.DataFrame({"image": range(3), "object": "dog", "center": True})
    task = Task("grid", sample_images(), table, ["dog", "cat", "tree", "key"])
    answers = score_all(model, [some_heads(sums)], [task], progress=False).set_index("candidate")
    assert set(answers["passes"]) == {1.0}
    assert (answers.loc["none", "margin"].to_numpy() != answers.drop("none")["margin"].to_numpy()).any()


def test_without_heads_it_is_the_plain_model_bit_for_bit(tiny_clip):
    neutral = LocateThenCorrect()
    assert neutral.neutral
    found = mitigate(tiny_clip, neutral).similarities(sample_images(), TEXTS)
    assert np.array_equal(found, tiny_clip.similarities(sample_images(), TEXTS))


@pytest.mark.filterwarnings("ignore::crosseyed.models.scorer.UnreadableImagesWarning")
def test_an_unreadable_image_has_no_score_and_decides_nothing(model_of, scenes, tmp_path):
    model, (images, table, labels) = model_of("class token"), scenes
    sums = concatenate(decompose(model, sample_images(), progress=False))
    broken = [sample_images()[0], tmp_path / "absent.png", sample_images()[2]]
    found = mitigate(model, some_heads(sums)).similarities(broken, TEXTS)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()
    fewer = locate(model, [images[0], *images[2:]], table.drop(index=1), labels)
    with_one_missing = locate(model, [images[0], tmp_path / "absent.png", *images[2:]], table, labels)
    assert with_one_missing == fewer
    if fewer.means is not None:
        np.testing.assert_allclose(with_one_missing.means, fewer.means, atol=1e-6)


def test_tables_and_towers_that_do_not_fit(model_of, tiny_clip, scenes):
    images, table, labels = scenes
    model = model_of("class token")
    with pytest.raises(InputError, match="not among the 2 labels"):
        locate(model, images, table.assign(object="zebra"), ["dog", "cat"])
    for some in (images[:-1], [*images, images[0]]):
        with pytest.raises(InputError, match="one row per image"):
            locate(model, some, table, labels)
    with pytest.raises(UnsupportedTower):
        locate(build_timm(tiny_clip, "ConvNeXt"), images, table, labels)
    with pytest.raises(UnsupportedTower):
        LocateThenCorrect(target=((1, 0),)).check(build_timm(tiny_clip, "ConvNeXt"))
