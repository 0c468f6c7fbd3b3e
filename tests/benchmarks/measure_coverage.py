"""Measure how often the intervals of the library contain the truth, and keep it in ``data/results/coverage.csv``.

Run from the repository: ``PYTHONPATH=tests python tests/benchmarks/measure_coverage.py``. It takes about ten minutes on
one core, and goes on where it was interrupted. A study whose first intervals are still those of the table is not
simulated again, so after a change of a rule only what it concerns is made anew.
"""

import sys
from itertools import groupby

import numpy as np
import pandas as pd
from coverage_cases import CASES, simulate, summarise

from crosseyed.provenance import stamp
from crosseyed.tables import write_table
from crosseyed.workflow.findings import COVERAGE

KEYS = ["rule", "case"]
COUNTS = ["runs", "below", "above"]


def main() -> None:
    """Simulate what the table lacks, study by study; an argument restricts it to studies whose name contains it."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    done = _read()
    by_study = sorted(CASES, key=lambda case: repr(case.study))
    for name, cases in groupby(by_study, key=lambda case: repr(case.study)):
        cases = list(cases)
        if wanted in name and not _is_current(done, cases):
            print(name, flush=True)
            rows = pd.DataFrame(_measure(cases))
            done = _read()  # another process may have added to it
            others = done[~_of(done, cases)]
            done = pd.concat([*([others] if len(others) else []), stamp(rows, "cpu")], ignore_index=True)
            order = {(case.rule, case.case): number for number, case in enumerate(CASES)}
            places = [order.get(key, -1) for key in zip(done["rule"], done["case"], strict=True)]
            done = done.assign(place=places).query("place >= 0").sort_values("place")
            done = done.drop(columns="place").reset_index(drop=True).astype(dict.fromkeys(COUNTS, int))
            write_table(done, COVERAGE)


def _read() -> pd.DataFrame:
    return pd.read_csv(COVERAGE) if COVERAGE.exists() else pd.DataFrame(columns=KEYS)


def _of(done: pd.DataFrame, cases: list) -> pd.Series:
    names = {(case.rule, case.case) for case in cases}
    return pd.Series([key in names for key in zip(done["rule"], done["case"], strict=True)], dtype=bool)


def _is_current(done: pd.DataFrame, cases: list) -> bool:
    """Say whether the table has all cases of a study, with the first intervals that the rules give now."""
    rows = done[_of(done, cases)].set_index(KEYS)
    if len(rows) != len(cases):
        return False
    found = simulate(cases[0].study, 1)
    kept = [rows.loc[(case.rule, case.case), ["runs", "first_low", "first_high"]] for case in cases]
    now = [[case.runs, *found[case.quantity][0]] for case in cases]
    return np.allclose(np.array(kept, dtype=float), np.array(now, dtype=float), rtol=1e-6)


def _measure(cases: list) -> list[dict[str, object]]:
    study, runs = cases[0].study, cases[0].runs
    firsts = range(0, runs, study.together)
    parts = [simulate(study, min(study.together, runs - first), first) for first in firsts]
    return [summarise(case, np.concatenate([part[case.quantity] for part in parts])) for case in cases]


if __name__ == "__main__":
    main()
