"""What a submission may try, and does not get: points, hidden checks, other people's work, or the machine."""

import json
import os
import re
import socket
import subprocess
import sys
import time

import psutil
import pytest
import submitted

from crosseyed.course import gradebook, grading, sandbox, submissions
from crosseyed.course.grading import Graded

pytestmark = pytest.mark.skipif(
    not sandbox.can_isolate(), reason="bubblewrap is not there, or may not do its work"
)

SECRET = "marmalade-colored"  # stands in the lab's solution, and nowhere else


# each ends with the student's functions doing no work; none gets a point
FOR_POINTS = {
    "comparisons are patched": """
import builtins, numpy as np, pandas as pd
np.isclose = np.allclose = np.array_equal = lambda *_, **__: True
np.testing.assert_allclose = lambda *_, **__: None
pd.DataFrame.equals = lambda *_: True
builtins.AssertionError = type("AssertionError", (BaseException,), {})
builtins.abs = lambda _: 0
""",
    "it exits with points": """
import json, os, sys
print(json.dumps({"score": 5, "q1": 3, "q2": 2}), flush=True)
os._exit(5)
""",
    "results are written": """
import json, os
for name in ("results.json", "../result.json", "/given/results.json", "/tmp/results.json", "grades.csv"):
    try:
        with open(name, "w") as file:
            json.dump({"score": 5, "checks": [{"question": "q1", "points": 3, "got": 3, "outcome": "passed"}]}, file)
    except OSError:
        pass
""",
    "answers are said before questions": """
import json, os
lines = [{"id": number, "answer": 0.3} for number in ("0" * 32, None, 0)]
lines += [{"answer": 0.3}, {"id": "0" * 32, "error": None}, ["id"], 7]
for number in range(3, 40):
    for line in lines:
        try:
            os.write(number, (json.dumps({"~": "dict", "items": list(map(list, line.items()))}
                                         if isinstance(line, dict) else line) + "\\n").encode())
        except OSError:
            pass
""",
    "lines that are nested without end": """
import os
for number in range(3, 40):
    try:
        os.write(number, b"[" * 200_000 + b"\\n")
    except OSError:
        pass
""",
    "equal to everything": """
import numpy as np
class Equal:
    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda *_: True
    __hash__ = lambda _: 0
    __array__ = lambda *_, **__: np.ones(1)
    __sub__ = __rsub__ = __abs__ = __float__ = lambda *_: 0.0
    __array_ufunc__ = lambda *_, **__: True
    __reduce__ = lambda _: (print, ("unpickled",))
    equals = lambda *_: True
accuracy = gap = lambda *_: Equal()
expected = Equal()
""",
    "equal by inheritance": """
class Text(str):
    __eq__ = lambda *_: True
    __hash__ = lambda _: hash("lower")
class Number(float):
    __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda *_: True
    __sub__ = __rsub__ = __abs__ = lambda *_: 0.0
    __hash__ = lambda _: 0
accuracy = gap = lambda *_: Number(7)
expected = Text("whatever")
""",
    "too large an answer": """
def accuracy(table):
    return "a" * 200_000_000
gap = lambda *_: [[0] * 1000] * 100_000
""",
    "the runner answers otherwise": """
import sys
runner = sys.modules["__main__"]
runner._ask = lambda *_: True
""",
    "modules are replaced in the folder": """
for name in ("numpy", "crosseyed", "json", "sitecustomize", "usercustomize", "conftest"):
    with open(name + ".py", "w") as file:
        file.write("isclose = allclose = lambda *_, **__: True")
""",
}  # fmt: skip


@pytest.mark.parametrize("attack", FOR_POINTS.values(), ids=FOR_POINTS)
def test_no_points_are_had_but_by_answers(lab, tmp_path, attack):
    verdict = submitted.judged(lab, submitted.starter(lab, attack), tmp_path)
    assert verdict.isolated and not verdict.problem
    assert verdict.points() == {"q1": 0, "q2": 0}
    assert [check.name for check in verdict.checks] == [
        check.name for cell in lab.hidden for check in cell.checks
    ]


