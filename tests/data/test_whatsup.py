import os

import huggingface_hub
import numpy as np
import pytest
from composed_files import write_whatsup
from PIL import Image

from crosseyed import hub
from crosseyed.data import whatsup
from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.data.layouts import RELATIONS, pair
from crosseyed.data.scenes import pair_table
from crosseyed.data.whatsup import (
    SkippedFilesWarning,
    download_whatsup,
    read_whatsup,
)
from crosseyed.errors import DownloadError, InputError


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("mug_on_table.jpeg", ("mug", "on", "table", True)),
        ("mug_under_table.jpeg", ("mug", "under", "table", False)),
        ("beer-bottle_left_of_arm-chair.jpeg", ("beer bottle", "left_of", "arm chair", False)),
        ("dog_right_of_wine-glass.jpg", ("dog", "right_of", "wine glass", False)),
        ("cap_in-front_of_bowl.png", ("cap", "in-front_of", "bowl", False)),
        ("cap_behind_bowl.JPEG", ("cap", "behind", "bowl", False)),
        ("cup_next_to_plate.jpeg", ("cup", "next_to", "plate", False)),
        ("onion_above_button.jpeg", ("onion", "above", "button", False)),
    ],
)
def test_a_name_says_objects_relation_and_place(tmp_path, name, row):
    touch(tmp_path, name)
    table = read_whatsup(tmp_path)
    assert tuple(table.loc[0, ["object", "relation", "object2", "together"]]) == row
    assert table.loc[0, "image"] == name
    assert table.loc[0, "path"] == str(tmp_path / name)
    assert table["together"].dtype == bool


def test_rows_are_sorted_by_file_name_whatever_the_order_on_disk(tmp_path):
    names = ["mug_under_table.jpeg", "cap_on_bowl.jpeg", "mug_on_table.jpeg", "cap_behind_bowl.png"]
    touch(tmp_path, *names)
    assert read_whatsup(str(tmp_path))["image"].tolist() == sorted(names)


@pytest.mark.parametrize(
    "name",
    [
        "mug.jpeg",
        "mug_table.jpeg",
        "_on_table.jpeg",
        "mug_on_.jpeg",
        "IMG_2024_01.jpeg",
        "palm_tree_on_table.jpeg",
        "table_left_of_palm_tree.jpeg",
        "mug_on_table.txt",
        "mug_on_table",
        "notes.csv",
    ],
)
def test_a_file_that_does_not_follow_the_naming_is_named_and_counted(tmp_path, name):
    touch(tmp_path, "cup_on_plate.jpeg", name, ".hidden")
    (tmp_path / "cup_on_saucer.jpeg").mkdir()
    with pytest.warns(SkippedFilesWarning) as caught:
        table = read_whatsup(tmp_path)
    assert table["image"].tolist() == ["cup_on_plate.jpeg"]
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("1 of 2 files")
    assert message.endswith(f"left out: {name}.")
    assert "<object1>_<relation>_<object2>" in message


def test_every_file_that_is_left_out_is_named_in_one_warning(tmp_path):
    names = [f"IMG{number}.jpeg" for number in range(30)]
    touch(tmp_path, "cup_on_plate.jpeg", *names)
    with pytest.warns(SkippedFilesWarning, match="30 of 31") as caught:
        read_whatsup(tmp_path)
    assert len(caught) == 1
    assert all(name in str(caught[0].message) for name in names)


def test_a_folder_without_any_fitting_name_is_refused(tmp_path):
    touch(tmp_path, "IMG1.jpeg", "IMG2.jpeg")
    with pytest.raises(InputError, match=r"2 files .*'IMG1\.jpeg'.*<object1>_<relation>_<object2>\.jpeg"):
        read_whatsup(tmp_path)


def test_a_folder_that_is_empty_or_missing_says_how_to_fill_it(tmp_path):
    with pytest.raises(InputError, match=r"no file in it.*crosseyed download whatsup"):
        read_whatsup(tmp_path)
    with pytest.raises(InputError, match=r"There is no .*missing.*crosseyed download whatsup"):
        read_whatsup(tmp_path / "missing")


def test_pair_scenes_written_to_a_folder_are_read_back(tmp_path):
    cutouts = sample_objects(read_catalogue(["fluent"]), 6, seed=1)
    scenes = [scene for relation in RELATIONS for scene in pair(cutouts, relation, height=48, width=64)]
    paths = write_whatsup(scenes, tmp_path / "new" / "folder")
    columns = ["object", "object2", "relation", "together"]
    written = pair_table(scenes).assign(path=[str(path) for path in paths])
    read = read_whatsup(tmp_path / "new" / "folder")
    assert read[["path", *columns]].equals(
        written.sort_values("path")[["path", *columns]].reset_index(drop=True)
    )
    for scene, path in zip(scenes, paths, strict=True):
        with Image.open(path) as image:
            assert image.format == "JPEG"
            difference = np.abs(np.asarray(image).astype(int) - scene.render())
        assert difference.mean() < 8


