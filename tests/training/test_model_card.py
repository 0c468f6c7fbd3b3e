import itertools
import json
import shutil

import pandas as pd
import pytest

from crosseyed import files
from crosseyed.errors import InputError
from crosseyed.settings import settings
from crosseyed.training import model_card
from crosseyed.training.evaluation import summarize
from crosseyed.training.recipes import RECIPES

RECIPE = RECIPES["uniform"]
CONDITIONS = [
    *(("rendering", None, place) for place in ("center cell", "inner ring", "outer ring")),
    *itertools.product(["size"], ["0.1", "0.6"], ["center", "corner"]),
    *itertools.product(["background"], ["plain", "checks"], ["center", "corner"]),
    *itertools.product(["phase"], ["middle of a patch"], ["center", "corner"]),
]


@pytest.fixture
def answers():
    """Answers about two objects: right of trained renderings in the middle, else always the other object."""
    rows = [
        {
            "object": name,
            "style": style,
            "factor": factor,
            "value": value or style,
            "place": place,
            "correct": place in ("center cell", "center") and style == "fluent",
        }
        for name, style in itertools.product(["cup", "dog"], ["fluent", "noto"])
        for factor, value, place in CONDITIONS
    ]
    table = pd.DataFrame(rows).assign(weights="0123abcd")
    other = table["object"].map({"cup": "dog", "dog": "cup"})
    rendering = table["style"].map({"fluent": "trained", "noto": "held out"})
    return table.assign(choice=table["object"].where(table["correct"], other), rendering=rendering)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pocketclip-x"
    folder.mkdir()
    (folder / "loss.csv").write_text("step,loss\n0,2.0\n1,1.0\n")
    (folder / "cost.json").write_text(json.dumps({"device": "cpu", "core_seconds": 7200.0}))
    return folder


def test_the_card_states_figures_recipe_level_and_cost(answers, folder):
    with settings.overridden(confidence=0.9):
        card = model_card.write_card(folder, RECIPE, answers, "uniform").read_text()
    # Of m = 2 objects whose answers agree, Wilson's interval begins at m / (m + z²), with z = 1.645 (90 %).
    all_, none = "100.0 % [42.5, 100.0]", "0.0 % [0.0, 57.5]"
    assert f"| trained | {all_} | {none} | {none} |" in card
    assert f"| noto | {none} | {none} | {none} |" in card
    assert f"| 0.6 | {all_} | {none} | {none} | {none} |" in card
    assert f"| checks, held out | {all_} | {none} | {none} | {none} |" in card and "| plain |" in card
    assert f"| middle of a patch | {all_} | {none} | {none} | {none} |" in card
    assert "90 % interval" in card and "chance 50.0 %" in card and "rendering noto was held out" in card
    assert "| steps | 5000 |" in card and "`crosseyed card uniform` computes" in card
    # two core-hours at 10 W are 20 Wh, and at 436 g/kWh 8.72 g
    assert "2.0 hours of one core (cpu)" in card and "20 Wh" in card and "or 9 g of" in card
    figures = pd.read_csv(folder / "accuracy.csv")
    assert figures["accuracy"].max() == 100 and (figures["confidence"] == 0.9).all()
    assert (figures["weights"] == "0123abcd").all()


def test_the_card_lists_what_the_model_does_not_know_and_takes_for_something_else(answers, folder):
    card = model_card.write_card(folder, RECIPE, answers, "uniform").read_text()
    assert "In trained renderings, 0 of 2 objects." in card
    assert "In held out renderings, 2 of 2 objects: cup, dog." in card
    assert "| held out | cup | dog | 100 % |" in card and "| trained | cup |" not in card
    classes = pd.read_csv(folder / "classes.csv").set_index(["rendering", "object"])
    assert classes["accuracy"].to_dict() == {
        ("held out", "cup"): 0.0,
        ("held out", "dog"): 0.0,
        ("trained", "cup"): 100.0,
        ("trained", "dog"): 100.0,
    }


def test_figures_keep_the_order_of_the_questions(answers):
    figures = summarize(answers)
    assert list(figures["value"].unique()) == [
        *("all", "fluent", "0.1", "0.6", "plain", "checks", "middle of a patch", "noto")
    ]


def test_a_cost_that_was_not_kept_is_not_made_up(answers, folder):
    (folder / "cost.json").unlink()
    assert "was not recorded" in model_card.write_card(folder, RECIPE, answers).read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cost.json"),
        ('{"device": "cpu"}', "core_seconds"),
        ('{"device": "cpu", "core_seconds": -1}', "0"),
    ],
)
def test_a_damaged_cost_is_named(answers, folder, text, words):
    (folder / "cost.json").write_text(text)
    with pytest.raises(InputError, match=words):
        model_card.write_card(folder, RECIPE, answers)
    assert not (folder / "README.md").exists()


def test_a_card_is_only_written_where_a_model_and_no_other_card_is(tmp_path):
    with pytest.raises(InputError, match="There is no"):
        model_card.check_folder(tmp_path / "none", RECIPE)
    with pytest.raises(InputError, match="open_clip_model"):
        model_card.check_folder(tmp_path, RECIPE)
    (tmp_path / "open_clip_model.safetensors").write_text("")
    assert model_card.check_folder(tmp_path, RECIPE) == tmp_path
    (tmp_path / "README.md").write_text("# My notes")
    with pytest.raises(InputError, match="not a model card"):
        model_card.check_folder(tmp_path, RECIPE)
    assert (tmp_path / "README.md").read_text() == "# My notes"
    (tmp_path / "README.md").unlink()
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(InputError, match="another recipe"):
        model_card.check_folder(tmp_path, RECIPE)
    published = files.DATA / "models" / "pocketclip-uniform"
    assert model_card.check_folder(published, RECIPE) == published


def test_figures_are_read_whole_or_not_at_all(answers, folder):
    model_card.write_card(folder, RECIPE, answers)
    file = folder / "accuracy.csv"
    assert len(model_card.read_figures(file)) == 6 + 6 + 8 + 8 + 4
    lines = file.read_text().splitlines(keepends=True)
    without_phases = [line for line in lines if not line.startswith("phase")]
    for damaged in (lines[:1] + lines[2:], [*lines[:-1], lines[-1][:-4]], [*lines, lines[1]], without_phases):
        file.write_text("".join(damaged))
        with pytest.raises(InputError, match=r"accuracy\.csv.*crosseyed card"):
            model_card.read_figures(file)


def test_the_card_of_a_model_shows_its_name_as_it_is(answers, folder):
    odd = folder.with_name("$x$ [b](c)")
    shutil.move(folder, odd)
    assert (
        model_card.write_card(odd, RECIPE, answers).read_text().startswith("# &#36;x&#36; &#91;b&#93;(c)\n")
    )
