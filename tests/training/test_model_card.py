import itertools

import pandas as pd
import pytest

from crosseyed import files
from crosseyed.errors import InputError
from crosseyed.settings import settings
from crosseyed.training import model_card
from crosseyed.training.recipes import RECIPES


@pytest.fixture
def table():
    """Answers to two objects in a grid of 3; trained renderings are right at the center, held-out ones never."""
    cells = itertools.product(["cup", "dog"], ["fluent", "noto"], range(3), range(3))
    table = pd.DataFrame(cells, columns=["object", "style", "row", "col"]).assign(
        size=0.3, weights="0123abcd"
    )
    center = (table["row"] == 1) & (table["col"] == 1)
    trained = table["style"] == "fluent"
    return table.assign(
        correct=center & trained,
        zone=center.map({True: "center cell", False: "outer ring"}).mask(table["row"] == 0, "inner ring"),
        rendering=trained.map({True: "trained", False: "held out"}),
    )


def test_the_card_states_figures_recipe_and_level(table, tmp_path):
    with settings.overridden(confidence=0.9):
        card = model_card.write_card(tmp_path / "pocketclip-x", RECIPES["uniform"], table).read_text()
    # Of m = 2 objects whose answers agree, Wilson's interval begins at m / (m + z²), with z = 1.645 (90 %).
    assert "| center cell | 100.0 % [42.5, 100.0] | 0.0 % [0.0, 57.5] |" in card
    assert "90 % interval" in card and "3 × 3 grid" in card and "chance 50.0 %" in card
    assert "| steps | 2600 |" in card and "(noto)" in card and "stand anywhere" in card
    figures = pd.read_csv(tmp_path / "pocketclip-x" / "accuracy.csv")
    assert figures["accuracy"].max() == 100 and (figures["confidence"] == 0.9).all()
    assert (figures["weights"] == "0123abcd").all()


def test_a_card_is_only_written_where_a_model_and_no_other_card_is(tmp_path):
    recipe = RECIPES["uniform"]
    with pytest.raises(InputError, match="There is no"):
        model_card.check_folder(tmp_path / "none", recipe)
    with pytest.raises(InputError, match="open_clip_model"):
        model_card.check_folder(tmp_path, recipe)
    (tmp_path / "open_clip_model.safetensors").write_text("")
    assert model_card.check_folder(tmp_path, recipe) == tmp_path
    (tmp_path / "README.md").write_text("# My notes")
    with pytest.raises(InputError, match="not a model card"):
        model_card.check_folder(tmp_path, recipe)
    assert (tmp_path / "README.md").read_text() == "# My notes"
    (tmp_path / "README.md").unlink()
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(InputError, match="another recipe"):
        model_card.check_folder(tmp_path, recipe)
    published = files.DATA / "models" / "pocketclip-uniform"
    assert model_card.check_folder(published, recipe) == published


def test_figures_are_read_whole_or_not_at_all(table, tmp_path):
    model_card.write_card(tmp_path, RECIPES["uniform"], table)
    file = tmp_path / "accuracy.csv"
    assert len(model_card.read_figures(file)) == 6
    lines = file.read_text().splitlines(keepends=True)
    for damaged in ("".join(lines[:-1]), "".join(lines)[:-4], "".join([*lines[:-1], lines[1]])):
        file.write_text(damaged)
        with pytest.raises(InputError, match=r"accuracy\.csv.*crosseyed card"):
            model_card.read_figures(file)


def test_the_card_of_a_model_shows_its_name_as_it_is(table, tmp_path):
    card = model_card.write_card(tmp_path / "$x$ [b](c)", RECIPES["uniform"], table).read_text()
    assert card.startswith("# &#36;x&#36; &#91;b&#93;(c)\n")
