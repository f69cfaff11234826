"""`make phoenix`: spans of a real suite in a real tracing backend, Phoenix from PyPI, read back through its API.

Phoenix takes most of a gigabyte, so it has an environment of its own, which is made once and kept under `.cache`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts import lab

PACKAGE = "arize-phoenix==20.26.1"

TESTS = """
import pytest

tries = []

@pytest.mark.parametrize("number", range(50))
def test_many(number):
    pass

def test_that_fails():
    assert 1 == 2

@pytest.mark.skip(reason="not today")
def test_that_is_skipped():
    pass

@pytest.mark.flaky(reruns=2)
def test_that_is_repeated():
    tries.append(1)
    assert len(tries) > 2
"""
REPEATED = 2
"""Earlier attempts in the suite above, which are spans of their own."""
ENDS = ("_COMPLETED", "_PASSED", "_FAILED", "_SKIPPED")


@contextlib.contextmanager
def phoenix(folder: Path) -> Iterator[str]:
    """Run Phoenix on loopback until the context ends, and return its URL."""
    command = Path(lab.venv(lab.CACHE / "phoenix", [PACKAGE])).with_name("phoenix")
    ports = [_free_port(), _free_port()]
    names = ("PHOENIX_PORT", "PHOENIX_GRPC_PORT")
    settings = {"PHOENIX_HOST": "127.0.0.1", "PHOENIX_WORKING_DIR": str(folder), "PHOENIX_TELEMETRY_ENABLED": "false"}
    environ = lab.environ(**settings, **dict(zip(names, map(str, ports), strict=True)))
    url = f"http://127.0.0.1:{ports[0]}"
    with (folder / "phoenix.log").open("wb") as log:
        process = subprocess.Popen([command, "serve"], cwd=folder, env=environ, stdout=log, stderr=subprocess.STDOUT)
    try:
        lab.wait_for(lambda: process.poll() is not None or _is_up(url))
        if not _is_up(url):
            raise lab.LabError(f"Phoenix did not start\n{lab.tail((folder / 'phoenix.log').read_text())}")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
    except OSError:
        return False


def spans(url: str) -> dict[str, dict[str, Any]]:
    """Return the spans that Phoenix has, by id."""
    found: dict[str, dict[str, Any]] = {}
    cursor = ""
    while True:
        page = f"{url}/v1/projects/default/spans?limit=100{cursor and f'&cursor={cursor}'}"
        with urllib.request.urlopen(page, timeout=10) as answer:  # noqa: S310 - our own server
            content = json.load(answer)
        found |= {span["context"]["span_id"]: span for span in content["data"]}
        if not content.get("next_cursor"):
            return found
        cursor = content["next_cursor"]


def run_suite(root: Path, url: str) -> list[lab.Event]:
    """Run the suite with an endpoint of OTLP, and return the events that end something."""
    configuration = root / ".taskmaster" / "config" / "workflow.yaml"
    configuration.parent.mkdir(parents=True)
    webhook = {"name": "phoenix", "url": url, "format": "otlp", "evidence": True}
    configuration.write_text(json.dumps({"task_integration": {"webhooks": [webhook]}}))
    (root / "test_it.py").write_text(TESTS)
    done = lab.run([sys.executable, "-m", "pytest", "-q"], root, 120)
    lab.check("the exit code of pytest", done.returncode, 1)
    flushed = lab.run([sys.executable, "-m", "pytest_swarmtask", "flush"], root, 60)
    lab.check("swarmtask flush", flushed.returncode, 0)
    return [event for event in lab.journal(root) if event["event_type"].endswith(ENDS)]


def compare(ends: list[lab.Event], url: str) -> None:
    """Check that Phoenix has each end event as the span that it should be."""
    lab.wait_for(lambda: len(spans(url)) >= len(ends) + REPEATED)
    found = spans(url)
    lab.check("the number of spans", len(found), len(ends) + REPEATED)
    for event in ends:
        span = found[event["span_id"]]
        known = (span["name"], span["context"]["trace_id"], span["parent_id"], _moment(span["end_time"]))
        expected = (event["task_id"], event["trace_id"], event["parent_span_id"], _moment(event["timestamp"]))
        if known != expected:
            raise lab.LabError(f"{event['id']}: found {known}, expected {expected}")
    lab.check("the spans have the ids and times of the events", len(ends), 54)
    failed = found[next(event["span_id"] for event in ends if event["event_type"] == "TEST_FAILED")]
    lab.check("the status of a failure", (failed["status_code"], failed["status_message"]), ("ERROR", "assert 1 == 2"))
    lab.check("its result", failed["attributes"]["test.case.result.status"], "fail")
    trace = failed["events"][0]["attributes"]["exception.stacktrace"]
    lab.check("its stack trace", "assert 1 == 2" in trace, expected=True)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def main() -> None:
    """Run the trial.

    Raises:
        LabError: something is not as it should be.
    """
    with tempfile.TemporaryDirectory() as folder, phoenix(Path(folder)) as url:
        root = Path(folder, "project")
        root.mkdir()
        ends = run_suite(root, url)
        compare(ends, url)
        print("The same spans again:", flush=True)
        # As after the loss of the relay's database: every event in the journal is delivered again.
        lab.relays_end(root)
        (root / ".taskmaster" / "events" / "relay" / "relay.db").unlink()
        lab.must([sys.executable, "-m", "pytest_swarmtask", "flush"], root, 60, lab.environ())
        compare(ends, url)
        lab.relays_end(root)


if __name__ == "__main__":
    sys.exit(lab.trial(main))
