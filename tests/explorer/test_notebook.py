"""What stands in the place of the explorer is text and a figure, and its scripts come in their order."""

import pandas as pd
from matplotlib import pyplot as plt

from crosseyed.explorer import notebook
from crosseyed.report.figures import galleries
from crosseyed.settings import settings


def test_names_are_text_and_scripts_follow_the_place_that_they_fill():
    figure = galleries.images([[[0.0, 1.0]]], title='A "<b>" model')
    html = notebook.container(figure, "<i> & others see less.").data
    plt.close("all")
    assert "<b>" not in html
    assert "<i>" not in html
    assert "A &quot;&lt;b&gt;&quot; model" in html
    assert "&lt;i&gt; &amp; others see less." in html
    order = [
        html.index(each)
        for each in (
            '<div id="explorer"',
            "../explorer/data.js",
            "../_static/explorer-view.js",
            "../_static/explorer-lookup.js",
            "../_static/explorer.js",
        )
    ]
    assert order == sorted(order)


def test_the_sentence_has_its_numbers_and_their_n():
    bias = pd.Series(
        {
            "center_accuracy": 75.2,
            "off_center_accuracy": 50.4,
            "gap": 24.8,
            "gap_low": 10.0,
            "gap_high": 31.23,
            "n_objects": 24,
            "n_center": 96,
            "n_off_center": 7680,
        },
        dtype=object,
    )
    assert notebook.finding("a", bias) == (
        "a names 75 % of 24 objects correctly at the center of the image (96 images) and 50 % at all other places "
        f"(7,680 images): a gap of 25 percentage points ({settings.interval} 10.0 to 31.2)."
    )
