import pytest

from crosseyed.errors import InputError
from crosseyed.validation import Checked, Count, Seed, validated


class Given(Checked):
    model: str
    n_objects: Count = 3
    seed: Seed = 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"model": "a", "n_object": 3},
            ["no 'n_object'", "did you mean 'n_objects'", "model, n_objects, seed"],
        ),
        ({"n_objects": 3}, ["lacks 'model'"]),
        ({"modle": "a"}, ["did you mean 'model'"]),
        ({"model": "a", "n_objects": "12"}, ["n_objects", "'12'", "integer"]),
        ({"model": "a", "n_objects": 1.5}, ["n_objects", "1.5", "integer"]),
        ({"model": "a", "n_objects": True}, ["n_objects", "True", "integer"]),
        ({"model": "a", "n_objects": 0}, ["n_objects", "greater than or equal to 1"]),
        ({"model": "a", "seed": -1}, ["seed", "-1"]),
        ({"model": "a", "seed": 2**32}, ["seed", str(2**32)]),
        ({"model": 7}, ["model", "7", "string"]),
        ({"model": None}, ["model", "None"]),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(values, words):
    with pytest.raises(InputError) as caught:
        validated(Given, values, "the chapter")
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_what_is_right_is_returned_as_it_is():
    given = validated(Given, {"model": "007", "seed": 2**32 - 1}, "the chapter")
    assert (given.model, given.n_objects, given.seed) == ("007", 3, 2**32 - 1)


def test_a_monster_in_a_message_is_cut():
    with pytest.raises(InputError) as caught:
        validated(Given, {"model": ["x" * 10**6] * 1000}, "the chapter")
    assert len(str(caught.value)) < 300
