"""What a page's head holds beside its tags for scholars (test_citation)."""

from types import SimpleNamespace

from crosseyed.workflow import page_heads


def script(name, **attributes):
    return SimpleNamespace(filename=name, attributes=attributes)


def test_no_script_is_loaded_twice():
    given = [
        script("a.js"),
        script("", body="const A = 1"),
        script("b.js", defer="defer"),
        script(None, body="const A = 1"),
        script(None, body="const B = 1"),
        script("b.js", defer="defer"),
    ]
    context = {"script_files": given}
    page_heads.add_tags(None, "search", "", context, None)
    found = [(each.filename or "", each.attributes) for each in context["script_files"]]
    assert found == [
        ("a.js", {}),
        ("", {"body": "const A = 1"}),
        ("b.js", {"defer": "defer"}),
        ("", {"body": "const B = 1"}),
    ]
