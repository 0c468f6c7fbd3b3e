import json
import os
import unicodedata

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from crosseyed.data.backgrounds import Background
from crosseyed.data.coco import CROWD, read_coco
from crosseyed.data.coco_writing import write_coco
from crosseyed.data.cutouts import read_catalogue
from crosseyed.data.left_out import LeftOutWarning, NothingUsableError
from crosseyed.data.scenes import Placement, Scene
from crosseyed.errors import InputError

WIDTH, HEIGHT = 80, 60


@pytest.fixture(scope="module")
def scenes():
    """Three scenes of 80 × 60 pixels: one object, two objects of which one is cut off, two of one kind."""
    cutouts = {cutout.object: cutout for cutout in read_catalogue(["fluent"])}
    dog, key = cutouts["dog"], cutouts["key"]

    def scene(name, *placements):
        return Scene(name, Background("plain", 1), placements, height=HEIGHT, width=WIDTH)

    return [
        scene("one", Placement(dog, 0.5, 0.5, 0.4)),
        scene("two", Placement(dog, 0.7, 0.4, 0.5), Placement(key, 0.02, 0.5, 0.4)),
        scene("same", Placement(key, 0.25, 0.25, 0.3), Placement(key, 0.75, 0.75, 0.3)),
    ]


@pytest.fixture
def written(scenes, tmp_path):
    """The file and folder of the scenes, and a function that changes the file's content and reads it again."""
    file = write_coco(scenes, tmp_path)

    def read_changed(change):
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))
        return read_coco(file, tmp_path / "images")

    return read_changed


def no_change(document):
    pass


def test_scenes_come_back_as_what_they_are(written, scenes):
    data = written(no_change)
    assert data.categories == ["dog", "key"]
    assert data.left_out.empty
    assert data.images["image"].tolist() == ["one.jpg", "two.jpg", "same.jpg"]
    masks = [mask for scene in scenes for mask in scene.masks()]
    assert len(data.objects) == len(masks)
    for row, mask in zip(data.objects.itertuples(), masks, strict=True):
        rows, columns = np.nonzero(mask)
        x0, x1, y0, y1 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
        assert row.x == pytest.approx((x0 + x1) / 2 / WIDTH)
        assert row.y == pytest.approx((y0 + y1) / 2 / HEIGHT)
        assert row.area == pytest.approx((x1 - x0) * (y1 - y0) / (WIDTH * HEIGHT))
        distance = np.hypot((x0 + x1) / 2 - WIDTH / 2, (y0 + y1) / 2 - HEIGHT / 2)
        assert row.eccentricity == pytest.approx(distance / np.hypot(WIDTH / 2, HEIGHT / 2))
        assert row.center == (row.eccentricity <= 1 / 7)
        assert row.truncated == (x0 == 0)
        # the central square leaves out ten columns on either side
        inside = max(0, min(x1, 70) - max(x0, 10)) / (x1 - x0)
        assert row.in_crop == pytest.approx(inside)
    assert data.objects["truncated"].tolist() == [False, False, True, False, False]
    assert data.objects["in_crop"].iloc[0] == 1 > data.objects["in_crop"].iloc[2]
    assert data.objects["n_objects"].tolist() == [1, 2, 2, 2, 2]
    assert data.objects["instances"].tolist() == [1, 1, 1, 2, 2]
    assert sorted(data.presence.itertuples(index=False, name=None)) == [
        ("one.jpg", "dog"),
        ("same.jpg", "key"),
        ("two.jpg", "dog"),
        ("two.jpg", "key"),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bbox": [70, 10, 20, 20]}, "box outside the image"),
        ({"bbox": [-30, 10, 20, 20]}, "box outside the image"),
        ({"bbox": [10, 200, 20, 20]}, "box outside the image"),
        ({"bbox": [10, 10, 0, 20]}, "box without area"),
        ({"bbox": [10, 10, 20, -5]}, "box without area"),
        ({"bbox": [10, float("nan"), 20, 20]}, "box is not four finite numbers"),
        ({"bbox": [10, 10, float("inf"), 20]}, "box is not four finite numbers"),
        ({"bbox": [10, 10, 10**400, 20]}, "box is not four finite numbers"),
        ({"bbox": [10, "ten", 20, 20]}, "box is not four numbers"),
        ({"bbox": [10, True, 20, 20]}, "box is not four numbers"),
        ({"bbox": [10, 10, 20]}, "box is not four numbers"),
        ({"bbox": None}, "box is not four numbers"),
        ({"category_id": 99}, "unknown category"),
        ({"category_id": None}, "unknown category"),
        ({"category_id": [1]}, "unknown category"),
        ({"image_id": 99}, "image not in the list of images"),
        ({"image_id": {"id": 1}}, "image not in the list of images"),
        ({"bbox": [0.5, 0.5, 0.2, 0.2]}, "box within one pixel"),
        ({"iscrowd": 1}, CROWD),
        ({"iscrowd": "1"}, CROWD),
        ({"iscrowd": True}, CROWD),
        ({"iscrowd": "perhaps"}, "iscrowd is neither 0 nor 1"),
    ],
)
@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
def test_an_annotation_that_cannot_be_used_is_left_out_with_its_reason(written, change, reason):
    whole = written(no_change)
    data = written(lambda document: document["annotations"][2].update(change))
    assert data.left_out["reason"].tolist() == [reason]
    assert data.left_out["annotation"].tolist() == [change.get("id", 3)]
    expected = whole.objects.drop(index=2).reset_index(drop=True)
    columns = ["image", "annotation", "object", "x", "y", "area"]
    assert data.objects[columns].equals(expected[columns])


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
@pytest.mark.parametrize(
    "change",
    [
        {"iscrowd": 1},
        {"iscrowd": "?"},
        {"bbox": [10, 10, 0, 0]},
        {"bbox": None},
        {"bbox": [0.1, 0.1, 0.2, 0.2]},
    ],
)
def test_an_annotation_with_one_fault_still_says_what_is_in_the_image(written, change):
    data = written(lambda document: document["annotations"][2].update(change))
    assert len(data.left_out) == 1
    assert ("two.jpg", "key") in set(data.presence.itertuples(index=False, name=None))
    dog = data.objects[data.objects["image"] == "two.jpg"]
    assert dog["n_objects"].tolist() == [2]


