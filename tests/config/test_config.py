"""The configuration: which files are read, which are refused with which message, and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from pytest_swarmtask.cli import config as cli
from pytest_swarmtask.cli.parser import CommandParser
from pytest_swarmtask.config import triggers, workflow
from pytest_swarmtask.config.load import Loaded, UnsetVariableError, expand, is_active, load, references
from pytest_swarmtask.config.schema import schema
from pytest_swarmtask.core.errors import ConfigError, UsageError
from pytest_swarmtask.core.project import Project
from tests.lab import REPOSITORY

EXAMPLE = REPOSITORY / ".taskmaster" / "config" / "workflow.yaml"
SCHEMA_FILE = EXAMPLE.with_name("workflow.schema.json")
OLD_MSGSPEC = tuple(map(int, msgspec.__version__.split(".")[:2])) < (0, 22)
EVERYTHING = "TASK_STARTED, TASK_COMPLETED, TASK_FAILED"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a workflow.yaml and return its project."""

    def project(text: str) -> Path:
        folder = tmp_path / ".taskmaster" / "config"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "workflow.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return project


@pytest.fixture
def problems(write: Write) -> Callable[..., list[str]]:
    """Return the problems reported for an invalid text, without the path of the file."""

    def found(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
        root = write(text)
        with pytest.raises(ConfigError) as caught:
            load(Project(str(root)), environ or {})
        prefix = f"{root / '.taskmaster' / 'config' / 'workflow.yaml'}:"
        assert all(problem.startswith(prefix) for problem in caught.value.problems)
        return [problem.removeprefix(prefix) for problem in caught.value.problems]

    return found


def webhooks(loaded: Loaded) -> list[tuple[str, str]]:
    return [(webhook.name, webhook.url) for webhook in loaded.workflow.task_integration.webhooks]


class TestWithoutFile:
    def test_the_defaults_hold(self, tmp_path: Path) -> None:
        loaded = load(Project(str(tmp_path)), {})
        assert loaded.path is None
        assert loaded.environment is None
        assert loaded.workflow.task_integration.session_task_id == "pytest_run"
        assert loaded.workflow.task_integration.drain_timeout is None
        assert loaded.origins["task_integration.enabled"] == "default"

    def test_any_environment_name_is_carried(self, tmp_path: Path) -> None:
        assert load(Project(str(tmp_path)), {"WORKFLOW_ENVIRONMENT": "qa"}).environment == "qa"

    def test_an_empty_environment_name_is_none(self, tmp_path: Path) -> None:
        assert load(Project(str(tmp_path)), {"WORKFLOW_ENVIRONMENT": ""}).environment is None

    def test_the_webhook_variable_alone_makes_a_webhook(self, tmp_path: Path) -> None:
        environ = {"TASKMASTER_WEBHOOK_URL": "https://tasks.example.com/hook"}
        loaded = load(Project(str(tmp_path)), environ)
        assert webhooks(loaded) == [("default", "${TASKMASTER_WEBHOOK_URL}")]
        assert is_active(loaded.workflow.task_integration.webhooks[0], environ)
        origin = loaded.origins["task_integration.webhooks[0].url"]
        assert origin == "environment variable TASKMASTER_WEBHOOK_URL"

    def test_without_the_webhook_variable_that_webhook_is_inactive(self, tmp_path: Path) -> None:
        (webhook,) = load(Project(str(tmp_path)), {}).workflow.task_integration.webhooks
        assert not is_active(webhook, {})
        assert not is_active(webhook, {"TASKMASTER_WEBHOOK_URL": ""})

    @pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "task_integration:\nmonitoring:\nenvironments:\n"])
    def test_an_empty_file_or_section_is_like_none(self, write: Write, text: str) -> None:
        loaded = load(Project(str(write(text))), {"WORKFLOW_ENVIRONMENT": "qa"})
        assert loaded.workflow == workflow.Workflow(task_integration=loaded.workflow.task_integration)
        assert loaded.path is not None


class TestImplicitWebhook:
    def test_it_is_added_to_those_of_the_file(self, write: Write) -> None:
        loaded = load(
            Project(str(write("task_integration: {webhooks: [{name: chat, url: 'https://a.example/'}]}"))), {}
        )
        assert [name for name, _ in webhooks(loaded)] == ["chat", "default"]

    @pytest.mark.parametrize("url", ["${TASKMASTER_WEBHOOK_URL}", "${TASKMASTER_WEBHOOK_URL:-https://a.example}/x"])
    def test_it_is_not_added_when_the_file_uses_the_variable(self, write: Write, url: str) -> None:
        loaded = load(Project(str(write(f"task_integration: {{webhooks: [{{name: mine, url: '{url}'}}]}}"))), {})
        assert webhooks(loaded) == [("mine", url)]

    def test_it_takes_another_name_when_default_is_taken(self, write: Write) -> None:
        loaded = load(
            Project(str(write("task_integration: {webhooks: [{name: default, url: 'https://a.example/'}]}"))), {}
        )
        assert [name for name, _ in webhooks(loaded)] == ["default", "TASKMASTER_WEBHOOK_URL"]


