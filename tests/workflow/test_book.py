"""The book as a reader gets it: rendered from the real pages, with a small notebook and made-up answers."""

import ast
import itertools
import os
import re
import shutil
from html import unescape
from pathlib import Path

import filelock
import nbformat
import pandas as pd
import pytest
import yaml
from PIL import Image

from crosseyed.data.scenes import eccentricity
from crosseyed.editions import Description, Edition
from crosseyed.errors import InputError
from crosseyed.escapes import markdown
from crosseyed.measure import bootstrap
from crosseyed.models.towers.base import CAPABILITIES
from crosseyed.models.towers.registry import ADAPTERS
from crosseyed.report import tables
from crosseyed.report.tables import MissingTableError
from crosseyed.tables import write_table
from crosseyed.workflow import book, links
from crosseyed.workflow.book import BookError, module_table, origin, render_book
from crosseyed.workflow.claims import CLAIMS
from crosseyed.workflow.findings import tabulate_families
from crosseyed.workflow.printing import find_browser
from crosseyed.workflow.results import own_rows

ROOT = Path(__file__).parents[2]


def described(model, pretrained, **given):
    return Description(
        Edition(model, **given), model, pretrained, 1_234_567, tower={}, device="cpu", weights="1a2b3c4d"
    )


MODEL = described("pocketclip-centered", "crosseyed")


def answers(at_center, off_center, n_objects=20, model=MODEL):
    """Return a table of answers on a 3 × 3 grid: the given shares of the objects are right, the same everywhere."""
    rows = [
        {
            "model": model.model,
            "pretrained": model.pretrained,
            "object": f"object {number}",
            "center": (row, col) == (1, 1),
            "eccentricity": eccentricity((col + 0.5) / 3, (row + 0.5) / 3),
            "correct": number < n_objects * (at_center if (row, col) == (1, 1) else off_center),
        }
        for number in range(n_objects)
        for row in range(3)
        for col in range(3)
    ]
    return pd.DataFrame(rows)


# what the introduction and the summary read beside the tables of claims
SUMMARISED = {"01_center_bias": ["pair_bias"], "05_mitigations": ["evaluation"]}


def add_chapters(folder, table):
    """Put a small executed notebook for every chapter and the table of the first into the folder of an edition."""
    (folder / "notebooks").mkdir(parents=True)
    title = nbformat.v4.new_markdown_cell("# A chapter\n\nIt cites {cite}`chew2026crosseyed`.")
    code = nbformat.v4.new_code_cell("6 * 7", execution_count=1)
    code.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "forty-two"}, execution_count=1)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for chapter in (ROOT / "notebooks").glob("*.ipynb"):
        headings = dict.fromkeys(f"## {each.section}" for each in CLAIMS if each.chapter == chapter.stem)
        cells = [title, code, *map(nbformat.v4.new_markdown_cell, headings)]
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "notebooks" / chapter.name
        )
    for (
        claim
    ) in CLAIMS:  # the first chapter's tables are written below, the others are registered as unavailable
        chapter = folder / "results" / claim.chapter
        chapter.mkdir(parents=True, exist_ok=True)
        names = [each.table for each in CLAIMS if each.chapter == claim.chapter and each.table != "bias"]
        reasons = dict.fromkeys([*names, *SUMMARISED.get(claim.chapter, ())], "it is made up")
        tables.write_record(chapter, tables.Record(unavailable=reasons))
    first = folder / "results" / "01_center_bias"
    tables.write(first, "bias", bootstrap.center_bias(table, by=["model", "pretrained"]))
    tables.write(first, "grid_by_eccentricity", bootstrap.accuracy_by_eccentricity(table, by="model"))