@pytest.mark.filterwarnings("error")
def test_ids_that_restart_in_each_image_are_different_annotations(written):
    def restart(document):
        for number, entry in enumerate(document["annotations"]):
            entry["id"] = number % 2

    whole, again = written(no_change), written(restart)
    pd.testing.assert_frame_equal(
        whole.objects.drop(columns="annotation"), again.objects.drop(columns="annotation")
    )
    pd.testing.assert_frame_equal(whole.presence, again.presence)


@pytest.mark.filterwarnings("error")
def test_an_annotation_needs_no_id(written):
    whole, again = written(no_change), written(lambda document: document["annotations"][1].pop("id"))
    assert len(whole.objects) == len(again.objects)


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
def test_an_annotation_that_comes_twice_counts_once(written):
    whole = written(no_change)
    again = written(lambda document: document["annotations"].append(dict(document["annotations"][0])))
    pd.testing.assert_frame_equal(whole.objects, again.objects)
    assert again.left_out["reason"].tolist() == ["annotation repeated"]


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
@pytest.mark.parametrize(
    "change",
    [
        {"id": 77},
        {"bbox": [10.0, 10.0, 20.0, 20.0]},
        {"bbox": ["10", "10", "20", "20"], "id": None, "attributes": {"occluded": False}},
    ],
)
def test_an_annotation_that_comes_again_in_other_words_counts_once(written, change):
    def first(document):
        document["annotations"][0]["bbox"] = [10, 10, 20, 20]

    def again(document):
        first(document)
        document["annotations"].append({**document["annotations"][0], **change})

    whole, twice = written(first), written(again)
    pd.testing.assert_frame_equal(whole.objects, twice.objects)
    assert twice.left_out["reason"].tolist() == ["annotation repeated"]


@pytest.mark.filterwarnings("error")
def test_what_is_text_in_one_place_and_a_number_in_another_is_the_same(written):
    def as_text(document):
        for entry in document["annotations"]:
            entry.update(category_id=str(entry["category_id"]), image_id=float(entry["image_id"]))
            entry.update(iscrowd=float("nan"), bbox=[str(value) for value in entry["bbox"]])
        for entry in document["images"]:
            entry.update(id=str(entry["id"]), width=str(entry["width"]))

    whole, again = written(no_change), written(as_text)
    pd.testing.assert_frame_equal(whole.objects, again.objects)


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
def test_a_text_and_a_number_that_both_occur_are_different_ids(written):
    def add(document):
        document["categories"].append({"id": "1", "name": "cat"})
        document["annotations"][0]["category_id"] = "1"

    data = written(add)
    assert data.objects["object"].tolist()[:2] == ["cat", "dog"]


