"""docs/sharding.md: its output is real, and its pipelines are valid and run."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

from pytest_swarmtask.history.shards import ShardedSuite
from pytest_swarmtask.report.phrases import shard_problems
from pytest_swarmtask.sources.pytest.sharding import known_costs
from tests.ci.runner import Machine, check_schema
from tests.ci.test_docs import shell
from tests.lab import REPOSITORY
from tests.shop import swarmtask
from tests.suite import Suite

TEXT = (REPOSITORY / "docs" / "sharding.md").read_text("utf-8")
SCHEMAS = {"GitHub Actions": "vendor.github-workflows", "GitLab CI": "vendor.gitlab-ci"}
SHARDS = 8
CI = {
    "GitHub Actions": {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_RUN_ID": "7",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_JOB": "test",
    },
    "GitLab CI": {
        "GITLAB_CI": "true",
        "CI_SERVER_URL": "https://gitlab.com",
        "CI_PIPELINE_ID": "7",
        "CI_JOB_NAME": "test {shard}/8",
        "CI_JOB_ID": "{shard}",
        "CI_NODE_INDEX": "{shard}",
        "CI_NODE_TOTAL": "8",
    },
}
"""The variables that each service sets."""


def block(language: str, title: str) -> str:
    """Return the only block of a language below a heading."""
    section = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert section
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_output_is_real(project: Suite) -> None:
    project.write(test_a="import pytest\n@pytest.mark.parametrize('n', range(960))\ndef test_a(n): pass\n")
    tests = {f"::test_a[{n}]": 0.344 for n in range(960)}
    project.file(
        ".taskmaster/events/durations.json", json.dumps({"version": 1, "durations": {"v": {"test_a.py": tests}}})
    )
    command, *lines = block("console", "Sharding").splitlines()
    output = project.pytest(*command.split()[2:]).output
    shown = [line for line in lines if line != "..."]
    assert len(shown) == 2
    assert "\n".join(shown) in output


def test_the_other_texts_are_real() -> None:
    (line,) = shard_problems([ShardedSuite("test", 8, 960, [], [5], 14, 9)])
    assert f"\n{line}\n" in TEXT
    assert known_costs(block("json", "How long tests take").encode(), "test") == {
        "tests/test_shop.py::test_total": 12_300,
        "tests/test_shop.py::TestCart::test_add": 1_500_000,
    }


@pytest.mark.long
@pytest.mark.parametrize("service", SCHEMAS)
def test_a_pipeline_is_valid(tmp_path: Path, service: str) -> None:
    (tmp_path / "shown.yml").write_text(block("yaml", service))
    check_schema(SCHEMAS[service], tmp_path / "shown.yml")


def scripts(service: str) -> dict[str, list[str]]:
    """Return the commands of each job that are ours."""
    definition = yaml.safe_load(block("yaml", service))
    jobs = definition["jobs"] if service == "GitHub Actions" else definition
    lines = {name: job.get("script") or [step.get("run", "") for step in job["steps"]] for name, job in jobs.items()}
    return {name: [line for line in found if re.match("swarmtask|pytest", line)] for name, found in lines.items()}


@pytest.mark.long
@pytest.mark.parametrize("service", ["GitHub Actions", "GitLab CI"])
def test_a_pipeline_runs(tiny: Path, prepared: Machine, service: str) -> None:
    """The first run has no history, and the second one divides the tests by the durations of the first.

    A test fails in quarantine. In the third run the journal of a shard is missing, and so the gate is closed.
    """
    jobs = scripts(service)
    assert [len(jobs[name]) for name in ("durations", "test", "report")] == [1, 1, 4]
    (tiny / "test_tiny.py").write_text("def test_one(): pass\n\n\ndef test_two(): assert 0\n")
    (tiny / ".taskmaster").mkdir()
    last_day = datetime.now(timezone.utc).date() + timedelta(days=30)
    entry = f"{{test: 'test_tiny.py::test_two', reason: it races, owner: '@ada', until: {last_day}}}"
    (tiny / ".taskmaster" / "quarantine.yaml").write_text(f"tests:\n  - {entry}\n")
    cache = tiny.parent / "history.sqlite"
    for number in (1, 2, 3):
        root = tiny.parent / f"run-{number}"
        journals = root / "durations" / ".taskmaster" / "events"
        machines = [root / "durations", *(root / f"shard-{shard}" for shard in range(1, SHARDS + 1)), root / "report"]
        for machine in machines:
            shutil.copytree(tiny, machine)
            (machine / ".taskmaster" / "events").mkdir(parents=True)
        for machine in (machines[0], machines[-1]):
            if cache.exists():
                shutil.copy(cache, machine / ".taskmaster" / "events")
        assert shell(jobs["durations"][0], machines[0], prepared).returncode == 0
        for shard, machine in enumerate(machines[1:-1], 1):
            shutil.copy(journals / "durations.json", machine / ".taskmaster" / "events")
            environ = {name: value.format(shard=shard) for name, value in CI[service].items()}
            environ["GITHUB_RUN_ID"] = environ["CI_PIPELINE_ID"] = str(number)
            command = jobs["test"][0].replace("${{ matrix.shard }}", str(shard))
            done = shell(f"python -m {command} -p no:cacheprovider", machine, prepared, **environ)
            assert done.returncode == 0, done.stdout
            divided = "without durations" not in done.stdout
            assert divided or number == 1
            if (number, shard) != (3, 5):
                shutil.copytree(machine / ".taskmaster" / "events", machines[-1] / "journals" / str(shard))
        collect, report, check, gate = jobs["report"]
        done = shell(collect.replace(".taskmaster/events", "journals"), machines[-1], prepared)
        assert ("shard 5 of 8 is missing" in done.stdout) == (number == 3), done.stdout
        for command in (report, check):
            done = shell(command, machines[-1], prepared, GITHUB_STEP_SUMMARY=os.devnull)
            assert done.returncode == 0, done.stdout
        done = shell(gate, machines[-1], prepared)
        assert ("gate closed" if number == 3 else "gate passed") in done.stdout
        assert done.returncode == (number == 3)
        if number == 3:
            return
        found = json.loads(swarmtask(machines[-1], "report", "--json").stdout)
        assert (found["run"]["partial"], found["run"]["counts"]) == (False, {"passed": 1, "quarantined": 1})
        assert [(suite["of"], suite["tests"]) for suite in found["shards"]] == [(SHARDS, 2)]
        shutil.copy(machines[-1] / ".taskmaster" / "events" / "history.sqlite", cache)
