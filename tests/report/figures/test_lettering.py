import io
import warnings

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from figure_tables import gaps, grid, rings, words

from crosseyed.report.figures import bars, curves, galleries, lettering
from crosseyed.report.figures.lettering import MissingGlyphWarning
from crosseyed.report.figures.style import styled

NAMES = ["$x$", "_tag_$", r"\frac", "$", "a^b_c", "{{x}}"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("draw", "table"),
    [(curves.accuracy_by_eccentricity, rings), (bars.gap_bars, gaps), (galleries.accuracy_grid, grid)],
)
def test_every_name_is_drawn_as_it_is(draw, table):
    figure = draw(pd.concat([table(name) for name in NAMES], ignore_index=True))
    figure.savefig(io.BytesIO())
    assert all(name in words(figure) for name in NAMES)


@styled
def labelled(names, scale="linear"):
    figure, ax = plt.subplots()
    ax.plot(range(1, 1 + len(names)), range(1, 1 + len(names)))
    ax.set_yticks(range(1, 1 + len(names)), labels=names)
    ax.set_xscale(scale)
    return figure


@pytest.mark.filterwarnings("error")
def test_tick_labels_are_drawn_as_they_are():
    figure = labelled(NAMES)
    figure.savefig(io.BytesIO())
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == NAMES
    assert not any(label.get_parse_math() for label in labels)


def test_powers_of_a_logarithmic_axis_stay_formulas():
    figure = labelled(["a", "b"], scale="log")
    figure.savefig(io.BytesIO())
    assert all(label.get_parse_math() for label in figure.axes[0].get_xticklabels())


def test_what_no_font_has_is_named_by_its_code_in_one_warning(monkeypatch):
    monkeypatch.setattr(lettering, "_family_with", lambda letter: None)
    with pytest.warns(MissingGlyphWarning) as caught:
        figure = labelled(["猫", "dog 猫 犬"])
    assert len(caught) == 1 and "U+72AC, U+732B" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO())
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["U+732B", "dog U+732B U+72AC"]


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_lacks_come_from_one_that_has_them(monkeypatch):
    monkeypatch.setattr(lettering, "_family_with", lambda letter: "STIXGeneral" if letter == "猫" else None)
    (label,) = labelled(["猫"]).axes[0].get_yticklabels()
    assert label.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]