@pytest.mark.filterwarnings("error")
def test_categories_that_nobody_annotated_are_no_candidates(written):
    def add(document):
        document["categories"].insert(0, {"id": 0, "name": "_background_"})

    data = written(add)
    assert data.categories == ["dog", "key"] and data.unused == ["_background_"]
    assert data.summary == "5 of 5 annotations are used. Categories without annotations: _background_."


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unknown", [0, None, "", "0", float("nan")])
def test_a_size_that_is_not_known_is_taken_from_the_file(written, unknown):
    whole = written(no_change)
    again = written(
        lambda document: [entry.update(width=unknown, height=unknown) for entry in document["images"]]
    )
    pd.testing.assert_frame_equal(whole.objects, again.objects)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "rename",
    [
        "images\\{}",
        ".\\{}",
        "./{}",
        "images/{}",
        "Images\\{}",
        "../images/{}",
        "images/images/{}",
        "data/images/{}",
        "C:\\work\\images\\{}",
        "\\\\server\\share\\{}",
        "/elsewhere/{}",
        "~/photographs/{}",
    ],
)
def test_paths_of_other_systems_and_folders_are_found(written, rename):
    def change(document):
        for entry in document["images"]:
            entry["file_name"] = rename.format(entry["file_name"])

    whole, again = written(no_change), written(change)
    assert again.images["path"].tolist() == whole.images["path"].tolist()
    assert len(again.objects) == len(whole.objects)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("on_disk", "noted"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_found_in_either_unicode_form_and_case(written, tmp_path, on_disk, noted):
    name = unicodedata.normalize(on_disk, "Türen/Schlüssel.JPG")
    (tmp_path / "images" / name).parent.mkdir()
    (tmp_path / "images" / "one.jpg").rename(tmp_path / "images" / name)
    other = unicodedata.normalize(noted, "türen/schlüssel.jpg")
    data = written(lambda document: document["images"][0].update(file_name=other))
    assert data.images["path"].tolist()[0] == str(tmp_path / "images" / name)


@pytest.mark.filterwarnings("error")
def test_a_file_name_that_is_not_utf_8_is_found(written, tmp_path):
    name = os.fsdecode(b"t\xfcr.jpg")
    (tmp_path / "images" / "one.jpg").rename(tmp_path / "images" / name)
    data = written(lambda document: document["images"][0].update(file_name=name))
    assert data.images["path"].tolist()[0] == str(tmp_path / "images" / name)
    assert data.objects["image"].tolist()[0] == "t\\udcfcr.jpg"


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
@pytest.mark.parametrize(
    "name",
    ["../images/../secret.jpg", "../secret.jpg", "..\\secret.jpg", "a/../../secret.jpg", "/etc/passwd"],
)
def test_no_image_outside_the_folder_is_opened(written, tmp_path, name):
    Image.new("RGB", (80, 60)).save(tmp_path / "secret.jpg")
    data = written(lambda document: document["images"][0].update(file_name=name))
    assert data.left_out["reason"].tolist() == ["image file missing"]


def boxed(boxes):
    """Return a change that annotates the first image with these boxes alone."""

    def change(document):
        entry = document["annotations"][0]
        document["annotations"] = [
            {**entry, "id": number, "bbox": list(box)} for number, box in enumerate(boxes)
        ]

    return change


def spread(count, convert=lambda x, y, w, h: [x, y, w, h]):
    """Give boxes of 8 × 6 pixels all over an image."""
    return [convert(72 * n / (count - 1), 54 * (7 * n % count) / (count - 1), 8, 6) for n in range(count)]


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        (spread(3, lambda x, y, w, h: [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT]), "all 3 .*fractions"),
        (
            [*spread(9, lambda x, y, w, h: [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT]), *spread(3)],
            "9 of 12 boxes lie between 0 and 1.*fractions",
        ),
        (spread(5, lambda x, y, w, h: [x, y, x + w, y + h]), r"corners \[left, top, right, bottom\]"),
        (spread(20, lambda x, y, w, h: [x, y, x + w, y + h]), r"corners \[left, top, right, bottom\]"),
        (spread(200, lambda x, y, w, h: [x + w / 2, y + h / 2, w, h]), "center x, center y"),
        (spread(20, lambda x, y, w, h: [y, x, y + h, x + w]), r"corners \[top, left, bottom, right\]"),
        (spread(20, lambda x, y, w, h: [x, x + w, y, y + h]), r"\[left, right, top, bottom\]"),
        (spread(40, lambda x, y, w, h: [y, x, h, w]), r"\[top, left, height, width\]"),
        (spread(20, lambda x, y, w, h: [10 * v for v in (x, y, w, h)]), "larger copies"),
        (spread(20, lambda x, y, w, h: [v / 2 for v in (x, y, w, h)]), "smaller copies"),
        (
            [*spread(40, lambda x, y, w, h: [v / 4 for v in (x, y, w, h)]), (70, 50, 8, 6)],
            "40 of 41 .*percent",
        ),
    ],
)
def test_boxes_in_other_units_are_refused_with_the_likely_reason(written, boxes, reason):
    with pytest.raises(InputError, match=reason):
        written(boxed(boxes))