class TestVariables:
    def test_references_are_expanded(self) -> None:
        assert expand("${A}-${B:-b}-${C:-c}-$D", {"A": "1", "C": "3"}) == "1-b-3-$D"

    def test_the_default_also_holds_for_an_empty_variable(self) -> None:
        assert expand("${A:-x}", {"A": ""}) == "x"

    def test_a_variable_that_is_not_set_is_named(self) -> None:
        with pytest.raises(UnsetVariableError, match="MISSING") as caught:
            expand("https://${MISSING}/", {})
        assert caught.value.name == "MISSING"

    def test_an_expanded_value_is_not_expanded_again(self) -> None:
        assert expand("${A}", {"A": "${B}", "B": "no"}) == "${B}"

    def test_references_are_the_variables_that_must_be_set(self) -> None:
        assert references("${A}${B:-b}${C}") == ["A", "C"]

    def test_the_model_holds_texts_unexpanded(self, write: Write) -> None:
        loaded = load(Project(str(write("task_integration: {source: '${TEAM}'}"))), {"TEAM": "core"})
        assert loaded.workflow.task_integration.source == "${TEAM}"


class TestEnvironments:
    TEXT = """\
task_integration:
  drain_timeout: 3
  metadata: {team: core, tier: none}
  webhooks:
    - {name: a, url: https://a.example/}
environments:
  dev:
  prod:
    task_integration:
      metadata: {tier: production}
      webhooks:
        - {name: b, url: https://b.example/}
  reset:
    task_integration:
      drain_timeout:
"""

    def test_mappings_merge_and_lists_replace(self, write: Write) -> None:
        loaded = load(Project(str(write(self.TEXT))), {"WORKFLOW_ENVIRONMENT": "prod"})
        assert loaded.environment == "prod"
        assert loaded.environments == ("dev", "prod", "reset")
        assert loaded.workflow.task_integration.metadata == {"team": "core", "tier": "production"}
        assert [name for name, _ in webhooks(loaded)] == ["b", "default"]
        assert loaded.workflow.task_integration.drain_timeout == 3

    def test_without_one_the_file_holds_as_it_stands(self, write: Write) -> None:
        loaded = load(Project(str(write(self.TEXT))), {})
        assert loaded.workflow.task_integration.metadata == {"team": "core", "tier": "none"}

    def test_an_empty_environment_changes_nothing(self, write: Write) -> None:
        root = write(self.TEXT)
        assert (
            load(Project(str(root)), {"WORKFLOW_ENVIRONMENT": "dev"}).workflow == load(Project(str(root)), {}).workflow
        )

    def test_a_key_without_value_brings_the_default_back(self, write: Write) -> None:
        loaded = load(Project(str(write(self.TEXT))), {"WORKFLOW_ENVIRONMENT": "reset"})
        assert loaded.workflow.task_integration.drain_timeout is None

    def test_origins_name_file_line_and_environment(self, write: Write) -> None:
        origins = load(Project(str(write(self.TEXT))), {"WORKFLOW_ENVIRONMENT": "prod"}).origins
        assert origins["task_integration.metadata.team"] == "workflow.yaml:3"
        assert origins["task_integration.metadata.tier"] == "environments.prod (workflow.yaml:10)"
        assert origins["task_integration.webhooks[0].url"] == "environments.prod (workflow.yaml:12)"
        assert origins["task_integration.webhooks[0].timeout"] == "default"
        assert origins["task_integration.drain_timeout"] == "workflow.yaml:2"

    def test_an_unknown_one_names_the_nearest(self, problems: Callable[..., list[str]]) -> None:
        (problem,) = problems(self.TEXT, {"WORKFLOW_ENVIRONMENT": "prd"})
        assert problem == (
            "6: environments: WORKFLOW_ENVIRONMENT is prd, expected one of dev, prod, reset; did you mean prod?"
        )

    def test_all_are_checked_not_only_the_chosen_one(self, problems: Callable[..., list[str]]) -> None:
        (problem,) = problems("environments:\n  dev: {}\n  prod:\n    monitoring: {enabeld: true}\n")
        assert problem.startswith("4: environments.prod.monitoring.enabeld: found the unknown key enabeld")

    def test_what_breaks_only_in_one_says_so(self, problems: Callable[..., list[str]]) -> None:
        text = """\
monitoring:
  notifiers: [{name: chat, kind: log}]
  alerts: [{name: a, kind: failure, notify: [chat]}]
environments:
  dev:
    monitoring: {notifiers: []}
"""
        (problem,) = problems(text)
        assert problem == (
            "3: monitoring.alerts[0].notify[0]: found chat, expected the name of a notifier (none is configured)"
            " (in the environment dev)"
        )

    def test_they_do_not_nest(self, problems: Callable[..., list[str]]) -> None:
        (problem,) = problems("environments: {a: {environments: {b: {}}}}")
        assert "environments.a.environments: found the unknown key environments" in problem