def test_the_same_notebooks_with_right_answers_get_points_so_that_the_tests_above_can_fail(lab, tmp_path):
    verdict = submitted.judged(lab, submitted.solution(lab, FOR_POINTS["results are written"]), tmp_path)
    assert verdict.points() == {"q1": 3, "q2": 2}


# each leaves what it found as the list `found`
FOR_SECRETS = {
    "frames and objects": """
import gc, sys
found, frame = [], sys._getframe()
while frame is not None:
    found += [name for name in (*frame.f_globals, *frame.f_locals) if name in ("unseen_table", "hidden_check")]
    frame = frame.f_back
for each in gc.get_objects():
    if type(each) is dict and ("unseen_gap" in each or "hidden_check" in each) and each is not globals():
        found.append("dict")
    if callable(each) and getattr(each, "__name__", "") in ("unseen_table", "unseen_gap", "hidden_check"):
        found.append("function")
""",
    "files": """
import os
found = []
words = (b"marmalade-" + b"colored", b"def unseen_" + b"table")
for place, folders, names in os.walk("/"):
    if place.startswith(("/proc", "/sys", "/dev")):
        folders.clear()
        continue
    if os.path.basename(place) == "site-packages" or place == "/usr":
        folders.clear()  # Python's and the system's own
    found += [name for name in names if name in ("lab.py", "job.json", "somebody.ipynb", ".lock")]
    for name in names:
        if name.endswith((".py", ".ipynb", ".json")) and place != os.getcwd() and place != "/given":
            try:
                with open(os.path.join(place, name), "rb") as file:
                    text = file.read()
            except OSError:
                continue
            found += [name for word in words if word in text]
""",
    "paths out of the folder": """
import os
found = []
for path in ("..", "../..", "../../somebody.ipynb", "/given/..", "/submission/..", "/root", "/home", "/tmp", "/work"):
    names = os.listdir(path) if os.path.isdir(path) else []
    found += [name for name in names if name.endswith((".ipynb", ".py")) or name in ("hub.git", "notebooks", "tests")]
""",
    "other processes": """
import os
commands = [open(f"/proc/{pid}/cmdline", "rb").read() for pid in os.listdir("/proc") if pid.isdigit()]
found = [command for command in commands if b"judge" in command or b"pytest" in command]
import ctypes
for pid in range(1, 3000):
    if pid not in (os.getpid(), 1, 2) and ctypes.CDLL(None).ptrace(16, pid, 0, 0) == 0:
        found.append(pid)
""",
    "the environment": """
import os
known = ("PYTEST", "SSH", "AWS", "GITHUB", "CROSSEYED_COMMAND", "SECRET")
found = [name for name in os.environ if name.startswith(known)]
""",
}  # fmt: skip


@pytest.mark.parametrize("attack", FOR_SECRETS.values(), ids=FOR_SECRETS)
def test_nothing_is_found_of_checks_solutions_and_other_submissions(lab, tmp_path, monkeypatch, attack):
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "1")
    submitted.write(submitted.solution(lab), tmp_path / "somebody.ipynb")
    # what was found is seen in what the check of `expected` is told: one of the three words if it is nothing
    notebook = submitted.starter(lab, attack, 'expected = "lower" if not found else str(found)')
    verdict = submitted.judged(lab, notebook, tmp_path / "own")
    assert verdict.points() == {"q1": 0, "q2": 1}