def families(folder):
    """Write a table of families of towers, and return its path."""
    labels = pd.DataFrame({"family": [adapter.label for adapter in ADAPTERS]})
    about = {"pooling": "class token", "models": "a", **dict.fromkeys(CAPABILITIES, "yes")}
    about |= {"attention change": "no", "position change": "no", "poolings": "all", "missing": ""}
    write_table(labels.assign(**about), folder / "families.csv")
    return folder / "families.csv"


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """Render the book once, also for several processes that share the tests."""
    temporary = tmp_path_factory.getbasetemp()
    folder = (temporary.parent if "PYTEST_XDIST_WORKER" in os.environ else temporary) / "edition"
    with filelock.FileLock(folder.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        if not folder.exists():
            add_chapters(folder, answers(at_center=0.9, off_center=0.4))
            render_book(MODEL, families(folder), folder)
    return folder / "html"


def text_of(page):
    return " ".join(re.sub(r"<[^>]+>", "", page.read_text()).split())


def test_the_banner_names_a_precision_other_than_single():
    rounded = book.banner(described("ViT-B-32", "openai", precision="bf16"))
    assert "ViT-B-32--bf16</b>, size standard, in bf16: computed with ViT-B-32" in rounded
    assert "fp32" not in book.banner(MODEL)


def test_every_page_states_the_model_of_the_edition(html):
    alone = {"index.html", "summary.html"}
    pages = [page for page in html.rglob("*.html") if "_static" not in page.parts and page.name not in alone]
    assert len(pages) > 10
    for page in pages:
        assert "Edition pocketclip-centered, size full: computed with pocketclip-centered" in text_of(page), (
            page
        )
        assert "not a published CLIP (digest of the weights: 1a2b3c4d)" in text_of(page), page
    assert "url=intro.html" in (html / "index.html").read_text()


def test_the_introduction_states_the_finding_computed_from_the_table(html):
    introduction = unescape(text_of(html / "intro.html")).replace("\xa0", " ")
    assert "pocketclip-centered is cross-eyed: of 20 objects it names 90 % [" in introduction
    assert "] correctly at the center and 40 % [" in introduction
    assert "a gap of 50 points [" in introduction
    assert "What helps is not known here: it is made up." in introduction
    assert "1.2 million parameters" in introduction
    (finding,) = (html / "_images").glob("finding.*")
    assert finding.stat().st_size > 5_000
    alternative = re.search(
        rf'alt="([^"]+)"[^>]*{finding.name}|{finding.name}"[^>]*alt="([^"]+)"',
        (html / "intro.html").read_text(),
    )
    assert "pocketclip-centered: 90 % [" in "".join(filter(None, alternative.groups()))


def test_the_introduction_leads_to_the_summary_and_its_pdf_where_there_is_one(html):
    links = set(re.findall(r'href="([^"]+)"', (html / "intro.html").read_text()))
    assert "summary.html" in links
    assert ("summary.pdf" in links) == (html / "summary.pdf").is_file() == (find_browser() is not None)
    assert Image.open(html / "card.png").size == (1200, 630)


def test_headings_are_in_order_and_each_image_has_a_size_and_says_what_it_shows(html):
    pages = [*html.glob("*.html"), *html.glob("notebooks/*.html")]
    assert len(pages) > 15
    for page in pages:
        article = re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.S)
        levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", article)]
        steps = [after - before for before, after in itertools.pairwise(levels)]
        assert all(step <= 1 for step in steps), (page, levels)
        for image in re.findall(r"<img\b[^>]*>", article):
            assert re.search(r'alt="[^"]+"', image), (page, image)
            assert re.search(r'width="\d+" height="\d+"|style="', image), (page, image)


def test_the_first_page_is_light(html):
    shown = [html / "intro.html", *(html / "_images").glob("finding.*"), *html.glob("_static/book.*")]
    assert sum(file.stat().st_size for file in shown) < 500_000


def test_no_placeholder_is_left(html):
    for page in html.glob("*.html"):
        assert "{{" not in text_of(page), page


def test_no_page_tells_where_it_was_built(html):
    for page in html.rglob("*.html"):
        assert str(ROOT) not in page.read_text(), page


def test_every_link_between_the_pages_leads_somewhere(html):
    assert [str(each) for each in links.broken(html)] == []