class TestProblems:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("monitorin: {}", "1: monitorin: found the unknown key monitorin, expected task_integration, automation"),
            ("task_integration:\n  webhook: []", "2: task_integration.webhook: found the unknown key webhook,"),
            ("task_integration: {enabled: yes}", "1: task_integration.enabled: found the text 'yes', expected true or"),
            ("task_integration: {handler_timeout: soon}", "found the text 'soon', expected a number of seconds"),
            ("task_integration: {drain_timeout: -1}", "found the number -1, expected a number of seconds, at least 0"),
            ("task_integration: {evidence: {bytes: 512}}", "found the number 512, expected a whole number of at least"),
            ("task_integration: {evidence: {bytes: 65536}}", "of at least 1024 and at most 49152"),
            ("task_integration: {evidence: true}", "1: task_integration.evidence: found true, expected a mapping"),
            ("task_integration: {source: 5.10}", "found the number 5.10, expected text that is not empty; put it in"),
            ("task_integration: {source: true}", "found true, expected text that is not empty; put it in quotes"),
            ("task_integration: {source: 2024-01-15}", "found the date 2024-01-15, expected a number, or text in quot"),
            ("task_integration: {source: .nan}", "found .nan, expected a finite decimal number, or text in quotes"),
            ("task_integration: {drain_timeout: 1e999}", "found 1e999, expected a finite decimal number"),
            ("task_integration: {source: [a]}", "found a list, expected text that is not empty"),
            ("task_integration: 5", "1: task_integration: found the number 5, expected a mapping"),
            ("- a", "1: found a list, expected a mapping with task_integration"),
            ("just text", "1: found the text 'just text', expected a mapping with task_integration"),
            ("environments: [dev]", "1: environments: found a list, expected a mapping"),
            ("environments: {dev: 3}", "1: environments.dev: found the number 3, expected a mapping"),
            ("environments: {a b: {}}", "1: environments.\"a b\": found the text 'a b', expected a name of at most"),
        ],
    )
    def test_a_problem_names_line_key_finding_and_expectation(
        self, problems: Callable[..., list[str]], text: str, expected: str
    ) -> None:
        (problem,) = problems(text)
        assert expected in problem

    @pytest.mark.parametrize(
        ("item", "expected"),
        [
            ("format: cloudevent", "expected one of cloudevents, cdevents, plain, otlp; did you mean cloudevents?"),
            ("events: [TASK_STARTD]", "did you mean TASK_STARTED?"),
            ("events: ['task_*']", f"expected an event type or a glob over {EVERYTHING}"),
            ("max_events: 0", "found the number 0, expected a whole number of at least 1"),
            ("max_events: 1.5", "found the number 1.5, expected a whole number of at least 1"),
            ("secret_env: []", "found an empty list, expected at least one item"),
            ("headers: {'a b': x}", "expected the name of an HTTP header"),
            ('headers: {a: "x\\r\\ny: z"}', "expected a header value on one line"),
            ("headers: {X-Team: '${TEAM'}", "expected ${NAME}, ${NAME:-default}, or $$"),
            ("formt: plain", "expected name, url, secret_env, format, events, batch"),
        ],
    )
    def test_a_webhook_is_checked(self, problems: Callable[..., list[str]], item: str, expected: str) -> None:
        (problem,) = problems(f"task_integration: {{webhooks: [{{name: a, url: 'https://a.example', {item}}}]}}")
        assert expected in problem

    @pytest.mark.parametrize(
        "url", ["ftp://a.example/", "a.example", "https:///x", "https://a.example/a b", "${A", "${}"]
    )
    def test_a_url_that_is_none_is_refused(self, problems: Callable[..., list[str]], url: str) -> None:
        (problem,) = problems(f"task_integration: {{webhooks: [{{name: a, url: '{url}'}}]}}")
        assert "webhooks[0].url: found a value that is not repeated here, expected" in problem

    def test_name_and_url_are_required(self, problems: Callable[..., list[str]]) -> None:
        name, url = problems("task_integration:\n  webhooks:\n    - batch: true\n")
        assert name.startswith("3: task_integration.webhooks[0].name: found nothing, expected a name")
        assert url.startswith("3: task_integration.webhooks[0].url: found nothing, expected")

    @pytest.mark.parametrize(
        ("item", "expected"),
        [
            ("format: plain", "webhooks[0].url: found nothing, expected a URL"),
            ("url: https://a.example, logs: true", "logs: found true, expected format: otlp beside it"),
            (
                "format: otlp, secret_env: KEY",
                "secret_env: found a secret, expected none: OTLP requests are not signed",
            ),
            ("format: otlp, batch: false", "batch: found false, expected true or nothing: OTLP requests are batches"),
        ],
    )
    def test_keys_of_a_format_fit_to_it(self, problems: Callable[..., list[str]], item: str, expected: str) -> None:
        (problem,) = problems(f"task_integration: {{webhooks: [{{name: a, {item}}}]}}")
        assert expected in problem

    @pytest.mark.parametrize("item", ["batch: true", "url: 'http://localhost:4318', logs: true", "logs: true"])
    def test_otlp_needs_no_url(self, write: Write, item: str) -> None:
        root = write(f"task_integration: {{webhooks: [{{name: a, format: otlp, {item}}}]}}")
        assert load(Project(str(root)), {}).workflow.task_integration.webhooks[0].format == "otlp"

    @pytest.mark.parametrize(
        "section",
        [
            "automation_triggers: {rules: [{name: r, on: ['*'], do: [{action: webhook, webhook: spans}]}]}",
            "monitoring: {notifiers: [{name: n, kind: webhook, webhook: spans}]}",
        ],
    )
    def test_rules_and_notifiers_send_nothing_to_a_receiver_of_spans(
        self, problems: Callable[..., list[str]], section: str
    ) -> None:
        hooks = "{name: spans, format: otlp}, {name: chat, url: 'https://a.example'}"
        (problem,) = problems(f"task_integration: {{webhooks: [{hooks}]}}\n{section}\n")
        assert "webhook: found spans, expected the name of a webhook (one of chat, default)" in problem

    def test_names_are_unique(self, problems: Callable[..., list[str]]) -> None:
        hook = "    - {name: a, url: https://a.example/}\n"
        (problem,) = problems(f"task_integration:\n  webhooks:\n{hook}{hook}")
        assert problem == (
            "4: task_integration.webhooks[1].name: found the name a, expected one that is not taken (line 3)"
        )

    def test_all_problems_are_told_at_once_by_line(self, problems: Callable[..., list[str]]) -> None:
        found = problems(
            "task_integration:\n  enabeld: true\n  drain_timeout: x\nmonitoring: {quiet_hours: 25:00-1}\nx: 1"
        )
        assert [problem.split(":")[0] for problem in found] == ["2", "3", "4", "5"]

    def test_a_near_name_is_offered(self, problems: Callable[..., list[str]]) -> None:
        (problem,) = problems("task_integration: {drain-timeout: 2}")
        assert problem.endswith("did you mean drain_timeout?")

    def test_messages_hold_no_control_characters(self, problems: Callable[..., list[str]]) -> None:
        found = problems('"\\e[31m\\u202e": 1\ntask_integration: {source: ["\\e"], "a\\nb": 1}')
        assert found
        assert all(problem.isprintable() for problem in found)


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a: [", "found invalid YAML in column"),
            (
                "task_integration:\n\tenabled: true",
                "2: found invalid YAML in column 1 while scanning for the next token",
            ),
            ("a: {}\n---\nb: {}", "found invalid YAML"),
            ("a: \x07", "1: found the character U+0007, expected printable text"),
            ('a: "\\UFFFFFFFF"', "1: found an escape or number out of range"),
            ("a: " + "[" * 5000, "found values nested too deep"),
            ("a: &a [*a]", "found values nested too deep"),
        ],
    )
    def test_invalid_yaml_names_its_line(self, problems: Callable[..., list[str]], text: str, expected: str) -> None:
        (problem,) = problems(text)
        assert expected in problem

    def test_a_tab_is_explained(self, problems: Callable[..., list[str]]) -> None:
        assert "indent with spaces, not with tabs" in problems("a:\n\t- b")[0]

    def test_a_key_given_twice_is_refused(self, problems: Callable[..., list[str]]) -> None:
        (problem,) = problems("monitoring:\n  enabled: true\n  enabled: false\n")
        assert problem == "3: monitoring.enabled: found this key twice, the first in line 2"

    def test_an_alias_bomb_is_refused_before_it_unfolds(self, problems: Callable[..., list[str]]) -> None:
        bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
        (problem,) = problems(bomb)
        assert "aliases that expand to more than 20000 values" in problem

    def test_merge_keys_cannot_recur_for_ever(self, problems: Callable[..., list[str]]) -> None:
        assert problems("a: &a {<<: *a, b: c}")

    @pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [id]", "!!binary aGk=", "!mine x", "!!set {a}"])
    def test_tags_build_nothing(self, problems: Callable[..., list[str]], tag: str) -> None:
        assert any("found the YAML tag" in problem for problem in problems(f"task_integration: {{source: {tag}}}"))

    def test_bad_utf8_names_its_line(self, write: Write) -> None:
        root = write("")
        (root / ".taskmaster" / "config" / "workflow.yaml").write_bytes(b"a: 1\nb: \xff\n")
        with pytest.raises(ConfigError, match=r":2: found the byte 0xff, expected text in UTF-8"):
            load(Project(str(root)), {})

    def test_a_folder_in_its_place_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / ".taskmaster" / "config" / "workflow.yaml").mkdir(parents=True)
        with pytest.raises(ConfigError, match="no regular file"):
            load(Project(str(tmp_path)), {})

    def test_a_giant_file_is_not_read(self, write: Write) -> None:
        with pytest.raises(ConfigError, match="more than 262144 bytes"):
            load(Project(str(write("#" * 300_000))), {})

    def test_a_byte_order_mark_is_harmless(self, write: Write) -> None:
        assert (
            load(Project(str(write("\ufefftask_integration: {source: a}"))), {}).workflow.task_integration.source == "a"
        )

    def test_aliases_and_merge_keys_work(self, write: Write) -> None:
        text = """\
task_integration:
  webhooks:
    - &first {name: a, url: https://a.example/, batch: true, max_events: 5}
    - {<<: *first, name: b, max_events: 7}
"""
        first, second, _ = load(Project(str(write(text))), {}).workflow.task_integration.webhooks
        assert (first.name, first.batch, first.max_events) == ("a", True, 5)
        assert (second.name, second.batch, second.max_events) == ("b", True, 7)


