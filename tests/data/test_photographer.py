import functools
from itertools import pairwise

import numpy as np
import pytest

from crosseyed.data.backgrounds import BACKGROUNDS
from crosseyed.data.cutouts import Cutout, objects_of
from crosseyed.data.photographer import TEMPLATES, Dose, mention_probability, named_in, photograph, snapshot
from crosseyed.errors import InputError

IMAGES = 4000

# No image is drawn here, so the files need not exist.
CUTOUTS = [
    Cutout(f"{letter}{number}", "thing", style, f"{style}/{letter}{number}.png")
    for style in ("one", "two")
    for letter in "abcdef"
    for number in range(5)
]


def take(positions, count=IMAGES):
    images = []
    for number in range(count):
        rng = np.random.default_rng([7, number])
        subject = objects_of(CUTOUTS)[number % 30]
        images.append((subject, *photograph(CUTOUTS, subject, positions, rng, 64)))
    return images


@pytest.fixture(scope="module")
def centered():
    return take("centered")


@pytest.fixture(scope="module")
def uniform():
    return take("uniform")


def test_named_in_takes_a_caption_apart():
    assert named_in("a dog") == ["dog"]
    assert named_in("a photo of a palm tree and a car") == ["palm tree", "car"]
    assert named_in("a picture of a picture and a photo") == ["picture", "photo"]


def distance(placement):
    return np.hypot(placement.x - 0.5, placement.y - 0.5) / np.hypot(0.5, 0.5)


def mentions(images):
    """List the eccentricity of each object and whether the caption names it, leaving out first subjects."""
    found = [
        (distance(placement), placement.cutout.object in named_in(caption))
        for subject, scene, caption in images
        for placement in scene.placements
        if placement.cutout.object != subject
    ]
    return np.array(found).T


@pytest.mark.parametrize(
    ("eccentricity", "probability"),
    [(0, 1), (1 / 3, 1), ((1 / 3 + 0.55) / 2, 0.5), (0.55, 0), (0.7, 0), (1, 0)],
)
def test_mention_probability_by_hand(eccentricity, probability):
    assert mention_probability(eccentricity) == pytest.approx(probability)


def test_captions_mention_objects_as_often_as_documented(centered):
    distances, mentioned = mentions(centered)
    assert mentioned[distances <= 1 / 3].all()
    assert not mentioned[distances >= 0.55].any()
    assert (distances >= 0.55).sum() > 500
    for low, high in pairwise(np.linspace(1 / 3, 0.55, 4)):
        bin_ = (distances > low) & (distances < high)
        expected = np.array([mention_probability(distance) for distance in distances[bin_]])
        error = np.sqrt((expected * (1 - expected)).sum())
        assert bin_.sum() > 40
        assert abs(mentioned[bin_].sum() - expected.sum()) < 4 * error


def test_captions_name_the_subject_and_only_what_is_shown_each_once(centered):
    templates = set()
    for subject, scene, caption in centered:
        named = named_in(caption)
        template = caption.replace(" and a ".join(named), "{}")
        templates.add(template)
        assert subject in named
        assert len(set(named)) == len(named)
        assert set(named) <= {placement.cutout.object for placement in scene.placements}
    assert templates == set(TEMPLATES)


def test_the_recipes_differ_in_positions_alone(centered, uniform):
    moved = 0
    for (_, one, caption), (_, other, same_caption) in zip(centered, uniform, strict=True):
        assert caption == same_caption
        assert one.background == other.background
        for placement, counterpart in zip(one.placements, other.placements, strict=True):
            assert placement.cutout == counterpart.cutout
            assert placement.size == counterpart.size
            assert placement.rotation == counterpart.rotation
            moved += (placement.x, placement.y) != (counterpart.x, counterpart.y)
    assert moved == sum(len(scene.placements) for _, scene, _ in centered)


def test_every_object_stands_inside_the_image(centered, uniform):
    for _, scene, _ in [*centered, *uniform]:
        for placement in scene.placements:
            assert placement.size / 2 - 1e-9 <= placement.x <= 1 - placement.size / 2 + 1e-9
            assert placement.size / 2 - 1e-9 <= placement.y <= 1 - placement.size / 2 + 1e-9


def test_a_lone_subject_stands_at_the_center_with_the_documented_spread(centered):
    alone = [
        placement
        for subject, scene, _ in centered
        for placement in scene.placements
        if placement.cutout.object == subject and placement.size > 0.32
    ]
    offsets = np.array([(placement.x - 0.5, placement.y - 0.5) for placement in alone])
    assert offsets.mean(axis=0) == pytest.approx([0, 0], abs=4 * 0.07 / np.sqrt(len(alone)))
    assert offsets.std(axis=0) == pytest.approx([0.07, 0.07], rel=0.08)


def test_uniform_positions_fill_the_room_that_an_object_has(uniform):
    for axis in ("x", "y"):
        shares = np.sort(
            [
                (getattr(placement, axis) - placement.size / 2) / (1 - placement.size)
                for _, scene, _ in uniform
                if len(scene.placements) == 1  # several objects keep apart from each other
                for placement in scene.placements
            ]
        )
        steps = (np.arange(len(shares)) + 0.5) / len(shares)
        assert np.abs(shares - steps).max() < 1.95 / np.sqrt(len(shares))  # Kolmogorov–Smirnov, p = 0.001


