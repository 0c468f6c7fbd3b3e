import json
import os
import time

import nbformat
import pytest
from small_notebooks import write_notebook

from crosseyed.progress import PASSES_VARIABLE, Passes, hear, tell
from crosseyed.workflow.execution import execute
from crosseyed.workflow.heartbeats import FILE, Heartbeat, Pace, beating, clock, describe, sentence


def wait_for(look):
    deadline = time.monotonic() + 20
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


CODE, TEXT = {"cell_type": "code"}, {"cell_type": "markdown"}


def test_a_heartbeat_joins_cells_and_passes_and_is_removed(tmp_path):
    with beating(tmp_path, "01", 3, aloud=False, pause=0.01) as start_cell:
        for cell in (TEXT, CODE, TEXT, CODE):
            start_cell(cell=cell, cell_index=0)
        tell(
            tmp_path / os.path.basename(os.environ[PASSES_VARIABLE]),
            Passes(computed=7.5, kept=2).model_dump(),
        )
        heard = wait_for(lambda: (now := hear(tmp_path / FILE, Heartbeat)) and now.computed and now)
        assert (heard.cell, heard.cells, heard.computed, heard.kept) == (2, 3, 7.5, 2)
    assert not list(tmp_path.iterdir())
    assert PASSES_VARIABLE not in os.environ


def test_a_folder_that_cannot_be_written_to_stops_nothing(tmp_path):
    gone = tmp_path / "gone"
    with beating(gone, "01", 3, aloud=False, pause=0.001) as start_cell:
        start_cell(cell=CODE)
        time.sleep(0.02)
    assert not gone.exists()


def test_a_job_with_a_log_of_its_own_prints_lines(tmp_path, capsys):
    with beating(tmp_path, "01_first", 3, aloud=True, pause=0.001, interval=0) as start_cell:
        start_cell(cell=CODE)
        assert wait_for(lambda: "cell 1" in capsys.readouterr().err)


def test_the_words_of_a_heartbeat():
    heartbeat = Heartbeat(cell=2, cells=7, computed=1000, kept=234)
    assert describe(heartbeat, 0) == ("2 of 7", "1,234", "", "")
    assert describe(heartbeat, 20, 5234) == ("2 of 7", "1,234 of 5,234", "20", "3:20")
    assert describe(heartbeat, 0.25, 1000) == ("2 of 7", "1,234 of 1,000", "0.25", "")
    assert sentence("01", describe(heartbeat, 20, 5234)) == (
        "01: cell 2 of 7, 1,234 of 5,234 passes, 20 images/s, 3:20 left"
    )
    assert sentence("01", describe(Heartbeat(cells=7), 0)) == "01: cell 0 of 7"
    assert (clock(59.6), clock(3599), clock(36061)) == ("1:00", "59:59", "10:01:01")


def test_the_pace_is_that_of_the_last_half_minute_and_begins_with_the_first_pass():
    pace = Pace()
    for second in range(100):
        pace.add(second, 0)
    assert pace.speed == 0
    pace.add(100, 50)
    assert pace.speed == 50
    for second in range(101, 201):
        pace.add(second, 50 + 2 * (second - 100))
    assert pace.speed == pytest.approx(2)


CELLS = (
    "import json, pathlib, time, os\n"
    "from crosseyed import progress\n"
    "progress.count(12)\n"
    "deadline = time.monotonic() + 30\n"
    "file = pathlib.Path('heartbeat.json')\n"
    "heard = None\n"
    "while (not heard or heard.get('computed') != 12) and time.monotonic() < deadline:\n"
    "    time.sleep(0.05)\n"
    "    heard = json.loads(file.read_text()) if file.exists() else None\n"
    "_ = pathlib.Path(output, 'heard.json').write_text(json.dumps(heard))",
    "for _ in progress.bar(range(3), unit='step'):\n    pass",
)


def test_a_notebook_beats_while_it_runs_and_its_outputs_hold_no_bars(tmp_path):
    write_notebook(tmp_path / "01.ipynb", *CELLS)
    execute(tmp_path / "01.ipynb", tmp_path / "edition", {"model": "m"})
    heard = json.loads((tmp_path / "edition/results/01/heard.json").read_text())
    assert (heard["cell"], heard["cells"], heard["computed"]) == (3, 4, 12)
    executed = nbformat.read(tmp_path / "edition/notebooks/01.ipynb", as_version=4)
    assert [cell.outputs for cell in executed.cells] == [[], [], [], []]
    assert "widgets" not in executed.metadata
    assert not (tmp_path / "edition/running").exists()
