"""What `docs/opentelemetry.md` shows is valid, and its table has each attribute that is sent."""

from __future__ import annotations

import ast
import re
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from pytest_swarmtask.core.event import EVENT_TYPES
from pytest_swarmtask.wire.otlp import conventions, requests, spans
from tests.lab import REPOSITORY, Lab

TEXT = (REPOSITORY / "docs" / "opentelemetry.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
NAME = r"(?:service|telemetry|deployment|host|os|process|vcs|cicd|test|code|error|exception)\.[a-z_.]+"


def table() -> set[str]:
    """Return the conventional names in the table of attributes."""
    section = TEXT.partition("## Attributes")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    return {name for cell in first_cells for name in re.findall(rf"`({NAME})`", cell)}


def sent() -> set[str]:
    """Return the conventional names in the code."""
    files = [Path(str(module.__file__)) for module in (conventions, spans, requests)]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return {text for text in texts if re.fullmatch(NAME, text)}


def test_the_table_has_each_attribute() -> None:
    assert len(sent()) > 30
    assert table() == sent()


def test_the_version_of_the_conventions_is_the_one_that_is_sent() -> None:
    assert f"semconv/) {conventions.SCHEMA_URL.rpartition('/')[2]}" in TEXT


def test_each_webhook_is_valid(lone: Lab) -> None:
    """Those of the examples, and those of the table of receivers."""
    rows = re.findall(r"^\| .* \| (`url: .*) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 4
    webhooks = [block["task_integration"]["webhooks"][0] for block in BLOCKS if "task_integration" in block]
    for row in rows:
        parts: dict[str, Any] = {}
        for part in re.findall(r"`([^`]+)`", row):
            parts |= yaml.safe_load(part)
        webhooks.append({"name": "traces", "format": "otlp", **parts})
    assert len(webhooks) == 6
    for webhook in webhooks:
        lone.webhooks(webhook)
        done = lone.run("config", "validate")
        assert done.returncode == 0, done.stderr


def test_the_collector_finds_and_understands_the_journal(lone: Lab) -> None:
    (receiver,) = [block["receivers"]["file_log"] for block in BLOCKS if "file_log" in block.get("receivers", {})]
    event = lone.emit("TASK_FAILED", "1")
    (segment,) = lone.segments()
    (pattern,) = receiver["include"]
    assert fnmatch(str(segment), pattern.replace("/home/me/project", str(lone.root)))
    (operator,) = receiver["operators"]
    fields = [operator["trace"][name]["parse_from"] for name in ("trace_id", "span_id")]
    fields += [operator[name]["parse_from"] for name in ("timestamp", "severity")]
    assert all(field.removeprefix("attributes.") in event for field in fields)
    # There, %L is milliseconds and the Z is just a letter. Python has microseconds, and reads the Z.
    layout = operator["timestamp"]["layout"].replace("%LZ", "%f%z")
    assert datetime.strptime(event["timestamp"], layout).astimezone(timezone.utc).year > 2000
    mapped = operator["severity"]["mapping"]
    assert {*mapped["info"], mapped["error"]} == set(EVENT_TYPES.values())