def test_numbers_sizes_rotations_and_backgrounds_are_as_documented(centered):
    counts = np.bincount([len(scene.placements) for _, scene, _ in centered], minlength=5)[1:] / IMAGES
    # one or two subjects (0.7, 0.3), plus zero, one or two pieces of clutter (0.4, 0.4, 0.2)
    expected = np.array([0.28, 0.40, 0.26, 0.06])
    assert (np.abs(counts - expected) < 3 * np.sqrt(expected * (1 - expected) / IMAGES)).all()
    placements = [placement for _, scene, _ in centered for placement in scene.placements]
    sizes = np.array([placement.size for placement in placements])
    assert 0.16 <= sizes.min() < 0.165
    assert 0.455 < sizes.max() <= 0.46
    rotations = np.array([placement.rotation for placement in placements])
    assert np.abs(rotations).max() <= 15
    assert rotations.std() == pytest.approx(15 / np.sqrt(3), rel=0.05)
    kinds = [scene.background.kind for _, scene, _ in centered]
    for kind in BACKGROUNDS:
        assert kinds.count(kind) / IMAGES == pytest.approx(0.25, abs=4 * np.sqrt(0.1875 / IMAGES))


def test_objects_of_an_image_are_distinct_and_subjects_are_in_front(centered):
    for subject, scene, _ in centered:
        objects = [placement.cutout.object for placement in scene.placements]
        assert len(set(objects)) == len(objects)
        assert objects[-1] == subject


def test_an_image_is_decided_by_its_source_of_chance():
    def shoot(seed):
        return photograph(CUTOUTS, "a1", "uniform", np.random.default_rng(seed), 64)

    assert shoot(3) == shoot(3)
    assert shoot(3) != shoot(4)


@pytest.mark.parametrize(
    ("cutouts", "subject", "message"),
    [
        (CUTOUTS[:3], "a1", "3 objects to photograph; give at least 4"),
        (CUTOUTS, "a", "'a' is none of the 30 objects"),
    ],
)
def test_bad_input_is_named(cutouts, subject, message):
    with pytest.raises(InputError, match=message):
        photograph(cutouts, subject, "centered", np.random.default_rng(0), 64)


# --- snapshots ---

# An object in the place of a smaller one may have to move by half the difference of their sizes to be wholly inside.
MOVED_INWARD = (0.42 - 0.24) / 2 * 2


@functools.cache
def snapshots(dose, images=4000):
    """List for each image of the most objects the eccentricities of the named object and of the others."""
    found, counts = [], []
    for number in range(images):
        subject = objects_of(CUTOUTS)[number % 30]
        scene, caption = snapshot(CUTOUTS, subject, dose, np.random.default_rng([5, number]), 64)
        assert named_in(caption) == [subject]
        distances = {placement.cutout.object: distance(placement) for placement in scene.placements}
        counts.append(len(distances))
        if len(distances) == dose.n_objects:
            found.append((distances.pop(subject), list(distances.values())))
    # each number of objects is equally frequent, within three standard errors
    shares = np.bincount(counts, minlength=dose.n_objects + 1)[1:] / images
    assert shares == pytest.approx(1 / dose.n_objects, abs=3 * 0.5 / np.sqrt(images))
    return found


@pytest.mark.parametrize("spread", [0.03, 0.1])
def test_snapshots_stand_as_far_from_the_center_as_the_spread_says(spread):
    named = np.array([named for named, _ in snapshots(Dose(spread=spread), 1500)])
    # x and y are normal, so the distance over half the diagonal has the mean square 2 · spread² / 0.5
    assert np.sqrt((named**2).mean()) == pytest.approx(2 * spread, rel=0.1)


def test_a_caption_can_always_name_the_most_central_object():
    assert all(
        named <= min(others) + MOVED_INWARD
        for named, others in snapshots(Dose(central_naming_probability=1, n_objects=3))
    )


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_central_naming_probability_is_the_share_of_captions_that_look_at_the_place(probability):
    central = np.mean(
        [
            named <= min(others)
            for named, others in snapshots(Dose(central_naming_probability=probability, n_objects=3))
        ]
    )
    assert central == pytest.approx(probability + (1 - probability) / 3, abs=0.04)


def test_central_naming_changes_what_is_named_and_not_where_objects_stand():
    def places(probability):
        return np.array(
            [
                [named, *others]
                for named, others in snapshots(Dose(central_naming_probability=probability, n_objects=3))
            ]
        )

    assert np.abs(np.sort(places(1.0)) - np.sort(places(0.0))).mean() < 0.02


@pytest.mark.parametrize(
    ("dose", "message"),
    [
        ({"spread": 0}, "spread is 0"),
        ({"central_naming_probability": 1.5}, "central_naming_probability is 1.5"),
        ({"n_objects": 0}, "n_objects is 0"),
    ],
)
def test_doses_out_of_range_are_refused(dose, message):
    with pytest.raises(InputError, match=message):
        Dose(**dose)


def test_a_snapshot_needs_enough_objects():
    with pytest.raises(InputError, match="give at least 3"):
        snapshot(CUTOUTS[:2], "a0", Dose(n_objects=3), np.random.default_rng(0), 64)


def test_a_caption_that_names_all_names_the_objects_of_the_same_image(centered):
    for (_, scene, caption), (_, other, complete) in zip(
        centered[:500], take("centered, all named", 500), strict=True
    ):
        shown = {placement.cutout.object for placement in scene.placements}
        assert set(named_in(complete)) == shown
        assert set(named_in(caption)) <= shown
        assert other.placements == scene.placements
