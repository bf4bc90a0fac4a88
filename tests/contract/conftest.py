"""The contract as the code has it now, generated once."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def schema_tool() -> ModuleType:
    """tools/schema.py, what `make schema` runs."""
    spec = importlib.util.spec_from_file_location("schema_tool", ROOT / "tools" / "schema.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def contract(schema_tool: ModuleType) -> dict[Path, str]:
    """Path below proto/ to text."""
    return schema_tool.contract()
