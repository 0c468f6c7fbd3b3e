from collections import Counter

import pytest

from crosseyed.data.arrangements import thinned
from crosseyed.data.layouts import grid
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
