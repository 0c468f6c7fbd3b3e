"""Each size of an edition is what its name says, and smaller ones are part of larger ones."""

from itertools import pairwise

import pytest
from small_notebooks import defaults

from crosseyed.editions import SIZES
from crosseyed.errors import InputError
from crosseyed.report.parameters import CHAPTERS, check
from crosseyed.report.sizes import PRESETS, preset


@pytest.mark.parametrize("chapter", PRESETS)
def test_the_defaults_of_a_notebook_are_its_full_size(chapter):
    given = defaults(chapter)
    assert {name: given[name] for name in PRESETS[chapter]["full"]} == PRESETS[chapter]["full"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_a_size_gives_a_notebook_are_parameters_of_it(chapter, size):
    check(chapter, defaults(chapter) | preset(chapter, size))


@pytest.mark.parametrize("chapter", PRESETS)
def test_a_larger_size_takes_at_least_as_much_of_everything(chapter):
    sizes = [PRESETS[chapter][size] for size in SIZES]
    assert list(PRESETS[chapter]) == list(SIZES)
    for smaller, larger in pairwise(sizes):
        assert smaller.keys() == larger.keys()
        for name, amount in smaller.items():
            if isinstance(amount, list):
                assert set(amount) <= set(larger[name])
            else:
                assert amount <= larger[name]


def test_a_size_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="Unknown size 'qick'; did you mean 'quick'"):
        preset("01_center_bias", "qick")


def test_a_notebook_of_ones_own_has_no_presets():
    assert preset("09_mine", "quick") == {}
