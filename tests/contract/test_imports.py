"""Who may import whom: the rules of the root pyproject.toml, held by import-linter."""

import ast
import subprocess
import sys

import pytest
from contract.conftest import ROOT

SOURCES = sorted((ROOT / "proto" / "pilot_proto").glob("*.py"))


def test_the_import_rules_are_kept():
    # In a process of its own: the linter configures logging, and silences every logger of this one.
    check = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_the_contract_imports_pydantic_and_the_standard_library_only(source):
    imported = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).split(".")[0])
    assert imported <= {"pydantic", "pilot_proto", *sys.stdlib_module_names}
