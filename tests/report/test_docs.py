"""docs/failures.md shows what the commands print."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.lab import REPOSITORY
from tests.report.test_gate import configure
from tests.shop import swarmtask
from tests.suite import Suite

pytestmark = [pytest.mark.local, pytest.mark.slow]

TEXT = (REPOSITORY / "docs" / "failures.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
EXAMPLES = dict(block.removeprefix("$ swarmtask ").split("\n", 1) for block in BLOCKS)
SHOP = """
    def total(prices): return sum(prices)
    def search(word): return word in ("tea", "cake")

    def test_total(): assert total([1, 2]) == 3
    def test_search(): assert search("tea")
    def test_cart(): pass
"""
INVOICE = """
    import pytest
    pdf = pytest.importorskip("json")

    def test_invoice(): assert pdf
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose main branch has one break, and whose branch `discount` adds another one and loses a test."""
    suite = Suite(tmp_path_factory.mktemp("shop"))

    def git(*arguments: str) -> None:
        name = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
        subprocess.run(["git", *name, *arguments], cwd=suite.root, check=True, capture_output=True)

    def tested(message: str) -> None:
        git("add", "tests", "requirements.txt", ".github")
        git("commit", "-q", "-m", message)
        suite.pytest()

    git("init", "-q", "-b", "main", ".")
    for folder in ("tests", ".github"):
        (suite.root / folder).mkdir()
    (suite.root / ".github" / "CODEOWNERS").write_text("tests/ @acme/shop\n")
    (suite.root / "requirements.txt").write_text("reportlab==4.2\n")
    suite.file("tests/test_shop.py", SHOP)
    suite.file("tests/test_invoice.py", INVOICE)
    tested("begin")
    suite.file("tests/test_shop.py", SHOP.replace('"tea", ', ""))
    tested("no more tea")
    git("checkout", "-q", "-b", "discount")
    suite.file("tests/test_shop.py", SHOP.replace('"tea", ', "").replace("sum(prices)", "sum(prices) * 0.9"))
    suite.file("tests/test_invoice.py", INVOICE.replace('"json"', '"no_such_package"'))
    (suite.root / "requirements.txt").write_text("weasyprint==66\n")
    tested("discount")
    return suite.root


def neutral(text: str) -> str:
    """Return an output without what differs each time: ids, commits and times."""
    return re.sub(r"\b[0-9a-f]{10,12}\b", "ID", re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", text))


@pytest.mark.parametrize("command", EXAMPLES)
def test_a_command(shop: Path, command: str) -> None:
    done = swarmtask(shop, *command.split())
    assert done.stderr == ""
    assert done.returncode == (1 if command == "gate" else 0)
    assert neutral(done.stdout).rstrip() == neutral(EXAMPLES[command]).rstrip()


def test_the_fields_are_as_documented(shop: Path) -> None:
    for command, first in (("explain", "of each failure"), ("gate", "of the gate")):
        table = TEXT.partition(f"\n| field {first} |")[2].partition("\n\n")[0]
        found = json.loads(swarmtask(shop, command, "--json").stdout)
        fields = found["failures"][0] if command == "explain" else found
        assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(fields)


def test_the_policy_is_valid_and_the_default(shop: Path) -> None:
    (example,) = re.findall(r"^```yaml\ngate:\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    configure(shop, f"\n{example}")
    try:
        assert swarmtask(shop, "config", "validate").returncode == 0
        against = json.loads(swarmtask(shop, "gate", "--json").stdout)["against"]
        assert {line["policy"] for line in against} == {"new_failures", "lost_tests"}
    finally:
        (shop / ".taskmaster" / "config" / "workflow.yaml").unlink()
