"""The documentation site: what its pages have from the code, their links, and a strict build."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_swarmtask.cli.main import EXIT_CODES
from scripts.docs_site import command_line, links, python
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

    def test_no_table_has_a_cell_too_many(self) -> None:
        rows = [line for line in PAGE.splitlines() if line.startswith("|")]
        assert [row for row in rows if len(re.findall(r"(?<!\\)\|", row)) != 3] == []


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
    assert {"cli", "python", "changelog", "contributing", "history"} <= set(pages)
    for page in (*pages.values(), (tmp_path / "index.html").read_text("utf-8")):
        loaded = re.findall(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?([^\s\">]+)", page)
        loaded += re.findall(
            r"<link\b(?=[^>]*\brel=\"?(?:stylesheet|icon|preconnect)\b)[^>]*\bhref=\"?([^\s\">]+)", page
        )
        assert loaded
        assert [address for address in loaded if re.match(r"(https?:)?//", address)] == []
    for name in re.findall(r"^::: (\S+)$", python(), re.MULTILINE):
        assert f'id="{name}"' in pages["python"]
