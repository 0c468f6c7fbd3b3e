"""The page "Move it yourself" in a browser: what it shows is what its data say, and it can be moved by everybody."""

import re
import shutil
from pathlib import Path
from urllib.parse import quote, urlencode

import matplotlib
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import WIDTHS, Visit, build_page, choose
from scipy.special import softmax
from small_explorer import N_PLACES, NAMES, random_explorer, read_back

from crosseyed.data.backgrounds import Background
from crosseyed.data.cutouts import read_catalogue
from crosseyed.explorer import answers, format, notebook
from crosseyed.explorer.scenes import everywhere
from crosseyed.settings import settings

PAGE = "\n".join(
    [
        '<div class="cell_output docutils container"><div class="output text_html">',
        '<div id="explorer" class="explorer"><p>Move it with JavaScript.</p></div>',
        f'<script src="../{format.SCRIPT}"></script>',
        *(f'<script src="../_static/{name}"></script>' for name in notebook.CODE),
        "</div></div>",
    ]
)
MODES = ("one", "two", "help")
LAST = N_PLACES[0] - 1


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page of the small explorer."""
    page = build_page(tmp_path_factory.mktemp("site"), PAGE)
    format.write(random_explorer(), page.parents[1] / format.SCRIPT)
    return page


@pytest.fixture(scope="module")
def data():
    return read_back(format.script(random_explorer()))


@pytest.fixture
def visit(browser, site):
    """Open the page at a state; complaints of any page fail the test."""
    contexts, visits = [], []

    def open_at(state=None, width=1280, page=site, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": WIDTHS[width]}, **options))
        visits.append(Visit(contexts[-1]))
        visits[-1].page.goto(address(page, state))
        return visits[-1].page

    yield open_at
    complaints = [complaint for each in visits for complaint in each.complaints]
    for context in contexts:
        context.close()
    assert not complaints


def address(page: Path, state=None):
    return page.as_uri() + ("#" + urlencode(state) if state else "")


def cards(page):
    return page.locator(".explorer-card").all()


def shown_bars(card, number=0):
    """Names, shares and which is marked as right."""
    script = """list => Array.from(list.children).map(entry => [
        entry.querySelector(".explorer-name").title, entry.querySelector(".explorer-share").textContent,
        entry.classList.contains("right")])"""
    return [tuple(entry) for entry in card.locator(".explorer-bars").nth(number).evaluate(script)]


def filled(map_):
    """How far each cell of a map is filled, row by row."""
    script = """map => {
      const levels = new Map(Array.from(map.querySelectorAll(".level")).map(
        each => [each.getAttribute("x") + " " + each.getAttribute("y"), Number(each.getAttribute("fill-opacity"))]));
      return Array.from(map.querySelectorAll(".cell")).map(
        each => levels.get(each.getAttribute("x") + " " + each.getAttribute("y")) || 0);
    }"""
    return map_.evaluate(script)


def percent(per_mille):
    return f"{per_mille / 10:.1f}%"


def expected_bars(answers, at, own):
    return [
        (NAMES[name], percent(share), name == own)
        for name, share in zip(answers["top"][at], answers["share"][at], strict=True)
    ]


def rank_words(answers, at):
    return f"Rank {answers['rank'][at]} of {len(NAMES)}, share {percent(answers['own'][at])}"


def levels_of(ranks):
    return [1 if rank == 1 else 0.3 if rank <= 5 else 0 for rank in ranks.ravel()]


# What it shows


@pytest.mark.parametrize(
    ("object_", "background", "size", "row", "column"), [(0, 0, 0, 0, 3), (2, 1, 1, 1, 0)]
)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_of_an_object_is_that_of_the_data(
    visit, data, width, object_, background, size, row, column
):
    state = {"background": background + 1, "size": size + 1, "row": row + 1, "column": column + 1}
    page = visit({"show": "one", "object": NAMES[object_], **state}, width)
    single = data["single"][background]
    summary = page.locator(".explorer-summary p").all_inner_texts()[1:]
    for number, (card, line, model) in enumerate(zip(cards(page), summary, data["models"], strict=True)):
        everywhere = (number, object_, size)
        at = (*everywhere, row, column)
        bars = expected_bars(single, at, object_)
        assert shown_bars(card) == bars
        assert card.locator(".explorer-verdict").inner_text()[2:] == bars[0][0]
        assert line.split("\n") == [f"{model['name']}:", "✓" if bars[0][2] else "✗", *bars[0][:2]]
        assert card.locator(".explorer-rank").inner_text() == rank_words(single, at)
        ranks = single["rank"][everywhere]
        assert filled(card.locator("svg")) == levels_of(ranks)
        captions = card.locator("figcaption").all_inner_texts()
        assert captions[0] == f"Right at {(ranks == 1).sum()} of {ranks.size} places, one image at each"
        if model["attention"]:
            rows, columns = model["attention"]
            peak = single["peak"][number][at[1:]] / 100
            assert (
                captions[1] == f"{rows} × {columns} patches, the brightest {peak:.2f} times its equal share"
            )
        else:
            assert card.locator(".explorer-none").inner_text() == model["noAttention"]


def test_the_map_of_all_objects_is_their_mean(visit, data):
    page = visit({"show": "one", "map": "all", "background": 2, "size": 2, "row": 1, "column": 3})
    right = data["single"][1]["rank"][:, :, 1] == 1
    for card, model in zip(cards(page), right, strict=True):
        assert filled(card.locator("svg")) == pytest.approx(model.mean(0).ravel())
        expected = (
            f"Here {model[:, 0, 2].sum()} of 3 objects right, everywhere {model.sum()} of {model.size} images"
        )
        assert card.locator("figcaption").first.inner_text() == expected


def test_attention_lies_over_the_image_as_the_data_say(visit, data):
    state = {"background": 1, "size": 1, "row": 2, "column": 2}
    page = visit({"show": "one", "object": "dog", **state})
    page.wait_for_timeout(200)
    script = """canvas => { const {width} = canvas, context = canvas.getContext("2d");
      return [1, 3].map(row => [0, 3].map(column => Array.from(context.getImageData(
        (column + 0.5) * width / 4, (row + 0.5) * width / 4, 1, 1).data).slice(0, 3))); }"""
    seen = np.array(page.locator(".explorer-card canvas").first.evaluate(script))
    levels = data["single"][0]["attention"][0][0, 0, 1, 1][[1, 3]][:, [0, 3]] / 255
    heat = [[page.evaluate(f"crosseyedView.heatColor({level})") for level in row] for row in levels]
    heat = np.array([[[int(part) for part in re.findall(r"\d+", color)] for color in row] for row in heat])
    np.testing.assert_allclose(seen, 0.62 * heat + 0.38 * np.array([200, 210, 220]), atol=3)


def test_the_colors_of_attention_are_those_of_the_figures(visit):
    page = visit()
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        color = [int(part) for part in re.findall(r"\d+", page.evaluate(f"crosseyedView.heatColor({level})"))]
        np.testing.assert_allclose(color, np.array(matplotlib.colormaps["viridis"](level)[:3]) * 255, atol=2)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_of_two_objects_is_that_of_the_data(visit, data, width):
    page = visit({"show": "two", "pair": 2, "arrangement": 2, "background": 2}, width)
    pairs = data["pairs"]
    for number, card in enumerate(cards(page)):
        shares = pairs["share"][number, 1, 1]
        captions = zip(pairs["captions"][1], shares[1], strict=True)
        assert shown_bars(card, 0) == [
            (name, percent(share), i == 0) for i, (name, share) in enumerate(captions)
        ]
        right = shares.argmax(-1) == 0
        names = ("on, together", "left of, apart")
        listed = [
            (name, percent(share[0]), bool(is_right))
            for name, share, is_right in zip(names, shares, right, strict=True)
        ]
        assert shown_bars(card, 1) == listed
        assert card.locator(".explorer-verdict").inner_text()[2:] == pairs["captions"][1][shares[1].argmax()]
        assert card.locator(".explorer-note").inner_text() == (
            f"Right in {right.sum()} of 2 arrangements, one image of each"
        )


@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_of_mitigations_is_that_of_the_data(visit, data, width):
    page = visit({"show": "help", "object": "cat", "row": 5, "column": 1}, width)
    rows = page.locator(".explorer-row").all()
    for row, model in zip(rows, data["mitigations"]["models"], strict=True):
        for number, (card, candidate) in enumerate(zip(cards(row), model["candidates"], strict=True)):
            at = (number, 0, 4, 0)
            title = card.locator(".explorer-model").inner_text().split("\n")
            passes = {1: "1 pass", 9: "9 passes"}[candidate["passes"]]
            assert [part for part in title if part] == [candidate["name"], passes]
            assert card.locator(".explorer-rank").inner_text() == rank_words(model, at)
            assert card.locator(".explorer-verdict").inner_text()[2:] == NAMES[model["top"][at][0]]
            assert filled(card.locator("svg")) == levels_of(model["rank"][number, 0])
        right = [found[0, 4, 0] == 1 for found in model["rank"]]
        line = page.locator(".explorer-summary .explorer-verdict").nth(rows.index(row)).inner_text()
        expected = f"plain {'✓' if right[0] else '✗'}, mitigated {sum(right[1:])} of 1 ✓"
        assert re.split(r":\s+", line)[-1] == expected
        left_out = [f"Without {each['name']}: {each['reason']}" for each in model["leftOut"]]
        assert row.locator(".explorer-note").all_inner_texts() == left_out


def test_names_with_markup_are_text(visit):
    for state in ({"show": "one", "object": "<b>apple</b>"}, {"show": "two", "pair": 2}):
        page = visit(state)
        assert page.locator("#explorer :is(b, i)").count() == 0
        assert "<b>apple</b>" in page.locator(".explorer-place").inner_text()
    assert page.locator(".explorer-banner").inner_text() == "Random answers, which mean nothing <yet>."


@pytest.mark.parametrize("mode", MODES)
def test_every_part_is_explained_in_one_sentence(visit, mode):
    page = visit({"show": mode})
    page.get_by_text("What am I seeing?").click()
    for sentence in page.locator(".explorer-help dd").all_inner_texts():
        assert sentence.endswith(".") and sentence.count(". ") == 0
    explained = page.locator(".explorer-help dt").all_inner_texts()
    figures = set(page.locator("figure .explorer-heading").all_inner_texts())
    assert figures <= set(explained)


@pytest.fixture(scope="module")
def asked(tiny_clip):
    """A small random model, the scenes it is asked about, the names, and the page of its answers."""
    catalogue = read_catalogue(["fluent"])
    cutouts, labels = catalogue[:2], [each.object for each in catalogue[:7]]
    ground, sizes = Background("noise", 1), [0.25, 0.5]
    scenes = everywhere(cutouts, ground, sizes, 3)
    single = answers.single([tiny_clip], scenes, (2, 2, 3, 3), labels)
    page = notebook.data([tiny_clip], labels, (cutouts, [ground], sizes, [3]), [single], None, None)
    return scenes, labels, page


@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 1, 2, 1), (0, 1, 1, 1)])
def test_every_number_is_the_models_answer_to_the_image(visit, site_of, tiny_clip, asked, place):
    scenes, labels, explorer = asked
    scene = scenes[np.ravel_multi_index(place, (2, 2, 3, 3))]
    (similarities,) = tiny_clip.similarities([scene.render], [settings.caption(label) for label in labels])
    shares = softmax(tiny_clip.logit_scale * similarities)
    own = scene.placements[0].cutout.object
    object_, size, row, column = place
    assert explorer.objects[object_].name == own
    state = {"object": own, "size": size + 1, "row": row + 1, "column": column + 1}
    (card,) = cards(visit({"show": "one", **state}, page=site_of(format.script(explorer))))
    best = np.sort(shares)[::-1][: format.TOP]
    for (name, share, right), expected in zip(shown_bars(card), best, strict=True):
        assert float(share.rstrip("%")) == pytest.approx(100 * expected, abs=0.06)
        assert shares[labels.index(name)] == pytest.approx(expected, abs=1e-5)
        assert right == (name == own)
    rank, share = re.fullmatch(
        r"Rank (\d+) of 7, share (.*)%", card.locator(".explorer-rank").inner_text()
    ).groups()
    assert float(share) == pytest.approx(100 * shares[labels.index(own)], abs=0.06)
    assert int(rank) == 1 + (shares > shares[labels.index(own)]).sum()


# How it is moved


def place_of(page):
    found = re.search(r"column (\d) of \d, row (\d) of", page.locator(".explorer-place").inner_text())
    return int(found[1]) - 1, int(found[2]) - 1


def point(page, x, y):
    box = page.locator(".explorer-stage").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_drag_by_mouse_snaps_to_the_computed_places(visit, width):
    page = visit({"show": "one", "object": "cat"}, width)
    assert place_of(page) == (2, 2)
    page.mouse.move(*point(page, 0.5, 0.5))
    page.mouse.down()
    seen = []
    for x in np.linspace(0.5, 0.95, 10):
        page.mouse.move(*point(page, x, 0.5))
        seen.append(place_of(page))
    assert sorted(set(seen)) == [(2, 2), (3, 2), (4, 2)]
    page.mouse.move(*point(page, -0.2, 1.3))  # beyond the border
    page.mouse.up()
    assert place_of(page) == (0, LAST)
    page.mouse.move(*point(page, 0.5, 0.5))
    assert place_of(page) == (0, LAST)
    page.wait_for_function("location.hash.includes('row=5') && location.hash.includes('column=1')")


def test_arrow_keys_move_by_one_place_and_stop_at_the_border(visit):
    page = visit({"show": "one"})
    page.locator(".explorer-stage").focus()
    for key, place in [
        ("Right", (3, 2)),
        ("Right", (4, 2)),
        ("Right", (4, 2)),
        ("Up", (4, 1)),
        ("Left", (3, 1)),
        ("Down", (3, 2)),
    ]:
        page.keyboard.press(f"Arrow{key}")
        assert place_of(page) == place
    assert page.evaluate("scrollY") == 0


def test_everything_is_reached_by_the_tabulator(visit):
    page = visit({"show": "one"})
    page.locator(".explorer-modes input:checked").focus()
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.name || document.activeElement.tagName.toLowerCase()")
        )
    assert reached == [
        "canvas",
        *(f"explorer-{name}" for name in ("object", "background", "size", "map-of")),
        "summary",
    ]


def test_a_finger_drags_the_object_and_not_the_page(visit):
    page = visit({"show": "one"}, 390, has_touch=True, is_mobile=True)
    page.locator(".explorer-stage").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    touch = page.context.new_cdp_session(page)
    for kind, at in [("Start", (0.5, 0.5)), ("Move", (0.5, 0.3)), ("Move", (0.1, 0.05)), ("End", None)]:
        x, y = point(page, *at) if at else (0, 0)
        points = [{"x": x, "y": y}] if at else []
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    page.wait_for_function("document.querySelector('.explorer-place').textContent.includes('column 1')")
    assert place_of(page) == (0, 0)
    assert page.evaluate("scrollY") == before


def test_a_click_on_a_map_puts_the_object_there(visit):
    page = visit({"show": "one"})
    box = page.locator(".explorer-map").first.bounding_box()
    page.locator(".explorer-map").first.click(position={"x": box["width"] * 0.9, "y": box["height"] * 0.1})
    assert place_of(page) == (4, 0)


@pytest.mark.parametrize(
    ("start", "then"),
    [((0, 4), (0, 2)), ((2, 2), (1, 1)), ((4, 2), (2, 1)), ((1, 0), (1, 0)), ((3, 4), (2, 2))],
)
@pytest.mark.parametrize("width", WIDTHS)
def test_another_background_takes_the_object_to_the_nearest_of_its_own_places(
    visit, data, width, start, then
):
    page = visit({"show": "one", "object": "cat", "column": start[0] + 1, "row": start[1] + 1}, width)
    assert place_of(page) == start
    choose(page, "noise")
    assert place_of(page) == then
    card = cards(page)[0]
    assert filled(card.locator("svg")) == levels_of(data["single"][1]["rank"][0, 1, 0])
    at = (0, 1, 0, then[1], then[0])
    assert card.locator(".explorer-rank").inner_text() == rank_words(data["single"][1], at)
    page.wait_for_function(
        "([column, row]) => [`row=${row + 1}`, `column=${column + 1}`, 'background=2'].every("
        "each => location.hash.includes(each))",
        arg=list(then),
    )
    shown = page.locator("#explorer").inner_text()
    page.reload()
    assert page.locator("#explorer").inner_text() == shown


def test_with_few_places_keys_drags_and_clicks_stay_on_them(visit):
    page = visit({"show": "one", "object": "cat", "background": 2})
    page.locator(".explorer-stage").focus()
    for place in [(2, 1), (2, 1)]:
        page.keyboard.press("ArrowRight")
        assert place_of(page) == place
    page.mouse.move(*point(page, 0.5, 0.5))
    page.mouse.down()
    seen = []
    for y in np.linspace(0.5, 0.05, 10):
        page.mouse.move(*point(page, 0.5, y))
        seen.append(place_of(page))
    page.mouse.up()
    assert sorted(set(seen)) == [(1, 0), (1, 1)]
    box = page.locator(".explorer-map").first.bounding_box()
    page.locator(".explorer-map").first.click(position={"x": box["width"] * 0.2, "y": box["height"] * 0.9})
    assert place_of(page) == (0, 2)


def test_mitigations_have_the_places_of_their_background(visit, data):
    page = visit({"show": "one", "object": "cat", "background": 2, "row": 1, "column": 2})
    choose(page, "What helps")
    assert place_of(page) == (2, 0)
    ranks = data["mitigations"]["models"][0]["rank"]
    assert filled(cards(page)[0].locator("svg")) == levels_of(ranks[0, 0])
    page.locator(".explorer-stage").focus()
    page.keyboard.press("ArrowRight")
    choose(page, "One object")
    assert place_of(page) == (2, 0)
    assert page.locator(".explorer-place").inner_text() == "cat: column 3 of 3, row 1 of 3"


def test_readers_are_told_how_many_places_each_background_has(visit):
    page = visit({"show": "one"})
    page.get_by_text("What am I seeing?").click()
    sentence = "An object has 5 × 5 places on the plain background, and 3 × 3 places on the noise background."
    assert page.get_by_text(sentence).is_visible()


def test_an_address_of_a_place_that_the_background_lacks_shows_the_middle(visit):
    page = visit({"show": "one", "object": "cat", "background": 2, "row": 5, "column": 3})
    assert place_of(page) == (2, 1)
    page = visit({"show": "one", "object": "cat", "background": 2, "row": 4, "column": 4})
    assert place_of(page) == (1, 1)


def test_either_of_two_objects_is_dragged(visit, data):
    page = visit({"show": "two"})
    (x, y), (to_x, to_y) = (each["at"][0] for each in data["pairs"]["arrangements"])
    page.mouse.move(*point(page, x, y))
    page.mouse.down()
    page.mouse.move(*point(page, to_x, to_y))
    page.mouse.up()
    assert page.locator(".explorer-place").inner_text() == "dog left of cat"
    (to_x, to_y), (x, y) = (each["at"][1] for each in data["pairs"]["arrangements"])
    page.mouse.move(*point(page, x, y))
    page.mouse.down()
    page.mouse.move(*point(page, to_x, to_y))
    page.mouse.up()
    assert page.locator(".explorer-place").inner_text() == "dog on cat"


def test_choices_change_the_view(visit):
    page = visit({"show": "one", "object": "cat"})
    choose(page, "dog")
    choose(page, "noise")
    choose(page, "40% of the side")
    expected = {
        "show": "one",
        "object": "dog",
        "row": 2,
        "column": 2,
        "background": 2,
        "size": 2,
        "map": "object",
    }
    page.wait_for_function("wanted => location.hash.slice(1) === wanted", arg=urlencode(expected))
    choose(page, "What helps")
    assert page.locator(".explorer-place").inner_text().startswith("cat")  # the only one with mitigations


# Its address


def test_a_link_restores_the_view(visit, site):
    page = visit({"show": "one", "object": "<b>apple</b>"})
    page.locator(".explorer-stage").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("location.hash.includes('column=2')")
    shown = page.locator("#explorer").inner_text()
    again = visit()
    again.goto(page.url)
    assert again.locator("#explorer").inner_text() == shown


@pytest.mark.parametrize(
    "bad",
    [
        "show=three",
        "show=one&object=nothing&row=0&column=6&size=9&background=x",
        "show=one&row=1e0&column=-1&map=%3Cb%3E",
        "what-follows",
        "%E0%A4%A",
        "show",
    ],
)
def test_bad_addresses_show_the_beginning(visit, site, bad):
    fresh, page = visit(), visit()
    page.goto(address(site) + "#" + bad)
    page.reload()
    assert page.locator("#explorer").inner_text() == fresh.locator("#explorer").inner_text()


def test_an_address_that_is_edited_changes_the_view(visit):
    page = visit({"show": "one"})
    page.evaluate("location.hash = 'show=two&pair=2'")
    page.wait_for_function(
        "document.querySelector('.explorer-place').textContent.includes('and dog') || "
        "document.querySelector('.explorer-place').textContent.includes('on dog')"
    )


def test_two_tabs_know_nothing_of_each_other(browser, site):
    with browser.new_context() as context:
        first, second = context.new_page(), context.new_page()
        first.goto(address(site, {"show": "one", "object": "dog"}))
        second.goto(address(site, {"show": "one", "object": "cat"}))
        first.locator(".explorer-stage").focus()
        first.keyboard.press("ArrowLeft")
        assert place_of(first) == (1, 2)
        assert place_of(second) == (2, 2)
        second.reload()
        assert second.locator(".explorer-place").inner_text().startswith("cat: column 3")


# How it looks


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(visit, width, mode):
    page = visit({"show": mode}, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#explorer").bounding_box()
    for part in page.locator("#explorer canvas, #explorer .explorer-card").all():
        inner = part.bounding_box()
        assert box["x"] - 1 <= inner["x"] and inner["x"] + inner["width"] <= box["x"] + box["width"] + 1


def test_what_the_book_does_with_outputs_of_notebooks_leaves_the_page_as_it_is(visit):
    page = visit({"show": "one"}, 390, color_scheme="dark")
    for image in page.locator(".explorer-options img").all():
        assert 40 <= image.bounding_box()["width"] <= 48
    paper = page.locator(".text_html").evaluate("output => getComputedStyle(output).backgroundColor")
    assert paper == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nobody_is_kept_out(visit, width, theme):
    page = visit({"show": "one"}, width, color_scheme=theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    for mode in ("One object", "Two objects", "What helps"):
        choose(page, mode)
        page.locator(".explorer-help").evaluate("help => { help.open = true; }")
        found = Axe().run(page, context="#explorer", options={"preload": False}).response["violations"]
        assert not [each["id"] for each in found if each["impact"] in ("serious", "critical")]


def test_images_are_drawn_anew_when_a_phone_rotates(visit):
    page = visit({"show": "one"}, 390, device_scale_factor=2)
    for width, height in [(844, 390), (390, 844)]:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for canvas in page.locator("#explorer canvas").all():
            css, dots, inked = canvas.evaluate(
                """canvas => [canvas.clientWidth, canvas.width,
                canvas.getContext("2d").getImageData(canvas.width - 9, canvas.width - 9, 1, 1).data[3]]"""
            )
            assert dots == 2 * css and inked == 255


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_moves_by_itself(visit, width):
    page = visit({"show": "one", "object": "dog"}, width)
    page.evaluate(
        """window.shifted = 0; new PerformanceObserver(list => list.getEntries().forEach(
        each => { window.shifted += each.value; })).observe({type: "layout-shift", buffered: true})"""
    )
    page.mouse.move(*point(page, 0.5, 0.5))
    page.mouse.down()
    for x, y in [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.5, 0.5)]:
        page.mouse.move(*point(page, x, y), steps=4)
        page.wait_for_timeout(60)
    page.mouse.up()
    assert page.evaluate("window.shifted") < 0.01


# What is missing


@pytest.fixture(scope="module")
def site_of(site, tmp_path_factory):
    """The page with another data script, or none."""

    def copied(script):
        folder = tmp_path_factory.mktemp("other") / "html"
        shutil.copytree(site.parents[1], folder)
        (folder / format.SCRIPT).unlink()
        if script is not None:
            (folder / format.SCRIPT).write_text(script, encoding="utf-8")
        return folder / "notebooks" / site.name

    return copied


def test_without_javascript_the_figure_stays(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("#explorer").inner_text() == "Move it with JavaScript."


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (None, "are missing from this edition"),
        ('window.crosseyedExplorer = {"version": 99};', "in the form of another version"),
        ('window.crosseyedExplorer = {"version": 2};', "cannot be read"),
    ],
)
def test_an_edition_without_answers_says_so_and_keeps_the_figure(browser, site_of, script, sentence):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address(site_of(script)))
        assert sentence in page.locator(".explorer-banner").inner_text()
        assert "Move it with JavaScript." in page.locator("#explorer").inner_text()


def test_answers_that_are_cut_off_are_refused(browser, site_of):
    script = format.script(random_explorer())
    start = script.index('"data":"') + len('"data":"')
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address(site_of(script[:start] + script[start + 4 :])))
        assert "an array is cut off" in page.locator(".explorer-banner").inner_text()


def test_a_pair_is_chosen_in_a_menu(visit):
    page = visit({"show": "two"})
    page.get_by_role("combobox", name="Objects").select_option("<b>apple</b> and dog")
    assert page.locator(".explorer-place").inner_text() == "<b>apple</b> on dog"
    page.wait_for_function("location.hash.includes('pair=2')")


def test_what_an_edition_does_not_have_is_not_offered(visit, site_of):
    script = format.script(random_explorer(pairs=None, mitigations=None))
    page = visit({"show": "two"}, page=site_of(script))
    assert page.locator(".explorer-modes label").all_inner_texts() == ["One object"]
    assert page.locator(".explorer-card").count() == 3


def test_objects_of_one_name_have_links_of_their_own(visit, site_of):
    explorer = random_explorer()
    twins = [explorer.objects[0], explorer.objects[0], explorer.objects[2]]
    page = visit(page=site_of(format.script(random_explorer(objects=twins))))
    choose(page, "dog 2")
    page.wait_for_function(f"location.hash.includes({quote('dog')!r} + '+2')")
