from collections import Counter

import numpy as np
import pytest

from crosseyed.data.arrangements import SIDES, crowds, first_objects, sides, spokes, thinned, unlike
from crosseyed.data.backgrounds import BACKGROUNDS
from crosseyed.data.layouts import grid
from crosseyed.data.scenes import scene_table
from crosseyed.errors import InputError


def cells_of(scenes):
    kept = {}
    for scene in scenes:
        placed = scene.placements[0]
        kept.setdefault(placed.cutout.path, []).append((placed.row, placed.col))
    return list(kept.values())


def test_thinned_keeps_of_every_object_the_center_and_so_many_others(few):
    scenes = grid(few, 3)
    kept = thinned(scenes, 2, seed=1)
    assert [scene for scene in scenes if scene in kept] == kept
    for cells in cells_of(kept):
        assert len(set(cells)) == 3 and (1, 1) in cells
    assert kept != thinned(scenes, 2, seed=2)


def test_thinned_keeps_all_where_there_are_fewer(few):
    scenes = grid(few, 3)
    assert thinned(scenes, 8) == thinned(scenes, 100) == scenes


def test_thinned_keeps_every_cell_equally_often(catalogue):
    objects = [each for each in catalogue if each.style == "noto"][:16]
    counts = Counter(cell for cells in cells_of(thinned(grid(objects, 3), 3)) for cell in cells)
    assert counts.pop((1, 1)) == 16
    assert list(counts.values()) == [6] * 8


def test_thinned_keeps_the_same_cells_in_other_conditions_and_more_for_a_larger_number(few):
    two, four = (thinned(grid(few, 5), number, seed=3) for number in (2, 4))
    assert set(two) < set(four)
    changed = thinned(grid(few, 5, size=0.2, backgrounds=["plain"], height=240, width=320), 2, seed=3)
    assert cells_of(changed) == cells_of(two)


def test_thinned_refuses_to_keep_nothing_off_center(few):
    with pytest.raises(InputError, match="n_off_center is 0"):
        thinned(grid(few, 3), 0)


def test_the_four_sides_by_hand(few):
    scenes, names = sides(few[:1], size=0.2, jitter=0)
    placed = {name: scene.placements[0] for name, scene in zip(names, scenes, strict=True)}
    assert {name: (each.x, each.y) for name, each in placed.items()} == {
        "above": pytest.approx((0.5, 0.1)),
        "left": pytest.approx((0.1, 0.5)),
        "right": pytest.approx((0.9, 0.5)),
        "below": pytest.approx((0.5, 0.9)),
    }
    assert {name: (each.row, each.col) for name, each in placed.items()} == SIDES
    assert not any(scene.center for scene in scenes)


def test_the_four_sides_have_one_eccentricity_that_differs_by_object(few):
    scenes, names = sides(few, seed=2)
    table = scene_table(scenes).assign(side=names)
    by_object = table.groupby(["object", "style"])
    assert by_object["eccentricity"].std().max() < 1e-12
    assert by_object["eccentricity"].first().nunique() == by_object.ngroups
    assert (by_object[["background", "seed", "size"]].nunique() == 1).all(axis=None)
    x, y = (table.pivot(index=["object", "style"], columns="side", values=axis) for axis in "xy")
    np.testing.assert_allclose(x["left"] + x["right"], 1)
    np.testing.assert_allclose(y["above"] + y["below"], 1)
    np.testing.assert_allclose(y["left"], y["right"])
    assert table[["x", "y"]].min().min() >= 0.15 and table[["x", "y"]].max().max() <= 0.85


