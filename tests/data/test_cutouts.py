import os
from itertools import pairwise

import numpy as np
import pytest
from drawn_cutouts import dark_background, disc, write_cutout
from PIL import Image

from crosseyed.data.backgrounds import Background
from crosseyed.data.cutouts import (
    STYLES,
    deal_objects,
    objects_of,
    premultiplied,
    read_catalogue,
    read_cutout_folder,
    reordered,
    sample_objects,
    some_objects,
)
from crosseyed.data.layouts import grid
from crosseyed.data.scenes import Placement, Scene, scene_table
from crosseyed.errors import InputError
from crosseyed.files import DATA


def test_the_catalogue_has_every_object_in_every_style(catalogue):
    by_style = {style: [cutout for cutout in catalogue if cutout.style == style] for style in STYLES}
    assert len(objects_of(by_style["fluent"])) >= 120
    for cutouts in by_style.values():
        assert objects_of(cutouts) == [cutout.object for cutout in cutouts] == objects_of(catalogue)
    for cutout in catalogue:
        masks = Scene(
            "one", Background("plain", 0), (Placement(cutout, 0.5, 0.5, 0.5),), height=64, width=64
        ).masks()
        assert masks.mean() > 0.01
        assert cutout.category


def test_styles_are_read_in_the_order_of_the_catalogue_from_any_iterable(catalogue):
    two = read_catalogue(style for style in ("noto", "fluent"))
    assert two == [cutout for cutout in catalogue if cutout.style in {"noto", "fluent"}]


def test_sampling_keeps_every_style_of_an_object_and_depends_on_the_seed(catalogue):
    sample = sample_objects(catalogue, 7, seed=1)
    assert len(sample) == 7 * len(STYLES)
    assert sample == [cutout for cutout in catalogue if cutout.object in objects_of(sample)]
    assert sample == sample_objects(catalogue, 7, seed=1)
    assert sample != sample_objects(catalogue, 7, seed=2)


def test_fewer_objects_are_among_more_and_what_is_dealt_to_is_the_same(catalogue):
    assert objects_of(some_objects(catalogue, 3, seed=0)) != objects_of(catalogue)[:3]
    sets = [deal_objects(catalogue, number, 20, seed=4) for number in (5, 12, 20, 30)]
    for (few, dealt), (more, _) in pairwise(sets[:3]):
        assert {*few} < {*more} and dealt == sample_objects(catalogue, 20, seed=4)
    assert sets[2][0] == sets[2][1] and sets[3][0] == sets[3][1] == sample_objects(catalogue, 30, seed=4)
    own = catalogue[:8]
    shown, dealt = deal_objects(own, 3, 20, seed=4)
    assert dealt == own and len(objects_of(shown)) == 3


def test_reordered_renderings_get_backgrounds_that_do_not_give_the_object_away(catalogue):
    cutouts = sample_objects(catalogue, 40, seed=0)  # a multiple of the kinds of background

    def same_kind(cutouts):
        table = scene_table(grid(cutouts, 3)).drop_duplicates(["object", "style"])
        kinds = table.set_index(["object", "style"])["background"].unstack()
        return (kinds["fluent"] == kinds["noto"]).mean()

    assert same_kind(cutouts) == 1
    shuffled = reordered(cutouts, seed=0)
    assert 0.05 < same_kind(shuffled) < 0.45  # 0.25, give or take 0.07
    assert [cutout.style for cutout in shuffled] == [cutout.style for cutout in cutouts]
    assert set(shuffled) == set(cutouts)
    assert shuffled == reordered(cutouts, seed=0)


def test_a_folder_of_ones_own_is_read_by_file_name(tmp_path):
    for name in ("palm-tree.png", "cup.webp", "tea_pot.PNG"):
        write_cutout(tmp_path / name, disc)
    (tmp_path / "notes.txt").write_text("not an image")
    cutouts = read_cutout_folder(tmp_path)
    assert [cutout.object for cutout in cutouts] == ["cup", "palm tree", "tea pot"]
    assert {cutout.style for cutout in cutouts} == {cutout.category for cutout in cutouts} == {"own"}
    assert grid(cutouts, 3)[0].render().shape == (224, 224, 3)


