"""Bad inputs by table: each is refused by an error of its type, in a few words that help, and nothing is written."""

import os
import re
import stat

import pytest
from faults import bad_commands, bad_course, bad_data, bad_models, bad_results, bad_training
from faults.cases import Refused

from crosseyed.errors import CrosseyedError
from crosseyed.settings import settings

CASES = [
    case
    for module in (bad_data, bad_models, bad_results, bad_training, bad_commands, bad_course)
    for case in module.CASES
]

MOST_SENTENCES = 4


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Work in the folder of the case, answer no prompt, and leave the settings as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a prompt appeared"))
    with settings.overridden():
        yield


def content(folder):
    """Return every path below a folder with what it is and holds; what is read may be a pipe."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        text = path.read_bytes() if stat.S_ISREG(mode) and os.access(path, os.R_OK) else None
        found[str(path.relative_to(folder))] = stat.S_IFMT(mode), text
    return found


def test_there_are_enough_and_no_two_of_one_name():
    names = [(case.kind, case.name) for case in CASES]
    assert len(names) == len(set(names)) >= 100


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.name}")
def test_is_refused_in_a_few_words_and_nothing_is_written(case, tmp_path, capfd):
    call = case.prepare(tmp_path)
    before, agreed = content(tmp_path), repr(settings)
    with pytest.raises((CrosseyedError, Refused)) as refusal:
        call()
    message = str(refusal.value)
    assert isinstance(refusal.value, case.error), message
    for word in case.words:
        assert word.lower() in message.lower(), message
    assert "\n" not in message and "Traceback" not in capfd.readouterr().err
    assert len(re.findall(r"[.?!](?:\s|$)", message)) <= MOST_SENTENCES, message
    after = content(tmp_path)
    for name in case.writes:
        assert after.pop(name, None), f"{name} was not written"
    for folder in {os.path.dirname(name) for name in case.writes} - {""}:
        after.pop(folder)
    assert after == before
    assert repr(settings) == agreed
