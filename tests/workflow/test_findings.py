"""What the page about counting shows."""

from crosseyed.measure.rules import RULES
from crosseyed.workflow.findings import tabulate_rules


def test_every_rule_is_shown_with_its_module():
    shown = tabulate_rules().split("\n")
    assert len(shown) == 2 + len(RULES)
    assert "{doc}`/api/measure.recovery`" in shown[3]