def test_large_objects_are_shifted_as_far_as_there_is_room(few):
    scenes, _ = sides(few, size=0.9)
    table = scene_table(scenes)
    assert table[["x", "y"]].min().min() >= 0.45 and table[["x", "y"]].max().max() <= 0.55
    assert table["eccentricity"].min() > 0


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_crowd_is_the_same_where_its_first_object_is_elsewhere(few, number):
    scenes = crowds(few, number, seed=4)
    assert len(scenes) == 2 * len(few)
    for cutout, center, elsewhere in zip(few, scenes[::2], scenes[1::2], strict=True):
        assert center.center and not elsewhere.center and center.background == elsewhere.background
        shown = [
            {(each.cutout.object, each.size) for each in scene.placements} for scene in (center, elsewhere)
        ]
        assert shown[0] == shown[1] and len(shown[0]) == number
        first, moved = center.placements[0], elsewhere.placements[0]
        assert first.cutout == moved.cutout == cutout
        assert (first.row, first.col) == (1, 1) != (moved.row, moved.col)
        if number > 1:
            (other,) = (each for each in center.placements if (each.row, each.col) == (moved.row, moved.col))
            assert elsewhere.placements[1].cutout == other.cutout
            assert (elsewhere.placements[1].row, elsewhere.placements[1].col) == (1, 1)
            assert center.placements[2:] == elsewhere.placements[2:]


def test_objects_of_a_crowd_do_not_overlap(few):
    for scene in crowds(few, 5):
        masks = scene.masks()
        assert all(mask.any() for mask in masks)
        alone = [scene.__class__("", scene.background, (each,)).masks()[0] for each in scene.placements]
        np.testing.assert_array_equal(masks, alone)


def test_a_smaller_crowd_is_a_larger_one_with_objects_taken_away(few):
    for small, large in zip(crowds(few, 2, seed=1), crowds(few, 4, seed=1), strict=True):
        assert large.placements[:2] == small.placements


def test_a_crowd_that_cannot_be_is_refused(few):
    with pytest.raises(InputError, match="show 6 objects of 5"):
        crowds(few, 6)
    with pytest.raises(InputError, match="show 0 objects"):
        crowds(few, 0)
    with pytest.raises(InputError, match="would overlap"):
        crowds(few, 2, size=0.5)


def test_spokes_by_hand(few):
    scenes, stops = spokes(few[:2], [0, 0.25, 0.5], size=0.1, jitter=0)
    assert stops == [0, 0.25, 0.5] * 2
    table = scene_table(scenes)
    assert table["eccentricity"].tolist() == pytest.approx(stops)
    assert table["center"].tolist() == [True, False, False] * 2
    assert (abs(table["x"] - 0.5) - abs(table["y"] - 0.5)).abs().max() < 1e-12
    assert table["image"].is_unique


def test_spokes_are_the_same_places_for_every_size(few):
    small, large = (scene_table(spokes(few, [0, 0.4], size=size, seed=2)[0]) for size in (0.05, 0.4))
    np.testing.assert_array_equal(small[["x", "y"]], large[["x", "y"]])
    assert (small["size"] == 0.05).all() and (small["background"] == large["background"]).all()
    moved = small[small["center"]]
    assert moved["eccentricity"].min() > 0
    inside = large[["x", "y"]].to_numpy()
    assert inside.min() >= 0.2 and inside.max() <= 0.8


def test_spokes_refuse_objects_that_would_be_cut_off_and_places_in_no_order(few):
    with pytest.raises(InputError, match=r"cut off at eccentricity 0\.9; give at most 0\.7"):
        spokes(few, [0, 0.9], size=0.3, jitter=0)
    for places in ([], [0.1, 0.2], [0, 0.2, 0.2]):
        with pytest.raises(InputError, match="increase from 0"):
            spokes(few, places)


def test_the_first_objects_of_crowds_are_described_and_the_others_named(few):
    scenes = crowds(few, 3)
    table, others = first_objects(scenes)
    assert len(table) == len(scenes)
    assert table["shown"].tolist() == [3] * len(scenes)
    for row, names, scene in zip(table.itertuples(), others, scenes, strict=True):
        shown = [placed.cutout.object for placed in scene.placements]
        assert [row.object, *names] == shown and row.center == scene.center


def test_scenes_that_look_like_others_or_repeat_themselves_are_left_out(few):
    """Four kinds of background are dealt in turn, so one of each object's four is that of the study."""
    own = grid(few, 3)
    other = [scene for kind in BACKGROUNDS for scene in grid(few, 3, backgrounds=[kind])]
    kept = unlike([*other, *other], own)
    assert len(kept) == len(own) * (len(BACKGROUNDS) - 1)
    assert {scene.digest() for scene in kept} | {scene.digest() for scene in own} == {
        scene.digest() for scene in other
    }
    assert [scene for scene in other if scene in kept] == kept
