import pytest

from crosseyed.data.cutouts import objects_of
from crosseyed.errors import InputError
from crosseyed.training.recipes import RECIPES, Recipe, find_recipe, world_of


def test_unknown_recipe_is_told_the_nearest():
    with pytest.raises(InputError, match="did you mean 'centered'"):
        find_recipe("centred")


def test_recipes_of_some_objects_share_them_and_the_others_train_on_all():
    few, again = (world_of(Recipe(positions, n_objects=7)) for positions in RECIPES)
    assert few == again and len(objects_of(few)) == 7
    whole = world_of(find_recipe("centered"))
    assert len(objects_of(whole)) > 7 and {cutout.style for cutout in whole} == {"fluent", "twemoji"}
