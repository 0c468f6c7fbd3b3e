"""Show that a change of the code changed no result: compare two folders of tables, or rename kept ones.

    python tests/benchmarks/compare_tables.py BEFORE AFTER
    python tests/benchmarks/compare_tables.py --rewrite data/results

Every `*.csv` and `*.csv.gz` below BEFORE is read, renamed by `renames.yml`, and held against the table of the same
path below AFTER: text and whole numbers must be equal, other numbers to one part in a million, rows in the same order
(but for tables under `any_order`, whose rows are sorted by the columns named there). Columns that `renames.yml` lists
under `ignored` (measured times, versions) are left out, and tables and columns under `added` may be new. With
`--rewrite` the tables of one folder are renamed in place instead; those that need no renaming stay untouched.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml
from pandas.testing import assert_frame_equal

from crosseyed.tables import write_table

RENAMES = Path(__file__).with_name("renames.yml")


def rename(table: pd.DataFrame, renames: Mapping[str, Mapping]) -> pd.DataFrame:
    """Return a table with today's names of columns and values."""
    table = table.rename(columns=renames.get("columns", {}))
    known = {column: values for column, values in renames.get("values", {}).items() if column in table}
    return table.assign(**{column: table[column].replace(values) for column, values in known.items()})


def tables_of(folder: Path) -> dict[str, Path]:
    """Return the tables below a folder by their path in it."""
    if not folder.is_dir():
        raise SystemExit(f"There is no folder {str(folder)!r}; name a folder of tables.")
    paths = sorted([*folder.rglob("*.csv"), *folder.rglob("*.csv.gz")])
    return {path.relative_to(folder).as_posix(): path for path in paths}


def renamed(path: str, renames: Mapping[str, Mapping]) -> str:
    """Return today's path of a table."""
    name = Path(path).name
    return Path(path).with_name(renames.get("tables", {}).get(name, name)).as_posix()


def difference(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """Say how two tables differ; nothing if they do not."""
    lost, new = [c for c in before if c not in after], [c for c in after if c not in before]
    if lost or new:
        return f"columns: {lost} lost, {new} new"
    try:
        assert_frame_equal(before, after[list(before)], rtol=1e-6, atol=1e-9)
    except AssertionError as error:
        return " ".join(str(error).split())
    return ""


def compare(before: Path, after: Path, renames: Mapping[str, Mapping]) -> int:
    """Print one line a table and a total; return how many differ."""
    old = {renamed(name, renames): path for name, path in tables_of(before).items()}
    new, ignored, n_different = tables_of(after), renames.get("ignored", []), 0
    added = renames.get("added", {})
    for name in sorted(old.keys() | {name for name in new if name not in added or added[name]}):
        if name not in new or name not in old:
            problem = "only before" if name in old else "only after"
        else:
            read = rename(pd.read_csv(old[name]), renames), pd.read_csv(new[name])
            drop = ignored + added.get(name, [])
            read = [table.drop(columns=drop, errors="ignore") for table in read]
            for column in renames.get("any_order", {}).get(name, [])[::-1]:
                read = [table.sort_values(column, kind="stable", ignore_index=True) for table in read]
            problem = difference(*read)
        n_different += bool(problem)
        print(f"{'DIFFERS' if problem else 'equal  '} {name}{': ' if problem else ''}{problem}")
    print(f"{len(old.keys() | new.keys())} tables, {n_different} different")
    return n_different


def rewrite(folder: Path, renames: Mapping[str, Mapping]) -> None:
    """Rename the tables of a folder, their columns and their values; each file whole or not at all."""
    for name, path in tables_of(folder).items():
        # As text, so that no number is written in another way than it was read.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        target, changed = folder / renamed(name, renames), rename(table, renames)
        if target != path or not changed.equals(table):
            write_table(changed, target)
            if target != path:
                path.unlink()
            print(f"renamed {name}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="before and after")
    parser.add_argument(
        "--rewrite", type=Path, metavar="FOLDER", help="rename the tables of this folder instead"
    )
    parser.add_argument("--renames", type=Path, default=RENAMES, help="the map of old names to new")
    options = parser.parse_args(arguments)
    renames = yaml.safe_load(options.renames.read_text(encoding="utf-8"))
    if options.rewrite and not options.folders:
        rewrite(options.rewrite, renames)
        return 0
    if options.rewrite or len(options.folders) != 2:
        parser.error("give two folders, before and after, or --rewrite FOLDER")
    return int(compare(*options.folders, renames) > 0)


if __name__ == "__main__":
    sys.exit(main())
