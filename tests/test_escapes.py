import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.substitution import substitution_plugin

from crosseyed.escapes import markdown, printable

NASTY = [
    "$x$",
    "{{x}}",
    "[b](c)",
    "_x_",
    "a|b",
    "`",
    "1. a",
    "- a",
    "# a",
    "<b>",
    "&amp;",
    "**x**",
    "\udc80",
    "a\nb",
]
NASTY += [
    "猫",
    "قطة",
    "🐱",
    "~~x~~",
    "```",
    ": a",
    "> a",
    "+ a",
    "{term}`x`",
    "@cite",
    "^x^",
    "\\",
    "1) a",
    "=",
    "---",
]
MYST = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin).use(substitution_plugin)


def shown(source):
    """Return the text of a rendered line without its tags, and whether it has others than a paragraph's."""
    tokens = MYST.parse(source)
    inline = [token for token in tokens if token.type == "inline"]
    kinds = {child.type for token in inline for child in token.children} | {token.type for token in tokens}
    content = "".join(child.content for token in inline for child in token.children)
    return content, kinds - {"inline", "paragraph_open", "paragraph_close", "text", "text_special"}


def as_one_line(text):
    return " ".join(printable(text).split())


@pytest.mark.parametrize("text", NASTY)
def test_markdown_shows_a_name_as_it_is(text):
    assert shown(markdown(text)) == (as_one_line(text), set())


@settings(deadline=None, max_examples=150)
@given(st.text())
def test_markdown_shows_any_text_as_it_is(text):
    assert shown(markdown(text)) == (as_one_line(text), set())


@pytest.mark.parametrize("text", NASTY)
def test_a_name_stays_in_its_cell(text):
    rendered = MYST.render(f"| a | b |\n|---|---|\n| x{markdown(text)} | y |\n")
    assert rendered.count("<td>") == 2


def test_what_cannot_be_shown_is_written_by_its_code():
    assert printable("a\udc80b\x1b[2J\t\n猫") == r"a\udc80b\x1b[2J" + "\t\n猫"
