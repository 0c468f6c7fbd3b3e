"""Exercises of a page: solutions that readers open by themselves."""

import re

import pytest
from sphinx.testing.util import SphinxTestApp

PAGE = """
# A page

{ref}`the task <task>`

````{exercise} Twice
:label: task
:nonumber:

What is $6 \\times 7$?
````

```{solution-start} task
:label: task-solution
```

Multiply, *as one does*.

```{solution-end}
```

````{exercise} Again
:label: again
:nonumber:

And then?
````

````{solution} again
:label: again-solution

Nothing.
````
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "conf.py").write_text(
        "extensions = ['myst_parser', 'sphinx_exercise', 'crosseyed.workflow.exercises']\n"
        "myst_enable_extensions = ['dollarmath']\nnumfig = False\n"
        "exercise_style = 'solution_follow_exercise'\n"
    )
    (tmp_path / "index.md").write_text(PAGE)
    app = SphinxTestApp("html", srcdir=tmp_path)
    try:
        app.build()
        assert not app.warning.getvalue()
        assert app.config.numfig is False
        return (app.outdir / "index.html").read_text()
    finally:
        app.cleanup()


def test_a_solution_is_folded_and_can_be_linked_to(page):
    folded = re.findall(
        r'<details class="solution" id="([\w-]+)"><summary>(.*?)</summary>(.*?)</details>', page, re.S
    )
    assert [(label, title) for label, title, _ in folded] == [
        ("task-solution", "Solution"),
        ("again-solution", "Solution"),
    ]
    assert "<em>as one does</em>" in folded[0][2]
    assert "What is" not in folded[0][2]
    assert "Nothing." in folded[1][2]


def test_an_exercise_is_open_and_no_id_comes_twice(page):
    assert re.search(
        r'<div class="exercise admonition" id="task">\s*<p class="admonition-title">Exercise \(Twice\)', page
    )
    assert 'href="#task"' in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
