"""Two editions side by side on one page: each key number and figure with both models, and the paired differences."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crosseyed import __version__
from crosseyed.editions import BUILD, Description
from crosseyed.errors import InputError, check_choice
from crosseyed.measure import bootstrap, dyadic
from crosseyed.report import tables
from crosseyed.report.figures import bars, curves, galleries, intervals, style
from crosseyed.report.figures import headline as figures
from crosseyed.report.reading import NONE, estimate
from crosseyed.report.verdicts.headline import tried
from crosseyed.settings import PROTOCOL_VERSION, settings
from crosseyed.workflow import headline, paired
from crosseyed.workflow.claims import CLAIMS
from crosseyed.workflow.headline import MITIGATIONS, Headline
from crosseyed.workflow.results import CHAPTER, check_weights, own_rows
from crosseyed.workflow.standalone import Picture, picture, write_page
from crosseyed.workflow.verdict_pages import Judged, judge

FOLDER = BUILD / "compare"
"""Folder of the comparisons: the page of a and b is ``a/b.html`` there."""

_CHAPTERS = tuple(dict.fromkeys(claim.chapter for claim in CLAIMS))

_MOST_FAMILIES = 10  # of mitigations that the figure shows


def compare(names: Sequence[str], build: Path = BUILD) -> Path:
    """Make the page that compares two editions.

    Parameters
    ----------
    names : sequence of str
        The names of two editions; differences are the first minus the second.
    build : pathlib.Path
        Folder with the editions, which gets the page.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InputError
        There are not two different names, an edition is unknown, not complete, or of another version of the protocol.
    """
    if len(names) != 2:
        given = f"{len(names)} ({', '.join(names)})" if names else "none"
        raise InputError(f"A comparison is of two editions, and {given} were given; {_present(build)}")
    if names[0] == names[1]:
        raise InputError(f"Both editions are {names[0]!r}; name two different ones. {_present(build)}")
    first, second = (_read(name, build) for name in names)
    page = build / FOLDER.name / names[0] / f"{names[1]}.html"
    table = paired.compare(first, second)
    heads = [headline.read(*side) for side in (first, second)]
    write_page(
        page,
        "compare.html",
        editions=[_about(model, head) for (_, model), head in zip((first, second), heads, strict=True)],
        interval=settings.interval,
        numbers=[_number(row) for row in table.to_dict("records")],
        figures=_figures(first, second, heads, table),
        claims=[_claim(*pair) for pair in zip(judge(*first), judge(*second), strict=True)],
        version=PROTOCOL_VERSION,
        crosseyed=__version__,
    )
    return page


def _present(build: Path) -> str:
    there = _names(build)
    return f"There are {', '.join(there)}." if there else "There are none yet; make book makes one."


def _names(build: Path) -> list[str]:
    return sorted(path.name for path in (build / "editions").glob("[!.]*") if path.is_dir())


def _read(name: str, build: Path) -> paired.Side:
    """Return the tables and the description of an edition that can be compared."""
    there = _names(build)
    if not there:
        raise InputError(f"The edition {name!r} does not exist. {_present(build)}")
    check_choice("edition", name, there)
    results, description = build / "editions" / name / "results", build / "models" / f"{name}.json"
    missing = [] if description.is_file() else ["the description of its model"]
    missing += [chapter for chapter in _CHAPTERS if not _is_complete(results / chapter, chapter)]
    if missing:
        raise InputError(
            f"The edition {name!r} is not complete: it lacks {', '.join(missing)}. Finish it with the command that "
            "began it (make book); what is done is kept."
        )
    for chapter in _CHAPTERS:
        if (version := tables.read_record(results / chapter).protocol_version) != PROTOCOL_VERSION:
            raise InputError(
                f"The chapter {chapter} of the edition {name!r} was executed under version {version} of the protocol, "
                f"and this is version {PROTOCOL_VERSION}; make the edition again (make book)."
            )
    model = Description.read(description)
    check_weights(results, model)
    return results, model


def _is_complete(folder: Path, chapter: str) -> bool:
    try:
        tables.check_complete(folder, chapter)
    except tables.MissingTableError:
        return False
    return tables.are_whole(folder)


def _about(model: Description, head: Headline) -> dict[str, object]:
    return {
        "name": model.edition.name,
        "model": model.model,
        "pretrained": model.pretrained,
        "size": model.edition.size,
        "parameters": model.parameters_in_words,
        "weights": model.weights,
        "sentences": head.sentences[1:],
    }


def _number(row: dict[str, object]) -> dict[str, str]:
    """Return a row of the table of differences in words."""
    first, second = (NONE if pd.isna(row[name]) else estimate(row, name) for name in ("first", "second"))
    if pd.isna(row["difference"]):
        return {"what": row["what"], "first": first, "second": second, "difference": NONE, "n": row["reason"]}
    counted = f"{row['n']:,} images of {row['n_objects']} objects"
    return {
        "what": row["what"],
        "first": first,
        "second": second,
        "difference": estimate(row, "difference", signed=True),
        "n": counted,
    }


def _claim(first: Judged, second: Judged) -> dict[str, str]:
    here = [
        (each.verdict, NONE if each.evidence is None else each.evidence.number) for each in (first, second)
    ]
    return {"what": first.claim.statement, "first": " ".join(here[0]), "second": " ".join(here[1])}


def _figures(
    first: paired.Side, second: paired.Side, heads: Sequence[Headline], table: pd.DataFrame
) -> list[dict[str, str | Picture]]:
    """Return the key figures with both editions, each with its heading; what an edition lacks is left out."""
    names = [model.edition.name for _, model in (first, second)]
    sides = pd.concat([_sides(*each) for each in zip(names, heads, strict=True)], ignore_index=True)
    shown = [("At the center and off-center", figures.both_sides(sides))]
    differences = table[table["difference_low"].notna()].rename(columns={"what": "name"})
    if len(differences):
        axis = {"difference": f"{names[0]} minus {names[1]} (points)"}
        shown.append(("Paired differences", intervals.forest(differences, axis, hue="none")))
    rings = _both(first, second, "grid_by_eccentricity")
    shown.append(("From center to corner", curves.accuracy_by_eccentricity(rings)))
    cells = bootstrap.accuracy(_both(first, second, "grid"), by=["model", "row", "col"])
    shown.append(("Accuracy over the grid", galleries.accuracy_grid(cells)))
    choices = dyadic.choices(_both(first, second, "pair"), by="model")
    shown.append(("Two objects, four captions", bars.choice_bars(choices)))
    helped = pd.concat([_families(*side) for side in (first, second)], ignore_index=True)
    if len(helped):
        heading = "Mitigations that are not told where the object is"
        shown.append((heading, intervals.changes(helped, label="family", panel="edition")))
    return [
        {"heading": heading, "picture": picture(figure, style.describe(figure))} for heading, figure in shown
    ]


def _sides(name: str, first: Headline) -> pd.DataFrame:
    """Return the rows of the first screen's figure that are about the edition's own model, under the edition's name."""
    rows = first.sides.iloc[[0, *([-2, -1] if first.best is not None else [])]]  # not the models beside it
    labels = (
        [name] if first.best is None else [name, f"{name}, other objects", f"{name}, {first.best['family']}"]
    )
    return rows.assign(label=labels)


def _both(first: paired.Side, second: paired.Side, name: str) -> pd.DataFrame:
    """Return what a table of the first chapter says of both editions, with their names as `model`."""
    parts = [
        own_rows(tables.read(results, CHAPTER, name), model).assign(model=model.edition.name)
        for results, model in (first, second)
    ]
    return pd.concat(parts, ignore_index=True)


def _families(results: Path, model: Description) -> pd.DataFrame:
    """Return the best setting of each family of mitigations, those that other objects ranked highest."""
    try:
        rows = tables.read(results, MITIGATIONS, "evaluation")
    except tables.UnavailableTableError:
        return pd.DataFrame()
    rows = tried(rows)
    rows = rows[rows["validation_rank"].notna()].sort_values("validation_rank")
    return rows.drop_duplicates("family").head(_MOST_FAMILIES).assign(edition=model.edition.name)
