"""All forms of the report give the same numbers, equal to pytest's own."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from tests.history.made import rows
from tests.report.test_html import page
from tests.shop import Shop

WORDS = ("passed", "failed", "error", "crashed", "skipped", "xfailed", "xpassed", "error in teardown")
COLUMNS = ("passed", "failed", "errors", "crashed", "skipped", "xfailed", "xpassed", "teardown_errors")


def numbers(text: str) -> Counter[str]:
    """Return the numbers of a line such as `5 tests: 3 passed, 2 failed`."""
    found = re.findall(r"([\d,]+) ([a-z ]+?)(?=,|$)", text.partition(": ")[2])
    return Counter({word: int(number.replace(",", "")) for number, word in found})


@pytest.mark.parametrize("number", range(5), ids=["green", "flaky", "bug", "crash", "teardown"])
def test_every_form_says_the_same(shop: Shop, number: int) -> None:
    """The session's JUnit XML and all forms of the report give the same numbers.

    The forms are JUnit XML, terminal, Markdown, JSON, SQL, and HTML with its text and its script.
    """
    session = shop.sessions[number]
    run = session.start["trace_id"]
    command = ["report", "--run", run]

    told = json.loads(shop.swarmtask(*command, "--json").stdout)["run"]
    told_counts = Counter({**told["counts"], "error in teardown": told["teardown_errors"]})
    told_counts["error"] = told_counts.pop("errors", 0)

    terminal = shop.swarmtask(*command).stdout.splitlines()
    markdown = shop.swarmtask(*command, "--markdown").stdout.splitlines()
    shown = [next(line for line in lines if re.match(r"\d+ tests?: ", line)) for lines in (terminal, markdown)]
    html = page(shop.suite.root, "--run", run)
    # After the totals, the page says whose the failures are.
    end = r"(?= Run | \d+ (?:not )?yours| \d+ flaky| \d+ unknown)"
    read = re.search(rf"(?<=pytest_run )[\d,]+ tests? .*?{end}", html.text)
    assert read is not None
    total, words = re.findall(r"^([\d,]+) tests? (.*)$", read[0])[0]
    html_counts = Counter({word: int(number) for number, word in re.findall(r"(\d+) ([a-z ]+?)(?= \d|$)", words)})
    data = Counter(outcome for outcome, *_ in html.data["tests"])
    (stored,) = rows(shop.journal, f"SELECT {', '.join(COLUMNS)}, tests FROM runs WHERE run = '{run}'")
    sql = Counter(dict(zip(WORDS, stored, strict=False)))
    (counted,) = rows(shop.journal, f"SELECT count(*) FROM tests WHERE run = '{run}'")

    assert +numbers(shown[0]) == +numbers(shown[1]) == +html_counts == +sql == +told_counts
    assert int(total) == told["tests"] == stored[-1] == counted[0] == sum(data.values()) == len(session.outcomes())
    assert data == Counter(session.outcomes().values())
    assert +data == +Counter({word: n for word, n in told_counts.items() if word != "error in teardown"})

    junit = Counter(result for _, result in set(session.cases))  # pytest-rerunfailures lists each attempt
    again = ET.fromstring(shop.swarmtask(*command, "--junit").stdout)
    assert junit == Counter(next((child.tag for child in case), "passed") for case in again.iter("testcase"))
    assert junit["passed"] == told_counts["passed"] + told_counts["xpassed"]
    assert junit["failure"] == told_counts["failed"]
    assert junit["error"] == told_counts["error"] + told_counts["crashed"] + told_counts["error in teardown"]
    assert junit["skipped"] == told_counts["skipped"] + told_counts["xfailed"]
