import itertools

import pandas as pd
import pytest

from crosseyed.settings import settings
from crosseyed.training import model_card
from crosseyed.training.recipes import RECIPES


@pytest.fixture
def table():
    """Answers to two objects in a grid of 3; trained renderings are right at the center, held-out ones never."""
    cells = itertools.product(["cup", "dog"], ["fluent", "noto"], range(3), range(3))
    table = pd.DataFrame(cells, columns=["object", "style", "row", "col"]).assign(size=0.3)
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
    assert "| center cell | 100.0 % [100.0, 100.0] | 0.0 % [0.0, 0.0] |" in card
    assert "90 % interval" in card and "3 × 3 grid" in card and "chance 50.0 %" in card
    assert "| steps | 2600 |" in card and "(noto)" in card and "stand anywhere" in card
    figures = pd.read_csv(tmp_path / "pocketclip-x" / "accuracy.csv")
    assert figures["accuracy"].max() == 100 and (figures["confidence"] == 0.9).all()