def test_what_lies_around_an_object_does_not_count_for_its_size(tmp_path):
    pixels = np.zeros((100, 100, 4), dtype=np.uint8)
    pixels[70:90, 10:50] = 255  # 40 × 20 pixels, far from the middle
    Image.fromarray(pixels, "RGBA").save(tmp_path / "bar.png")
    (bar,) = read_cutout_folder(tmp_path)
    scene = Scene("one", dark_background(), (Placement(bar, 0.5, 0.5, 0.5),), height=80, width=80)
    rows, cols = np.nonzero(scene.masks()[0])
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (30, 49, 20, 59)


def write_bytes(content):
    return lambda path: path.write_bytes(content)


def write_pixels(pixels):
    return lambda path: Image.fromarray(np.array(pixels, dtype=np.uint8)).save(path)


def write_half_a_file(path):
    write_cutout(path, disc)
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_bytes(b""), "cannot be read"),
        (write_bytes(b"no image"), "cannot be read"),
        (write_half_a_file, "cannot be read"),
        (write_pixels(np.full((9, 9, 3), 200)), "no transparent pixel"),
        (write_pixels(np.zeros((9, 9, 4))), "wholly transparent"),
    ],
    ids=["empty", "text", "truncated", "opaque", "transparent"],
)
def test_a_bad_cutout_is_named(tmp_path, write, message):
    write_cutout(tmp_path / "a-good-one.png", disc)
    write(tmp_path / "bad.png")
    with pytest.raises(InputError, match=rf"bad\.png.*{message}"):
        read_cutout_folder(tmp_path)


@pytest.mark.parametrize("other", ["palm_tree.webp", "palm--tree.webp", "PALM-Tree.webp"])
def test_two_files_of_the_same_object_are_refused(tmp_path, other):
    write_cutout(tmp_path / "palm-tree.png", disc)
    write_cutout(tmp_path / other, disc)
    with pytest.raises(InputError, match=r"palm.tree.* both show '(?i:palm tree)'; keep one"):
        read_cutout_folder(tmp_path)


def test_a_file_named_after_nothing_is_refused(tmp_path):
    write_cutout(tmp_path / "-_.png", disc)
    with pytest.raises(InputError, match=r"-_\.png names no object"):
        read_cutout_folder(tmp_path)


def test_what_a_system_lays_beside_the_cutouts_is_skipped(tmp_path):
    write_cutout(tmp_path / "cat.webp", disc)
    (tmp_path / "._cat.webp").write_bytes(b"\0\5\x16\7")
    (tmp_path / "folder.png").mkdir()
    assert [cutout.object for cutout in read_cutout_folder(tmp_path)] == ["cat"]


def test_an_empty_folder_of_cutouts_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no PNG or WebP file"):
        read_cutout_folder(tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda few: sample_objects(few, 0, seed=0), "n_objects is 0"),
        (lambda few: sample_objects(few, -2, seed=0), "n_objects is -2"),
        (lambda few: sample_objects(few, 6, seed=0), "between 1 and 5"),
        (lambda few: some_objects(few, 6, seed=0), "between 1 and 5"),
        (lambda few: deal_objects(few, 6, 3, seed=0), "between 1 and 5"),
        (lambda few: read_catalogue(["flunet"]), "did you mean 'fluent'"),
        (lambda few: read_catalogue(folder="nowhere"), "nowhere.*build.py"),
        (lambda few: read_cutout_folder("nowhere"), "There is no .nowhere.*Give a folder of transparent"),
    ],
)
def test_bad_input_is_named(few, tmp_path, monkeypatch, call, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        call(few)
    assert not list(tmp_path.iterdir())


def test_a_catalogue_that_is_cut_off_is_refused(tmp_path):
    whole = (DATA / "objects/catalogue.csv").read_text(encoding="utf-8")
    (tmp_path / "catalogue.csv").write_text(whole[: len(whole) // 2], encoding="utf-8")
    with pytest.raises(InputError, match=r"catalogue\.csv.*cut off.*build\.py"):
        read_catalogue(folder=tmp_path)


def test_names_of_objects_are_text(tmp_path):
    (tmp_path / "catalogue.csv").write_text(
        "object,category,codepoint,style,file\nnull,007,1e5,noto,noto/nan.png\n"
    )
    (cutout,) = read_catalogue(["noto"], tmp_path)
    assert (cutout.object, cutout.category) == ("null", "007")


def test_a_file_name_that_is_not_utf8_gives_a_name_that_every_file_can_hold(tmp_path):
    image = Image.new("RGBA", (8, 8), (9, 9, 9, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    (cutout,) = read_cutout_folder(tmp_path)
    assert cutout.object == r"caf\udce9"
    assert premultiplied(cutout.path).size == (8, 8)