class TestTexts:
    @pytest.mark.parametrize("text", ["5.10", "'5.10'", "007", "5.2.1"])
    def test_a_task_id_may_look_like_a_number(self, write: Write, text: str) -> None:
        loaded = load(Project(str(write(f"task_integration: {{session_task_id: {text}}}"))), {})
        assert loaded.workflow.task_integration.session_task_id == text.strip("'")

    def test_on_is_a_key_and_no_boolean(self, write: Write) -> None:
        text = """\
automation_triggers:
  rules:
    - name: a
      on: [TASK_FAILED]
      when: {task_id: 5.10, environment: "on", metadata: {duration: {gt: 5}, exit_code: 2, flag: true}}
      do:
        - {action: run, command: [git, log, -1]}
        - {action: set_status, task_id: 5.20, status: review}
"""
        (rule,) = load(Project(str(write(text))), {}).workflow.automation_triggers.rules
        assert rule.on == ["TASK_FAILED"]
        assert rule.when.task_id == "5.10"
        assert rule.when.environment == "on"
        assert rule.when.metadata == {"duration": triggers.ValueComparison(gt=5.0), "exit_code": 2, "flag": True}
        assert rule.do == [
            triggers.RunCommand(command=["git", "log", "-1"]),
            triggers.SetStatus(task_id="5.20", status="review"),
        ]


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            "webhooks: [{name: a, url: 'https://user:hunter2@a.example/'}]",
            "webhooks: [{name: a, url: 'https://${USER}:hunter2@a.example/'}]",
            "webhooks: [{name: a, url: 'https://hunter2@a.example/'}]",
            "webhooks: [{name: a, url: 'https://a.example/?api_key=hunter2'}]",
            "webhooks: [{name: a, url: '${URL:-https://user:hunter2@a.example/}'}]",
            "webhooks: [{name: a, url: 'https://hooks.slack.com/services/T0/B0/hunter2'}]",
            "webhooks: [{name: a, url: 'https://a.example', headers: {Authorization: Bearer hunter2}}]",
            "webhooks: [{name: a, url: 'https://a.example', headers: {X-Api-Key: hunter2}}]",
            "webhooks: [{name: a, url: 'https://a.example', headers: {X-Api-Key: '${KEY:-hunter2}'}}]",
            "webhooks: [{name: a, url: 'https://a.example', secret_env: whsec_hunter2+}]",
            "webhooks: [{name: a, url: 'https://a.example', secret_env: [A, hunter2+]}]",
            "metadata: {deploy_token: hunter2}",
            "metadata: {note: ghp_hunter2hunter2hunter2hunter2hunter2hunter2}",
        ],
    )
    def test_a_secret_in_the_file_is_refused_and_not_repeated(
        self, problems: Callable[..., list[str]], text: str
    ) -> None:
        (problem,) = problems(f"task_integration: {{{text}}}")
        assert "found a value that is not repeated here, expected" in problem
        assert "hunter2" not in problem

    @pytest.mark.parametrize(
        "text",
        [
            "webhooks: [{name: a, url: 'https://${USER}:${PASSWORD}@a.example/'}]",
            "webhooks: [{name: a, url: 'https://a.example/?token=${TOKEN}&room=5'}]",
            "webhooks: [{name: a, url: '${URL:-https://a.example/}'}]",
            "webhooks: [{name: a, url: 'http://127.0.0.1:8080/'}]",
            "webhooks: [{name: a, url: 'https://a.example', headers: {Authorization: 'Bearer ${TOKEN}', X-Team: a}}]",
            "metadata: {token_count: '5', deploy_token: '${TOKEN}'}",
        ],
    )
    def test_a_secret_that_is_only_named_is_fine(self, write: Write, text: str) -> None:
        load(Project(str(write(f"task_integration: {{{text}}}"))), {})


