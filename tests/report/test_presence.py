"""Is an object present in its tokens, and lost on the way? Simulated towers of which the answer is known."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from crosseyed.internals.layer_answers import READERS, end_answers
from crosseyed.measure import bootstrap
from crosseyed.report.presence import AGAINST, PROBE, conditions
from crosseyed.settings import settings
from crosseyed.workflow.claims import CLAIMS

OBJECTS = [f"object {number}" for number in range(20)]
CELLS = [(0, 0), (0, 2), (1, 1), (2, 0), (2, 2)]
WIDTH = 24
(LOST,) = (claim for claim in CLAIMS if claim.table == "lost")


@pytest.fixture(autouse=True)
def few_resamples():
    with settings.overridden(resamples=1000):
        yield


@pytest.fixture(scope="module")
def about():
    rows = [
        (f"{style} {name} {cell}", name, style, *cell, cell == (1, 1))
        for style in ("a", "b", "c")
        for name in OBJECTS
        for cell in CELLS
    ]
    return pd.DataFrame(rows, columns=["image", "object", "style", "row", "col", "center"])


def code(about, *columns, seed=0):
    """Give each distinct value of some columns a vector of its own, of length about 1."""
    numbers = about.groupby(list(columns)).ngroup().to_numpy()
    rng = np.random.default_rng(seed)
    return rng.normal(size=(numbers.max() + 1, WIDTH))[numbers] / np.sqrt(WIDTH)


def noise(about, size, seed):
    return size * np.random.default_rng(seed).normal(size=(len(about), WIDTH)) / np.sqrt(WIDTH)


def tower(about, case):
    """Return the object's tokens, the embedding and the object's tokens with random weights."""
    held, cell = code(about, "object"), 5 * code(about, "row", "col", seed=1)
    in_cell = code(about, "object", "row", "col", seed=2)
    lost = held * about["center"].to_numpy()[:, None] + noise(about, 0.4, 13)
    blank = noise(about, 1, 4)
    return {
        "present and lost": (held + noise(about, 0.4, 5), lost, blank),
        "present in a code of each cell": (in_cell + cell + noise(about, 0.4, 5), lost, blank),
        "absent": (noise(about, 1, 5), lost, blank),
        "only the position": (cell + noise(about, 1, 5), lost, blank),
        "as much with random weights": (held + noise(about, 0.7, 5), lost, held + noise(about, 0.7, 6)),
        "present and kept": (held + noise(about, 0.7, 5), held + noise(about, 0.7, 6), blank),
        "better in the embedding": (held + noise(about, 1.2, 5), held + noise(about, 0.3, 6), blank),
    }[case]


@pytest.fixture(scope="module")
def asked(about):
    """Return the answers of the probes for a case, computed once."""

    @cache
    def answers(case):
        tokens, embedding, random = tower(about, case)
        return end_answers({"object": tokens, "embedding": embedding}, about, random=random, seed=0)

    return answers


VERDICTS = {
    "present and lost": "supported",
    "present in a code of each cell": "supported",
    "absent": "not supported",
    "only the position": "not supported",
    "as much with random weights": "not supported",
    "present and kept": "not supported",
    "better in the embedding": "contradicted",
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_is_that_of_the_simulated_tower(case, asked):
    assert LOST.test(conditions(asked(case), seed=0)).verdict == VERDICTS[case]


@pytest.mark.parametrize("case", ["absent", "only the position", "as much with random weights"])
def test_a_gap_that_grows_on_the_way_shows_no_presence(case, asked):
    """The gap grows certainly from the tokens to the embedding, although the tokens have learned nothing to lose."""
    answers = asked(case)
    rows = answers[answers["reader"] == PROBE]
    grown = bootstrap.paired_difference(rows, "source", ("embedding", "object"), quantity="gap")
    assert grown["low"].item() > 0
    assert LOST.test(conditions(answers)).verdict == "not supported"


def test_a_tower_with_random_weights_has_learned_nothing_that_it_could_lose(about):
    """As many objects are told by colors, say, in its tokens as in those of any other such tower."""
    colors = code(about, "object")
    answers = end_answers(
        {"object": colors + noise(about, 0.7, 5), "embedding": noise(about, 1, 6)},
        about,
        random=colors + noise(about, 0.7, 7),
    )
    rows = conditions(answers).set_index(["reader", "against"])
    assert rows.loc[(PROBE, "shuffled names"), "low"] > 0
    assert rows.loc[(PROBE, "embedding"), "low"] > 0
    assert LOST.test(rows.reset_index()).verdict == "not supported"


def test_what_is_coded_in_each_cell_anew_is_found_by_the_probes_of_the_cell_alone(asked):
    rows = conditions(asked("present in a code of each cell"))
    against = rows[rows["against"] == "shuffled names"].set_index("reader")["low"] > 0
    assert against.to_dict() == {reader: "same cell" in reader for reader in READERS}


def test_conditions_by_hand():
    """Two objects, each at the center and in two other cells; the center does not count."""
    right = {  # of the cup at the center and off-center, then of the dog
        "object": [0, 1, 1, 0, 1, 0],
        "embedding": [1, 0, 1, 1, 0, 0],
        "random weights": [1, 0, 0, 1, 1, 0],
        "shuffled names": [1, 0, 0, 1, 0, 0],
    }
    answers = pd.concat(
        pd.DataFrame(
            {
                "image": range(6),
                "object": ["cup"] * 3 + ["dog"] * 3,
                "center": [True, False, False] * 2,
                "correct": [bool(each) for each in correct],
                "source": source,
                "reader": reader,
            }
        )
        for source, correct in right.items()
        for reader in READERS[:2]
    )
    table = conditions(answers)
    assert len(table) == 2 * len(AGAINST)
    rows = table[table["reader"] == PROBE].set_index("against")
    assert rows["first_value"].tolist() == [75.0] * 3
    assert rows["difference"].to_dict() == {"random weights": 50, "shuffled names": 75, "embedding": 50}
    # of two objects, +100 and 0 points, Student's interval reaches both ends of the scale
    assert rows.loc["random weights", ["low", "high"]].tolist() == [-100, 100]
