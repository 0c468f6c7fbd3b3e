from dataclasses import replace

import pytest

from crosseyed.data.cutouts import objects_of
from crosseyed.data.renderings import HELD_OUT_STYLE, TRAINED_STYLES
from crosseyed.errors import InputError
from crosseyed.training.recipes import RECIPES, Recipe, find_recipe, world_of


def test_unknown_recipe_is_told_the_nearest():
    with pytest.raises(InputError, match="did you mean 'centered'"):
        find_recipe("centred")


def test_recipes_of_some_objects_share_them_and_the_others_train_on_all():
    few, again = (world_of(Recipe(positions, n_objects=7)) for positions in RECIPES)
    assert few == again and len(objects_of(few)) == 7
    whole = world_of(find_recipe("centered"))
    assert len(objects_of(whole)) > 7 and {cutout.style for cutout in whole} == set(TRAINED_STYLES)


def test_the_two_pocketclips_differ_in_positions_alone():
    centered, uniform = RECIPES["centered"], RECIPES["uniform"]
    assert (centered.positions, uniform.positions) == ("centered", "uniform")
    assert replace(centered, positions="uniform") == uniform
    assert centered.cutout_folder is None and HELD_OUT_STYLE not in centered.styles


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"positions": "unifrom"}, "did you mean 'uniform'"),
        ({"architecture": "pocketclp"}, "did you mean 'pocketclip'"),
        ({"pooling": "averge"}, "did you mean 'average'"),
        ({"steps": 0}, "steps of a recipe is 0"),
        ({"steps": "4"}, "whole number from 1"),
        ({"n_objects": 2.5}, "n_objects of a recipe is 2.5"),
        ({"seed": 2**32}, "seed of a recipe"),
        ({"learning_rate": float("nan")}, "learning_rate of a recipe is nan; give a finite number"),
    ],
)
def test_a_recipe_with_a_misspelt_name_or_an_odd_number_cannot_be_made(values, words):
    with pytest.raises(InputError, match=words):
        Recipe(**{"positions": "centered", **values})