class TestLaterSections:
    """Sections of later versions: their behaviour comes later, but their keys and types are fixed now."""

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ("{name: a, on: [TASK_FAILED], do: []}", "found an empty list, expected at least one item"),
            ("{name: a, on: TASK_FAILED, do: [{action: emit, event_type: TASK_STARTED}]}", "expected a list"),
            ("{name: a, on: [X], do: [{action: emit, event_type: TASK_STARTED}]}", "expected an event type or a glob"),
            ("{name: a, on: ['*'], do: [{action: notifi}]}", "did you mean notify?"),
            ("{name: a, on: ['*'], do: [{command: [a]}]}", "do[0].action: found nothing, expected one of run, webhook"),
            ("{name: a, on: ['*'], do: [{action: webhook, webhook: x}]}", "the name of a webhook (one of default)"),
            ("{name: a, on: ['*'], do: [{action: notify, to: [x]}]}", "the name of a notifier (none is configured)"),
            ("{name: a, on: ['*'], do: [{action: emit, event_type: TASK_START}]}", "did you mean TASK_STARTED?"),
            ("{name: a, on: ['*'], do: [{action: run, command: [a, '{{taskid}}']}]}", "did you mean task_id?"),
            ("{name: a, on: ['*'], do: [{action: run, command: ['{{task_id}}']}]}", "expected the name of a program"),
            (
                "{name: a, on: ['*'], do: [{action: webhook, webhook: default, body: {a: ['{{x}}']}}]}",
                "{{…}} to name one",
            ),
            ("{name: a, on: ['*'], do: [{action: webhook, webhook: default, body: {token: x}}]}", "expected no secret"),
            ("{name: a, on: ['*'], role: x, do: [{action: run, command: [a]}]}", "expected the name of a role"),
            ("{name: a, on: ['*'], once_per: week, do: [{action: run, command: [a]}]}", "one of run, task, day"),
            ("{name: a, on: ['*'], when: {task: x}, do: [{action: run, command: [a]}]}", "found the unknown key task"),
            (
                "{name: a, on: ['*'], when: {metadata: {x: {above: 5}}}, do: [{action: run, command: [a]}]}",
                "found the unknown key above, expected glob, not_glob, exists, equals, not_equals, gt, ge, lt, le",
            ),
        ],
    )
    def test_a_trigger_is_checked(self, problems: Callable[..., list[str]], rule: str, expected: str) -> None:
        (problem,) = problems(f"automation_triggers: {{rules: [{rule}]}}")
        assert expected in problem

    @pytest.mark.parametrize(
        ("alert", "expected"),
        [
            ("{name: a, kind: durations}", "did you mean duration?"),
            ("{name: a, kind: duration}", "found an alert without a limit, expected above or times_median"),
            ("{name: a, kind: coverage}", "found an alert without a limit, expected below or drop"),
            ("{name: a, kind: silence}", "found an alert without a limit, expected unfinished or every"),
            ("{name: a, kind: failure_rate}", "above: found nothing, expected a number of at least 0 and at most 100"),
            ("{name: a, kind: coverage, below: 101}", "expected a number of at least 0 and at most 100"),
            ("{name: a, kind: flaky, notify: [x]}", "expected the name of a notifier"),
        ],
    )
    def test_an_alert_is_checked(self, problems: Callable[..., list[str]], alert: str, expected: str) -> None:
        (problem,) = problems(f"monitoring: {{alerts: [{alert}]}}")
        assert expected in problem

    @pytest.mark.parametrize(
        ("role", "expected"),
        [
            ("{allow: [emit:TASK_START]}", "did you mean emit:TASK_STARTED?"),
            ("{allow: [delivery:reply]}", "did you mean delivery:replay?"),
            ("{token_env: TOKEN}", "found half a proof, expected both token_hash and token_env, or neither"),
            (
                "{token_hash: hunter2, token_env: A}",
                "found a value that is not repeated here, expected sha256: and 64 hex digits",
            ),
        ],
    )
    def test_a_role_is_checked(self, problems: Callable[..., list[str]], role: str, expected: str) -> None:
        (problem,) = problems(f"access_control: {{roles: {{a: {role}}}}}")
        assert expected in problem

    def test_the_default_role_must_exist(self, problems: Callable[..., list[str]]) -> None:
        (problem,) = problems("access_control: {default_role: dev, roles: {devs: {}}}")
        assert problem.endswith("found dev, expected the name of a role (one of devs); did you mean devs?")

    def test_a_task_manager_over_http_needs_its_url(self, problems: Callable[..., list[str]]) -> None:
        (problem,) = problems("task_integration: {task_manager: {kind: rest}}")
        assert "task_manager.rest.url: found nothing, expected a URL" in problem

    def test_a_status_map_keeps_what_it_does_not_name(self, write: Write) -> None:
        text = "task_integration: {task_manager: {status_map: {TASK_FAILED: blocked, BUILD_STARTED: unchanged}}}"
        status = load(Project(str(write(text))), {}).workflow.task_integration.task_manager.status_map
        assert (status.task_failed, status.build_started, status.task_completed) == ("blocked", "unchanged", "done")


