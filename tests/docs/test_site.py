"""The documentation site: what its pages have from the code, their links, and a strict build."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.cli.main import EXIT_CODES
from pytest_swarmtask.config.schema import schema
from pytest_swarmtask.core.event import EVENT_TYPES, Event
from scripts.docs_reference import PAGES, command_line, event_types, python, workflow
from scripts.docs_site import links
from tests.cli.test_parser import ALL
from tests.lab import REPOSITORY, clean_environ

PAGE = command_line()


class TestCommandLine:
    @pytest.mark.parametrize("name", [*ALL, "swarmtask emit", "swarmtask run"])
    def test_each_command_has_its_help_there(self, name: str) -> None:
        section = re.split(r"^##+ ", PAGE.partition(f"# `{name}`\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
        assert f"```text\n{name} " in section or f"```text\nusage: {name} " in section
        for action in ALL[name]._actions if name in ALL else ():
            assert action.dest == "help" or all(option in section for option in action.option_strings)

    def test_options_and_ini_keys_of_pytest(self) -> None:
        command = [sys.executable, "-m", "pytest", "--help"]
        text = subprocess.run(command, cwd=REPOSITORY, env=clean_environ(), capture_output=True, text=True, check=True)
        options = set(re.findall(r"^  (--(?:no-)?swarmtask[\w-]*)", text.stdout, re.MULTILINE))
        keys = set(re.findall(r"^  (swarmtask\w*) \(", text.stdout, re.MULTILINE))
        assert len(options) > 5
        assert len(keys) > 2
        section = PAGE.partition("\n## Options of pytest\n")[2]
        assert set(re.findall(r"^\| `([\w-]+)", section, re.MULTILINE)) == options | keys


class TestExitCodes:
    DENYING = "access_control: {roles: {reader: {allow: []}}, default_role: reader}"

    @pytest.mark.parametrize(
        ("code", "workflow", "arguments"),
        [
            (0, "{}", ("runs",)),
            (1, "nonsense: 1", ("doctor",)),
            (2, "{}", ("runs", "--brnach", "main")),
            (2, "nonsense: 1", ("config", "validate")),
            (3, DENYING, ("emit", "TASK_STARTED", "a")),
        ],
    )
    def test_a_command_ends_with_it(self, tmp_path: Path, code: int, workflow: str, arguments: tuple[str, ...]) -> None:
        config = tmp_path / ".taskmaster" / "config"
        config.mkdir(parents=True)
        (config / "workflow.yaml").write_text(workflow)
        command = [sys.executable, "-m", "pytest_swarmtask", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert f"| `{code}` | {EXIT_CODES[code]} |" in PAGE

    def test_ctrl_c(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "pytest_swarmtask", "watch", "--until-done", "--json", "--root", str(tmp_path)]
        with subprocess.Popen(command, env=clean_environ(), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert "idle" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        assert f"| `130` | {EXIT_CODES[130]} |" in PAGE


def tables(page: str) -> list[list[list[str]]]:
    """Return the tables of a page: the cells of their rows, with the heads and without the line below them."""
    blocks = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    cells = [[row[2:-2].split(" | ") for row in block.splitlines()] for block in blocks]
    return [[head, *below] for head, _, *below in cells]


def rows(page: str) -> list[list[str]]:
    """Return the rows of all tables of a page, without their heads."""
    return [row for _, *below in tables(page) for row in below]


@pytest.mark.parametrize("page", PAGES)
def test_no_table_has_a_cell_too_many(page: str) -> None:
    for head, *below in tables(PAGES[page]()):
        assert [row for row in below if len(row) != len(head)] == []


WORKFLOW = workflow()
KEYS = rows(WORKFLOW)
DEFINITIONS = schema()["$defs"]


def as_shown(default: Any) -> str:
    """Return how the page shows a default of the schema."""
    if default in (None, ""):
        return ""
    if isinstance(default, float):
        return f"`{default:.15g}`"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


class TestWorkflow:
    @pytest.mark.parametrize("name", [name for name, one in DEFINITIONS.items() if "properties" in one])
    def test_each_key_of_the_schema_is_there_with_its_default(self, name: str) -> None:
        shown = {(re.split(r"[.`]", key)[-2], default.partition(" (")[0]) for key, _, default, _ in KEYS}
        required = DEFINITIONS[name].get("required", ())
        for key, about in DEFINITIONS[name]["properties"].items():
            if name == "Environment":
                assert f"\n## `{key}`\n" in WORKFLOW
            elif key in ("kind", "action") and key in required:
                assert f"\n#### `{key}: {about['enum'][0]}`\n" in WORKFLOW
            elif key in required:
                assert (key, "*required*") in shown
            elif "default" in about:
                assert (key, as_shown(about["default"])) in shown
            else:
                assert key in {one for one, _ in shown}

    def test_the_paths_are_those_of_the_file(self) -> None:
        defaults = {key.strip("`"): default for key, _, default, _ in KEYS}
        assert defaults["monitoring.retention.journal_age"] == "`2592000` (30 days)"
        assert defaults["task_integration.webhooks[].events"] == '`["*"]`'
        assert defaults["task_integration.task_manager.status_map.TASK_FAILED"] == "`pending`"
        assert defaults["access_control.roles.NAME.allow"] == "`[]`"
        assert defaults["automation_triggers.rules[].do[].command"] == "*required*"

    def test_each_key_has_a_type_and_a_meaning(self) -> None:
        assert [row for row in KEYS if not row[1] or not row[3]] == []


class TestEventTypes:
    PAGE = event_types()

    def test_each_type_is_there_with_its_status(self) -> None:
        assert {name.strip("`"): status.strip("`") for name, status, _ in rows(self.PAGE)} == EVENT_TYPES

    def test_the_samples_begin_and_end_a_span(self) -> None:
        blocks = re.findall(r"^```json\n(.*?)^```$", self.PAGE, re.MULTILINE | re.DOTALL)
        assert len(blocks) == len(re.findall("^## ", self.PAGE, re.MULTILINE)) == 4
        for block in blocks:
            begin, end = [Event.decode(f"{text}}}".encode()) for text in block.split("\n}\n")[:2]]
            assert begin.event_type.endswith("_STARTED")
            assert (begin.span_id, begin.trace_id) == (end.span_id, end.trace_id)
            assert end.metadata["success"] is True

    def test_it_is_the_same_each_time(self) -> None:
        assert event_types() == self.PAGE


@pytest.mark.parametrize(
    ("path", "written", "shown"),
    [
        ("docs/team.md", "[a](history.md#in-a-browser)", "[a](history.md#in-a-browser)"),
        ("docs/team.md", "[a](#alerts)", "[a](#alerts)"),
        ("docs/team.md", "[a](../CONTRIBUTING.md#rules)", "[a](contributing.md#rules)"),
        ("docs/team.md", "[a](../examples/team)", "[a](https://h.example/p/tree/HEAD/examples/team)"),
        ("docs/team.md", "[a](https://b.example/c.md)", "[a](https://b.example/c.md)"),
        ("docs/team.md", "[a\nb](../LICENSE)", "[a\nb](https://h.example/p/tree/HEAD/LICENSE)"),
        ("README.md", "![a](docs/images/a.png)", "![a](images/a.png)"),
        ("README.md", "[a](docs/team.md)", "[a](team.md)"),
        ("docs/team.md", "```\n[a](../LICENSE)\n```", "```\n[a](../LICENSE)\n```"),
        ("docs/team.md", '<img src="images/a.png" alt="b" width="26">', "![b](images/a.png){width=26}"),
    ],
)
def test_a_link_works_on_the_site(path: str, written: str, shown: str) -> None:
    assert links(written, path, "https://h.example/p") == shown


def test_a_link_out_of_the_site_is_its_text_where_no_repository_is_known() -> None:
    assert (
        links("see [the example](../examples/team), or [a](b.md)", "docs/x.md", "") == "see the example, or [a](b.md)"
    )


@pytest.mark.slow
def test_the_site_is_built_strictly_and_loads_nothing_from_another_host(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, env=clean_environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.parent.name: path.read_text("utf-8") for path in tmp_path.glob("*/index.html")}
    made = {name.removesuffix(".md") for name in PAGES}
    assert {"changelog", "contributing", "history", "tutorial"} | made <= set(pages)
    for page in (*pages.values(), (tmp_path / "index.html").read_text("utf-8")):
        loaded = re.findall(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?([^\s\">]+)", page)
        loaded += re.findall(
            r"<link\b(?=[^>]*\brel=\"?(?:stylesheet|icon|preconnect)\b)[^>]*\bhref=\"?([^\s\">]+)", page
        )
        assert loaded
        assert [address for address in loaded if re.match(r"(https?:)?//", address)] == []
    for name in re.findall(r"^::: (\S+)$", python(), re.MULTILINE):
        assert f'id="{name}"' in pages["python"]
