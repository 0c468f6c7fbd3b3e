"""What a user sees of a run: on a pseudo-terminal, in a pipe, and after an interruption."""

import contextlib
import os
import pty
import sys
import threading
import time

import pytest

from crosseyed.editions import BUILD
from crosseyed.progress import tell
from crosseyed.workflow.display import Watch, follow
from crosseyed.workflow.heartbeats import FILE, Heartbeat
from crosseyed.workflow.jobs import Jobs

PAUSE = 0.02


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def run_is(tmp_path, *running, due=3, done=1, failed=0):
    """Write what Snakemake notes, and return its file."""
    file = tmp_path / "run.jobs"
    tell(file, Jobs(due=due, done=done, failed=failed, running=list(running)).model_dump())
    return file


def beat(edition, notebook, **told):
    """Write a heartbeat, and return its file."""
    folder = BUILD / "editions" / edition / "running" / notebook
    folder.mkdir(parents=True, exist_ok=True)
    tell(folder / FILE, Heartbeat(**told).model_dump())
    return folder / FILE


@contextlib.contextmanager
def beating(edition, notebook, **told):
    """Let the number of the heartbeat and its passes grow meanwhile."""
    ended = threading.Event()

    def grow():
        number = 0
        while not ended.wait(PAUSE / 2):
            number += 1
            beat(edition, notebook, **{"computed": number, **told}, beat=number)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def python(code):
    return [sys.executable, "-I", "-S", "-c", code]


WAIT = python("import time; time.sleep(0.4)")


@contextlib.contextmanager
def terminal():
    """Open a pseudo-terminal: a stream, and what appeared on it (parts, in bytes), once the context has ended."""
    master, slave = pty.openpty()
    said = []

    def read():
        with contextlib.suppress(OSError):  # the end of a pseudo-terminal
            while part := os.read(master, 65536):
                said.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with open(slave, "w") as stream:
            yield stream, said
    finally:
        reader.join(10)
        os.close(master)


def on_terminal(command, watch):
    """Return what appears on a terminal, and the exit status."""
    with terminal() as (stream, said):
        code = follow(command, os.environ, watch, stream=stream, pause=PAUSE)
    return b"".join(said).decode(), code


def test_a_terminal_shows_chapter_cell_passes_and_the_total_and_ends_clean(tmp_path):
    watch = Watch(run_is(tmp_path, ("tiny", "01_first")), {("tiny", "01_first"): 1e6}, several=False)
    with beating("tiny", "01_first", cell=2, cells=7, kept=5000):
        said, code = on_terminal(WAIT, watch)
    assert code == 0
    for words in ("01_first", "2 of 7", "of 1,000,000", "images/s", "left", "1 of 3 notebooks done, 0:0"):
        assert words in said
    assert "model" not in said  # there is one only
    after_the_last = said.rpartition("notebooks done")[2]
    assert "\x1b[?25h" in after_the_last  # the cursor is back
    assert said.count("\x1b[?25l") == 1
    # as many lines are erased as were drawn
    assert after_the_last.endswith("\x1b[1A\x1b[2K" * 3)


def test_words_of_the_command_stay_above_the_display(tmp_path):
    speak = python(
        "import sys, time; sys.stderr.write('executing [b]x[/b] é\\n'); time.sleep(0.3); sys.exit(3)"
    )
    said, code = on_terminal(speak, Watch(run_is(tmp_path), {}, several=False))
    assert code == 3
    assert "executing [b]x[/b] é\r\n" in said
    assert said.index("executing") < said.rindex("1 of 3 notebooks done")


def test_a_sweep_names_the_model(tmp_path):
    keys = [("ViT-B-32--openai", "02_embedding_decomposition"), ("hf-hub--timm--ViT-B-16-SigLIP", "01_first")]
    watch = Watch(run_is(tmp_path, *keys), {}, several=True)
    with beating(*keys[0], cell=1, cells=9), beating(*keys[1], cell=3, cells=9):
        said, _ = on_terminal(WAIT, watch)
    assert "model" in said and "ViT-B-32--openai" in said and "3 of 9" in said
    assert "and 1 more" not in said


