"""What the page about counting shows, from made-up tables."""

import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.measure.rules import RULES
from crosseyed.workflow.findings import (
    COVERAGE,
    list_beyond,
    read_coverage,
    tabulate_coverage,
    tabulate_rules,
)


def test_coverage_is_shown_by_kind_of_number_with_its_interval():
    rows = [("gap", "few", 95.04), ("gap", "many", 94.0), ("mean", "skewed", 91.0)]
    table = pd.DataFrame(rows, columns=["rule", "case", "coverage"])
    table = table.assign(confidence=0.95, low=93.96, high=96.0, runs=2000)
    usual = tabulate_coverage(table).split("\n")
    assert usual[0] == "| 95 % interval of | case | contains the truth |"
    assert usual[2] == f"| {RULES['gap'].number} | few | 95.0 % [94.0, 96.0] of 2,000 |"
    assert usual[3] == "|  | many | 94.0 % [94.0, 96.0] of 2,000 |"
    assert usual[4].startswith(f"| {RULES['mean'].number} | skewed")
    assert list_beyond(table) == (
        "2 of 3 cases lie within two points of what is meant. Beyond them lie: "
        f"{RULES['mean'].number} (skewed): 91.0 %."
    )
    assert list_beyond(table[:2]) == "2 of 2 cases lie within two points of what is meant."


def test_every_rule_is_shown_with_its_module():
    shown = tabulate_rules().split("\n")
    assert len(shown) == 2 + len(RULES)
    assert "{doc}`/api/measure.recovery`" in shown[3]


def test_a_table_that_is_cut_off_is_refused_with_the_command_that_makes_it(tmp_path):
    broken = tmp_path / "coverage.csv"
    broken.write_text(COVERAGE.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    with pytest.raises(InputError, match=r"Make it anew with .*measure_coverage\.py"):
        read_coverage(broken)
