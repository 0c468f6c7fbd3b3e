import numpy as np
import pandas as pd
import pytest
from figure_tables import grid, two, words

from crosseyed.errors import InputError
from crosseyed.report.figures import galleries


def test_heat_map_shows_accuracy_and_half_width_of_every_cell():
    table = grid(k=3)
    ax = galleries.accuracy_grid(table).axes[0]
    shown = {}
    for text in ax.texts:
        x, y = text.get_position()
        shown.setdefault((int(y), int(x)), []).append(text.get_text())
    for _, cell in table.iterrows():
        half = (cell["high"] - cell["low"]) / 2
        assert shown[cell["row"], cell["col"]] == [f"{cell['accuracy']:.0f}", f"±{half:.0f}"]


def test_heat_map_colors_are_the_accuracies_on_one_scale():
    figure = galleries.accuracy_grid(pd.concat([grid("a"), grid("b", center=50)]))
    for ax, center in zip(figure.axes[:2], (90, 50), strict=True):
        mesh = ax.collections[0]
        assert mesh.get_clim() == (0, 100)
        assert mesh.get_array().reshape(3, 3)[1, 1] == center + 1
        assert ax.yaxis_inverted()


def test_heat_map_titles_tell_center_and_border():
    titles = [ax.get_title(loc="left") for ax in galleries.accuracy_grid(two(grid)).axes[:2]]
    # The border's eight cells hold 10, 11 and 12 percent, row by row.
    assert titles == ["first-model\ncenter 91 %, border 11 %", "second-model\ncenter 91 %, border 11 %"]


def test_heat_map_of_an_even_grid_has_four_cells_in_the_middle():
    table = grid(k=4).assign(
        accuracy=lambda cells: np.where(cells[["row", "col"]].isin([1, 2]).all(axis=1), 80, 20)
    )
    assert "center 80 %, border 20 %" in words(galleries.accuracy_grid(table))


def test_heat_map_leaves_cells_without_rows_blank():
    table = grid(k=3).query("not (row == 0 and col == 2)")
    ax = galleries.accuracy_grid(table).axes[0]
    assert len(ax.texts) == 2 * 8


def test_heat_map_says_how_many_images_a_cell_has():
    assert "50 images a cell" in words(galleries.accuracy_grid(grid()))
    table = grid().assign(n=np.arange(41, 50))
    assert "41 to 49 images a cell" in words(galleries.accuracy_grid(table))


def test_maps_share_one_scale_that_is_even_around_zero():
    maps = [np.array([[0.1, -0.2]]), np.array([[0.4, 0.0], [0.1, 0.2]])]
    figure = galleries.effect_maps(maps, ["first", "second"])
    for ax, one, title in zip(figure.axes, maps, ["first", "second"], strict=False):
        assert (ax.images[0].get_array() == one).all()
        assert ax.images[0].get_clim() == (-0.4, 0.4)
        assert ax.get_title(loc="left") == title


@pytest.mark.parametrize(
    "arguments", [([], []), ([np.zeros((2, 2))], ["one", "two"]), ([np.zeros(4)], ["one"])]
)
def test_maps_that_cannot_be_shown_are_refused(arguments):
    with pytest.raises(InputError, match="map"):
        galleries.effect_maps(*arguments)


def test_overlays_put_each_map_beside_its_image():
    images = [np.full((8, 8, 3), value, dtype=np.uint8) for value in (0, 200)]
    maps = {"one": [np.eye(2), 1 - np.eye(2)], "two": [np.zeros((4, 4)), np.arange(16).reshape(4, 4)]}
    masks = np.zeros((2, 8, 8), dtype=bool)
    masks[:, 2:5, 2:5] = True
    axes = np.reshape(galleries.overlays(images, maps, ["center", "edge"], masks=masks).axes, (2, 3))
    for number, line in enumerate(axes):
        assert (line[0].images[0].get_array() == images[number]).all()
        for ax, column in zip(line[1:], maps.values(), strict=True):
            assert (ax.images[0].get_array() == column[number]).all()
            assert ax.images[0].get_extent() == [0, 8, 8, 0]  # over the whole image
            assert len(ax.collections) == 2  # the outline
    assert [ax.get_title() for ax in axes[0]] == ["image", "one", "two"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["center", "edge"]


def test_overlays_need_a_map_for_every_image():
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="2 images, 2 names of rows and 1 columns of maps with 1"):
        galleries.overlays([image] * 2, {"one": [np.eye(2)]}, ["a", "b"])