def follow_into_a_pipe(tmp_path, watch, command=WAIT):
    with open(tmp_path / "said", "w") as stream:
        code = follow(command, os.environ, watch, stream=stream, pause=PAUSE, interval=0.1)
    return (tmp_path / "said").read_text(), code


def test_a_pipe_gets_plain_lines(tmp_path):
    watch = Watch(run_is(tmp_path, ("tiny", "01_first"), failed=1), {}, several=False)
    with beating("tiny", "01_first", cell=2, cells=7, kept=5000):
        said, code = follow_into_a_pipe(tmp_path, watch)
    assert code == 0
    first, total, *_ = said.splitlines()
    assert first.startswith("01_first: cell 2 of 7, 5,0") and first.endswith("images/s")
    assert total.startswith("1 of 3 notebooks done, 1 failed, 0:0")
    assert said.isprintable() or set(said) & set(map(chr, range(32))) == {"\n"}


def test_nobody_reading_is_no_failure(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    watch = Watch(run_is(tmp_path), {}, several=False)
    with contextlib.suppress(BrokenPipeError), open(writing, "w") as stream:
        code = follow(WAIT, os.environ, watch, stream=stream, pause=PAUSE, interval=0)
    assert code == 0


class Interrupted(BaseException):
    pass


def test_an_exception_gives_the_terminal_back(tmp_path):
    watch = Watch(run_is(tmp_path), {}, several=False)
    looks = []

    def look():
        looks.append(1)
        if len(looks) > 2:
            raise Interrupted
        return [], "some of many"

    watch.look = look
    with terminal() as (stream, said), pytest.raises(Interrupted):
        follow(WAIT, os.environ, watch, stream=stream, pause=PAUSE)
    assert b"".join(said).endswith(b"\x1b[?25h\r\x1b[1A\x1b[2K")


def words(watch):
    return [(row.edition, row.notebook, row.words[0]) for row in watch.look()[0]]


def test_what_an_earlier_run_left_is_not_shown_until_it_moves(tmp_path):
    beat("tiny", "01_first", cell=6, cells=7, beat=99)
    watch = Watch(run_is(tmp_path, ("tiny", "01_first")), {}, several=False)
    assert words(watch) == words(watch) == []
    beat("tiny", "01_first", cell=0, cells=7, beat=1)
    assert words(watch) == [("tiny", "01_first", "0 of 7")]


def test_a_heartbeat_that_stops_is_forgotten(tmp_path, monkeypatch):
    watch = Watch(run_is(tmp_path, ("tiny", "01_first")), {}, several=False)
    watch.look()
    beat("tiny", "01_first", cell=1, cells=7, beat=1)
    assert words(watch)
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not words(watch)


@pytest.mark.parametrize(
    "content", ['{"cell": 1, "cel', "", "[]", '{"cell": "many"}', '{"computed": NaN}', "\0"]
)
def test_a_damaged_heartbeat_is_ignored(tmp_path, content):
    watch = Watch(run_is(tmp_path, ("tiny", "01_first")), {}, several=False)
    watch.look()
    file = beat("tiny", "01_first", cell=1, cells=7, beat=1)
    whole = words(watch)
    file.write_text(content)
    assert words(watch) == whole  # what was heard last


def test_damaged_notes_of_jobs_are_ignored(tmp_path):
    file = run_is(tmp_path)
    file.write_text(file.read_text()[:20])
    assert Watch(file, {}, several=False).look()[1].startswith("starting")


def test_two_runs_do_not_mix(tmp_path):
    (tmp_path / "other").mkdir()
    one = Watch(run_is(tmp_path, ("tiny", "01_first")), {}, several=False)
    two = Watch(run_is(tmp_path / "other", ("other", "01_first"), due=1), {}, several=False)
    one.look(), two.look()
    beat("tiny", "01_first", cell=1, cells=7, beat=1)
    beat("other", "01_first", cell=2, cells=7, beat=1)
    assert words(one) == [("tiny", "01_first", "1 of 7")]
    assert words(two) == [("other", "01_first", "2 of 7")]
