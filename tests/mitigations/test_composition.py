import numpy as np
import pytest
from mitigations_by_hand import (
    MIDDLE,
    TEXTS,
    Darker,
    Louder,
    Marked,
    Nothing,
    Turned,
    Zoomed,
    by_hand,
    some_images,
)

from crosseyed.errors import InputError
from crosseyed.mitigations.composition import Composed, compose
from crosseyed.mitigations.mitigated import mitigate


def test_composed_views_are_views_of_views_and_combined_from_the_inside(tiny_clip):
    outer, inner = Turned(turns=2, aggregate="mean"), Turned(turns=3, aggregate="max")
    nested = by_hand(
        tiny_clip,
        lambda image: [np.rot90(np.rot90(image, first), then) for first in range(2) for then in range(3)],
        some_images(),
    )
    expected = nested.reshape(4, 2, 3, 3).max(2).mean(1)
    for mitigated in (
        mitigate(tiny_clip, compose(outer, inner)),
        mitigate(mitigate(tiny_clip, inner), outer),
    ):
        assert mitigated.mitigation.n_views == mitigated.mitigation.passes == 6
        np.testing.assert_allclose(mitigated.similarities(some_images(), TEXTS), expected, atol=1e-6)


def test_composed_means_have_the_vector_of_nested_means(tiny_clip):
    mitigated = mitigate(
        tiny_clip, compose(Turned(turns=2, aggregate="mean"), Turned(turns=3, aggregate="mean"))
    )
    (image,) = some_images(1)
    outer = []
    for first in range(2):
        inner = tiny_clip.encode_images([np.rot90(np.rot90(image, first), then) for then in range(3)]).mean(0)
        outer.append(inner / np.linalg.norm(inner))
    expected = np.mean(outer, 0) / np.linalg.norm(np.mean(outer, 0))
    np.testing.assert_allclose(mitigated.encode_images([image])[0], expected, atol=1e-6)


def test_composed_changes_are_in_force_together_and_leave_in_reverse(tiny_clip):
    diary = []
    composed = compose(Louder(5.0, diary), Louder(2.0, diary))
    found = mitigate(tiny_clip, composed).similarities(some_images(), TEXTS)
    assert diary == [("enter", 5.0), ("enter", 2.0), ("leave", 2.0), ("leave", 5.0)]
    np.testing.assert_array_equal(
        found, mitigate(tiny_clip, Louder(10.0, [])).similarities(some_images(), TEXTS)
    )
    np.testing.assert_array_equal(
        mitigate(tiny_clip, composed).encode_images(some_images()),
        mitigate(tiny_clip, Louder(10.0, [])).encode_images(some_images()),
    )


def test_composition_is_flat_and_of_one_is_that_one():
    inner = compose(Nothing(), Darker())
    assert compose(inner, Nothing(1.0)).parts == (Nothing(), Darker(), Nothing(1.0))
    assert compose(Darker()) == Darker()
    with pytest.raises(InputError, match="at least one"):
        compose()


def test_two_that_are_told_and_move_exclude_each_other(tiny_clip):
    with pytest.raises(InputError, match="zoomed and zoomed exclude each other"):
        compose(Zoomed(), Darker(), Zoomed())
    with pytest.raises(InputError, match="exclude each other"):
        mitigate(mitigate(tiny_clip, Zoomed(), [MIDDLE]), Zoomed())
    assert compose(Marked(), Zoomed()).needs_location


def test_composed_says_what_its_parts_say():
    assert (
        Composed((Nothing(), Marked())).needs_location and not Composed((Nothing(), Darker())).needs_location
    )
    assert Composed((Nothing(), Turned())).moves and not Composed((Nothing(), Darker())).moves
