import numpy as np
import pandas as pd
import pytest
from composed_files import write_whatsup
from small_mitigations import Darkened, Turned

from crosseyed.data import layouts, whatsup
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.measure import protocols
from crosseyed.mitigations import tasks
from crosseyed.mitigations.base import Location
from crosseyed.mitigations.evaluation import evaluate
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.mitigations.tasks import Task, make_split


@pytest.fixture(scope="module")
def cutouts():
    return sample_objects(read_catalogue(["fluent", "twemoji"]), 8, seed=0)


@pytest.fixture(scope="module")
def labels(cutouts):
    return objects_of(cutouts)


@pytest.fixture(scope="module")
def split(cutouts, labels):
    return make_split(cutouts, labels, side=32, seed=1)


def test_splits_share_no_object_and_keep_renderings_together(cutouts):
    first, second = tasks.split_objects(cutouts, [3, 4], seed=5)
    assert len(objects_of(first)) == 3
    assert len(objects_of(second)) == 4
    assert not {each.object for each in first} & {each.object for each in second}
    assert len(first) == 2 * 3  # both renderings
    assert [first, second] == tasks.split_objects(cutouts, [3, 4], seed=5)
    assert [first, second] != tasks.split_objects(cutouts, [3, 4], seed=6)


@pytest.mark.parametrize("sizes", [[1, 3], [5, 4]])
def test_splits_that_cannot_be_made_are_refused(cutouts, sizes):
    with pytest.raises(InputError, match=r"at least 2.*the 8 that there are"):
        tasks.split_objects(cutouts, sizes)


def test_a_split_asks_three_questions(cutouts, labels, split):
    grid, pair, control = split
    assert [task.protocol for task in split] == ["grid", "pair", "control"]
    by_cutout = grid.table.groupby(["object", "style"])
    assert len(by_cutout) == len(cutouts)
    assert (by_cutout["center"].sum() == 1).all()
    assert (by_cutout.size() == 3).all()
    assert (
        grid.table.loc[~grid.table["center"], ["row", "col"]].drop_duplicates().shape[0] > 2
    )  # not always the same
    assert pair.table.groupby("object")["relation"].agg(set).map(len).eq(4).all()
    assert pair.table.groupby("object")["style"].nunique().eq(1).all()
    assert set(pair.table["style"]) == {"fluent", "twemoji"}
    assert control.table["center"].all()
    assert sorted(control.table["object"]) == sorted(labels)
    assert control.table["size"].min() > grid.table["size"].max()


def test_images_are_those_of_the_table_and_locations_those_of_the_objects(cutouts, labels):
    grid, pair, _ = make_split(cutouts, labels, side=64, seed=2)
    scenes = {scene.name: scene for scene in layouts.grid(cutouts, size=0.3, seed=2, height=64, width=64)}
    for image, row, location in zip(grid.images, grid.table.itertuples(), grid.locations, strict=True):
        assert (image == scenes[row.image].render()).all()
        assert location == Location(row.x, row.y, row.size)
    in_center = (grid.table[["row", "col"]] == 2).all(axis=1)
    assert in_center.tolist() == grid.table["center"].tolist()
    assert [(place.x, place.y) for place in pair.locations] == list(
        zip(pair.table["x"], pair.table["y"], strict=True)
    )


@pytest.mark.parametrize("n_objects", [2, 3, 5])
def test_pairs_can_be_made_of_few_objects(cutouts, labels, n_objects):
    few = sample_objects(cutouts, n_objects, seed=0)
    (pair,) = make_split(few, labels, protocols=["pair"], side=16)
    assert pair.table["object"].nunique() == n_objects


def test_a_split_with_impossible_wishes_is_refused(cutouts, labels):
    with pytest.raises(InputError, match="did you mean 'grid'"):
        make_split(cutouts, labels, protocols=["gird"])
    with pytest.raises(InputError, match="1 to 24"):
        make_split(cutouts, labels, cells=25)


def test_whatsup_is_a_task_without_locations(tmp_path, tiny_clip, cutouts):
    fluent = [cutout for cutout in cutouts if cutout.style == "fluent"]
    write_whatsup([*layouts.pair(fluent, "on", seed=0), *layouts.pair(fluent, "under", seed=0)], tmp_path)
    table = whatsup.read_whatsup(tmp_path)
    task = tasks.whatsup_task(table)
    pd.testing.assert_frame_equal(
        task.score(tiny_clip).drop(columns="center"),
        protocols.whatsup(tiny_clip, table).drop(columns="path"),
    )
    assert task.table["center"].tolist() == table["together"].tolist()
    rows = evaluate(tiny_clip, [Turned(), Darkened()], [task], resamples=20)
    assert rows["candidate"].tolist() == [BASELINE, "turned"]  # nobody can tell the oracle


def test_tasks_may_be_ones_own(tiny_clip):
    images = [np.full((32, 32, 3), level, np.uint8) for level in (0, 90, 180, 255)]
    table = pd.DataFrame(
        {"image": list("abcd"), "object": ["dog", "dog", "cup", "cup"], "center": [True, False, True, False]}
    )
    rows = evaluate(tiny_clip, [Turned()], [Task("grid", images, table, ["dog", "cup"])], resamples=50)
    assert rows["n_objects"].tolist() == [2, 2]
    assert rows["gap_change"].tolist() == [0, 0]  # an even image is the same upside down


def test_a_smaller_split_is_part_of_a_larger_one_and_has_the_same_images(cutouts, labels):
    shown, dealt = tasks.deal_split(cutouts, [2, 3], [3, 4], seed=5)
    assert dealt == tasks.split_objects(cutouts, [3, 4], seed=5)
    assert [len(objects_of(each)) for each in shown] == [2, 3]
    assert all({*few} < {*more} for few, more in zip(shown, dealt, strict=True))
    every = tasks.make_split(dealt[1], labels, side=16, seed=2)
    some = tasks.make_split(dealt[1], labels, shown=shown[1], side=16, seed=2)
    for task, part in zip(every, some, strict=True):
        kept = task.table["object"].isin(objects_of(shown[1]))
        assert part.table["image"].tolist() == task.table.loc[kept, "image"].tolist()
        assert part.table["x"].tolist() == task.table.loc[kept, "x"].tolist()
    beyond, dealt = tasks.deal_split(cutouts, [2, 5], [3, 4], seed=5)
    assert beyond == dealt == tasks.split_objects(cutouts, [2, 5], seed=5)


def test_a_grid_task_has_each_object_in_every_cell(cutouts, labels):
    task = tasks.grid_task(cutouts[:2], labels, 3, size=0.25, seed=4)
    scenes = layouts.grid(cutouts[:2], 3, size=0.25, seed=4)
    assert (task.protocol, task.labels) == ("grid", labels)
    assert task.table["image"].tolist() == [scene.name for scene in scenes]
    assert len(task.images) == len(scenes) == 2 * 9
    assert all((image == scene.render()).all() for image, scene in zip(task.images, scenes, strict=True))