@pytest.mark.parametrize("percent", [True, False])
def test_percent_of_an_image_that_is_little_larger_is_noticed(written, tmp_path, percent):
    Image.new("RGB", (150, 120)).save(tmp_path / "images" / "larger.png")
    factors = (100 / WIDTH, 100 / HEIGHT) if percent else (120 / WIDTH, 100 / HEIGHT)

    def change(document):
        boxes = spread(
            20, lambda x, y, w, h: [x * factors[0], y * factors[1], w * factors[0], h * factors[1]]
        )
        boxed(boxes)(document)
        document["images"][0].update(file_name="larger.png", width=150, height=120)

    if percent:
        with pytest.raises(InputError, match=r"reaches beyond 100, though the images do.*percent"):
            written(change)
    else:
        assert len(written(change).objects) == 20


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
@pytest.mark.parametrize(
    ("boxes", "used"),
    [
        ([(0, 0, 8, 6)], 1),
        ([(10, 10, 40, 40), (20, 20, 70, 50)], 1),  # as corners both would fit
        ([(10, 10, 40, 40), (5, 5, 70, 50), (20, 20, 70, 50)], 2),
        ([(20, 20, 8, 6), (50, 50, 8, 6), (77, 30, 8, 6), (30, 57, 8, 6)], 2),  # so they would as centers
        ([(5, 5, 8, 6), (70, 50, 20, 20), (71, 50, 20, 20)], 1),
        (
            [(5, 5, 8, 6), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)],
            1,
        ),  # not annotated by a box, but no fractions
        ([*spread(6), (0.1, 0.2, 0.3, 0.3)], 6),
        ([(n, n, 8, 6) for n in range(19)], 19),
    ],
)
def test_a_few_boxes_are_not_taken_for_boxes_in_other_units(written, boxes, used):
    assert len(written(boxed(boxes)).objects) == used


def test_when_nothing_can_be_used_the_first_faults_are_told(written):
    def spoil(document):
        for entry in document["annotations"]:
            entry["bbox"] = [1, 2]

    with pytest.raises(NothingUsableError) as caught:
        written(spoil)
    message = str(caught.value)
    assert message.count("box is not four numbers (bbox [1, 2])") == 3 and "annotation 3" in message
    assert caught.value.left_out["annotation"].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.filterwarnings("error")
def test_one_entry_may_stand_without_a_list(written):
    def unwrap(document):
        document["annotations"] = document["annotations"][0]
        document["categories"] = document["categories"][0]

    assert len(written(unwrap).objects) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_any_unicode_encoding_is_read(scenes, tmp_path, encoding):
    file = write_coco(scenes, tmp_path)
    file.write_bytes(file.read_text(encoding="utf-8").encode(encoding))
    assert len(read_coco(file, tmp_path / "images").objects) == 5


@pytest.mark.filterwarnings("error")
def test_a_category_may_have_a_number_for_its_name(written):
    def number(document):
        document["categories"][0]["name"], document["categories"][1]["name"] = 0, 2.5

    assert written(number).categories == ["0", "2.5"]


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
@pytest.mark.parametrize("name", [float("nan"), float("inf"), None, True, "\u200b \x00"])
def test_what_says_nothing_is_no_name_of_a_category(written, name):
    data = written(lambda document: document["categories"][0].update(name=name))
    assert data.categories == ["key"]
    assert set(data.left_out["reason"]) == {"category without a name"}


