import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from crosseyed.data.coco import read_coco
from crosseyed.data.coco_writing import write_coco
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.data.layouts import grid
from crosseyed.data.left_out import LeftOutWarning
from crosseyed.data.photographer import Dose, snapshot
from crosseyed.data.scenes import scene_table
from crosseyed.errors import InputError
from crosseyed.files import claim_folder
from crosseyed.measure import bootstrap
from crosseyed.models import loading
from crosseyed.models.loading import load
from crosseyed.models.scorer import UnreadableImagesWarning
from crosseyed.report import own_data
from crosseyed.tables import write_table

SIDE = 64


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    """Images of one to three objects at uniform places, with annotations."""
    cutouts = sample_objects(read_catalogue(["fluent"]), 16, seed=0)
    names, rng, scenes = objects_of(cutouts), np.random.default_rng(0), []
    for number in range(90):
        dose = Dose(n_objects=int(rng.integers(1, 4)))
        scene, _ = snapshot(cutouts, names[number % len(names)], dose, rng, SIDE)
        scenes.append(replace(scene, name=f"scene{number}", width=SIDE * 5 // 4))
    return write_coco(scenes, tmp_path_factory.mktemp("composed"))


def test_the_slope_tells_a_model_that_learned_centered_objects_from_one_that_did_not(composed, tmp_path):
    rows = {}
    for name in ("pocketclip-centered", "pocketclip-uniform"):
        finding = own_data.measure(load(name), composed, composed.parent / "images", tmp_path / name)
        effects = pd.read_csv(tmp_path / name / "effects.csv").set_index("effect")
        rows[name] = effects.loc["eccentricity"]
        assert f"{rows[name]['odds_ratio']:.2f}" in finding
        assert (tmp_path / name / "bias.png").stat().st_size > 10_000
    assert rows["pocketclip-centered"]["high"] < 0.6
    assert rows["pocketclip-centered"]["high"] < rows["pocketclip-uniform"]["low"]


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_the_tables_say_what_was_measured(composed, tiny_clip, tmp_path):
    own_data.measure(tiny_clip, composed, composed.parent / "images", tmp_path)
    tables = {path.stem: pd.read_csv(path) for path in tmp_path.glob("*.csv")}
    assert set(tables) == {"objects", "left_out", "average_precision", "effects", "categories"}
    data = read_coco(composed, composed.parent / "images")
    assert len(tables["objects"]) == len(data.objects)
    assert tables["left_out"].empty
    assert all((tables[name]["weights"] == tiny_clip.digest).all() for name in set(tables) - {"left_out"})
    assert tables["average_precision"]["object"].tolist() == data.categories
    assert (tables["objects"]["protocol"] == "own").all()
    assert (tables["objects"]["model"] == tiny_clip.model).all()
    assert "in_crop" in set(tables["effects"]["effect"])


def test_a_model_that_sees_whole_images_loses_nothing_to_the_crop(composed, tiny_folder, tmp_path):
    squash = load(f"local-dir:{tiny_folder}", resize="squash")
    own_data.measure(squash, composed, composed.parent / "images", tmp_path)
    assert "in_crop" not in set(pd.read_csv(tmp_path / "effects.csv")["effect"])


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_where_there_is_no_estimate_the_finding_says_why_and_tables_are_written(tiny_clip, tmp_path):
    cutouts = sample_objects(read_catalogue(["fluent"]), 2, seed=0)
    scenes = [scene for scene in grid(cutouts, 3, jitter=0, height=32, width=32) if scene.center]
    file = write_coco(scenes, tmp_path)
    finding = own_data.measure(tiny_clip, file, tmp_path / "images", tmp_path / "out")
    assert "there is no estimate" in finding
    assert not (tmp_path / "out" / "bias.png").exists()
    assert len(pd.read_csv(tmp_path / "out" / "objects.csv")) == 2


def test_faulty_annotations_are_in_a_table_of_their_own(composed, tiny_clip, tmp_path):
    broken = tmp_path / "annotations.json"
    broken.write_text(composed.read_text().replace('"category_id": 3', '"category_id": 999'))
    n_broken = broken.read_text().count(" 999")
    with pytest.warns(LeftOutWarning, match=f"{n_broken} faulty entries"):
        own_data.measure(tiny_clip, broken, composed.parent / "images", tmp_path / "out")
    left_out = pd.read_csv(tmp_path / "out" / "left_out.csv")
    assert len(left_out) == n_broken > 0
    assert set(left_out["reason"]) == {"unknown category"}


def test_a_table_of_captions_is_measured_as_the_zero_shot_protocol(tmp_path):
    cutouts = sample_objects(read_catalogue(["fluent"]), 5, seed=0)
    scenes = grid(cutouts, 3, height=SIDE, width=SIDE)
    write_coco(scenes, tmp_path)
    table = scene_table(scenes)
    table["image"] = [f"images/{name}.jpg" for name in table["image"]]
    table["caption"] = "a photo of a " + table["object"]
    table[["image", "caption", "x", "y"]].to_csv(tmp_path / "captions.csv", index=False)
    clip = load("pocketclip-centered")
    finding = own_data.measure(clip, tmp_path / "captions.csv", tmp_path, tmp_path / "out")
    answers = pd.read_csv(tmp_path / "out" / "captions.csv")
    assert set(answers["choice"]) <= set(table["caption"])
    np.testing.assert_allclose(answers["eccentricity"], table["eccentricity"])
    bias = bootstrap.center_bias(answers)
    assert f"gap {bias['gap'].item():.1f} points" in finding
    assert bias["gap"].item() > 0
    assert (tmp_path / "out" / "bias.png").is_file()


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_the_code_and_the_tables_of_the_page_are_these(composed, tiny_clip, monkeypatch, tmp_path, capsys):
    page = (Path(__file__).parents[2] / "book" / "own_data.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shutil.copytree(composed.parent, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(loading, "load", lambda model, pretrained: tiny_clip)
    exec(code, {})
    assert "annotations.json" in capsys.readouterr().out
    described = dict(re.findall(r"^\| `(\w+)\.csv` \|.*\|(.*)\|$", page, re.MULTILINE))
    assert set(described) == {path.stem for path in Path("results").glob("*.csv")}
    for name, text in described.items():
        columns = set(pd.read_csv(f"results/{name}.csv").columns)
        assert set(re.findall(r"`(\w+)`", text)) <= columns


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_images_that_turn_out_to_be_damaged_are_left_out_and_counted(composed, tiny_clip, tmp_path):
    shutil.copytree(composed.parent / "images", tmp_path / "images")
    file = tmp_path / "images" / "scene0.jpg"
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.warns(UnreadableImagesWarning):
        finding = own_data.measure(tiny_clip, composed, tmp_path / "images", tmp_path / "out")
    left_out = pd.read_csv(tmp_path / "out" / "left_out.csv")
    assert set(left_out["image"]) == {"scene0.jpg"} and set(left_out["reason"]) == {"image file unreadable"}
    assert "scene0.jpg" not in set(pd.read_csv(tmp_path / "out" / "objects.csv")["image"])
    assert f"left out: {len(left_out)} × image file unreadable" in finding


def never(*_):
    raise AssertionError("the model is loaded")


@pytest.mark.parametrize("missing", ["annotations.json", "captions.csv"])
def test_no_model_is_loaded_for_data_that_are_not_there(tmp_path, missing):
    with pytest.raises(InputError, match=f"There is no .*{missing}"):
        own_data.measure(never, tmp_path / missing, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_model_is_loaded_and_nothing_replaced_where_the_input_lies(composed, tmp_path):
    shutil.copytree(composed.parent, tmp_path / "mine")
    (tmp_path / "mine" / "objects.csv").write_text("mine")
    with pytest.raises(InputError, match=r"holds files that 'crosseyed own-data' did not make"):
        own_data.measure(
            never, tmp_path / "mine/annotations.json", tmp_path / "mine/images", tmp_path / "mine"
        )
    assert (tmp_path / "mine" / "objects.csv").read_text() == "mine"


def test_when_nothing_can_be_used_the_reasons_are_written_all_the_same(composed, tmp_path):
    document = json.loads(composed.read_text())
    for entry in document["annotations"]:
        entry["bbox"] = None
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="box is not four numbers"):
        own_data.measure(never, tmp_path / "annotations.json", composed.parent / "images", tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "left_out.csv")) == len(document["annotations"])


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_a_run_in_which_nothing_can_be_used_leaves_earlier_results(composed, tiny_clip, tmp_path):
    images, out = composed.parent / "images", tmp_path / "out"
    (tmp_path / "elsewhere").mkdir()
    own_data.measure(tiny_clip, composed, images, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(InputError, match=r"image file missing.*left_out_failed\.csv"):
        own_data.measure(never, composed, tmp_path / "elsewhere", out)
    assert len(pd.read_csv(out / "left_out_failed.csv")) > 0
    assert {name: (out / name).read_bytes() for name in before} == before
    own_data.measure(tiny_clip, composed, images, out)
    assert {path.name for path in out.iterdir()} == set(before)


@pytest.mark.filterwarnings("ignore::crosseyed.models.scorer.UnreadableImagesWarning")
@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
def test_when_no_image_can_be_read_the_reasons_are_written_all_the_same(composed, tiny_clip, tmp_path):
    shutil.copytree(composed.parent / "images", tmp_path / "images")
    for file in (tmp_path / "images").iterdir():
        file.write_bytes(file.read_bytes()[:-400])
    with pytest.raises(
        InputError, match=r"annotation 1: .*damaged or cut off.*All are listed in .*left_out\.csv"
    ):
        own_data.measure(tiny_clip, composed, tmp_path / "images", tmp_path / "out")
    assert set(pd.read_csv(tmp_path / "out" / "left_out.csv")["reason"]) == {"image file unreadable"}


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_a_category_may_be_called_like_what_stands_for_a_damaged_image(composed, tiny_clip, tmp_path):
    document = json.loads(composed.read_text())
    document["categories"][0]["name"] = "unreadable"
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    own_data.measure(tiny_clip, tmp_path / "annotations.json", composed.parent / "images", tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "left_out.csv").empty
    assert len(pd.read_csv(tmp_path / "out" / "objects.csv")) == len(document["annotations"])


@pytest.fixture
def captioned(tmp_path):
    """A function that writes a table of captions of photographs, of which the last is cut off."""
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.effect_noise((80, 60), 90).save(tmp_path / "images" / name)
    file = tmp_path / "images" / "c.jpg"
    file.write_bytes(file.read_bytes()[:-400])

    def write(*rows):
        (tmp_path / "mine.csv").write_text("\n".join(["image,caption,x,y", *rows]))
        return tmp_path / "mine.csv"

    return write


@pytest.mark.filterwarnings("ignore::crosseyed.models.scorer.UnreadableImagesWarning")
@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_captions_that_cannot_be_used_are_listed_and_counted(captioned, tiny_clip, tmp_path):
    data = captioned(
        "a.jpg,a dog,0.5,0.5", "b.jpg,a key,0.1,0.1", "c.jpg,a cup,0.5,0.5", "d.jpg,a cup,0.5,0.5"
    )
    finding = own_data.measure(tiny_clip, data, tmp_path / "images", tmp_path / "out")
    left_out = pd.read_csv(tmp_path / "out" / "left_out.csv")
    assert left_out[["row", "reason"]].to_numpy().tolist() == [
        [4, "image file missing"],
        [3, "image file unreadable"],
    ]
    assert pd.read_csv(tmp_path / "out" / "captions.csv")["row"].tolist() == [1, 2]
    assert "2 of 4 rows are used (left out: 1 × image file missing, 1 × image file unreadable)." in finding


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["a.jpg,a dog,0.5,0.5", "b.jpg,A dog,0.1,0.1"], "one caption, 'a dog'"),
        (["a.jpg,a dog,0.5,0.5", "b.jpg,a key,0.45,0.5"], "All objects are at the center"),
        (["a.jpg,a dog,0.1,0.1", "b.jpg,a key,0.1,0.1"], "All objects are off-center"),
    ],
)
def test_no_model_is_loaded_for_captions_without_a_choice_or_a_contrast(captioned, tmp_path, rows, reason):
    with pytest.raises(InputError, match=reason):
        own_data.measure(never, captioned(*rows), tmp_path / "images", tmp_path / "out")


