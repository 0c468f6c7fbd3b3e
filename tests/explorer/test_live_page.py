"""The page of a live model in a browser: what it shows is what the library answers."""

import contextlib
import json
import threading
import time

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import WIDTHS, Visit, choose
from drawn_cutouts import disc, flag, write_cutout
from PIL import Image
from serving import file_of, served
from small_models import build_open_clip, build_timm

from crosseyed.explorer.live import read_request

CAPTIONS = ["a flag", "<img src=x onerror=alert(1)>", "a disc & more"]
PHOTOGRAPH = np.random.default_rng(2).integers(0, 256, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=["class token", "ResNet"])
def running(request, tiny_clip, tmp_path_factory):
    """A tower that attends in blocks, and one that attends only in pooling."""
    folder = tmp_path_factory.mktemp("seen")
    cutouts = [
        write_cutout(folder / f"{inside.__name__}.png", inside, color=(250, 80, 20))
        for inside in (disc, flag)
    ]
    with served(build_open_clip(tiny_clip, request.param), cutouts, folder) as started:
        yield started


@pytest.fixture
def visit(browser, running):
    """Open the page; complaints fail the test, and requests are kept in the order in which they were sent."""
    contexts, visits = [], []

    def open_at(width=1280, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": WIDTHS[width]}, **options))
        visits.append(Visit(contexts[-1], running.url))
        page = visits[-1].page
        page.sent, page.complaints = [], visits[-1].complaints
        page.on("request", lambda request: page.sent.append(request) if request.method == "POST" else None)
        page.goto(running.url)
        page.get_by_label("Captions, one a line").fill("\n".join(CAPTIONS))
        return page

    yield open_at
    complaints = [complaint for each in visits for complaint in each.complaints]
    for context in contexts:
        context.close()
    assert not complaints


def settled(page):
    """Wait until nothing is under way, and return what was asked last."""
    page.locator(".live-answers[aria-busy=false]").wait_for()
    asked = [request for request in page.sent if request.url.endswith("/answer")]
    return read_request(json.loads(asked[-1].post_data))


def given(tmp_path, content, name="mine.png"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def png(pixels=PHOTOGRAPH):
    return file_of(Image.fromarray(pixels))


def shown(page, number=0):
    script = """list => Array.from(list.children).map(entry => [
        entry.querySelector(".explorer-name").title, entry.querySelector(".explorer-share").textContent,
        entry.querySelector(".live-cosine").textContent, entry.classList.contains("best")])"""
    return page.locator(".explorer-bars").nth(number).evaluate(script)


def expected(answer):
    best = int(np.argmax(answer["shares"]))
    return [
        [caption, f"{100 * share:.1f}%", f"{cosine:.3f}", number == best]
        for number, (caption, share, cosine) in enumerate(
            zip(CAPTIONS, answer["shares"], answer["similarities"], strict=True)
        )
    ]


def test_what_is_shown_is_what_the_library_answers(visit, running):
    page = visit()
    page.get_by_label("Caption of the map").select_option(CAPTIONS[2])
    page.get_by_role("combobox", name="Object", exact=True).select_option("flag")
    page.get_by_role("combobox", name="Background", exact=True).select_option("noise 2")
    asked = settled(page)
    assert (asked.seen.object, asked.seen.background, asked.captions, asked.caption) == (
        "flag",
        7,
        CAPTIONS,
        2,
    )
    answer = running.live.answer(asked)
    assert shown(page) == expected(answer)
    best = int(np.argmax(answer["shares"]))
    assert CAPTIONS[best] in page.get_by_role("status").inner_text()
    low, high = min(answer["map"]["values"]), max(answer["map"]["values"])
    assert f"Cosines from {low:.3f} to {high:.3f} for “a disc & more”." in page.locator("main").inner_text()
    peak = max(answer["attention"]["values"]) * len(answer["attention"]["values"])
    assert f"Highest patch: {peak:.1f} times" in page.locator("main").inner_text()


def test_the_object_follows_mouse_and_keys(visit, running):
    page = visit()
    stage = page.get_by_role("application")
    box = stage.bounding_box()
    before = settled(page).seen
    page.mouse.move(box["x"] + before.x * box["width"], box["y"] + before.y * box["height"])
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(
            box["x"] + (before.x + 0.05 * step) * box["width"], box["y"] + before.y * box["height"]
        )
    page.mouse.up()
    moved = settled(page).seen
    assert moved.x == pytest.approx(before.x + 0.5, abs=0.01) and moved.y == pytest.approx(before.y, abs=0.01)
    stage.focus()
    for key in ("ArrowLeft", "ArrowDown", "ArrowDown", "+"):
        page.keyboard.press(key)
    asked = settled(page)
    assert asked.seen.x == pytest.approx(moved.x - 0.02) and asked.seen.y == pytest.approx(moved.y + 0.04)
    assert asked.seen.size == pytest.approx(moved.size + 0.02)
    assert shown(page) == expected(running.live.answer(asked))
    page.mouse.move(box["x"] + asked.seen.x * box["width"], box["y"] + asked.seen.y * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] - 300, box["y"] - 300)
    page.mouse.up()
    assert (settled(page).seen.x, settled(page).seen.y) == (0, 0)


def test_a_mitigation_stands_beside_the_plain_model(visit, running):
    page = visit()
    name = next(each["name"] for each in running.live.offered()["mitigations"] if each["told"])
    page.get_by_label("Mitigation beside").select_option(name)
    page.get_by_text(f"With {name}").wait_for()
    asked = settled(page)
    assert shown(page, 0) == expected(running.live.answer(asked))
    assert shown(page, 1) == expected(running.live.mitigated(asked))
    choose(page, "A photograph")
    assert page.get_by_label("Mitigation beside").input_value() == ""


def test_an_image_of_ones_own_is_an_object_and_a_photograph_with_a_window(visit, running, tmp_path):
    page = visit()
    page.get_by_label("Drop an image").set_input_files(given(tmp_path, png()))
    page.locator("[data-own]").wait_for(state="attached")
    asked = settled(page)
    assert running.live.cutout(asked.seen.object).style == "own"
    assert shown(page) == expected(running.live.answer(asked))
    choose(page, "A photograph")
    page.get_by_role("combobox", name="Window", exact=True).select_option("square")
    page.get_by_role("slider", name="Size", exact=True).fill("0.5")
    for _ in range(60):
        page.get_by_role("application").press("ArrowRight")
    asked = settled(page)
    assert asked.seen.square and asked.seen.size == 0.5 and asked.seen.box(90, 60) == (60, 15, 90, 45)
    similarities = running.live.model.similarities([PHOTOGRAPH[15:45, 60:]], CAPTIONS)[0]
    assert [float(entry[2]) for entry in shown(page)] == pytest.approx(similarities, abs=6e-4)


def test_what_cannot_be_used_is_said_and_the_next_thing_works(visit, running, tmp_path):
    page = visit()
    alert = page.get_by_role("alert")
    for name, content, reason in (
        ("text.png", b"no image", "not an image of a known format"),
        ("empty.png", b"", "the file is empty"),
        ("cut.png", png()[:700], "Cannot read the image 'yours': image file is truncated"),
        ("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image of a known format"),
    ):
        page.get_by_label("Drop an image").set_input_files(given(tmp_path, content, name))
        alert.filter(has_text=reason).wait_for()
    page.get_by_label("Captions, one a line").fill("\n".join(f"caption {number}" for number in range(51)))
    alert.filter(has_text="There are 51 captions; give at least 1 and at most 50.").wait_for()
    page.get_by_label("Captions, one a line").fill("a\n\na")
    alert.filter(has_text="Two captions are the same").wait_for()
    page.get_by_label("Captions, one a line").fill("\n".join(CAPTIONS))
    asked = settled(page)
    assert shown(page) == expected(running.live.answer(asked)) and alert.count() == 0
    # the browser itself notes every request that is refused
    page.complaints[:] = [each for each in page.complaints if "400 (Bad Request)" not in each]


@pytest.mark.parametrize("first", [png(), b"no image"], ids=["image", "no image"])
def test_of_two_uploads_the_later_stays_when_the_earlier_is_done_last(
    visit, running, tmp_path, monkeypatch, first
):
    page = visit()
    settled(page)
    add, may_come, second = running.live.uploads.add, threading.Event(), png(255 - PHOTOGRAPH)
    key = add(second).key

    def late(content):
        if content == first:
            may_come.wait(10)
        return add(content)

    monkeypatch.setattr(running.live.uploads, "add", late)
    monkeypatch.setattr(running, "lock", contextlib.nullcontext())
    chooser = page.get_by_label("Drop an image")
    with page.expect_request("**/upload") as sent:
        chooser.set_input_files(given(tmp_path, first, "first.png"))
    chooser.set_input_files(given(tmp_path, second, "second.png"))
    page.locator(f"[data-own][value='{key}']").wait_for(state="attached")
    page.evaluate("""() => {
        const alert = document.querySelector("[role=alert]");
        window.said = "";
        new MutationObserver(() => (window.said += alert.textContent)).observe(alert, { childList: true });
    }""")
    may_come.set()
    sent.value.response().finished()
    page.get_by_role("application").press("ArrowUp")
    asked = settled(page)
    assert asked.seen.object == key and page.evaluate("window.said") == ""
    choose(page, "A photograph")
    assert settled(page).seen.photograph == key
    page.complaints[:] = [each for each in page.complaints if "400 (Bad Request)" not in each]


def test_what_is_said_of_an_upload_stays_when_an_answer_comes_later(visit, running, tmp_path, monkeypatch):
    page = visit()
    settled(page)
    answer, may_come = running.live.answer, threading.Event()

    def late(asked):
        may_come.wait(10)
        return answer(asked)

    monkeypatch.setattr(running.live, "answer", late)
    monkeypatch.setattr(running, "lock", contextlib.nullcontext())
    page.get_by_role("application").press("ArrowUp")
    page.get_by_label("Drop an image").set_input_files(given(tmp_path, b"no image"))
    said = page.get_by_role("alert").filter(has_text="not an image of a known format")
    said.wait_for()
    may_come.set()
    settled(page)
    assert said.is_visible()
    page.get_by_role("application").press("ArrowUp")
    settled(page)
    assert not said.is_visible()
    page.complaints[:] = [each for each in page.complaints if "400 (Bad Request)" not in each]


def test_while_an_answer_is_under_way_only_the_newest_wish_is_kept(visit, running, monkeypatch):
    page = visit()
    settled(page)
    answer = running.live.answer

    def slowly(asked):
        time.sleep(0.4)
        return answer(asked)

    monkeypatch.setattr(running.live, "answer", slowly)
    before, stage = len(page.sent), page.get_by_role("application")
    start = settled(page).seen.x
    stage.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    asked = settled(page)
    assert asked.seen.x == pytest.approx(start + 10 * 0.02)
    assert len(page.sent) - before <= 5
    assert shown(page) == expected(answer(asked))


def test_two_tabs_do_not_disturb_each_other(visit, running):
    one, two = visit(), visit(390)
    one.get_by_role("combobox", name="Object", exact=True).select_option("flag")
    two.get_by_role("slider", name="Size", exact=True).fill("0.9")
    one.get_by_role("application").press("ArrowUp")
    two.get_by_role("application").press("ArrowDown")
    asked = [settled(each) for each in (one, two)]
    assert [each.seen.object for each in asked] == ["flag", "disc"] and asked[1].seen.size == 0.9
    for page, each in zip((one, two), asked, strict=True):
        assert shown(page) == expected(running.live.answer(each))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_everybody_can_use_it_at_any_width(visit, running, width, scheme):
    page = visit(width, color_scheme=scheme)
    page.get_by_label("Mitigation beside").select_option(index=1)
    settled(page)
    page.get_by_text("What am I seeing?").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


def test_what_a_tower_lacks_is_said_in_place_of_the_map(browser, tiny_clip, tmp_path):
    cutouts = [write_cutout(tmp_path / "flag.png", flag)]
    with served(build_timm(tiny_clip, "ConvNeXt"), cutouts, tmp_path) as started:
        page = browser.new_page()
        page.goto(started.url)
        page.get_by_text("No map: its tower does not offer the probabilities").wait_for()
        assert page.locator("canvas:visible").count() == 3
        page.close()


def test_an_explorer_that_has_ended_is_said(visit):
    page = visit()
    settled(page)
    page.route("**/answer", lambda route: route.abort())
    page.get_by_role("application").press("ArrowUp")
    page.get_by_role("alert").filter(has_text="The explorer has ended").wait_for()
    page.complaints.clear()