def test_scenes_are_shown_as_they_are():
    images = [np.full((4, 6, 3), value, dtype=np.uint8) for value in (0, 100, 200)]
    figure = galleries.images(images, ["one", "two", "three"], columns=2)
    for ax, image, title in zip(figure.axes, images, ["one", "two", "three"], strict=False):
        assert (ax.images[0].get_array() == image).all()
        assert ax.get_title() == title
    assert [len(ax.images) for ax in figure.axes] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "images is empty"),
        (([np.zeros((4, 4, 4))],), r"image 0 has shape \(4, 4, 4\)"),
        (([np.zeros((4, 4)), np.zeros(4)],), "image 1 has shape"),
        (([np.zeros((0, 4, 3))],), "image 0 has shape"),
        (([np.zeros((4, 4))], ["one", "two"]), "2 titles for 1 images"),
    ],
)
def test_images_that_cannot_be_shown_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        galleries.images(*arguments)


def test_columns_must_be_positive():
    with pytest.raises(InputError, match="columns is 0"):
        galleries.images([np.zeros((4, 4))], columns=0)


def test_positions_tell_named_objects_from_others():
    table = pd.DataFrame({"dose": ["0", "0", "1"], "x": [0.2, 0.8, 0.5], "y": [0.1, 0.9, 0.5]})
    figure = galleries.positions(table.assign(named=[True, False, True]))
    first, second = figure.axes
    dots = {line.get_label(): line.get_xydata().tolist() for line in first.lines}
    assert dots["named"] == [[0.2, 0.1]] and dots["not named by the caption"] == [[0.8, 0.9]]
    assert first.yaxis_inverted()  # y counts from the top
    assert "not named by the caption" not in {line.get_label() for line in second.lines}
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("0", "1")
    with pytest.raises(InputError, match="'named'"):
        galleries.positions(table)


def exchanged(share=(0.5, -0.25, np.nan, 0.04)):
    """Two parts at two layers for one receiver; the second part is not exchanged at layer 0."""
    rows = [("object", 0), ("object", 1), ("others", 0), ("others", 1)]
    table = pd.DataFrame(rows, columns=["part", "layer"]).assign(
        share=share, receiver="center", confidence=0.9
    )
    table = table.assign(share_low=table["share"] - 0.1, share_high=table["share"] + 0.1)
    return table.assign(moved=[0.02, -0.01, np.nan, 0.0], moved_low=0.001, moved_high=0.03)


def test_exchanges_show_shares_in_percent_and_in_bold_what_is_certain():
    figure = galleries.exchanges(exchanged())
    numbers = {text.get_text(): text.get_fontweight() for text in figure.axes[0].texts}
    assert numbers == {"50": "bold", "−25": "bold", "4": "normal"}
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["object", "others"]
    assert figure.axes[0].collections[0].get_clim() == (-50, 50)
    assert "share of the difference moved (%)" in words(figure)
    assert "Bold: the 90 % interval excludes zero." in words(figure)


def test_exchanges_without_a_difference_show_what_is_moved():
    figure = galleries.exchanges(exchanged(np.nan))
    assert [text.get_text() for text in figure.axes[0].texts] == ["20", "−10", "0"]
    assert "moved (thousandths of the similarity)" in words(figure)


def test_exchanges_refuse_two_rows_for_one_cell():
    with pytest.raises(InputError, match="4 row"):
        galleries.exchanges(pd.concat([exchanged(), exchanged()]))