class TestExample:
    """The workflow.yaml of this repository."""

    @pytest.mark.parametrize("environment", ["", "dev", "staging", "prod"])
    def test_it_is_valid_and_sends_nothing_by_itself(self, environment: str) -> None:
        loaded = load(Project(str(REPOSITORY)), {"WORKFLOW_ENVIRONMENT": environment})
        assert loaded.environments == ("dev", "staging", "prod")
        assert loaded.workflow.task_integration.webhooks
        assert not any(is_active(webhook, {}) for webhook in loaded.workflow.task_integration.webhooks)
        assert not loaded.workflow.task_integration.task_manager.enabled

    def test_it_uses_every_section(self) -> None:
        content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
        assert set(content) == {field.name for field in msgspec.structs.fields(workflow.Workflow)}

    @pytest.mark.skipif(OLD_MSGSPEC, reason="an older msgspec writes the same schema in other words")
    def test_its_schema_file_is_the_models(self) -> None:
        """The schema file equals the model's schema.

        After a change of the model, run `swarmtask config schema > .taskmaster/config/workflow.schema.json`.
        """
        assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == schema()


class TestSchema:
    validator = jsonschema.Draft202012Validator(schema())

    def errors(self, text: str) -> list[str]:
        return [error.message for error in self.validator.iter_errors(yaml.safe_load(text))]

    def test_it_is_a_valid_schema(self) -> None:
        self.validator.check_schema(schema())

    def test_it_accepts_the_example(self) -> None:
        content = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
        for rule in content["automation_triggers"]["rules"]:
            rule["on"] = rule.pop(True)  # PyYAML alone follows YAML 1.1 and reads the key `on` as True
        assert [error.message for error in self.validator.iter_errors(content)] == []

    @pytest.mark.parametrize(
        "text",
        [
            "monitorin: {}",
            "task_integration: {enabeld: true}",
            "task_integration: {enabled: 'yes'}",
            "task_integration: {webhooks: [{name: a}]}",
            "task_integration: {webhooks: [{name: a, url: u, format: xml}]}",
            "environments: {dev: {task_integration: {enabeld: true}}}",
            "monitoring: {alerts: [{name: a, kind: nothing}]}",
            "access_control: {roles: {a: {secret_env: 'not a name'}}}",
        ],
    )
    def test_it_refuses_what_the_loader_refuses(self, text: str) -> None:
        assert self.errors(text)

    @pytest.mark.parametrize(
        "text",
        [
            "task_integration:",
            "environments: {dev: }",
            "environments: {dev: {task_integration: {drain_timeout: 5}}}",
            "environments: {dev: {task_integration: {task_manager: {rest: {timeout: 5}}}}}",
            "environments: {dev: {access_control: {roles: {a: {allow: ['*']}}}}}",
            "task_integration: {webhooks: [{name: a, format: otlp}]}",
            "task_integration: {session_task_id: 5.2}",
        ],
    )
    def test_it_accepts_what_the_loader_accepts(self, write: Write, text: str) -> None:
        load(Project(str(write(text))), {})
        assert self.errors(text) == []

    def test_every_field_is_described(self) -> None:
        definitions = [schema(), *schema()["$defs"].values()]
        bare = [
            f"{definition['title']}.{name}"
            for definition in definitions
            for name, value in definition.get("properties", {}).items()
            if "description" not in value and name not in ("action", "kind")
        ]
        assert bare == []

    def test_no_field_uses_msgspecs_pattern(self) -> None:
        """No field uses a pattern of msgspec, because a pattern in a union with a list crashes the process at exit.

        Seen with msgspec 0.22.
        """
        assert list(patterns(msgspec.inspect.type_info(workflow.Workflow), set())) == []