def test_what_is_asked_reaches_no_feedback(lab, tmp_path):
    """The name and text of an exception, and what is printed, are the student's to choose."""
    attack = """
def accuracy(table):
    asked = "ASKED" + "x".join(str(int(each)) for each in table["correct"])[:20]
    print(asked)
    with open("asked", "w") as file:
        file.write(asked)
    raise type(asked, (ValueError,), {})(asked)
import os
if os.path.exists("asked"):
    raise ValueError(open("asked").read())
def gap(table, limit):
    os._exit(3)
"""
    verdict = submitted.judged(lab, submitted.starter(lab, attack), tmp_path / "own")
    assert any("ASKED" in check.detail for check in verdict.checks)  # teachers may see it
    submission = submissions.Submission("anna", "anna.ipynb")
    gradebook.write(tmp_path / "grades", lab, [Graded(submission, verdict)], seed=0)
    pages = [path.read_text() for path in (tmp_path / "grades" / "feedback").iterdir()]
    assert len(pages) == 1 and "ASKED" not in pages[0] and "an error" in pages[0]
    assert "ASKED" not in json.dumps(gradebook.gradescope(lab, verdict))


def test_there_is_no_network(lab, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        attack = f"""
import socket
with socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=2) as line:
    line.sendall(b"here")
"""
        verdict = submitted.judged(lab, submitted.starter(lab, attack), tmp_path)
        with pytest.raises(TimeoutError):
            server.accept()
    assert [failed["kind"] for failed in verdict.failed] == ["ConnectionRefusedError"]


def test_links_in_a_submission_are_not_followed(lab, tmp_path):
    (tmp_path / "secret.txt").write_text(SECRET)
    folder = tmp_path / "class" / "anna"
    submitted.write(submitted.starter(lab), folder / "counting.ipynb")
    os.symlink(tmp_path / "secret.txt", folder / "notes.txt")
    os.symlink(tmp_path, folder / "up")
    (found,) = submissions.find(tmp_path / "class")
    notes = submissions.collect(found, tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").rglob("*")] == ["counting.ipynb"]
    assert len(notes) == 2 and all("link" in note for note in notes)


def test_data_of_the_lab_cannot_be_replaced(lab, tmp_path):
    (tmp_path / "given" / "data").mkdir(parents=True)
    (tmp_path / "given" / "data" / "answers.csv").write_text("correct\nTrue\n")
    (tmp_path / "given" / "data" / "own.csv").write_text("a\n1\n")
    cell = 'expected = "lower" if len(pd.read_csv("data/answers.csv")) == 6 and len(pd.read_csv("data/own.csv")) else 0'
    verdict = submitted.judged(lab, submitted.starter(lab, cell), tmp_path)
    assert verdict.points()["q2"] == 1


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("name", ["data", "data/answers.csv/a"])
def test_what_lies_in_the_place_of_the_data_is_passed_over(lab, tmp_path, name, isolated):
    (tmp_path / "given" / name).parent.mkdir(parents=True)
    (tmp_path / "given" / name).write_text("a")
    cell = 'expected = "lower" if len(pd.read_csv("data/answers.csv")) == 6 else 0'
    assert (
        submitted.judged(lab, submitted.starter(lab, cell), tmp_path, isolated=isolated).points()["q2"] == 1
    )


# code, and what is then said: in the notes of the process, or of the cell; the rest is graded
FOR_THE_MACHINE = {
    "processes past the limit": (
        "import os\nfor _ in range(200):\n    if os.fork() == 0:\n        time.sleep(60)",
        "processes|memory|in time",  # whichever a busy machine sees first
    ),
    "a fork bomb": ("import os\nwhile True:\n    os.fork()", "processes|memory|in time"),
    "memory": ("held = [bytearray(2**28) for _ in range(30) if not time.sleep(0.05)]", "MemoryError"),
    "memory of several": (
        "import os\nfor _ in range(10):\n    if os.fork() == 0:\n        held = b'1' * 2**28\n        time.sleep(60)\n"
        "time.sleep(60)",
        "memory",
    ),
    "memory as files": (
        "for i in range(100):\n    open(f'/dev/shm/{i}', 'wb').write(bytes(2**25))",
        "OSError",
    ),
    "a full disk": ("for i in range(100):\n    open(str(i), 'wb').write(bytes(2**25))", "OSError"),
    "one large file": ("for i in range(100):\n    open('large', 'ab').write(bytes(2**22))", "OSError"),
    "4 GB of output": ("for _ in range(2**12):\n    print('a' * 2**20)", ""),
    "its own process is stopped": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "in time"),
    "all processes are killed": ("import os\nos.kill(-1, 9)\nos.kill(1, 9)\nos.kill(os.getppid(), 9)", ""),
    "limits are raised": (
        "import resource\nfor kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_DATA, resource.RLIMIT_NPROC):\n"
        "    resource.setrlimit(kind, (resource.RLIM_INFINITY,) * 2)",
        "ValueError",
    ),
    "a loop that nothing breaks": (
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    pass",
        "in time",
    ),
    "a loop that catches all": (
        "while True:\n    try:\n        time.sleep(1)\n    except BaseException:\n        pass",
        "in time",
    ),
    "a process that stays": (
        "import subprocess\nsubprocess.Popen(['sleep', '4711'], start_new_session=True, stdout=subprocess.DEVNULL)",
        "",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "reason"), FOR_THE_MACHINE.values(), ids=FOR_THE_MACHINE)
def test_the_machine_goes_on_and_other_answers_count(lab, tmp_path, attack, reason):
    limits = sandbox.Limits(cell_seconds=8, notebook_seconds=20, check_seconds=5, memory=2**30, processes=24)
    begun = time.monotonic()
    verdict = submitted.judged(
        lab, submitted.solution(lab, "import time\n" + attack), tmp_path, limits=limits
    )
    assert verdict.points() == {"q1": 3, "q2": 2}
    told = " ".join([*verdict.notes, *(failed["kind"] for failed in verdict.failed)])
    assert re.search(reason, told)
    assert time.monotonic() - begun < 90
    assert not [
        each for each in psutil.Process().children(recursive=True) if each.name() in ("sleep", "python")
    ]
    assert not [each for each in psutil.process_iter(["cmdline"]) if "4711" in (each.info["cmdline"] or [])]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2**20


@pytest.mark.slow
def test_a_function_without_end_costs_its_checks_and_no_others(lab, tmp_path):
    loop = """
import signal
def gap(table, limit):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        pass
"""
    verdict = submitted.judged(lab, submitted.solution(lab, loop), tmp_path)
    assert verdict.points() == {"q1": 3, "q2": 1}
    assert [check.outcome for check in verdict.checks] == ["passed", "passed", "passed", "late"]


def test_without_bubblewrap_submissions_are_graded_and_the_summary_says_so(lab, tmp_path):
    verdict = submitted.judged(lab, submitted.solution(lab), tmp_path / "own", isolated=False)
    assert verdict.points() == {"q1": 3, "q2": 2} and not verdict.isolated
    graded = [Graded(submissions.Submission("anna", "anna.ipynb"), verdict)]
    gradebook.write(tmp_path / "grades", lab, graded, seed=0)
    assert "Not isolated" in (tmp_path / "grades" / "summary.html").read_text()


@pytest.mark.slow
def test_without_bubblewrap_nothing_that_it_started_stays(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "can_isolate", lambda: False)
    attack = """
import subprocess
subprocess.Popen(["sh", "-c", "setsid sleep 4712 & "], start_new_session=True, stdout=subprocess.DEVNULL)
"""
    file = submitted.write(submitted.solution(lab, attack), tmp_path / "anna.ipynb")
    (graded,) = grading.grade(submissions.find(file), lab, tmp_path / "grades", limits=submitted.LIMITS)
    assert graded.verdict.total == 5
    assert not [each for each in psutil.process_iter(["cmdline"]) if "4712" in (each.info["cmdline"] or [])]


def test_the_judge_imports_no_notebook_shell():
    """What runs students' code is not even loaded where grades are decided."""
    code = "import sys, crosseyed.course.judge; print(any('IPython' in name for name in sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
