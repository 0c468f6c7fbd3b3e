import pandas as pd
import pytest

from crosseyed.mitigations.base import Mitigation
from crosseyed.mitigations.registry import default_candidates
from crosseyed.mitigations.scoring import family_of
from crosseyed.report.candidates import in_words, told_apart


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ("none", "none"),
        ("cyclic shifts (side=3, aggregate=max)", "cyclic shifts (side 3, aggregate max)"),
        ("padding (border=0.15, plain=False)", "padding (border 0.15, without plain)"),
        ("a (at=(1, 2), b=3)", "a (at (1, 2), b 3)"),
        (
            "gated (ensemble=crops (side=2, plain=True), threshold=0.7)",
            "gated (crops, side 2, with plain, threshold 0.7)",
        ),
    ],
)
def test_settings_are_told_in_words(candidate, words):
    assert in_words(candidate) == words


def test_only_what_differs_within_a_family_is_told():
    tried = pd.DataFrame(
        {
            "family": ["gated crops", "gated crops", "circle", "box", "box"],
            "candidate": [
                "gated (ensemble=crops (side=2, scale=0.6), threshold=0.7)",
                "gated (ensemble=crops (side=3, scale=0.6), threshold=0.7)",
                "prompt (kind=circle, width=1)",
                "prompt (kind=box, width=1)",
                "prompt (kind=box, width=2)",
            ],
        }
    )
    chosen = tried.iloc[[1, 2, 4]]
    named = told_apart(chosen, tried)
    assert named.tolist() == ["gated crops (side 3)", "circle", "box (width 2)"]
    assert named.index.tolist() == [1, 2, 4]


def test_every_mitigation_that_is_tried_has_a_name_of_its_own_and_none_is_spelled_as_code(tiny_clip):
    candidates = [each for each in default_candidates(tiny_clip)[0] if isinstance(each, Mitigation)]
    tried = pd.DataFrame(
        {"family": map(family_of, candidates), "candidate": [each.name for each in candidates]}
    )
    named = told_apart(tried, tried)
    assert len(named) > 50 and named.is_unique
    assert not named[named.str.contains("=")].tolist()
    assert named.str.len().max() <= 60