def test_no_model_is_loaded_for_one_category(composed, tmp_path):
    document = json.loads(composed.read_text())
    for entry in document["annotations"]:
        entry["category_id"] = 1
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"one category, .*Categories without annotations"):
        own_data.measure(never, tmp_path / "annotations.json", composed.parent / "images", tmp_path / "out")


def test_results_do_not_replace_input_that_was_put_among_earlier_ones(captioned, tmp_path):
    out = claim_folder(tmp_path / "out", own_data.MAKER)
    data = captioned("a.jpg,a dog,0.5,0.5", "b.jpg,a key,0.1,0.1").rename(out / "captions.csv")
    before = data.read_bytes()
    with pytest.raises(InputError, match="holds the input"):
        own_data.measure(never, data, tmp_path / "images", out)
    assert data.read_bytes() == before


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_results_of_an_earlier_run_do_not_stay_beside_new_ones(composed, tiny_clip, tmp_path):
    out = tmp_path / "out"
    own_data.measure(tiny_clip, composed, composed.parent / "images", out)
    assert (out / "bias.png").exists()
    cutouts = sample_objects(read_catalogue(["fluent"]), 2, seed=0)
    scenes = [scene for scene in grid(cutouts, 3, jitter=0, height=32, width=32) if scene.center]
    own_data.measure(tiny_clip, write_coco(scenes, tmp_path), tmp_path / "images", out)
    assert not (out / "bias.png").exists()  # two images are too few for an estimate
    assert len(pd.read_csv(out / "objects.csv")) == 2
    assert sorted(path.name for path in out.glob(".*")) == [".crosseyed.json"]


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_an_earlier_run_stays_whole_when_a_new_one_fails(composed, tiny_clip, tmp_path, monkeypatch):
    out = tmp_path / "out"
    own_data.measure(tiny_clip, composed, composed.parent / "images", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(table, path):
        if path.name == "effects.csv":
            raise InputError("Cannot write 'effects.csv'")
        write_table(table, path)

    monkeypatch.setattr(own_data, "write_table", full)
    with pytest.raises(InputError, match="Cannot write"):
        own_data.measure(tiny_clip, composed, composed.parent / "images", out)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_an_earlier_run_stays_when_nothing_of_a_new_one_can_be_used(composed, tiny_clip, tmp_path):
    out = tmp_path / "out"
    own_data.measure(tiny_clip, composed, composed.parent / "images", out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "left_out.csv"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="image file missing"):
        own_data.measure(never, composed, tmp_path / "empty", out)
    assert {name: (out / name).read_bytes() for name in before} == before


def test_an_input_in_which_nothing_can_be_used_is_not_replaced_by_the_reasons(captioned, tmp_path):
    out = claim_folder(tmp_path / "out", own_data.MAKER)
    data = captioned("none.jpg,a dog,0.5,0.5").rename(out / "left_out.csv")
    before = data.read_bytes()
    with pytest.raises(
        InputError, match=r"row 1: image file missing.*could not be listed: .*holds the input"
    ):
        own_data.measure(never, data, tmp_path / "images", out)
    assert data.read_bytes() == before


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_user_put_among_the_results_is_not_replaced(composed, tiny_clip, tmp_path, kind):
    out, images = tmp_path / "out", composed.parent / "images"
    own_data.measure(tiny_clip, composed, images, out)
    own_data.measure(tiny_clip, composed, images, out)
    mine = out / "captions.csv" if kind == "file" else out / "objects.csv" / "mine.txt"
    if kind == "folder":
        (out / "objects.csv").unlink()
        (out / "objects.csv").mkdir()
    mine.write_text("mine")
    with pytest.raises(InputError, match=r"is not a result of 'crosseyed own-data'.*move it"):
        own_data.measure(never, composed, images, out)
    assert mine.read_text() == "mine"


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_results_of_a_version_that_noted_no_names_are_replaced(composed, tiny_clip, tmp_path):
    out, images = tmp_path / "out", composed.parent / "images"
    own_data.measure(tiny_clip, composed, images, out)
    (out / ".crosseyed.json").write_text('{"made_by": "own-data"}')
    own_data.measure(tiny_clip, composed, images, out)
    assert (out / "objects.csv").exists()


@pytest.mark.filterwarnings("ignore::crosseyed.models.scorer.UnreadableImagesWarning")
def test_damaged_images_that_leave_no_contrast_are_counted(captioned, tiny_clip, tmp_path):
    data = captioned("a.jpg,a dog,0.5,0.5", "b.jpg,a key,0.5,0.4", "c.jpg,a cup,0.1,0.1")
    with pytest.raises(
        InputError, match=r"at the center; .*2 of 3 rows are used \(left out: 1 × image file unread"
    ):
        own_data.measure(tiny_clip, data, tmp_path / "images", tmp_path / "out")


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_the_finding_says_which_objects_are_not_in_the_estimate(composed, tiny_clip, tmp_path):
    document = json.loads(composed.read_text())
    twin = {**document["annotations"][0], "id": "twin", "bbox": [1, 1, 20, 20]}
    (tmp_path / "annotations.json").write_text(
        json.dumps({**document, "annotations": [*document["annotations"], twin]})
    )
    finding = own_data.measure(
        tiny_clip, tmp_path / "annotations.json", composed.parent / "images", tmp_path / "out"
    )
    shared = pd.read_csv(tmp_path / "out" / "effects.csv").loc[0, "shared"]
    assert shared >= 2
    assert f"{shared} objects share their image with others of their category" in finding


@pytest.mark.parametrize("output", [None, 3, ["out"]])
def test_what_is_no_path_is_refused_by_its_type(composed, output):
    with pytest.raises(InputError, match="is not a path"):
        own_data.measure(never, composed, composed.parent / "images", output)
    with pytest.raises(InputError, match="is not a path"):
        own_data.measure(never, output, composed.parent / "images", "out")


def test_captions_that_are_one_to_the_model_are_refused(captioned, tiny_clip, tmp_path):
    data = captioned(f"a.jpg,{'very ' * 90} dog,0.5,0.5", f"b.jpg,{'very ' * 90} key,0.1,0.1")
    with pytest.raises(InputError, match=r"dog' and 'very.*key' are one: it drops what exceeds"):
        own_data.measure(tiny_clip, data, tmp_path / "images", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_categories_that_are_one_to_the_model_are_refused(composed, tiny_clip, tmp_path):
    document = json.loads(composed.read_text())
    for entry, name in zip(document["categories"], ("caf\u00e9", "caf&eacute;"), strict=False):
        entry["name"] = name
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"caf.*are one"):
        own_data.measure(
            tiny_clip, tmp_path / "annotations.json", composed.parent / "images", tmp_path / "out"
        )


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")
def test_the_finding_counts_objects_that_nothing_is_compared_with(composed, tiny_clip, tmp_path):
    document = json.loads(composed.read_text())
    document["annotations"] = document["annotations"][:1] * 2
    document["annotations"][1] = {**document["annotations"][0], "category_id": 2, "id": 2}
    assert document["annotations"][0]["category_id"] != 2
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    finding = own_data.measure(
        tiny_clip, tmp_path / "annotations.json", composed.parent / "images", tmp_path / "out"
    )
    assert "2 objects are in images that show every category and are not in the estimate" in finding


def fails():
    raise InputError("no such model")


@pytest.mark.parametrize("there", [False, True])
def test_a_model_that_cannot_be_loaded_leaves_no_folder_behind(composed, tmp_path, there):
    if there:
        (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="no such model"):
        own_data.measure(fails, composed, composed.parent / "images", tmp_path / "out")
    assert (tmp_path / "out").exists() == there
