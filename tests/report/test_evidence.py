"""Every form of a report shows why a test failed: traceback, output, earlier attempts; and where else it failed so."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import BASE, Process
from tests.shop import swarmtask

TRACEBACK = """\
def test_total():
\titems = [1, 2]
>       assert total(items) == 3
E       assert 4 == 3
E        +  where 4 = total([1, 2])

tests/test_shop.py:5: AssertionError"""
HOSTILE = "\x1b[31m</pre><script>alert(1)</script>\u202e| @ada `x` </details>"
NUMBER = "test_shop.py:5"

ATTEMPT = {
    "outcome": "error",
    "phase": "setup",
    "error": "ConnectionError: refused",
    "exception": "ConnectionError",
    "fingerprint": "aa00",
    "location": "tests/conftest.py:9",
    "duration": 1.5,
    "traceback": "E   ConnectionError: refused",
    "log": "WARNING  root:conftest.py:8 once more",
}
FULL = {
    "error": "assert 4 == 3\n +  where 4 = total([1, 2])",
    "location": "tests/test_shop.py:5",
    "exception": "AssertionError",
    "fingerprint": "f00d",
    "traceback": TRACEBACK,
    "stdout": "adding\n\n  two items\n",
    "stderr": "a warning\n",
    "log": "INFO     shop:shop.py:3 summed up",
    "teardown_error": "RuntimeError: connection lost",
    "teardown_traceback": "E       RuntimeError: connection lost",
    "properties": [["ticket", "SHOP-7"], ["seconds", 2.5], ["ok", True]],
    "markers": ["slow"],
    "attempts": [ATTEMPT],
}
SAME = {"error": "assert 5 == 3", "location": "tests/test_shop.py:5", "fingerprint": "f00d", "traceback": "E  no"}
PLAIN = {"error": "assert 0", "location": "tests/test_shop.py:50"}


def write(journal: Path, number: int, tests: dict[str, dict[str, Any]]) -> None:
    """Write a run whose tests have all failed, and whose endings have this metadata."""
    process = Process(journal, f"{number:032x}", BASE + number * 1000)
    events = process.session(dict.fromkeys(tests, "failed"))
    for event in events:
        if event.event_type == "TEST_FAILED":
            event.metadata.update(tests[event.task_id or ""], phase="call", attempt=2)
    process.write(events)


@pytest.fixture
def root(journal: Path) -> Path:
    """A project whose last run has a failure with evidence, one with the same error, and one without evidence."""
    write(journal, 1, {"tests/test_shop.py::test_old": SAME})
    write(journal, 2, {f"tests/test_shop.py::test_{name}": facts for name, facts in
                       (("total", FULL), ("same", SAME), ("plain", PLAIN))})  # fmt: skip
    return journal.parents[1]


def lines_below(text: str, head: str) -> list[str]:
    """Return the lines of one failure in the terminal, without its first line and the blank line after it."""
    lines = text.splitlines()
    below = lines[lines.index(head) + 1 :]
    end = next(at for at, line in enumerate(below) if line and not line.startswith("    "))
    assert not below[end - 1], "a blank line ends a failure"
    return below[: end - 1]


class TestTerminal:
    def test_full(self, root: Path) -> None:
        """The evidence stands below its failure; tabs and blank lines of it are kept."""
        text = swarmtask(root, "report", "--full").stdout
        assert lines_below(text, "  tests/test_shop.py::test_total  failed") == [
            "    assert 4 == 3",
            "     +  where 4 = total([1, 2])",
            "    in teardown: RuntimeError: connection lost",
            "    tests/test_shop.py:5, new: first result on this branch",
            "    same error in 1 other test of this run, and in 1 other run",
            "    traceback",
            "          def test_total():",
            "              items = [1, 2]",
            "      >       assert total(items) == 3",
            "      E       assert 4 == 3",
            "      E        +  where 4 = total([1, 2])",
            "",
            "      tests/test_shop.py:5: AssertionError",
            "    captured stdout",
            "      adding",
            "",
            "        two items",
            "    captured stderr",
            "      a warning",
            "    captured log",
            "      INFO     shop:shop.py:3 summed up",
            "    traceback of the teardown",
            "      E       RuntimeError: connection lost",
            "    earlier attempt: error in setup, 1.50 s",
            "      ConnectionError: refused",
            "      tests/conftest.py:9",
            "      traceback",
            "        E   ConnectionError: refused",
            "      captured log",
            "        WARNING  root:conftest.py:8 once more",
        ]
        assert len(lines_below(text, "  tests/test_shop.py::test_plain  failed")) == 2
        assert "--full" not in text

    def test_one_line_says_that_there_is_more(self, root: Path, journal: Path) -> None:
        text = swarmtask(root, "report").stdout
        assert text.count("--full") == 1
        assert "\n  --full shows more: traceback, captured stdout, captured stderr and more\n" in text
        assert "captured stdout\n" not in text
        write(journal, 3, {"test_plain": PLAIN})
        assert "--full" not in swarmtask(root, "report").stdout

    def test_messages_and_lines_are_whole(self, root: Path, journal: Path) -> None:
        """Only without `--full` a message is cut, and no line of a pipe is broken."""
        message = "\n".join(f"line {number}" for number in range(50))
        write(journal, 3, {"test_long": {"error": message, "stdout": "x" * 5000}})
        assert "line 49" not in swarmtask(root, "report").stdout
        lines = swarmtask(root, "report", "--full").stdout.splitlines()
        assert "    line 49" in lines
        assert f"      {'x' * 5000}" in lines

    def test_a_test(self, root: Path) -> None:
        """`swarmtask tests` shows the evidence of the last failure if it is asked to."""
        assert "captured stdout" not in swarmtask(root, "tests", "test_total").stdout
        lines = swarmtask(root, "tests", "test_total", "--full").stdout.splitlines()
        at = lines.index("tests/test_shop.py::test_total at tests/test_shop.py:5")
        assert lines[at + 1] == "  assert 4 == 3"
        assert "    >       assert total(items) == 3" in lines
        assert "  earlier attempt: error in setup, 1.50 s" in lines


class TestJson:
    def test_the_fields(self, root: Path) -> None:
        total, same, plain = json.loads(swarmtask(root, "report", "--json").stdout)["failures"]
        for name in ("exception", "fingerprint", "traceback", "stdout", "stderr", "log", "teardown_traceback"):
            assert total[name] == FULL[name]
            assert plain[name] is None
        for name in ("properties", "markers", "attempts"):
            assert total[name] == FULL[name]
            assert plain[name] == []
        counts = [(failure["same_error"], failure["same_error_runs"]) for failure in (total, same, plain)]
        assert counts == [(1, 1), (1, 1), (None, None)]


class TestMarkdown:
    def test_full(self, root: Path) -> None:
        """Each failure that has evidence has one folded part."""
        text = swarmtask(root, "report", "--markdown", "--full").stdout
        assert text.count("<details>") == text.count("</details>") == 2
        assert "<summary><code>tests/test_shop.py::test_total</code>: traceback, captured stdout, captured" in text
        assert "\n\n<pre>adding\n\n  two items</pre>\n\n" in text
        assert "&gt;       assert total(items) == 3\n" in text
        assert "\n\nsame error in 1 other test of this run, and in 1 other run\n\n" in text
        assert "**earlier attempt: error in setup, 1.50 s**, <code>tests/conftest.py:9</code>" in text
        assert "<details>" not in swarmtask(root, "report", "--markdown").stdout

    def test_it_fits_into_the_summary_of_a_job(self, root: Path, journal: Path) -> None:
        write(journal, 3, {f"test_{number:02}": {"traceback": "E  <&>" * 10_000} for number in range(20)})
        text = swarmtask(root, "report", "--markdown", "--full").stdout
        assert len(text.encode()) < 1_000_000
        shown = text.count("<details>")
        assert 0 < shown < 20
        assert f"\n\n{20 - shown} more have a traceback or output: `swarmtask report --full` shows them\n\n" in text


class TestHtml:
    def test_folded(self, root: Path) -> None:
        """The page has everything, folded; the lines that raised and those of the message are marked."""
        page = swarmtask(root, "report", "--html", "-").stdout
        assert page.count('<details class="evidence"') == 2
        assert '<span class="raised">&gt;       assert total(items) == 3\n</span><span class="message">E  ' in page
        assert ">    def test_total():\n        items = [1, 2]\n<span" in page
        assert ">adding\n\n  two items</pre>" in page
        assert "<h4>earlier attempt: error in setup, 1.50 s</h4>" in page
        assert "once more</pre>" in page
        assert page.count(">2 failures with one cause</h3>") == 1
        assert page.count(">same error in 1 other run</p>") == 1

    def test_nothing_is_cut_for_good(self, root: Path, journal: Path) -> None:
        """What is too long for a line or for the page is folded, or the page says where it is."""
        long = "word " * 2000
        write(journal, 3, {"test_long": {"error": long}})
        page = swarmtask(root, "report", "--html", "-").stdout
        assert "<summary>whole message</summary>" in page
        assert f">{long}</pre>" in page

    def test_the_size_is_bounded(self, root: Path, journal: Path) -> None:
        write(journal, 3, {f"test_{number:03}": {"traceback": "E  x y\n" * 9000} for number in range(150)})
        page = swarmtask(root, "report", "--html", "-").stdout
        assert len(page) < 9_000_000
        left_out = page.count("<code>swarmtask report --json</code> has these, too.")
        assert 0 < left_out < 150
        assert page.count('<details class="evidence"') == 150


@pytest.mark.parametrize("key", ["traceback", "stdout", "teardown_traceback", "error", "outcome", "phase", "location"])
@pytest.mark.parametrize("in_attempt", [False, True])
def test_evidence_is_only_text(root: Path, journal: Path, key: str, in_attempt: bool) -> None:
    """Nothing in a text steers the terminal, ends an element, or makes markup."""
    hostile = {key: HOSTILE, "fingerprint": HOSTILE}
    write(
        journal, 3, {"test_bad": {"stdout": "x", "attempts": [hostile]} if in_attempt else {"stdout": "x", **hostile}}
    )
    text = swarmtask(root, "report", "--full").stdout + swarmtask(root, "tests", "test_bad", "--full").stdout
    page = swarmtask(root, "report", "--html", "-").stdout
    markdown = swarmtask(root, "report", "--markdown", "--full").stdout
    for shown in (text, page, markdown):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "<script>alert" not in page + markdown
    assert markdown.count("</details>") == markdown.count("<details>") == 1
    assert markdown.count("</pre>") == markdown.count("<pre>")


@pytest.mark.parametrize(
    "attempts", ["x", ["x", None, 7], [{}], [{"outcome": 7, "duration": "x", "traceback": []}], {}]
)
def test_journals_of_other_programs(root: Path, journal: Path, attempts: object) -> None:
    """Metadata of another form than ours is left out of a report, and never stops it."""
    facts = {"attempts": attempts, "properties": [["a"], "b", 7, [1, {"x": 2}]], "traceback": "E  x", "markers": 5}
    write(journal, 3, {"test_odd": facts})
    for form in (["--full"], ["--json"], ["--html", "-"], ["--markdown", "--full"], ["--junit"]):
        done = swarmtask(root, "report", *form)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"E  x", unescape(done.stdout))