# --- download ---


def test_without_a_folder_the_usual_one_is_read_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(whatsup, "DATA", tmp_path)
    assert whatsup.read_if_present(None) is None
    touch(tmp_path / "whatsup", "mug_on_table.jpeg")
    assert whatsup.read_if_present(None)["object"].tolist() == ["mug"]
    touch(tmp_path / "own", "cap_on_bowl.jpeg")
    assert whatsup.read_if_present(str(tmp_path / "own"))["object"].tolist() == ["cap"]
    with pytest.raises(InputError, match="There is no"):
        whatsup.read_if_present(tmp_path / "missing")


@pytest.fixture
def no_network(monkeypatch):
    """An endpoint that nobody listens to."""
    monkeypatch.setattr(hub.hub_constants, "ENDPOINT", "http://127.0.0.1:9")


def test_a_folder_on_disk_is_used_without_network(tmp_path, no_network):
    touch(tmp_path / "whatsup", "mug_on_table.jpeg")
    assert download_whatsup(tmp_path / "whatsup") == tmp_path / "whatsup"
    assert read_whatsup(tmp_path / "whatsup")["object"].tolist() == ["mug"]


@pytest.mark.parametrize("exists", [False, True])
def test_without_network_the_message_says_what_and_where_and_nothing_is_left(tmp_path, no_network, exists):
    folder = tmp_path / "data" / "whatsup"
    if exists:
        folder.mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"oscarchew/clip-cross-eyed-data.*put its files into .*whatsup"):
        download_whatsup(folder)
    assert [path.name for path in (tmp_path / "data").iterdir()] == (["whatsup"] if exists else [])


def fake_hub(monkeypatch, names, fail_after=None):
    """Stand in for the Hub with a data set of the given files; fail in the middle if told to."""
    asked = []

    def snapshot_download(repository, *, repo_type, allow_patterns, cache_dir):
        if hub.hub_constants.HF_HUB_OFFLINE:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")
        asked.append((repository, repo_type, allow_patterns))
        for number, name in enumerate(names):
            if number == fail_after:
                raise ConnectionError("the line went dead")
            file = cache_dir / "snapshot" / name
            file.parent.mkdir(exist_ok=True, parents=True)
            file.write_text(name)
        return str(cache_dir / "snapshot")

    monkeypatch.setattr(whatsup, "snapshot_download", snapshot_download)
    monkeypatch.setattr(hub, "_network_problem", lambda url: None)
    return asked


def test_only_the_images_are_fetched_and_put_into_the_folder(tmp_path, monkeypatch):
    asked = fake_hub(monkeypatch, ["whatsup_images/mug_on_table.jpeg", ".cache/lock"])
    folder = tmp_path / "data" / "whatsup"
    assert download_whatsup(folder) == folder
    assert asked == [("oscarchew/clip-cross-eyed-data", "dataset", "whatsup_images/*")]
    assert [path.name for path in folder.iterdir()] == ["mug_on_table.jpeg"]
    assert [path.name for path in folder.parent.iterdir()] == ["whatsup"]


def test_a_download_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    fake_hub(monkeypatch, ["whatsup_images/a_on_b.jpeg", "whatsup_images/c_on_d.jpeg"], fail_after=1)
    with pytest.raises(DownloadError, match="the line went dead"):
        download_whatsup(tmp_path / "whatsup")
    assert not list(tmp_path.iterdir())


def test_a_data_set_without_the_images_is_an_error(tmp_path, monkeypatch):
    fake_hub(monkeypatch, ["README.md"])
    with pytest.raises(DownloadError, match="whatsup_images"):
        download_whatsup(tmp_path / "whatsup")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("place", "words"), [("pipe", "is a pipe"), ("file", "is a file"), ("x" * 300, "File name too long")]
)
def test_what_cannot_become_the_folder_is_said_before_a_download(tmp_path, monkeypatch, place, words):
    asked = fake_hub(monkeypatch, ["whatsup_images/a_on_b.jpeg"])
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=words):
        download_whatsup(tmp_path / place)
    assert not asked


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    fake_hub(monkeypatch, ["whatsup_images/a_on_b.jpeg"])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot write the folder .*file/whatsup"):
        download_whatsup(tmp_path / "file" / "whatsup")
