import importlib.util
from pathlib import Path

import pandas as pd
import pytest
import yaml

_SCRIPT = Path(__file__).parent / "benchmarks" / "compare_tables.py"
_RENAMES = {
    "tables": {"fates.csv": "outcomes.csv"},
    "columns": {"fate": "outcome"},
    "values": {"outcome": {"cured": "mitigated"}},
    "ignored": ["seconds"],
}


@pytest.fixture(scope="module")
def main():
    spec = importlib.util.spec_from_file_location("compare_tables", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "renames.yml").write_text(yaml.safe_dump(_RENAMES))
    table = pd.DataFrame(
        {"fate": ["cured", "lost"], "share": [1 / 3, 2 / 3], "n": [1, 2], "seconds": [0.1, 0.2]}
    )
    for name in ("before", "after"):
        (tmp_path / name / "05").mkdir(parents=True)
    table.to_csv(tmp_path / "before" / "05" / "fates.csv", index=False)
    after = table.rename(columns={"fate": "outcome"}).replace("cured", "mitigated").assign(seconds=[3.0, 4.0])
    after.to_csv(tmp_path / "after" / "05" / "outcomes.csv", index=False)
    return tmp_path


def run(main, folder, *arguments):
    return main(["--renames", str(folder / "renames.yml"), *map(str, arguments)])


def test_renamed_tables_with_the_same_numbers_are_equal(main, folders, capsys):
    assert run(main, folders, folders / "before", folders / "after") == 0
    assert capsys.readouterr().out.splitlines() == ["equal   05/outcomes.csv", "1 tables, 0 different"]


def test_what_is_stated_as_added_or_in_another_order_is_no_difference(main, folders):
    path = folders / "after" / "05" / "outcomes.csv"
    table = pd.read_csv(path).assign(new=1)
    table[::-1].to_csv(path, index=False)
    table.to_csv(path.with_name("more.csv"), index=False)
    assert run(main, folders, folders / "before", folders / "after") == 1
    stated = {"05/more.csv": [], "05/outcomes.csv": ["new"]}
    renames = _RENAMES | {"added": stated, "any_order": {"05/outcomes.csv": ["outcome"]}}
    (folders / "renames.yml").write_text(yaml.safe_dump(renames))
    assert run(main, folders, folders / "before", folders / "after") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"share": [1 / 3, 0.6667]},
        {"n": [1, 3]},
        {"outcome": ["mitigated", "kept"]},
        {"new": [0, 0]},
        {"share": [1 / 3, None]},
    ],
)
def test_any_difference_is_found(main, folders, change):
    path = folders / "after" / "05" / "outcomes.csv"
    pd.read_csv(path).assign(**change).to_csv(path, index=False)
    assert run(main, folders, folders / "before", folders / "after") == 1


def test_a_lost_table_is_a_difference(main, folders, capsys):
    (folders / "after" / "05" / "outcomes.csv").unlink()
    assert run(main, folders, folders / "before", folders / "after") == 1
    assert "only before" in capsys.readouterr().out


def test_kept_tables_are_renamed_once_and_their_numbers_stay_as_written(main, folders, capsys):
    path = folders / "before" / "05" / "fates.csv"
    path.write_text("fate,share,note\ncured,0.10,NA\n")
    run(main, folders, "--rewrite", folders / "before")
    assert not path.exists()
    new = path.with_name("outcomes.csv")
    assert new.read_text() == "outcome,share,note\nmitigated,0.10,NA\n"
    capsys.readouterr()
    run(main, folders, "--rewrite", folders / "before")
    assert capsys.readouterr().out == ""
