from dataclasses import replace

import numpy as np
import pytest
from drawn_cutouts import disc, write_cutout

from crosseyed.data.cutouts import Cutout
from crosseyed.data.photographer import Dose
from crosseyed.errors import InputError
from crosseyed.training.studio.shots import Photographer, places, plan, render, world_by_object

# No image of these is drawn, so the files need not exist.
CUTOUTS = [
    Cutout(f"{letter}{number}", "thing", style, f"{style}/{letter}{number}.png")
    for style in ("one", "two")
    for letter in "abcdef"
    for number in range(5)
]
WORLD = world_by_object(CUTOUTS)
NAMES = list(WORLD)
HABITS = Photographer()
COUNT = 3000


def shoot(photographer=HABITS, count=COUNT):
    return [
        plan(WORLD, NAMES[number % 30], photographer, np.random.default_rng([3, number]))
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def shots():
    return shoot()


def placed(shots, positions):
    return [places(shot, positions, np.random.default_rng([4, index])) for index, shot in enumerate(shots)]


def distance(place):
    return np.hypot(place[0] - 0.5, place[1] - 0.5) / np.hypot(0.5, 0.5)


def figures(shots):
    return [figure for shot in shots for figure in shot.figures]


def share(flags):
    flags = list(flags)
    return np.mean(flags), 3 * 0.5 / np.sqrt(len(flags))


def test_the_subject_comes_first_and_captions_name_subjects_alone(shots):
    for number, shot in enumerate(shots):
        shown = [figure.cutout.object for figure in shot.figures]
        assert shown[0] == NAMES[number % 30] and len(set(shown)) == len(shown)
        flags = [figure.subject for figure in shot.figures]
        assert flags == sorted(flags, reverse=True)
        named = [name for name in NAMES if name in shot.caption.split()]
        assert set(named) == {figure.cutout.object for figure in shot.figures if figure.subject}


def test_numbers_of_objects_are_as_documented(shots):
    pairs, error = share(sum(figure.subject for figure in shot.figures) == 2 for shot in shots)
    assert pairs == pytest.approx(HABITS.pairs, abs=error)
    clutter = np.bincount([sum(not figure.subject for figure in shot.figures) for shot in shots])
    assert clutter / COUNT == pytest.approx([1 / 3] * 3, abs=0.03)


def test_sizes_fill_their_range_and_their_logarithms_are_uniform(shots):
    alone = [shot.figures[0].pose.size for shot in shots if sum(f.subject for f in shot.figures) == 1]
    shares = np.sort(np.log(np.array(alone) / 0.10) / np.log(6))
    assert shares[0] >= 0 and shares[-1] <= 1
    steps = (np.arange(len(shares)) + 0.5) / len(shares)
    assert np.abs(shares - steps).max() < 1.95 / np.sqrt(len(shares))  # Kolmogorov–Smirnov, p = 0.001


def test_what_varies_does_so_as_often_and_as_far_as_stated(shots):
    every = figures(shots)
    for stated, found in [
        (HABITS.shadows, (figure.shadow is not None for figure in every)),
        (HABITS.occlusion, (figure.occluder is not None for figure in every)),
        (HABITS.truncation, (figure.overhang > 0 for figure in every)),
        (HABITS.jpeg, (shot.lens.quality is not None for shot in shots)),
        (0.5, (figure.pose.mirrored for figure in every)),
    ]:
        observed, error = share(found)
        assert observed == pytest.approx(stated, abs=error)
    assert max(abs(figure.pose.rotation) for figure in every) == pytest.approx(HABITS.rotation, rel=0.02)
    assert max(abs(figure.pose.yaw) for figure in every) == pytest.approx(HABITS.tilt, rel=0.02)
    assert max(figure.overhang for figure in every) == pytest.approx(1 / 3, rel=0.05)
    assert max(shot.lens.blur for shot in shots) == pytest.approx(HABITS.blur, rel=0.02)
    assert max(shot.lens.noise for shot in shots) == pytest.approx(HABITS.noise, rel=0.02)
    assert {shot.background for shot in shots} == set(HABITS.backgrounds)


def test_what_is_set_to_nothing_does_not_occur():
    still = Photographer(
        pairs=0, clutter=0, rotation=0, tilt=0, light=0, shadows=0, occlusion=0, truncation=0, blur=0, noise=0, jpeg=0,
        attributes=0, backgrounds=("plain",),
    )  # fmt: skip
    for shot in shoot(still, 200):
        (figure,) = shot.figures
        assert (figure.pose.rotation, figure.pose.yaw, figure.pose.pitch) == (0, 0, 0)
        assert figure.light.gains == (1, 1, 1) and figure.light.saturation == 1 and figure.light.slope == 0
        assert figure.shadow is figure.occluder is None and figure.overhang == 0
        assert shot.lens.gains == (1, 1, 1) and shot.lens.gamma == 1 and not shot.lens.gray
        assert (shot.lens.blur, shot.lens.noise, shot.lens.quality) == (0, 0, None)
        words = shot.caption.replace(figure.cutout.object, "").split()
        assert set(words) <= {
            "a",
            "an",
            "the",
            "photo",
            "picture",
            "image",
            "drawing",
            "of",
            "this",
            "is",
            "there",
        }


def test_a_shot_has_no_places_and_positions_draw_nothing_of_it(shots):
    assert shots[:50] == shoot(count=50)
    centered, uniform = placed(shots, "centered"), placed(shots, "uniform")
    for shot, one, other in zip(shots, centered, uniform, strict=True):
        assert len(one) == len(other) == len(shot.figures)
        assert not set(one) & set(other)


@pytest.mark.parametrize("positions", ["centered", "uniform", Dose(spread=0.1)])
def test_objects_reach_over_the_border_by_their_overhang_at_most(shots, positions):
    over = []
    for shot, where in zip(shots, placed(shots, positions), strict=True):
        for figure, place in zip(shot.figures, where, strict=True):
            reach = max(abs(place[0] - 0.5), abs(place[1] - 0.5)) + figure.pose.size / 2 - 0.5
            assert reach <= figure.overhang * figure.pose.size + 1e-9
            over.append(reach > 1e-9)
    assert any(over)


def test_centered_subjects_stand_around_the_center_and_clutter_at_the_border(shots):
    subjects, clutter = [], []
    for shot, where in zip(shots, placed(shots, "centered"), strict=True):
        for figure, place in zip(shot.figures, where, strict=True):
            if not figure.subject:
                clutter.append(distance(place))
            elif sum(each.subject for each in shot.figures) == 1:
                subjects.append(place)
    assert np.mean(subjects, axis=0) == pytest.approx([0.5, 0.5], abs=0.01)
    assert np.std(subjects, axis=0) == pytest.approx([0.07, 0.07], rel=0.08)
    assert np.quantile(clutter, 0.05) > 0.5


def test_uniform_places_fill_the_room_that_an_object_has(shots):
    for axis in (0, 1):
        shares = np.sort(
            [
                (where[0][axis] - margin) / (1 - 2 * margin)
                for shot, where in zip(shots, placed(shots, "uniform"), strict=True)
                for margin in [shot.figures[0].pose.size * (0.5 - shot.figures[0].overhang)]
            ]
        )
        steps = (np.arange(len(shares)) + 0.5) / len(shares)
        assert np.abs(shares - steps).max() < 1.95 / np.sqrt(len(shares))


def test_a_spread_is_the_standard_deviation_of_places():
    small = shoot(Photographer(sizes=(0.1, 0.2), pairs=0, clutter=0, truncation=0), 2000)
    where = np.array([each[0] for each in placed(small, Dose(spread=0.05))])
    assert where.std(axis=0) == pytest.approx([0.05, 0.05], rel=0.06)


def test_a_shot_looks_the_same_whenever_it_is_drawn_and_differs_with_places(tmp_path):
    cutouts = [write_cutout(tmp_path / f"{name}.png", disc, side=60) for name in "abcde"]
    world = world_by_object(cutouts)
    shot = plan(world, "c", HABITS, np.random.default_rng(5))
    where = places(shot, "uniform", np.random.default_rng(6))
    image = render(shot, where, 48)
    assert image.shape == (48, 48, 3) and image.dtype == np.uint8
    assert np.array_equal(image, render(shot, where, 48))
    assert not np.array_equal(image, render(shot, places(shot, "uniform", np.random.default_rng(7)), 48))
    without = replace(shot, figures=())
    assert not np.array_equal(image, render(without, (), 48))


def test_the_first_subject_is_drawn_in_front(tmp_path):
    red = write_cutout(tmp_path / "red.png", disc, side=60, color=(255, 0, 0))
    others = [write_cutout(tmp_path / f"{name}.png", disc, side=60, color=(0, 0, 255)) for name in "abc"]
    calm = Photographer(
        sizes=(0.3, 0.3), light=0, shadows=0, occlusion=0, truncation=0, blur=0, noise=0, jpeg=0, pairs=1
    )
    shot = plan(world_by_object([red, *others]), "red", calm, np.random.default_rng(0))
    image = render(shot, [(0.5, 0.5)] * len(shot.figures), 40)
    assert image[20, 20].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plan(WORLD, "a", HABITS, np.random.default_rng(0)), "'a' is none of the 30 objects"),
        (lambda: Photographer(pairs=1.5), "pairs of a photographer is 1.5; give a number from 0 to 1"),
        (lambda: Photographer(tilt=float("nan")), "tilt of a photographer is nan"),
        (lambda: Photographer(blur="much"), "blur of a photographer is 'much'"),
        (lambda: Photographer(clutter=1.5), "clutter of a photographer is 1.5; give a whole number"),
        (lambda: Photographer(sizes=(0.5, 0.2)), "sizes of a photographer are 0.5 and 0.2; give the smaller"),
        (lambda: Photographer(sizes=(0.5,)), "give the smallest and the largest"),
        (lambda: Photographer(sizes=(0.0, 0.2)), "sizes of a photographer is 0.0; give a number from 0.02"),
        (lambda: Photographer(backgrounds=()), "give at least one kind"),
        (lambda: Photographer(backgrounds=("strips",)), "did you mean 'stripes'"),
    ],
)
def test_bad_habits_and_worlds_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
