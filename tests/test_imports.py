"""Imports point one way: each package knows only those below it."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lib" / "crosseyed"
BELOW = {
    "root": set(),
    "data": {"root"},
    "models": {"root", "data"},
    "measure": {"root", "data", "models"},
    "internals": {"root", "data", "models"},
    "mitigations": {"root", "data", "models", "measure", "internals"},
    "training": {"root", "data", "models", "measure", "internals"},
    "report": {"root", "data", "models", "measure", "internals", "mitigations", "training"},
    "explorer": {"root", "data", "models", "measure", "internals", "mitigations", "training", "report"},
    "workflow": {
        *("root", "data", "models", "measure", "internals", "mitigations", "training", "report", "explorer")
    },
    "course": {
        *("root", "data", "models", "measure", "internals", "mitigations", "training", "report", "explorer"),
        "workflow",
    },
}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__"
}


def part_of(module):
    head, dot, _ = module.partition(".")
    return head if dot else "root"


def imported_by(module):
    """Modules of the package that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "crosseyed":
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                path = name.removeprefix("crosseyed.")
                yield path if path in MODULES else path.rpartition(".")[0]


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"cli"}))
def test_a_module_imports_only_from_its_package_and_those_below(module):
    part = part_of(module)
    above = {name for name in imported_by(module) if part_of(name) not in BELOW[part] | {part}}
    assert not above
    assert "cli" not in imported_by(module)


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: set(imported_by(module)) & set(MODULES) for module in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_no_module_is_over_500_lines():
    long = {name: n for name, path in MODULES.items() if (n := len(path.read_text().splitlines())) > 500}
    assert not long