def test_without_an_address_no_page_has_a_launch_button_and_one_says_how_to_get_them(html):
    for page in {*html.rglob("*.html")} - {
        *html.glob("_modules/**/*.html")
    }:  # which show the code that writes them
        for word in (
            "launch-button",
            "mybinder.org",
            "colab.research",
            "citation_public_url",
            'rel="canonical"',
        ):
            assert word not in page.read_text(), (page, word)
    assert "so its pages have no launch buttons" in text_of(html / "run_it_yourself.html")


def test_pages_tell_indexes_who_wrote_them_and_lists_stay_out_of_them(html):
    assert '<meta name="citation_title" content="Is CLIP cross-eyed?"/>' in (html / "intro.html").read_text()
    for page, told in {
        "intro.html": True,
        "notebooks/01_center_bias.html": True,
        "genindex.html": False,
    }.items():
        text = (html / page).read_text()
        assert ("citation_author" in text, "ld+json" in text, "noindex" in text) == (told, told, not told), (
            page
        )


def test_the_chapter_is_rendered_with_its_outputs(html):
    chapter = text_of(html / "notebooks" / "01_center_bias.html")
    assert "forty-two" in chapter
    assert "2026" in chapter


def test_the_reference_documents_every_public_function(html):
    library = ROOT / "lib/crosseyed"
    for file in library.rglob("[a-z]*.py"):
        module = ".".join(file.relative_to(library).with_suffix("").parts)
        page = (html / "api" / f"{module}.html").read_text()
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert f'id="crosseyed.{module}.{node.name}"' in page, f"{module}.{node.name}"


def test_three_links_lead_from_each_verdict_to_figure_table_and_function(html):
    for page in ("intro.html", "claims.html"):
        text = (html / page).read_text()
        targets = [unescape(each) for each in re.findall(r'href="([^"]+)"', text)]
        for claim in CLAIMS:
            (figure,) = {
                each for each in targets if f"{claim.chapter}.html#" in each and _slug(each) == claim.section
            }
            assert f'id="{figure.partition("#")[2]}"' in (html / figure.partition("#")[0]).read_text()
            name = f"crosseyed.{claim.function}"
            (function,) = {each for each in targets if each.endswith(f"#{name}")}
            assert f'id="{name}"' in (html / function.partition("#")[0]).read_text()
        (table,) = {
            each for each in targets if each.endswith("/bias.csv")
        }  # the only one that was not made up
        assert "center_accuracy" in (html / table).read_text()
    assert "version 2 of the protocol" in text_of(html / "claims.html")


def _slug(target):
    """Return the heading of a claim that a link leads to."""
    anchor = target.partition("#")[2]
    return next(
        (each.section for each in CLAIMS if re.sub(r"\W+", "-", each.section.lower()).strip("-") == anchor),
        None,
    )


def test_the_bibliography_lists_what_is_cited(html):
    references = text_of(html / "references.html")
    for title in ("Is CLIP Cross-Eyed?", "Learning transferable visual models", "Reproducible scaling laws"):
        assert title in references