def patterns(info: Any, seen: set[type]) -> Any:
    """Yield every pattern in a type that msgspec describes."""
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in seen:
            return
        seen.add(info.cls)
        children: list[Any] = [field.type for field in info.fields]
    else:
        children = [getattr(info, name, None) for name in ("type", "item_type", "key_type", "value_type")]
        children += getattr(info, "types", ())
    if isinstance(info, msgspec.inspect.StrType) and info.pattern:
        yield info.pattern
    for child in children:
        if isinstance(child, msgspec.inspect.Type):
            yield from patterns(child, seen)


class TestDocumentation:
    def test_every_key_is_in_the_reference(self) -> None:
        text = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
        names = {name for definition in schema()["$defs"].values() for name in definition.get("properties", {})}
        assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def run(*arguments: str) -> int:
    """Run `config` in the way the command line runs it."""
    parser = CommandParser()
    cli.register(parser.add_subparsers())
    args = parser.parse_args(["config", *arguments])
    code = args.func(args)
    assert isinstance(code, int)
    return code


class TestCommandLine:
    def test_validate_says_that_all_is_well(self, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
        root = write("task_integration: {source: a}\nenvironments: {dev: {}}")
        assert run("validate", "--root", str(root)) == 0
        assert capsys.readouterr().out == (
            f"valid: {root / '.taskmaster' / 'config' / 'workflow.yaml'} (environments: dev)\n"
        )

    def test_validate_raises_what_is_wrong(self, write: Write) -> None:
        with pytest.raises(ConfigError, match="unknown key"):
            run("validate", "--root", str(write("x: 1")))

    def test_validate_without_a_file_is_no_failure(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("validate", "--root", str(tmp_path)) == 0
        assert "the defaults are used" in capsys.readouterr().out

    def test_a_root_that_is_no_folder_is_bad_usage(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no such folder"):
            run("validate", "--root", str(tmp_path / "missing"))

    def test_the_root_is_found_upwards(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        below = write("task_integration: {source: found}") / "a" / "b"
        below.mkdir(parents=True)
        monkeypatch.chdir(below)
        assert run("show") == 0
        assert "source: found" in capsys.readouterr().out

    def test_schema_prints_the_schema(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("schema") == 0
        assert json.loads(capsys.readouterr().out) == schema()


class TestShow:
    TEXT = """\
task_integration:
  metadata: {team: core, deploy_token: "${DEPLOY_TOKEN}"}
  webhooks:
    - name: chat
      url: https://${HOST}/hook/abcdef?room=blue&token=${CHAT_TOKEN}
      headers: {Authorization: "Bearer ${CHAT_TOKEN}", X-Team: visible-header}
    - {name: plain, url: "https://a.example/x?room=green"}
"""
    ENVIRON: Mapping[str, str] = {
        "HOST": "chat.example.com",
        "CHAT_TOKEN": "hunter2-chat",
        "DEPLOY_TOKEN": "hunter2-deploy",
        "TASKMASTER_WEBHOOK_URL": "https://user:hunter2-url@tasks.example.com/hunter2-path?key=hunter2-query",
        "AUTOMATION_SECRET_KEY": "whsec_hunter2",
    }

    @pytest.fixture
    def shown(
        self, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., str]:
        def show(*arguments: str, text: str = self.TEXT) -> str:
            for name, value in self.ENVIRON.items():
                monkeypatch.setenv(name, value)
            monkeypatch.delenv("WORKFLOW_ENVIRONMENT", raising=False)
            assert run("show", "--root", str(write(text)), *arguments) == 0
            return capsys.readouterr().out

        return show

    def test_it_tells_no_secret(self, shown: Callable[..., str]) -> None:
        for output in (shown(), shown("--json")):
            for secret in ("hunter2", "visible-header", "room=blue", "room=green", "hook?", "user:"):
                assert secret not in output, secret

    def test_it_tells_value_and_origin_in_lines(self, shown: Callable[..., str]) -> None:
        lines = [" ".join(line.split()) for line in shown().splitlines()]
        assert "team: core # workflow.yaml:2" in lines
        assert "enabled: true # default" in lines
        assert "- name: chat # workflow.yaml:4" in lines
        assert 'Authorization: "[REDACTED] ${CHAT_TOKEN}" # workflow.yaml:6; set' in lines
        assert (
            "url: ${TASKMASTER_WEBHOOK_URL} # environment variable TASKMASTER_WEBHOOK_URL; "
            "now https://tasks.example.com/…"
        ) in lines

    def test_it_is_yaml(self, shown: Callable[..., str]) -> None:
        content = yaml.safe_load(shown())
        assert content["task_integration"]["metadata"]["team"] == "core"
        assert [webhook["name"] for webhook in content["task_integration"]["webhooks"]] == ["chat", "plain", "default"]

    def test_json_has_value_origin_and_note_by_key_path(self, shown: Callable[..., str]) -> None:
        values = json.loads(shown("--json"))["values"]
        assert values["task_integration.metadata.team"] == {"value": "core", "origin": "workflow.yaml:2", "note": ""}
        assert values["task_integration.webhooks[2].secret_env"]["note"] == "set"

    def test_the_value_of_a_variable_in_a_body_is_not_shown(self, shown: Callable[..., str]) -> None:
        """As in a header, any variable of a body or of a plug-in's options may be a secret, whatever its name."""
        text = """
            monitoring:
              notifiers:
                - {name: a, kind: webhook, webhook: default, body: {x: [{y: "${HOST}"}]}}
                - {name: b, kind: plugin, plugin: p, options: {x: "${HOST}"}}
        """
        values = json.loads(shown("--json", text=text))["values"]
        assert values["monitoring.notifiers[0].body.x[0].y"]["note"] == "set"
        assert values["monitoring.notifiers[1].options.x"]["note"] == "set"

    def test_a_plain_dollar_sign_is_shown_as_it_is_written(self, shown: Callable[..., str]) -> None:
        text = "task_integration: {source: a$$b, task_manager: {tag: '$${HOST}'}}"
        values = json.loads(shown("--json", text=text))["values"]
        assert values["task_integration.source"]["value"] == "a$$b"
        assert values["task_integration.task_manager.tag"] == {
            "value": "$${HOST}",
            "origin": "workflow.yaml:1",
            "note": "",
        }

    def test_an_inactive_webhook_says_why(self, shown: Callable[..., str]) -> None:
        text = "task_integration: {webhooks: [{name: a, url: '${NOT_THERE_AT_ALL}'}]}"
        values = json.loads(shown("--json", text=text))["values"]
        assert values["task_integration.webhooks[0].url"]["note"] == "inactive: NOT_THERE_AT_ALL not set"

    def test_control_characters_do_not_reach_the_terminal(self, shown: Callable[..., str]) -> None:
        output = shown(text='task_integration: {source: "a\\e[31m\\u202e\\x9b", metadata: {"k\\e": "v"}}')
        assert all(line.isprintable() for line in output.splitlines())
