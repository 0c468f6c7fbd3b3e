import numpy as np
import pandas as pd
import pytest
import torch
from composed_files import write_whatsup
from PIL import Image

from crosseyed.data import layouts, whatsup
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.data.scenes import pair_table, scene_table
from crosseyed.errors import InputError
from crosseyed.measure import protocols
from crosseyed.measure.protocols import four_captions, zero_shot
from crosseyed.models.scorer import Encoder, UnreadableImagesWarning


def at(*degrees):
    """Give unit vectors in a plane; the cosine of two is that of the angle between them."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class FakeEncoder(Encoder):
    """Embeds images as the vectors it is given, in order, and texts as a dictionary says."""

    name, model, pretrained = "fake--none", "fake", "none"

    def __init__(self, image_vectors, text_vectors, logit_scale=10.0):
        self.image_vectors = image_vectors
        self.text_vectors = text_vectors
        self.logit_scale = logit_scale
        self.images_seen = []
        self.texts_seen = []

    def encode_images(self, images, *, progress=True):
        self.images_seen = list(images)
        return np.array(self.image_vectors, dtype=np.float32)

    def encode_texts(self, texts):
        self.texts_seen = list(texts)
        return np.array([self.text_vectors[text] for text in texts], dtype=np.float32)


def caption(label):
    return f"a photo of a {label}"


# --- zero-shot ---


LABELS = ["cup", "dog", "car"]
LABEL_VECTORS = dict(zip(map(caption, LABELS), at(0, 40, 100), strict=True))


def test_zero_shot_by_hand():
    encoder = FakeEncoder(at(10, 30, 100), LABEL_VECTORS, logit_scale=10)
    table = pd.DataFrame({"image": ["i", "j", "k"], "object": ["cup", "cup", "cup"], "size": [0.3, 0.2, 0.1]})
    result = zero_shot(encoder, ["i.png", "j.png", "k.png"], table, LABELS)
    assert encoder.images_seen == ["i.png", "j.png", "k.png"]
    assert result["image"].tolist() == ["i", "j", "k"]
    assert result["size"].tolist() == [0.3, 0.2, 0.1]
    assert result["choice"].tolist() == ["cup", "dog", "car"]
    assert result["correct"].tolist() == [True, False, False]
    assert result["rank"].tolist() == [1, 2, 3]
    cos = lambda degrees: np.cos(np.deg2rad(degrees))  # noqa: E731
    margins = [cos(10) - cos(30), cos(30) - cos(10), cos(100) - cos(0)]
    assert result["margin"].to_numpy() == pytest.approx(10 * np.array(margins), abs=1e-5)
    assert (result[["model", "pretrained", "protocol"]] == ["fake", "none", "grid"]).all(axis=None)
    assert result["correct"].dtype == "boolean"
    assert result["rank"].dtype == "Int64"


def test_zero_shot_agrees_with_a_plain_loop_over_many_labels():
    rng = np.random.default_rng(0)
    labels = [f"thing {number}" for number in range(40)]
    vectors = rng.standard_normal((240, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    encoder = FakeEncoder(
        vectors[40:], {f"this is {label}!": v for label, v in zip(labels, vectors, strict=False)}, 5
    )
    table = pd.DataFrame({"object": rng.choice(labels, 200)})
    result = zero_shot(encoder, [None] * 200, table, labels, "this is {}!", protocol="slide")
    for row, truth, image in zip(result.itertuples(), table["object"], vectors[40:], strict=True):
        logits = {label: 5 * image @ vector for label, vector in zip(labels, vectors, strict=False)}
        ranking = sorted(labels, key=lambda label: -logits[label])
        assert row.choice == ranking[0]
        assert row.correct == (ranking[0] == truth)
        assert row.rank == 1 + ranking.index(truth)
        best_other = max(logit for label, logit in logits.items() if label != truth)
        assert row.margin == pytest.approx(logits[truth] - best_other, abs=1e-5)
    assert result["correct"].any()
    assert (result["protocol"] == "slide").all()


def test_of_equally_similar_labels_the_first_is_chosen_and_correct_means_rank_one():
    labels = [f"thing {number}" for number in range(40)]
    encoder = FakeEncoder(np.tile(at(20), (40, 1)), dict.fromkeys(map(caption, labels), at(0)[0]))
    result = zero_shot(encoder, [None] * 40, pd.DataFrame({"object": labels}), labels)
    assert (result["choice"] == "thing 0").all()
    assert result["rank"].tolist() == list(range(1, 41))
    assert result["correct"].tolist() == [True] + [False] * 39
    assert (result["margin"] == 0).all()


def test_an_image_that_cannot_be_read_keeps_its_row_without_answers():
    images = at(10, 0, 35)
    images[1] = np.nan
    table = pd.DataFrame({"object": LABELS[:2] + LABELS[1:2]}, index=[7, 7, 9])
    result = zero_shot(FakeEncoder(images, LABEL_VECTORS), [None] * 3, table, LABELS)
    assert result.index.tolist() == [0, 1, 2]
    assert result["choice"].tolist() == ["cup", "unreadable", "dog"]
    assert result["correct"].isna().tolist() == [False, True, False]
    assert result["margin"].isna().tolist() == [False, True, False]
    assert result["rank"].isna().tolist() == [False, True, False]
    assert result["correct"].dtype == "boolean"
    assert result["correct"].sum() == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": ["i"] * 3}, "3 images but 2 rows"),
        ({"table": pd.DataFrame({"object": []})}, "empty"),
        (
            {"table": pd.DataFrame({"objects": LABELS[:2]})},
            r"\['object'\] are missing.*did you mean 'objects'",
        ),
        (
            {"table": pd.DataFrame({"object": ["cup", "cupp"]})},
            "'cupp' is not among the 3 labels; did you mean 'cup'",
        ),
        ({"labels": ["cup"]}, "1 labels to choose among"),
        ({"labels": ["cup", "dog", "cup"]}, "'cup' is given more than once"),
        ({"template": "a photo"}, "'a photo' must have one"),
        ({"template": "a {} on a {}"}, "must have one"),
    ],
)
def test_zero_shot_refuses_what_does_not_fit(arguments, message):
    table = pd.DataFrame({"object": ["cup", "dog"]})
    arguments = {"images": ["i", "j"], "table": table, "labels": LABELS} | arguments
    with pytest.raises(InputError, match=message):
        zero_shot(FakeEncoder(at(0, 0), LABEL_VECTORS), **arguments)


def test_a_known_number_of_images_is_checked_before_the_first_is_encoded():
    encoder = FakeEncoder(at(0, 0), LABEL_VECTORS)
    with pytest.raises(InputError, match="3 images but 2 rows"):
        zero_shot(encoder, ["i"] * 3, pd.DataFrame({"object": ["cup", "dog"]}), LABELS)
    assert not encoder.images_seen


def test_an_iterator_with_another_number_of_images_is_refused_at_its_end():
    with pytest.raises(InputError, match="3 images but 2 rows"):
        zero_shot(
            FakeEncoder(at(0, 0, 0), LABEL_VECTORS),
            iter("ijk"),
            pd.DataFrame({"object": ["cup", "dog"]}),
            LABELS,
        )


# --- four captions ---


MUG = "a mug and a table", "a mug", "a table", "a cat and a refrigerator"
DOG = "a dog and a mug", "a dog"


def test_four_captions_by_hand():
    # cosines with the image at 0 degrees: those of the captions' angles
    texts = dict(zip([*MUG, *DOG], at(60, 50, 70, 80, 65, 90), strict=True))
    encoder = FakeEncoder(at(0, 0, 62, 71, 179), texts, logit_scale=1)
    table = pd.DataFrame(
        {
            "object": ["mug", "dog", "mug", "mug", "mug"],
            "object2": ["table", "mug", "table", "table", "table"],
            "together": [True, False, True, False, False],
        }
    )
    result = four_captions(encoder, list("abcde"), table)
    assert result["choice"].tolist() == ["object", "object2", "both", "object2", "other"]
    assert result["correct"].tolist() == [False, False, True, False, False]
    for row, degrees in ((0, (60, 50, 70, 80)), (1, (65, 90, 50, 80)), (2, (2, 12, 8, 18))):
        logits = 100 * np.cos(np.deg2rad(degrees))
        weights = np.exp(logits - logits.max())
        assert result["probability"][row] == pytest.approx(weights[0] / weights.sum(), rel=1e-3)
        assert result["margin"][row] == pytest.approx(logits[0] - logits[1:].max(), abs=1e-3)
    assert result["together"].tolist() == table["together"].tolist()
    assert (result[["model", "pretrained", "protocol"]] == ["fake", "none", "whatsup"]).all(axis=None)
    assert set(encoder.texts_seen) == set(texts)
    assert len(encoder.texts_seen) == len(texts)  # each distinct caption once


def test_the_learned_logit_scale_does_not_matter():
    texts = dict(zip(MUG, at(3, 4, 5, 6), strict=True))
    table = pd.DataFrame({"object": ["mug"], "object2": ["table"]})
    one, other = (four_captions(FakeEncoder(at(0), texts, scale), ["i"], table) for scale in (1.0, 100.0))
    assert one.equals(other)
    # by hand: 100 cos 3°, 4°, 5°, 6° are 99.863, 99.756, 99.619, 99.452
    assert one["probability"].item() == pytest.approx(
        1 / (1 + np.exp(-0.1066) + np.exp(-0.2435) + np.exp(-0.4107)), abs=1e-3
    )


def test_of_equally_probable_captions_the_first_wins():
    texts = dict.fromkeys(MUG, at(30)[0])
    result = four_captions(
        FakeEncoder(at(0), texts), ["i"], pd.DataFrame({"object": ["mug"], "object2": ["table"]})
    )
    assert result["choice"].item() == "both"
    assert result["correct"].item()
    assert result["probability"].item() == pytest.approx(0.25)


def test_four_captions_keep_the_row_of_an_unreadable_image():
    images = at(0, 0)
    images[0] = np.nan
    texts = dict(zip(MUG, at(3, 4, 5, 6), strict=True))
    table = pd.DataFrame({"object": ["mug"] * 2, "object2": ["table"] * 2})
    result = four_captions(FakeEncoder(images, texts), ["i", "j"], table, protocol="own")
    assert result["choice"].tolist() == ["unreadable", "both"]
    assert result["correct"].isna().tolist() == [True, False]
    assert result["probability"].isna().tolist() == [True, False]
    assert (result["protocol"] == "own").all()


@pytest.mark.parametrize(
    ("images", "table", "message"),
    [
        (["i"], pd.DataFrame({"object": ["mug"] * 2, "object2": ["table"] * 2}), "1 images but 2 rows"),
        (["i"], pd.DataFrame({"object": ["mug"]}), r"\['object2'\] are missing"),
        ([], pd.DataFrame({"object": [], "object2": []}), "empty"),
    ],
)
def test_four_captions_refuse_what_does_not_fit(images, table, message):
    with pytest.raises(InputError, match=message):
        four_captions(FakeEncoder(at(0), dict.fromkeys(MUG, at(0)[0])), images, table)


# --- scenes and files ---


@pytest.fixture(scope="module")
def cutouts():
    return sample_objects(read_catalogue(["fluent"]), 8, seed=5)


class ColorEncoder(FakeEncoder):
    """Embeds an image as its mean color and a text as the numbers of some of its letters."""

    def __init__(self):
        super().__init__(None, None)

    def encode_images(self, images, *, progress=True):
        images = [image() for image in images]
        vectors = np.array([image.reshape(-1, 3).mean(axis=0) for image in images])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def encode_texts(self, texts):
        vectors = np.array([[1 + text.count(letter) for letter in "aei"] for text in texts], dtype=float)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_grid_asks_zero_shot_about_each_scene(cutouts):
    scenes = layouts.grid(cutouts, 3, height=32, width=32)
    labels = objects_of(cutouts)
    result = protocols.grid(ColorEncoder(), scenes, labels)
    expected = zero_shot(ColorEncoder(), [scene.render for scene in scenes], scene_table(scenes), labels)
    assert result.equals(expected)
    assert result["image"].tolist() == [scene.name for scene in scenes]
    assert (result["protocol"] == "grid").all()
    assert {"row", "col", "x", "y", "eccentricity", "area", "size", "style", "center", "seed"} <= set(result)


def test_grid_refuses_scenes_of_several_objects(cutouts):
    scenes = layouts.pair(cutouts, "on")
    with pytest.raises(InputError, match="8 images but 16 rows"):
        protocols.grid(ColorEncoder(), scenes, objects_of(cutouts))


def test_pair_asks_the_four_captions_about_each_scene(cutouts):
    scenes = [
        *layouts.pair(cutouts, "on", height=32, width=32),
        *layouts.pair(cutouts, "under", height=32, width=32),
    ]
    result = protocols.pair(ColorEncoder(), scenes)
    expected = four_captions(ColorEncoder(), [scene.render for scene in scenes], pair_table(scenes), "pair")
    assert result.equals(expected)
    assert (result["protocol"] == "pair").all()
    assert result["together"].tolist() == [True] * 8 + [False] * 8
    assert result["choice"].nunique() > 1


def plain_loop(clip_model, folder):
    """Do the protocol as one would without any library: one image at a time, its four captions each time."""
    choices, probabilities = {}, {}
    for file in sorted(folder.iterdir()):
        parts = file.stem.split("_")
        first, second = parts[0].replace("-", " "), parts[-1].replace("-", " ")
        captions = [f"a {first} and a {second}", f"a {first}", f"a {second}", "a cat and a refrigerator"]
        with torch.no_grad():
            image = clip_model.clip.encode_image(clip_model.preprocess(Image.open(file)).unsqueeze(0))
            texts = clip_model.clip.encode_text(clip_model.tokenizer(captions))
            image, texts = (features / features.norm(dim=-1, keepdim=True) for features in (image, texts))
            probability = (100 * image @ texts.T).softmax(dim=-1)[0]
        choices[file.name] = ("both", "object", "object2", "other")[int(probability.argmax())]
        probabilities[file.name] = float(probability[0])
    return choices, probabilities


def test_choices_are_those_of_a_plain_loop_file_by_file(tmp_path, cutouts, tiny_clip):
    for relation in layouts.RELATIONS:
        write_whatsup(layouts.pair(cutouts, relation, height=60, width=80), tmp_path)
    choices, probabilities = plain_loop(tiny_clip, tmp_path)
    result = protocols.whatsup(tiny_clip, whatsup.read_whatsup(tmp_path)).set_index("image")
    assert result["choice"].to_dict() == choices
    assert result["probability"].to_dict() == pytest.approx(probabilities, abs=1e-3)
    assert len(choices) == 8 * 4
    assert len(set(choices.values())) > 1  # else the agreement would say little
    assert result["correct"].tolist() == (result["choice"] == "both").tolist()


def test_files_of_every_kind_are_handled_or_named(tmp_path, tiny_clip):
    rng = np.random.default_rng(0)
    pixels = Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    pixels.save(tmp_path / "rotated_on_table.jpeg", exif=exif)
    pixels.convert("L").save(tmp_path / "gray_on_table.jpeg")
    pixels.convert("CMYK").save(tmp_path / "cmyk_on_table.jpeg")
    pixels.convert("P").save(tmp_path / "palette_on_table.png")
    Image.new("RGB", (1, 1), "red").save(tmp_path / "pixel_on_table.png")
    Image.new("L", (8000, 6250), 90).save(tmp_path / "large_on_table.jpeg")
    (tmp_path / "empty_on_table.jpeg").touch()
    (tmp_path / "text_on_table.jpeg").write_text("no image")
    pixels.save(tmp_path / "corrupt_on_table.jpeg")
    whole = (tmp_path / "corrupt_on_table.jpeg").read_bytes()
    (tmp_path / "corrupt_on_table.jpeg").write_bytes(whole[: len(whole) // 2])
    bad = ["corrupt", "empty", "text"]
    good = ["cmyk", "gray", "large", "palette", "pixel", "rotated"]

    with pytest.warns(UnreadableImagesWarning) as caught:
        result = protocols.whatsup(tiny_clip, whatsup.read_whatsup(tmp_path)).set_index("object")
    (message,) = [str(item.message) for item in caught if item.category is UnreadableImagesWarning]
    assert message.startswith("3 of 9 images")
    assert sorted(result.index) == sorted([*bad, *good])
    for name in bad:
        assert f"{name}_on_table.jpeg" in message
        assert result.loc[name, "choice"] == "unreadable"
        assert result.loc[name, "correct"] is pd.NA
    for name in good:
        assert f"{name}_on_table" not in message
        assert result.loc[name, "choice"] in {"both", "object", "object2", "other"}
        assert 0 <= result.loc[name, "probability"] <= 1


def test_whatsup_needs_paths(tmp_path):
    with pytest.raises(InputError, match=r"\['path'\] are missing"):
        protocols.whatsup(ColorEncoder(), pd.DataFrame({"object": ["mug"], "object2": ["table"]}))
