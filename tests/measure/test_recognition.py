import numpy as np
import pandas as pd
import pytest

from crosseyed.data.coco import CocoSet, read_coco
from crosseyed.data.coco_writing import write_coco
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.data.layouts import grid
from crosseyed.data.scenes import scene_table
from crosseyed.errors import InputError
from crosseyed.measure import protocols
from crosseyed.measure.recognition import recognise
from crosseyed.models.scorer import UnreadableImagesWarning


class Fixed:
    """A scorer with given cosines, one row per image in the order asked for."""

    name = model = "fixed"
    pretrained = "none"
    logit_scale = 10.0

    def __init__(self, cosines):
        self.cosines = np.asarray(cosines, dtype=float)

    def similarities(self, images, texts, *, progress=True):
        self.asked = images, texts
        return self.cosines


def annotated(pairs, categories, n_images):
    """Return a data set of images 0, 1, ... with the objects of the pairs (image, category)."""
    images = [f"{number}.jpg" for number in range(n_images)]
    objects = pd.DataFrame([(f"{image}.jpg", name) for image, name in pairs], columns=["image", "object"])
    return CocoSet(
        images=pd.DataFrame({"image": images, "path": [f"folder/{image}" for image in images]}),
        objects=objects,
        presence=objects.drop_duplicates(),
        categories=categories,
        unused=[],
        left_out=pd.DataFrame(),
        n_annotations=len(objects),
    )


def test_hand_worked_answers():
    # image 0 shows a and b, image 1 shows c, image 2 shows everything, image 3 cannot be read
    cosines = [[0.3, 0.1, 0.2], [0.4, 0.1, 0.4], [0.5, 0.2, 0.1], [np.nan] * 3]
    pairs = [(0, "a"), (0, "b"), (1, "c"), (2, "a"), (2, "b"), (2, "c"), (3, "a")]
    scorer = Fixed(cosines)
    table = recognise(scorer, annotated(pairs, ["a", "b", "c"], 4), "a {}").objects
    assert scorer.asked == ([f"folder/{n}.jpg" for n in range(4)], ["a a", "a b", "a c"])
    assert table["rank"].tolist() == [1, 3, 2, 1, 2, 3, pd.NA]
    assert table["correct"].tolist() == [True, False, False, pd.NA, pd.NA, pd.NA, pd.NA]
    assert table["choice"].tolist()[:3] == ["a", "c", "a"]
    assert table["choice"].tolist()[6] == "unreadable"
    np.testing.assert_allclose(table["margin"], [1.0, -1.0, 0.0, *[np.nan] * 4])
    assert table["model"].unique().tolist() == ["fixed"]


def test_average_precision_by_hand():
    # b: images in the order 0 (shown), 1 (not), 2 (shown): precision 1 and 2/3; image 3 cannot be read
    cosines = [[0, 0.9], [0, 0.5], [0, 0.1], [np.nan] * 2]
    pairs = [(0, "b"), (2, "b"), (3, "b"), (3, "a")]
    table = recognise(Fixed(cosines), annotated(pairs, ["a", "b"], 4)).categories
    assert table["object"].tolist() == ["b"]
    row = table.iloc[0]
    assert row["n_images"] == 2
    assert row["average_precision"] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert row["chance"] == pytest.approx(100 * 2 / 3)


def test_answers_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    names = list("abcdef")
    cosines = rng.integers(0, 4, (20, 6)) / 4  # with ties
    shown = rng.random((20, 6)) < 0.4
    pairs = [(int(image), names[category]) for image, category in np.argwhere(shown)]
    table = recognise(Fixed(cosines), annotated(pairs, names, 20)).objects
    assert table["correct"].isna().any() == shown.all(axis=1).any()
    for (image, name), row in zip(pairs, table.itertuples(), strict=True):
        own = names.index(name)
        ordered = sorted(range(6), key=lambda category: (-cosines[image, category], category))
        rivals = [category for category in ordered if category == own or not shown[image, category]]
        assert row.rank == ordered.index(own) + 1
        assert row.choice == names[rivals[0]]
        assert row.correct == (rivals[0] == own)
        best = max(cosines[image, category] for category in rivals if category != own)
        assert row.margin == pytest.approx(10 * (cosines[image, own] - best))


def test_with_one_object_an_image_it_is_the_zero_shot_protocol(tiny_clip, tmp_path):
    cutouts = sample_objects(read_catalogue(["fluent"]), 5, seed=0)
    scenes = grid(cutouts, 3, height=32, width=32)
    data = read_coco(write_coco(scenes, tmp_path), tmp_path / "images")
    assert data.categories == objects_of(cutouts)
    found = recognise(tiny_clip, data).objects
    plain = protocols.zero_shot(
        tiny_clip, list(data.images["path"]), scene_table(scenes), objects_of(cutouts)
    )
    columns = ["object", "choice", "correct", "rank", "model", "pretrained"]
    pd.testing.assert_frame_equal(found[columns], plain[columns], check_dtype=False)
    np.testing.assert_allclose(found["margin"], plain["margin"])


def test_a_damaged_image_has_no_answer_and_the_rest_goes_on(tiny_clip, tmp_path):
    scenes = grid(sample_objects(read_catalogue(["fluent"]), 2, seed=0), 3, height=32, width=32)
    data = read_coco(write_coco(scenes, tmp_path), tmp_path / "images")
    whole = recognise(tiny_clip, data)
    damaged = tmp_path / "images" / data.images["image"][4]
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.warns(UnreadableImagesWarning, match="1 of 18"):
        found = recognise(tiny_clip, data)
    assert found.objects["correct"].isna().tolist() == [number == 4 for number in range(18)]
    rest = found.objects.drop(index=4)
    np.testing.assert_allclose(rest["margin"], whole.objects.drop(index=4)["margin"], atol=1e-4)
    assert found.categories["n_images"].tolist() == [8, 9]


def test_questions_without_choice_are_refused():
    data = annotated([(0, "a")], ["a"], 1)
    with pytest.raises(InputError, match="1 categories"):
        recognise(Fixed([[0.1]]), data)
    data = annotated([(0, "a")], ["a", "b"], 1)
    with pytest.raises(InputError, match="template"):
        recognise(Fixed([[0.1, 0.2]]), data, "a photo")
    assert recognise(Fixed([[0.1, 0.2]]), data).objects["correct"].tolist() == [False]
