import sys

import given_files
import pytest

from crosseyed.errors import InputError
from crosseyed.files import content_digest
from crosseyed.mitigations.base import MITIGATIONS
from crosseyed.mitigations.views import Padding
from crosseyed.workflow.given_mitigations import OWN, find


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """Work in an empty folder, and leave Python's path and the registry as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = dict(MITIGATIONS)
    yield
    assert known == MITIGATIONS


def test_a_mitigation_of_the_study_is_found_by_its_label_or_as_a_class():
    by_label, as_class = find("padding"), find("crosseyed.mitigations.views:Padding")
    assert by_label.kind is as_class.kind is Padding
    assert (by_label.source, as_class.source) == (OWN, "crosseyed.mitigations.views:Padding")
    assert by_label.code == as_class.code == content_digest([by_label.file])


def test_a_class_is_found_in_a_file_and_in_a_module_of_the_current_folder(tmp_path):
    (tmp_path / "below").mkdir()
    in_file = find(given_files.write(tmp_path / "below" / "given.py"))
    given_files.write(tmp_path / "given_module_a.py")
    in_module = find("given_module_a:Mine")
    assert (in_file.source, in_module.source) == ("given.py:Mine", "given_module_a:Mine")
    assert in_file.label == in_module.label == "mine"
    assert in_file.code == in_module.code  # which is that of the content
    given_files.write(tmp_path / "below" / "given.py", "    gated = True\n")
    assert find("below/given.py:Mine").code != in_file.code
    assert find("below/given.py:Mine").kind.gated


def test_a_file_imports_what_lies_beside_it(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "beside_given.py").write_text("LABEL = 'from beside'\n")
    text = given_files.HEAD.replace('"mine"', "LABEL")
    (tmp_path / "below" / "given.py").write_text("from beside_given import LABEL\n" + text)
    assert find("below/given.py:Mine").label == "from beside"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("paddin", "", ["did you mean 'padding'", "module:Class or file.py:Class"]),
        ("given.py", "", ["Unknown mitigation", "module:Class"]),
        (":Mine", "", ["names no class"]),
        ("given.py:", "", ["names no class"]),
        ("given_nowhere:Mine", "", ["no module 'given_nowhere'", "current folder"]),
        ("given_nowhere.below:Mine", "", ["no module 'given_nowhere.below'"]),
        ("gven.py:Mine", "", ["no 'gven.py'", "did you mean 'given.py'"]),
        ("given.py:Mien", given_files.HEAD, ["names no class of the module", "did you mean 'Mine'"]),
        ("given.py:Mine", "x = 1\n", ["has no mitigation"]),
        ("given.py:parameter", given_files.HEAD, ["derives from", "Mitigation"]),
        ("given.py:Mitigation", given_files.HEAD, ["derives from", "Mitigation"]),
        ("given.py:Mine", "class Mine:\n    pass\n", ["derives from"]),
        ("given.py:Mine", "class Mine(:\n", ["cannot be imported", "SyntaxError", "line 1"]),
        ("given.py:Mine", "x = 1\ny = x / 0\n", ["cannot be imported", "ZeroDivisionError", "line 2"]),
        ("given.py:Mine", "import sys\nsys.exit(0)\n", ["cannot be imported", "SystemExit", "line 2"]),
        (
            "given.py:Mine",
            "import given_missing\n",
            ["cannot be imported", "No module named 'given_missing'"],
        ),
        ("given.py:Mine", given_files.HEAD.replace("frozen=True", ""), ["cannot be imported", "frozen"]),
        (
            "given.py:Mine",
            given_files.HEAD.replace('label: ClassVar[str] = "mine"', "pass"),
            ["has no label"],
        ),
        (
            "given.py:Mine",
            given_files.HEAD.replace('"mine"', '"padding"'),
            ["label 'padding'", "one of its own"],
        ),
        (
            "given.py:Views",
            given_files.HEAD.replace("Padding", "ViewEnsemble")
            + "\n\nclass Views(ViewEnsemble):\n    label = 'mine'\n",
            ["lacks others"],
        ),
    ],
)
def test_what_names_no_mitigation_is_refused(tmp_path, name, content, words):
    (tmp_path / "given.py").write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        find(name)
    message = str(caught.value)
    assert not [word for word in words if word not in message], message
    assert "\n" not in message


def test_a_registered_class_of_a_user_stays_out_of_the_study(tmp_path):
    text = given_files.HEAD.replace("@dataclass", "@register\n@dataclass")
    (tmp_path / "given.py").write_text(text, encoding="utf-8")
    assert find("given.py:Mine").kind not in MITIGATIONS.values()
    assert find("given.py:Mine").label == "mine"  # and can be found again
