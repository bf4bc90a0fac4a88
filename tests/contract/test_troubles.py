"""The catalogue of codes is what the programs say: nothing missing, nothing made up."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from pilot_cli import errors as cli_errors
from pilot_cli.explain import told
from pilot_proto.troubles import EXIT_CODES, TROUBLES
from pilot_trainer.errors import Exit

ROOT = Path(__file__).parents[2]
PACKAGES = ("proto", "disk", "http", "client", "data", "model", "cli", "services")
TAKES_CODE = {"coded": 1, "Refused": 0, "HeaderError": 0}
"""Which argument of a call is a code."""
FRAMEWORK = {"method_not_allowed", "http_error"}
"""Said by the translation of HTTP's own errors, from a table."""


def test_every_code_in_the_sources_is_explained_and_every_explained_code_is_in_the_sources():
    said = {code for package in PACKAGES for file in (ROOT / package).rglob("pilot_*/**/*.py") for code in codes(file)}
    explained = {trouble.code for trouble in TROUBLES}
    assert sorted(said - explained) == []
    assert sorted(explained - said - FRAMEWORK) == []


def test_a_code_is_explained_once():
    names = [trouble.code for trouble in TROUBLES]
    assert sorted(names) == sorted(set(names))


def test_every_exit_code_is_explained():
    explained = {(e.program, e.number) for e in EXIT_CODES}
    ours = {value for name, value in vars(cli_errors).items() if name.isupper() and isinstance(value, int)}
    assert {("pilot", number) for number in ours} <= explained
    assert {("trainer", int(number)) for number in Exit} <= explained


@pytest.mark.parametrize("code", ["round_closed", "65", "0"])
def test_explaining_a_code_says_what_it_means(code):
    assert told(code)
    assert all(": " in entry for entry in told(code))


def test_the_page_is_made_from_the_catalogue():
    spec = importlib.util.spec_from_file_location("troubleshooting", ROOT / "tools/troubleshooting.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    written = tool.PAGE.read_text()
    assert tool.page(written) == written, "run 'make schema'"


def codes(file: Path) -> Iterator[str]:
    """Codes that a module can say: attributes of error classes, and constants that are passed as a code."""
    tree = ast.parse(file.read_text())
    relays = dict(TAKES_CODE)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        names = [argument.arg for argument in function.args.args]
        for code in passed(function, TAKES_CODE):
            if isinstance(code, ast.Name) and code.id in names:
                relays[function.name] = names.index(code.id)
    for node in passed(tree, relays):
        if isinstance(node, ast.Constant):
            yield node.value
    for body in (node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for target, value in assigned(body):
            if getattr(target, "id", "") == "code" and isinstance(value, ast.Constant):
                yield value.value


def passed(tree: ast.AST, takes: dict[str, int]) -> Iterator[ast.expr]:
    """What is passed as a code to functions of these names."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name in takes and len(call.args) > takes[name]:
            yield call.args[takes[name]]


def assigned(body: list[ast.stmt]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Targets and values of a class's assignments, tuples taken apart."""
    for statement in (s for s in body if isinstance(s, ast.Assign)):
        for target in statement.targets:
            if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
                yield from zip(target.elts, statement.value.elts, strict=True)
            else:
                yield target, statement.value
