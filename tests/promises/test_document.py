"""Each promise in docs/promises.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "promises.md").read_text("utf-8")


def functions(path: Path) -> set[str]:
    """Return the test functions and methods of a file. Code inside strings does not count."""
    tree = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.name for node in tree if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_each_proof_exists() -> None:
    """Each proof in the document is a test in the file that the document names."""
    proofs = re.findall(r"`([\w/]+\.py)::(\w+)`", TEXT)
    assert len(proofs) > 80
    assert [proof for proof in proofs if proof[1] not in functions(TESTS / proof[0])] == []


def test_each_promise_has_a_proof() -> None:
    """Each row of the tables names at least one test."""
    lines = [line for line in TEXT.splitlines() if line.startswith("| ")]
    rows = [line for line in lines if not line.startswith(("| ---", "| promise "))]
    assert len(rows) > 45
    assert [row for row in rows if "::test_" not in row.split(" | ")[1]] == []
