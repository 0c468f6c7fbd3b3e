from dataclasses import replace
from pathlib import Path

import pytest
from drawn_cutouts import cloud, disc, flag, write_cutout

from crosseyed.data.cutouts import objects_of
from crosseyed.data.photographer import Dose
from crosseyed.data.renderings import TRAINED_STYLES
from crosseyed.errors import InputError
from crosseyed.training.model_card import measure_and_write
from crosseyed.training.own_recipes import choose_recipe, read_recipe
from crosseyed.training.recipes import RECIPES, Stage, StudioRecipe, world_of
from crosseyed.training.studio.shots import Photographer
from crosseyed.training.train import train

OWN = """
positions: 0.12
cutouts: my objects
architecture: small
steps: 3
warmup: 1
learning_rate: 1e-3
seed: 4
photographer:
  sizes: [0.2, 0.5]
  pairs: 0
  clutter: 1
  backgrounds: [plain, checks]
rounds: 2
naming: 0.5
stages:
  - steps: 1
    patches: 16
    photographer: {pairs: 0, clutter: 0}
  - steps: 1
    photographer: {pairs: 0, clutter: 1}
"""


def written(folder, text):
    file = folder / "my.yml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def own(tmp_path):
    (tmp_path / "my objects").mkdir()
    for number, shape in enumerate((disc, flag, cloud)):
        write_cutout(
            tmp_path / "my objects" / f"thing-{number}.png", shape, side=40, color=(200, 80 * number, 20)
        )
    return written(tmp_path, OWN)


def test_a_file_gives_the_recipe_that_it_says(own):
    assert read_recipe(own) == StudioRecipe(
        Dose(spread=0.12),
        architecture="small",
        steps=3,
        warmup=1,
        learning_rate=1e-3,
        seed=4,
        cutout_folder=str(own.parent / "my objects"),
        photographer=Photographer(sizes=(0.2, 0.5), pairs=0.0, clutter=1, backgrounds=("plain", "checks")),
        rounds=2,
        naming=0.5,
        stages=(
            Stage(1, 16, Photographer(pairs=0.0, clutter=0)),
            Stage(1, photographer=Photographer(pairs=0.0, clutter=1)),
        ),
    )
    assert objects_of(world_of(read_recipe(own))) == ["thing 0", "thing 1", "thing 2"]


def test_what_a_file_leaves_out_is_as_the_studio_has_it(tmp_path):
    assert read_recipe(written(tmp_path, "positions: centered\nphotographer:\n")) == StudioRecipe("centered")
    few = read_recipe(written(tmp_path, "positions: uniform\nn_objects: 7\nstyles: [openmoji]"))
    assert few == replace(StudioRecipe("uniform"), n_objects=7, styles=("openmoji",))
    assert StudioRecipe("uniform").styles == TRAINED_STYLES


def test_a_name_or_a_file_is_taken(own):
    assert choose_recipe("uniform", None) == RECIPES["uniform"]
    assert choose_recipe(None, own) == read_recipe(own)
    for neither_or_both in ((None, None), ("uniform", own)):
        with pytest.raises(InputError, match="one of them"):
            choose_recipe(*neither_or_both)


def test_own_cutouts_become_a_model_with_its_card(own, tmp_path):
    recipe = read_recipe(own)
    folder = train(recipe, tmp_path / "model", progress=False)
    card = measure_and_write(folder, recipe).read_text()
    assert "of\n3 objects" in card and "chance 33.3 %" in card and "its maker's own cut-outs" in card
    assert "| own |" in card and "No rendering was held out" in card and "held out, center" not in card
    assert "| checks |" in card and "| rings, held out |" in card  # the recipe has one of the two
    assert (
        "| steps | 3 |" in card
        and "| habit | stage 1 | stage 2 | whole task |" in card
        and "| steps | 1 | 1 | 1 |" in card
        and "| patches | 16 | all | all |" in card
        and "| sizes | 0.1, 0.6 | 0.1, 0.6 | 0.2, 0.5 |" in card
    )
    assert "color_jitter" not in card and "| styles |" not in card  # neither was used
    assert train(recipe, folder, progress=False) == folder  # it is finished, and left as it is


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no 'positions'"),
        ("- positions", "no 'positions'"),
        ("steps: 3", "no 'positions'"),
        ("positions: centred", "did you mean 'centered'"),
        ("positions: -0.1", "The spread is -0.1"),
        ("positions: [uniform]", "positions of the recipe"),
        ("positions: uniform\nstep: 3", "has no 'step'; did you mean 'steps'"),
        ("positions: uniform\ncolor_jitter: 0.1", "has no 'color_jitter'"),
        ("positions: uniform\nsteps: many", "steps of the recipe"),
        ("positions: uniform\nsteps: 0", "steps of a recipe is 0"),
        ("positions: uniform\nstyles: openmoji", "styles of the recipe"),
        ("positions: uniform\nstyles: [openmojis]", "did you mean 'openmoji'"),
        ("positions: uniform\nstyles: []", "There are 0 objects"),
        ("positions: uniform\nn_objects: 3", "3 objects to photograph; give at least 4"),
        ("positions: uniform\nn_objects: 3000", "between 1 and 128"),
        ("positions: uniform\narchitecture: huge", "architecture"),
        ("positions: uniform\nphotographer: [plain]", "give habits by name"),
        ("positions: uniform\nphotographer: {shadow: 1}", "has no 'shadow'; did you mean 'shadows'"),
        ("positions: uniform\nphotographer: {shadows: 2}", "shadows of a photographer is 2.0"),
        ("positions: uniform\nphotographer: {sizes: 0.3}", "sizes of the photographer of the recipe"),
        ("positions: uniform\nphotographer: {backgrounds: [strips]}", "did you mean 'stripes'"),
        ("positions: uniform\nrounds: 0", "rounds of a recipe is 0"),
        ("positions: uniform\nnaming: much", "naming of the recipe"),
        ("positions: uniform\nstages: 3", "give a list of settings, each with 'steps'"),
        ("positions: uniform\nstages: [3]", "give a list of settings, each with 'steps'"),
        ("positions: uniform\nstages: [{patches: 9}]", "stage 1 of the recipe .* has no 'steps'"),
        ("positions: uniform\nstages: [{steps: 1, patch: 9}]", "has no 'patch'; did you mean 'patches'"),
        ("positions: uniform\nstages: [{steps: 1}, {steps: x}]", "steps of stage 2 of the recipe"),
        ("positions: uniform\nstages: [{steps: 1, patches: 101}]", "patches of a stage is 101"),
        ("positions: uniform\nsteps: 9\nstages: [{steps: 9}]", "take 9 of its 9 steps"),
        ("positions: uniform\nstages: [{steps: 1, photographer: {shadows: 2}}]", "shadows of a photographer"),
        ("positions: uniform\ncutouts: nowhere", "nowhere"),
        ("positions: uniform\ncutouts: [a, b]", "give a folder"),
        ("positions: uniform\ncutouts: .\nstyles: [noto]", "cutouts and styles; give one"),
        ("positions: uniform\ncutouts: .", "has no PNG or WebP file"),
        ("positions: !!python/object:os.system x", "not YAML"),
        ("positions: uniform\npositions: centered", "comes twice"),
    ],
)
def test_bad_recipes_are_named(tmp_path, text, words):
    with pytest.raises(InputError, match=words) as refusal:
        read_recipe(written(tmp_path, text))
    assert "\n" not in str(refusal.value)


def test_a_recipe_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"mine\.yml.*a recipe"):
        read_recipe(Path(tmp_path / "mine.yml"))
