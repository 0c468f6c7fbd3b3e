import pandas as pd
import pytest
from small_mitigations import answered, random_answers

from crosseyed.errors import InputError
from crosseyed.mitigations.outcomes import OUTCOMES, outcomes


def test_outcomes_by_hand():
    answers = answered(
        none=[[True, False, False], [True, False, False]],
        a=[[True, True, False], [False, False, False]],
    )
    found = pd.DataFrame(
        {
            "image": ["000", "001", "002", "010", "011", "012"],
            "correct": [False, False, True, True, False, True],
        }
    )
    table = outcomes(answers, "a", found, resamples=50)
    assert table["outcome"].tolist() == 2 * list(OUTCOMES)
    shares = table.set_index(["center", "outcome"])["share"].unstack("center").reindex(columns=[True, False])
    assert shares.loc["recognised before and after"].tolist() == [50, 0]
    assert shares.loc["repaired"].tolist() == [0, 25]
    assert shares.loc["broken"].tolist() == [50, 0]
    assert shares.loc["in the object's tokens, yet lost"].tolist() == [0, 50]
    assert shares.loc["not found in the tokens"].tolist() == [0, 25]
    assert table["n"].tolist() == 5 * [2] + 5 * [4]


def test_outcomes_refuse_what_was_not_asked():
    answers = random_answers()
    with pytest.raises(InputError, match="'a_3' was not scored under the protocol 'grid'; did you mean"):
        outcomes(answers, "a_3", answers)
    with pytest.raises(InputError, match="found lacks"):
        outcomes(answers, "a_1", pd.DataFrame({"image": ["000"], "correct": [True]}))