@pytest.mark.filterwarnings("error")
def test_names_that_differ_in_case_and_blanks_alone_are_one_category(written):
    def add(document):
        document["categories"] += [{"id": 9, "name": " KEY"}, {"id": 8, "name": "\ufeffkey\u200b\x00"}]
        document["annotations"][4]["category_id"] = 9
        document["annotations"][3]["category_id"] = 8

    assert written(add).categories == ["dog", "key"]


def test_a_box_that_exceeds_the_image_by_rounding_is_cut(written):
    data = written(lambda document: document["annotations"][0].update(bbox=[-0.5, 0, 80.9, 60.6]))
    row = data.objects.iloc[0]
    assert data.left_out.empty
    assert (row["x"], row["y"], row["area"], row["truncated"]) == (0.5, 0.5, 1.0, True)
    assert row["in_crop"] == pytest.approx(60 / 80)


def test_faults_are_counted_by_reason_and_named_in_one_warning(written):
    def spoil(document):
        for number in (0, 3):
            document["annotations"][number]["bbox"][2] = 0
        document["annotations"][1]["category_id"] = "dog"
        document["annotations"][4]["iscrowd"] = 1

    with pytest.warns(LeftOutWarning) as caught:
        data = written(spoil)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("3 faulty entries")
    assert "2 × box without area (annotation 1, annotation 4)" in message
    assert "1 × unknown category (annotation 2)" in message
    assert CROWD not in message
    assert data.left_out["annotation"].tolist() == [1, 2, 4, 5]
    assert data.objects["annotation"].tolist() == [3]


@pytest.mark.filterwarnings("error")
def test_crowds_alone_are_no_reason_to_warn(written):
    assert len(written(lambda document: document["annotations"][4].update(iscrowd=1)).left_out) == 1


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"file_name": "gone.jpg"}, "image file missing"),
        ({"file_name": "a" * 5000}, "image file missing"),
        ({"file_name": "broken.jpg"}, "image file unreadable"),
        ({"file_name": None}, "image without a file name"),
        ({"width": HEIGHT, "height": WIDTH}, "image size differs from the file"),
        ({"width": -80}, "image size differs from the file"),
        ({"width": "eighty"}, "image size differs from the file"),
        ({"file_name": "one.jpg"}, "image file listed twice"),
    ],
)
def test_an_image_that_cannot_be_used_takes_its_annotations_along(written, tmp_path, entry, reason):
    (tmp_path / "images" / "broken.jpg").write_bytes(b"no image")
    data = written(lambda document: document["images"][1].update(entry))
    of_two = data.left_out[data.left_out["annotation"].isin([2, 3])]
    assert of_two["reason"].tolist() == [reason, reason]
    assert "two.jpg" not in set(data.images["image"])
    assert data.objects["annotation"].tolist() == ([4, 5] if reason.endswith("twice") else [1, 4, 5])


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
def test_an_image_without_annotations_is_kept_or_reported(written, tmp_path):
    Image.new("RGB", (9, 7)).save(tmp_path / "images" / "empty.png")

    def add(document):
        document["images"].append({"id": "e", "file_name": "empty.png"})
        document["images"].append({"id": "g", "file_name": "gone.png"})
        document["images"].append({"file_name": "anonymous.png"})

    data = written(add)
    assert data.images["image"].tolist()[-1] == "empty.png"
    assert data.left_out.to_numpy().tolist() == [
        [None, "gone.png", "image file missing", str(tmp_path / "images" / "gone.png")],
        [None, "anonymous.png", "image without an id", "file_name 'anonymous.png'"],
    ]


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
@pytest.mark.parametrize(
    ("name", "entry", "left_out"),
    [
        ("images", {"id": 2, "file_name": "another.jpg"}, [2, 3]),
        ("categories", {"id": 2, "name": "lock"}, [3, 4, 5]),
    ],
)
def test_what_refers_to_an_id_given_twice_is_left_out(written, name, entry, left_out):
    data = written(lambda document: document[name].append(entry))
    assert set(data.left_out["reason"]) == {"id of an image or category given twice"}
    assert data.left_out["annotation"].tolist() == left_out
    assert set(data.objects["annotation"]) == {1, 2, 3, 4, 5} - set(left_out)


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
def test_what_is_in_images_of_one_id_is_not_known_and_no_image_is_taken_to_be_without(written, tmp_path):
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / "another.jpg")
    data = written(lambda document: document["images"].append({"id": 2, "file_name": "another.jpg"}))
    assert data.images["image"].tolist() == ["one.jpg", "same.jpg"]


