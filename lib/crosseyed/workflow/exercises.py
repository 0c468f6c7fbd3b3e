"""A Sphinx extension that folds solutions of exercises, so that readers open them by keyboard and without scripts.

Exercises are those of sphinx-exercise, which would fold by a script, and number all figures.
"""

from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx_exercise.nodes import is_extension_node, is_solution_node

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config


def setup(app: "Sphinx") -> dict[str, bool]:
    """Let Sphinx fold the solutions, and number nothing."""
    app.connect("config-inited", _number_nothing, priority=900)  # after sphinx-exercise, which numbers all
    app.add_post_transform(Folding)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _number_nothing(_app: "Sphinx", config: "Config") -> None:
    config["numfig"] = False


class Folding(SphinxPostTransform):
    """Make each solution a `<details>`, and take the sections without a title out of exercises, whose ids repeat."""

    default_priority = 30  # after sphinx-exercise has resolved the titles
    formats = ("html",)

    def run(self, **_options: Any) -> None:
        """Change the document."""
        for node in [*self.document.findall(is_extension_node)]:
            content = [each for child in node.children[1:] for each in _unwrapped(child)]
            if is_solution_node(node):
                title, label = escape(node.children[0].astext()), escape(node["label"])
                begin = f'<details class="solution" id="{label}"><summary>{title}</summary>'
                at = node.parent.index(node)
                node.parent[at : at + 1] = [_html(begin), *content, _html("</details>")]
            else:
                node[1:] = content


def _unwrapped(node: nodes.Node) -> list[nodes.Node]:
    """Return what a section without a title holds; any other node as it is."""
    return node.children if isinstance(node, nodes.section) else [node]


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")
