import numpy as np
import pytest
from scipy.stats import kstest

from crosseyed.data.cutouts import (
    read_catalogue,
    sample_objects,
)
from crosseyed.data.layouts import (
    JITTER,
    RELATIONS,
    chessboard,
    grid,
    pair,
    phases,
    scattered,
    showing,
    slide,
    three_places,
)
from crosseyed.data.scenes import scene_table
from crosseyed.errors import InputError
from crosseyed.settings import settings


@pytest.mark.parametrize(
    "layout",
    [
        lambda cutouts, seed: grid(cutouts, 3, seed=seed),
        lambda cutouts, seed: slide(cutouts, 0.3, seed=seed),
        lambda cutouts, seed: pair(cutouts, "on", seed=seed),
    ],
)
def test_a_layout_is_decided_by_its_seed(few, layout):
    assert layout(few, 1) == layout(few, 1)
    assert layout(few, 1) != layout(few, 2)


@pytest.mark.parametrize(
    "layout",
    [grid, slide, lambda cutouts: [scene for relation in RELATIONS for scene in pair(cutouts, relation)]],
)
def test_names_of_scenes_are_unique(few, layout):
    names = [scene.name for scene in layout(few)]
    assert len(set(names)) == len(names)


def test_grid_of_three_by_hand(few):
    table = scene_table(grid(few[:1], 3, size=0.3, jitter=0))
    assert table["row"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert table["col"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert table["x"].to_numpy() == pytest.approx(np.tile([1 / 6, 1 / 2, 5 / 6], 3))
    assert table["y"].to_numpy() == pytest.approx(np.repeat([1 / 6, 1 / 2, 5 / 6], 3))
    edge, corner = np.sqrt(2) / 3, 2 / 3
    assert table["eccentricity"].to_numpy() == pytest.approx(
        [corner, edge, corner, edge, 0, edge, corner, edge, corner]
    )
    assert table["center"].tolist() == [False] * 4 + [True] + [False] * 4


def test_grid_moves_large_objects_inward_just_enough(few):
    table = scene_table(grid(few[:1], 5, size=0.4, jitter=0))
    assert sorted(table["x"].unique()) == pytest.approx([0.2, 0.35, 0.5, 0.65, 0.8])
    wide = {"size": 0.8, "height": 100, "width": 200}
    still = scene_table(grid(few[:1], 3, jitter=0, **wide))
    assert sorted(still["x"].unique()) == pytest.approx([0.2, 0.5, 0.8])
    assert sorted(still["y"].unique()) == pytest.approx([0.4, 0.5, 0.6])
    shifted = scene_table(grid(few[:1], 3, jitter=0.2, shift=(0.1, -0.05), **wide))
    assert sorted(shifted["x"].unique()) == pytest.approx([0.5, 0.6, 0.7])  # 0.4 moved inward by the jitter
    assert sorted(shifted["y"].unique()) == pytest.approx([0.45])  # the room for jitter here is 0.1


@pytest.mark.parametrize(("k", "size"), [(3, 0.2), (3, 0.3), (5, 0.2), (5, 0.3), (5, 0.4)])
def test_the_center_is_the_center_cell_which_no_shift_leaves(catalogue, k, size):
    table = scene_table(grid(catalogue, k, size=size))
    in_cell = (table[["row", "col"]] == k // 2).all(axis=1)
    assert table["center"].equals(in_cell)
    assert (table.loc[in_cell, "eccentricity"] <= settings.center_limit).all()
    with settings.overridden(center_limit=0.5):
        assert scene_table(grid(catalogue[:1], k, size=size))["center"].sum() > 1


@pytest.mark.parametrize("size", [0.1, 0.3, 0.45, 0.9, 1.0])
def test_no_object_is_cut_off_however_it_is_shifted(catalogue, size):
    cutouts = catalogue[:120]
    scenes = [*grid(cutouts, 5, size=size), *grid(cutouts, 3, size=size), *slide(cutouts, size=size)]
    table = scene_table(scenes)
    ends = np.concatenate([table[side] + sign * size / 2 for side in "xy" for sign in (-1, 1)])
    assert (ends > -1e-9).all()
    assert (ends < 1 + 1e-9).all()


def test_no_object_of_a_pair_is_cut_off_or_hides_the_other(catalogue):
    for relation in RELATIONS:
        table = scene_table(pair(catalogue, relation))
        places = table[["x", "y"]].to_numpy()
        assert (abs(places - 0.5) <= 0.36 + 1e-9).all()
        assert (abs(places[::2] - places[1::2]).max(axis=1) >= 0.28 - 1e-9).all()


def places_of(scenes, n):
    """Give the places (n, places, 2) of all objects in the scenes of n cut-outs, those of a cut-out together."""
    return np.array([(each.x, each.y) for scene in scenes for each in scene.placements]).reshape(n, -1, 2)


def test_the_shift_of_an_object_is_the_same_in_all_its_scenes(few):
    n = len(few)
    unshifted = places_of(grid(few, 5, seed=1, shift=(0, 0)), n)
    moved = [places_of(grid(few, 5, seed=1), n) - unshifted]
    slid, still = (places_of(slide(few, seed=1, jitter=jitter), n) for jitter in (JITTER, 0))
    moved.append(slid - still[:, : slid.shape[1]])
    border = [
        [(0.5, 0.36), (0.5, 0.64)],
        [(0.5, 0.8), (0.5, 0.5)],
        [(0.2, 0.5), (0.5, 0.5)],
        [(0.8, 0.5), (0.5, 0.5)],
    ]
    related = [places_of(pair(few, relation, seed=1, jitter=0.06), n) for relation in RELATIONS]
    moved.append(np.concatenate([now - then for now, then in zip(related, border, strict=True)], axis=1))
    for shift in moved:
        assert np.ptp(shift, axis=1) == pytest.approx(np.zeros((n, 2)), abs=1e-9)
        assert len(np.unique(shift[:, 0].round(6), axis=0)) == n
        assert (np.ptp(shift[:, 0], axis=0) > 0.06).all()


PATCHES = {8: 224, 14: 224, 16: 224, 32: 224, 10: 100}
"""Patch and side of common towers and of PocketCLIP, in pixels."""


def phases_of(scenes, patch, side):
    """Give how far each object lies past the last edge of a patch along both sides, in patches: (n, 2)."""
    places = np.array([(scene.placements[0].x, scene.placements[0].y) for scene in scenes])
    return places * side / patch % 1


@pytest.mark.parametrize(("patch", "side"), PATCHES.items())
def test_over_seeds_objects_lie_on_patches_in_all_phases(catalogue, patch, side):
    scenes = [scene for seed in range(20) for scene in grid(catalogue[:120], 3, seed=seed)]
    for cell in (0, 1, 4):
        of_cell = phases_of(scenes[cell::9], patch, side)
        shares = np.array([np.histogram(each, 4, (0, 1))[0] for each in of_cell.T]) / len(of_cell)
        assert (shares > 0.15).all()  # 0.25 if even; of one phase alone, 0 in three of four
        if 224 / side * patch in (8, 16, 32):  # whole fractions of the coarsest patch
            assert all(kstest(each, "uniform").pvalue > 0.001 for each in of_cell.T)


def test_without_jitter_a_place_has_one_phase(catalogue):
    (phase,) = np.unique(phases_of(grid(catalogue[:20], 3, jitter=0)[4::9], 32, 224).round(6))
    assert phase == 0.5


@pytest.mark.parametrize(("patches", "patch"), [((10, 10), 22.4), ((7, 7), 32), ((16, 16), 14), ((2, 2), 32)])
def test_phases_are_where_on_the_patches_the_object_at_the_center_stands(few, patches, patch):
    shown = phases(few[:2], patches)
    expected = {
        "middle of a patch": (0.5, 0.5),
        "edge of two patches": (0, 0.5),
        "corner of four patches": (0, 0),
    }
    assert list(shown) == list(expected)
    for name, scenes in shown.items():
        cells = [(scene.placements[0].row, scene.placements[0].col) for scene in scenes]
        assert cells == [(0, 0), (0, 2), (1, 1), (2, 0), (2, 2)] * 2
        (phase,) = np.unique(phases_of(scenes[2::5], patch, 224).round(6) % 1, axis=0)
        assert tuple(phase) == expected[name]
        assert len({scene.background for scene in scenes}) == 2


def test_sizes_are_compared_at_the_same_places(few):
    tables = [scene_table(grid(few, 3, size=size, largest=0.4)) for size in (0.2, 0.3, 0.4)]
    for table in tables[:-1]:
        assert table["eccentricity"].equals(tables[-1]["eccentricity"])
    assert tables[-1].equals(scene_table(grid(few, 3, size=0.4)))


def test_grid_compares_cells_on_the_same_background_and_deals_kinds_in_turn(few):
    table = scene_table(grid(few, 3, backgrounds=("plain", "noise")))
    per_cutout = table.groupby(["object", "style"], sort=False)[["background", "seed", "size"]].nunique()
    assert (per_cutout == 1).all(axis=None)
    assert table["background"][::9].tolist() == (["plain", "noise"] * len(few))[: len(few)]
    assert table["seed"].nunique() == len(few)


@pytest.mark.parametrize(
    ("k", "cells"),
    [
        (3, [(0, 0), (0, 2), (1, 1), (2, 0), (2, 2)]),
        (
            5,
            [
                (0, 0),
                (0, 2),
                (0, 4),
                (1, 1),
                (1, 3),
                (2, 0),
                (2, 2),
                (2, 4),
                (3, 1),
                (3, 3),
                (4, 0),
                (4, 2),
                (4, 4),
            ],
        ),
    ],
)
def test_a_chessboard_keeps_every_second_cell_with_the_center(few, k, cells):
    kept = scene_table(chessboard(grid(few[:1], k)))
    assert list(zip(kept["row"], kept["col"], strict=True)) == cells
    assert kept["center"].sum() == 1


def test_scattered_objects_are_each_shown_once_somewhere_wholly_inside(catalogue):
    scenes = scattered(catalogue, sizes=(0.2, 0.5), seed=1, height=100, width=200)
    table = scene_table(scenes)
    assert list(table["object"]) == [cutout.object for cutout in catalogue]
    assert table["image"].is_unique
    assert table["size"].between(0.2, 0.5).all()
    assert (table["size"].min() < 0.22, table["size"].max() > 0.48) == (True, True)
    inside = (table["x"].between(table["size"] / 4, 1 - table["size"] / 4), table["y"].between(0, 1))
    assert all(each.all() for each in inside)
    assert (table["y"] - 0.5).abs().max() <= 0.4
    assert np.ptp(table["x"]) > 0.8
    assert (table["center"] == (table["eccentricity"] <= settings.center_limit)).all()
    assert scattered(catalogue[:9], seed=1) == scattered(catalogue[:9], seed=1)


def test_slide_by_hand(few):
    scenes = slide(few[:2], 0.25, size=0.4, jitter=0)
    table = scene_table(scenes)
    assert table["eccentricity"].to_numpy() == pytest.approx([0, 0.25, 0.5] * 2)  # 0.75 would be cut off
    assert table["center"].tolist() == [True, False, False] * 2
    assert (table["x"] - 0.5).abs().to_numpy() == pytest.approx([0, 0.125, 0.25] * 2)
    assert (table["y"] - 0.5).abs().to_numpy() == pytest.approx([0, 0.125, 0.25] * 2)
    assert table["row"].isna().all()
    for three in (scenes[:3], scenes[3:]):
        assert len({scene.background for scene in three}) == 1
        offsets = np.array(
            [(scene.placements[0].x - 0.5, scene.placements[0].y - 0.5) for scene in three[1:]]
        )
        assert (np.sign(offsets[0]) == np.sign(offsets[1])).all()


def test_slide_reaches_all_four_corners(catalogue):
    last = [scene.placements[0] for scene in slide(catalogue[:40], 0.5)[1::2]]
    assert len({(place.x > 0.5, place.y > 0.5) for place in last}) == 4


def test_slide_ends_where_the_object_touches_the_border(shapes):
    last = slide([shapes["disc"]], 0.1, size=0.3, jitter=0)[-1]
    place = last.placements[0]
    assert abs(place.x - 0.5) + 0.15 == pytest.approx(0.5)
    assert last.masks()[0].sum() == pytest.approx(np.pi / 4 * (0.3 * 224) ** 2, rel=0.01)


@pytest.mark.parametrize(
    ("relation", "first", "second"),
    [
        ("on", (0.5, 0.36), (0.5, 0.64)),
        ("under", (0.5, 0.84), (0.5, 0.5)),
        ("left_of", (0.16, 0.5), (0.5, 0.5)),
        ("right_of", (0.84, 0.5), (0.5, 0.5)),
    ],
)
def test_pair_places_the_first_object_as_the_relation_says(few, relation, first, second):
    scenes = pair(few, relation, jitter=0)
    for scene, moved, cutout in zip(scenes, pair(few, relation, jitter=0.06), few, strict=True):
        one, other = scene.placements
        assert one.cutout == cutout
        assert ((one.x, one.y), (other.x, other.y)) == (first, second)
        # the border object leaves room for the jitter: 0.5 - 0.14 - 0.06 from the center
        inward = np.clip(first, 0.2, 0.8)
        one, other = moved.placements
        assert (one.x - other.x, one.y - other.y) == pytest.approx(tuple(inward - second))
        assert scene.relation == relation
        assert scene.center == (relation == "on")
        assert not (scene.masks().sum(axis=(1, 2)) == 0).any()


def test_moved_pairs_have_the_place_of_the_other_relations(few):
    for relation in RELATIONS:
        scenes = zip(pair(few, relation, seed=1), pair(few, relation, moved=True, seed=1), strict=True)
        for placed, moved in scenes:
            (a, b), (c, d) = ([(each.x, each.y) for each in scene.placements] for scene in (placed, moved))
            assert np.subtract(a, b) == pytest.approx(np.subtract(c, d))  # the relation stays
            assert np.ptp([np.subtract(a, c), np.subtract(b, d)], axis=0) == pytest.approx([0, 0])
            assert [placed.center, moved.center] == [relation == "on", relation != "on"]
            (middle, second) = ((a, b), d) if relation == "on" else ((c, d), b)
            assert (abs(np.mean(middle, axis=0) - 0.5) <= JITTER + 1e-9).all()
            assert (abs(np.subtract(second, 0.5)) <= JITTER + 1e-9).all()
            assert np.abs(np.subtract(a, c)).max() > 0.13  # half of the way between the two
            assert all(abs(coordinate - 0.5) <= 0.36 for place in (c, d) for coordinate in place)
            assert placed.background == moved.background
            assert placed.name != moved.name


def test_partners_are_other_objects_of_the_same_style_each_once_and_the_same_in_all_relations(few):
    expected = [scene.placements[1].cutout for scene in pair(few, "on", seed=3)]
    for cutout, partner in zip(few, expected, strict=True):
        assert partner.style == cutout.style
        assert partner.object != cutout.object
    assert sorted(expected, key=lambda cutout: cutout.path) == sorted(few, key=lambda cutout: cutout.path)
    for relation in RELATIONS:
        scenes = pair(few, relation, backgrounds=("plain",), seed=3)
        assert [scene.placements[1].cutout for scene in scenes] == expected


def test_showing_keeps_the_scenes_of_some_cutouts_and_what_stands_beside_them():
    cutouts = sample_objects(read_catalogue(["fluent"]), 3, seed=0)
    scenes, places = three_places(cutouts)
    assert showing([cutouts[1]], scenes) == scenes[3:6]
    assert showing([cutouts[2], cutouts[0]], scenes, places) == (
        [*scenes[:3], *scenes[6:]],
        [*places[:3], *places[6:]],
    )


def test_three_places_are_corner_edge_and_center_of_each_object():
    cutouts = sample_objects(read_catalogue(["fluent"]), 2, seed=0)
    scenes, places = three_places(cutouts, size=0.3, seed=1)
    assert places == ["corner", "edge", "center"] * 2
    objects = [scene.placements[0].cutout.object for scene in scenes]
    assert objects == [cutout.object for cutout in cutouts for _ in range(3)]
    distances = scene_table(scenes)["eccentricity"].to_numpy().reshape(2, 3)
    assert (distances[:, 0] > distances[:, 1]).all()
    assert (distances[:, 1] > distances[:, 2]).all()
    assert (distances[:, 2] <= 1 / 7).all()
    kept = {scene.name: scene for scene in grid(cutouts, 3, size=0.3, seed=1)}
    assert all(scene == kept[scene.name] for scene in scenes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda few: grid(few, 4), "k = 4"),
        (lambda few: grid(few, 1), "k = 1"),
        (lambda few: grid(few, -3), "k = -3"),
        (lambda few: grid(few, size=1.1), r"size is 1\.1"),
        (lambda few: grid(few, size=0.3, largest=0.2), r"largest object has size 0\.2"),
        (lambda few: grid(few, jitter=-0.1), r"jitter is -0\.1"),
        (lambda few: grid(few, shift=(0.2, 0)), r"shift \(0\.2, 0\) goes beyond"),
        (lambda few: pair(few, "on", jitter=0.1), r"jitter of pairs is 0\.1; it must be at most 0\.08"),
        (lambda few: grid([]), "at least one cut-out"),
        (lambda few: grid(few, backgrounds=()), "at least one background"),
        (lambda few: grid(few, backgrounds=("photos",)), "'photos' does not exist"),
        (lambda few: slide(few, 0), "step of 0"),
        (lambda few: slide(few, 1.5), r"step of 1\.5"),
        (lambda few: slide(few, size=-0.3), r"size is -0\.3"),
        (lambda few: pair(few, "leftof"), "did you mean 'left_of'"),
        (lambda few: pair(few[:1], "on"), "a pair needs two"),
    ],
)
def test_bad_input_is_named(few, tmp_path, monkeypatch, call, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        call(few)
    assert not list(tmp_path.iterdir())