@pytest.mark.filterwarnings("error")
def test_an_image_that_is_listed_again_in_other_words_is_one(written):
    whole = written(no_change)
    again = written(lambda document: document["images"].append({**document["images"][0], "license": 7}))
    pd.testing.assert_frame_equal(whole.objects, again.objects)


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
def test_annotations_without_an_id_count_in_the_summary(written):
    def change(document):
        for entry in document["annotations"]:
            del entry["id"]
        document["annotations"][0]["bbox"] = None

    summary = written(change).summary
    assert summary == "4 of 5 annotations are used (left out: 1 × box is not four numbers)."


@pytest.mark.filterwarnings("error")
def test_of_many_categories_without_annotations_a_few_are_named(written):
    def add(document):
        document["categories"] += [{"id": 10 + n, "name": f"c{n}"} for n in range(600)]

    assert written(add).summary.endswith("c0, c1, c2, c3, c4, c5, c6, c7 and 592 more.")


def test_two_ids_of_one_name_are_one_category(written):
    def add(document):
        document["categories"].append({"id": "k", "name": " key "})
        document["annotations"][4]["category_id"] = "k"

    data = written(add)
    assert data.categories == ["dog", "key"]
    assert data.objects["instances"].tolist() == [1, 1, 1, 2, 2]


def test_half_a_character_in_a_name_can_be_written_to_a_table(written, tmp_path):
    data = written(lambda document: document["categories"][1].update(name="key \ud83d"))
    assert data.categories == ["dog", "key ?"]
    data.objects.to_csv(tmp_path / "objects.csv")


def test_an_image_turned_by_the_camera_is_taken_upright(written, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (HEIGHT, WIDTH)).save(tmp_path / "images" / "one.jpg", exif=exif)
    data = written(no_change)
    assert data.left_out.empty
    assert data.objects["in_crop"].iloc[0] == 1


def test_outlines_do_not_change_what_is_read(written):
    plain = written(no_change)
    outlined = written(
        lambda document: [
            entry.update(segmentation=[[1.0, 2.0] * 50], keypoints=[0]) for entry in document["annotations"]
        ]
    )
    pd.testing.assert_frame_equal(plain.objects, outlined.objects)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ('{"images": [], "images": []}', "'images' twice"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "no list 'images'"),
        ('{"images": [], "annotations": {}, "categories": []}', "no list 'annotations'"),
        ('{"images": [], "annotations": [], "categories": {"1": {"name": "a"}}}', "no list 'categories'"),
        ('{"images": [], "annotations": [], "categories": []}', "None of the 0 annotations"),
        ('{"images": [1], "annotations": [null], "categories": ["a"]}', "image not in the list of images"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, content, message):
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_coco(tmp_path / "annotations.json", tmp_path)


def test_bytes_that_are_no_text_and_missing_paths_are_refused(tmp_path, written):
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="is not"):
        read_coco(tmp_path / "binary.json", tmp_path)
    with pytest.raises(InputError, match="There is no"):
        read_coco(tmp_path / "missing.json", tmp_path)
    with pytest.raises(InputError, match=r"There is no .*missing"):
        read_coco(tmp_path / "annotations.json", tmp_path / "missing")


def test_scenes_of_one_name_are_not_written(scenes, tmp_path):
    with pytest.raises(InputError, match="2 scenes with 1 names"):
        write_coco([scenes[0], scenes[0]], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_object_outside_the_image_is_not_annotated(tmp_path):
    cutouts = read_catalogue(["fluent"])[:2]
    placements = (Placement(cutouts[0], 0.5, 0.5, 0.4), Placement(cutouts[1], 3.0, 0.5, 0.4))
    file = write_coco([Scene("one", Background("plain", 0), placements)], tmp_path)
    document = json.loads(file.read_text())
    assert [entry["category_id"] for entry in document["annotations"]] == [1]
    assert len(document["categories"]) == 2
