import numpy as np
import pytest
import torch
from small_mitigations import encoded, train

from crosseyed.data.cutouts import objects_of
from crosseyed.data.photographer import Dose, snapshot
from crosseyed.errors import InputError
from crosseyed.mitigations import head_training, heads, tasks
from crosseyed.mitigations.scoring import BASELINE, score_all


def test_training_lowers_the_loss_and_leaves_the_model_alone(tiny_clip, world):
    before = {name: value.clone() for name, value in tiny_clip.clip.state_dict().items()}
    trained = train(tiny_clip, world, scenes_per_object=8, epochs=12)
    for head in trained.values():
        losses = head.history["loss"].dropna()
        assert losses.iloc[-1] < losses.iloc[0]
    for name, value in tiny_clip.clip.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_chosen_epoch_is_the_first_of_the_best_and_gives_its_accuracy(tiny_clip, world, trained):
    (_, others), labels = world
    for head in trained.values():
        history = head.history
        assert history["chosen"].sum() == 1
        assert history["chosen"].idxmax() == history["accuracy"].to_numpy().argmax()
        data = head_training._freeze(tiny_clip, others, 2, [2], [0, 1], False)[2]
        texts = torch.from_numpy(tiny_clip.encode_texts([f"a photo of a {label}" for label in labels]))
        truth = torch.tensor([labels.index(name) for name in data.objects])
        with torch.no_grad():
            vectors = head.head(*data.at(slice(None)))
        accuracy = 100 * ((vectors @ texts.T).argmax(1) == truth).float().mean().item()
        assert accuracy == pytest.approx(history.loc[history["chosen"], "accuracy"].item())


def test_what_is_trained_on_frozen_tokens_is_what_images_are_encoded_by(tiny_clip, world, trained):
    (learned, _), _ = world
    data = head_training._freeze(tiny_clip, learned, 1, [2], [0, 0], False)[2]
    scenes = [
        snapshot(learned, name, Dose(), np.random.default_rng([0, 0, 0, number]), 32)[0]
        for number, name in enumerate(objects_of(learned))
    ]
    for head in trained.values():
        with torch.no_grad():
            cached = head.head(*data.at(slice(None))).numpy()
        fresh = head.encode_images([scene.render() for scene in scenes], progress=False)
        np.testing.assert_allclose(cached, fresh, atol=5e-3)  # the cache is of half precision


def test_the_same_seed_gives_the_same_heads_and_another_one_others(tiny_clip, world, trained):
    again, other = train(tiny_clip, world), train(tiny_clip, world, seed=1)
    for name, head in trained.items():
        np.testing.assert_array_equal(encoded(head), encoded(again[name]))
        assert head.history.equals(again[name].history)
        assert not other[name].history["loss"].equals(head.history["loss"])


def test_every_batch_shows_every_object_once(tiny_clip, world, monkeypatch):
    (learned, _), _ = world
    batches = []
    seen = head_training._Frozen.at
    monkeypatch.setattr(
        head_training._Frozen, "at", lambda data, rows: batches.append((data, rows)) or seen(data, rows)
    )
    train(tiny_clip, world, names=["attention"], epochs=1)
    shown = [[data.objects[row] for row in rows] for data, rows in batches if isinstance(rows, torch.Tensor)]
    assert len(shown) == 4
    assert all(sorted(batch) == sorted(objects_of(learned)) for batch in shown)
    used = torch.cat([rows for _, rows in batches if isinstance(rows, torch.Tensor)])
    assert sorted(used.tolist()) == list(range(24))


def test_heads_of_two_depths_are_trained_on_one_run_of_the_tower(tiny_clip, world, trained, monkeypatch):
    runs = []
    of = head_training.Batch.of
    monkeypatch.setattr(
        head_training.Batch, "of", lambda *given: runs.append(len(given[1])) or of(*given), raising=True
    )
    both = train(tiny_clip, world, names=["average"], earlier=["average"])
    assert list(both) == ["average", "average, one block earlier"]
    (learned, others), _ = world
    images = 4 * len(objects_of(learned)) + 2 * len(objects_of(others))
    assert sum(runs) == images + 2  # the two find the width of the tokens
    assert both["average"].history.equals(trained["average"].history)
    assert both["average, one block earlier"].pooling == "trained average (layer 1)"
    alone = train(tiny_clip, world, names=[], earlier=["average"])
    assert alone["average, one block earlier"].history.equals(both["average, one block earlier"].history)


def test_captions_name_the_object_of_their_image(tiny_clip, world):
    (learned, _), _ = world
    data = head_training._freeze(tiny_clip, learned, 2, [2], [0, 0], False)[2]
    assert len(data.tokens) == 12
    for name, caption in zip(data.objects, data.captions, strict=True):
        assert caption.endswith(f"a {name}")


def test_a_resnet_is_headed_too(model_of, world):
    head = train(model_of("ResNet"), world, epochs=1)["masked max"]
    np.testing.assert_allclose(np.linalg.norm(encoded(head), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scenes_per_object": 0}, "scenes_per_object is 0"),
        ({"epochs": 0}, "epochs 0"),
        ({"learning_rates": ()}, "learning_rates"),
        ({"learning_rates": (0.0,)}, "learning_rates"),
        ({"names": ["mean"]}, "No head 'mean'"),
    ],
)
def test_training_refuses_what_is_out_of_range(tiny_clip, world, change, message):
    with pytest.raises(InputError, match=message):
        train(tiny_clip, world, **change)


def test_training_refuses_objects_in_both_sets_and_objects_without_a_label(tiny_clip, world):
    (learned, others), labels = world
    with pytest.raises(InputError, match="give each to one of them"):
        train(tiny_clip, ([learned, [*others, learned[0]]], labels))
    with pytest.raises(InputError, match="not among the 6 labels"):
        train(tiny_clip, ([learned, others], labels[:6]))
    with pytest.raises(InputError, match="at least 2"):
        train(tiny_clip, ([learned[:1], others], labels))


def test_heads_are_compared_with_the_model_on_images_that_are_encoded_once(tiny_clip, world, monkeypatch):
    (_, others), labels = world
    task = tasks.grid_task(others, labels, 3)
    head = heads.untrained(tiny_clip, "average")
    encoded_together = []
    together = head_training.encode_together
    monkeypatch.setattr(
        head_training,
        "encode_together",
        lambda *given, **options: encoded_together.append(1) or together(*given, **options),
    )
    asked = [("all names", task, labels), ("their names", task, objects_of(others))]
    table = head_training.score_heads(tiny_clip, [head], asked)
    assert len(encoded_together) == 1
    kept = table.groupby(["protocol", "candidate"], sort=False)
    assert kept.size().to_dict() == {
        (protocol, candidate): len(task.images)
        for protocol, _, _ in asked
        for candidate in (BASELINE, head.pooling)
    }
    assert set(table[table["protocol"] == "their names"]["choice"]) <= set(objects_of(others))
    assert (table["correct"] == (table["choice"] == table["object"])).all()
    plain = table[(table["candidate"] == BASELINE) & (table["protocol"] == "all names")]
    expected = score_all(tiny_clip, [], [task], progress=False)
    assert plain["choice"].tolist() == expected["choice"].tolist()