@pytest.fixture
def small_book(tmp_path, monkeypatch):
    """Return the folder of an edition in a project whose book has one page and whose package has one module."""
    monkeypatch.chdir(tmp_path)
    for file in ("_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / file, tmp_path)
    (tmp_path / "lib/crosseyed").mkdir(parents=True)
    shutil.copy(ROOT / "lib/crosseyed/errors.py", tmp_path / "lib/crosseyed")
    (tmp_path / "book").mkdir()
    (tmp_path / "book/references.bib").touch()
    contents = "format: jb-book\nroot: intro\nchapters:\n  - file: notebooks/01_center_bias\n"
    (tmp_path / "book/_toc.yml").write_text(contents)
    add_chapters(tmp_path / "edition", answers(at_center=0.9, off_center=0.4))
    return tmp_path / "edition"


def test_a_warning_is_an_error_that_names_the_page_and_leaves_no_book(small_book):
    # the chapter cites a source that is not in references.bib, and this page links to nothing
    (small_book.parent / "book/intro.md").write_text("# Title\n\n{doc}`nowhere`\n")
    with pytest.raises(BookError) as error:
        render_book(MODEL, families(small_book), small_book)
    assert re.search(r"intro\.md:3: WARNING: .*'nowhere'", str(error.value))
    assert re.search(r"01_center_bias\.ipynb:\d+: WARNING: .*chew2026crosseyed", str(error.value))
    assert not (small_book / "html").exists()
    assert "nowhere" in (small_book / "book.log").read_text()


def test_with_an_address_each_chapter_can_be_launched_from_its_source_in_the_repository(small_book):
    (small_book.parent / "book/intro.md").write_text("# Title\n\n{{ launch }}\n")
    (small_book.parent / "book/_toc.yml").write_text(
        "format: jb-book\nroot: intro\nchapters:\n  - file: references\n  - glob: notebooks/*\n"
    )
    for name in ("references.md", "references.bib"):
        shutil.copy(ROOT / "book" / name, small_book.parent / "book")
    configuration = yaml.safe_load((ROOT / "_config.yml").read_text())
    configuration["repository"]["url"] = "https://github.com/owner/name"
    configuration["html"]["baseurl"] = "https://owner.example.org/name/"
    configuration["launch_buttons"]["jupyterhub_url"] = "https://hub.example.edu"
    (small_book.parent / "_config.yml").write_text(yaml.safe_dump(configuration))
    render_book(MODEL, families(small_book), small_book)
    for source in (ROOT / "notebooks").glob("*.ipynb"):
        text = (small_book / "html/notebooks" / f"{source.stem}.html").read_text()
        lab = f"lab/tree/notebooks/{source.name}"
        assert [
            unescape(each) for each in re.findall(r'<a href="(https://[^"]+)" target="_blank"', text)
        ] == [
            f"https://mybinder.org/v2/gh/owner/name/main?urlpath={lab}",
            "https://hub.example.edu/hub/user-redirect/git-pull?repo=https%3A//github.com/owner/name"
            f"&urlpath={lab.replace('lab/tree', 'lab/tree/name')}&branch=main",
            f"https://colab.research.google.com/github/owner/name/blob/main/notebooks/{source.name}",
        ]
        url = f"https://owner.example.org/name/editions/pocketclip-centered/notebooks/{source.stem}.html"
        assert f'<link rel="canonical" href="{url}" />' in text
        assert f'<meta name="citation_public_url" content="{url}"/>' in text
    assert "in Binder, Google Colab and JupyterHub" in text_of(small_book / "html/intro.html")
    assert "dropdown-launch" not in (small_book / "html/intro.html").read_text()


NAME = r"""a--b $x$ $$y$$ {{x}} [b](c) _x_ a|b `c` &amp; **e** {term}`f` @g ^h^ \(i\) "j" 'k' ... <b>l</b> 猫 قطة 🐱"""
PAGE = """# Title

## For {{ model }}

{{ origin }}

{{ claims }}

{{ pocketclip_figures }}

{{ families }}

```{bibliography}
```
"""


def test_a_name_is_shown_on_pages_as_it_is(small_book, monkeypatch):
    project, model, in_a_path = small_book.parent, described(NAME, NAME), NAME.replace("/", "")
    folder, family = project / "named", project / "named/results/06_model_family"
    add_chapters(folder, answers(at_center=0.9, off_center=0.4, model=model))
    chapter = nbformat.read(folder / "notebooks/01_center_bias.ipynb", as_version=4)
    chapter.cells[1].outputs[0].data = {"text/markdown": f"Of **{markdown(NAME)}**, it is said."}
    nbformat.write(chapter, folder / "notebooks/01_center_bias.ipynb")
    tables.clear(family)
    published = {"edition": [NAME], "gap": [1.0], "gap_low": [0.5], "gap_high": [2.0], "year": [2024]}
    tables.write(family, "published", pd.DataFrame(published))
    tables.write(family, "recent", pd.DataFrame(published))
    (project / "book/intro.md").write_text(PAGE)
    (project / "book/_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n- glob: notebooks/*\n")
    shutil.copy(ROOT / "book/references.bib", project / "book")
    card = project / "data/models" / f"pocketclip-{in_a_path}" / "accuracy.csv"
    card.parent.mkdir(parents=True)
    shutil.copy(ROOT / "data/models/pocketclip-centered/accuracy.csv", card)
    monkeypatch.setattr(book, "DATA", project / "data")
    render_book(model, families(folder), folder)
    shown = unescape(text_of(folder / "html/intro.html"))
    for words in (
        f"For {NAME}#",
        f"{NAME} with the weights {NAME}",
        f"of 1 models since 2024, {NAME}: +1.0 points",
    ):
        assert words in shown
    assert f"position pocketclip-{in_a_path} renderings" in shown
    assert f"Of {NAME}, it is said." in unescape(text_of(folder / "html/notebooks/01_center_bias.html"))


def test_the_introduction_needs_the_table_of_the_first_chapter(small_book):
    (small_book / "results/01_center_bias/bias.csv").unlink()
    (small_book.parent / "book/intro.md").write_text("# Title\n")
    with pytest.raises(MissingTableError, match="'bias' of the chapter 01_center_bias"):
        render_book(MODEL, families(small_book), small_book)


def test_rows_are_those_of_the_editions_own_model():
    table = pd.DataFrame({"model": ["ViT-B-32"] * 2, "pretrained": ["openai", "laion2b"], "gap": [1, 2]})
    assert own_rows(table, described("ViT-B-32", "openai"))["gap"].tolist() == [1]
    with pytest.raises(InputError, match="no row of the model RN50"):
        own_rows(table, described("RN50", "openai"))


@pytest.mark.parametrize(
    ("model", "pretrained", "words"),
    [
        ("pocketclip-uniform", "crosseyed", "not a published CLIP"),
        ("ViT-B-32", "random", "random weights, which has learned nothing"),
        ("ViT-B-32", "openai", "ViT-B-32 with the weights openai"),
    ],
)
def test_says_where_the_numbers_come_from(model, pretrained, words):
    assert words in origin(described(model, pretrained))


def test_the_table_of_modules_has_their_first_sentences(tmp_path):
    (tmp_path / "one.py").write_text('"""Do one thing | well. And\nmore.\n\nDetails."""\n')
    (tmp_path / "_private.py").write_text('"""Hidden."""\n')
    assert module_table(tmp_path).splitlines()[2:] == [r"| {doc}`one </api/one>` | Do one thing \| well. |"]


def test_the_table_of_modules_names_each_package_above_its_modules(tmp_path):
    for name, text in {
        "b": "B.",
        "a/__init__": "All of a.",
        "a/two": "Two.",
        "a/c/__init__": "C.",
        "a/c/x": "X.",
    }.items():
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'"""{text}"""\n')
    assert module_table(tmp_path).splitlines()[2:] == [
        "| {doc}`b </api/b>` | B. |",
        "| **a** | *All of a.* |",
        "| {doc}`a.two </api/a.two>` | Two. |",
        "| **a.c** | *C.* |",
        "| {doc}`a.c.x </api/a.c.x>` | X. |",
    ]


def test_the_table_of_families_has_a_row_for_each_kind_of_tower_and_its_reasons():
    table = pd.DataFrame(
        {
            "family": ["ViT", "ConvNeXt"],
            "pooling": ["class token", "average"],
            "models": ["a, b and 3 more", "c"],
            "tokens": ["yes", "no"],
            "poolings": ["all", "max"],
            "missing": ["", "tokens: it has none"],
        }
    )
    assert tabulate_families(table).splitlines() == [
        "| tower | tokens |",
        "| --- | --- |",
        "| ViT, pooling by class token, as a | ✓ |",
        "| ConvNeXt, pooling by average, as c | – |",
        "",
        "- **ViT, pooling by class token, as a**, in all a, b and 3 more. Poolings: all.",
        "- **ConvNeXt, pooling by average, as c**, in all c. Poolings: max. Missing – tokens: it has none.",
    ]
