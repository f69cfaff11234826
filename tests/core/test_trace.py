"""The run, its spans, and the clock."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_swarmtask.core import trace
from pytest_swarmtask.core.project import is_under_ci
from pytest_swarmtask.core.trace import (
    Clock,
    Ids,
    derived_span,
    new_trace_id,
    parse_traceparent,
    trace_flags,
    traceparent,
)
from tests.lab import clean_environ


def run_context(environ: dict[str, str]) -> tuple[str, str | None, str | None]:
    """Return the run of a process with these variables."""
    return trace.run_context(environ, under_ci=is_under_ci(environ))


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
HEX = st.text("0123456789abcdef", min_size=1)


@pytest.mark.parametrize(
    "text",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f"  00-{TRACE}-{SPAN}-01\n",
        f"cc-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-comes-later",
    ],
)
def test_a_valid_traceparent(text: str) -> None:
    """A valid `traceparent` gives trace id and parent span, also if its version is later than ours."""
    assert parse_traceparent(text) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}g-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-zz",
        f"00-../../../../../../../../../etc/pas-{SPAN}-01",
    ],
)
def test_an_invalid_traceparent(text: str) -> None:
    """An invalid `traceparent` is ignored, and a new run begins, as the standard requires."""
    assert parse_traceparent(text) is None
    trace_id, parent, around = run_context({"TRACEPARENT": text})
    assert len(trace_id) == 32
    assert trace_id != TRACE
    assert (parent, around) == (None, None)


@given(st.text(max_size=80))
def test_any_text_is_no_trouble(text: str) -> None:
    """No text raises an error, and the returned ids always have the right length."""
    found = parse_traceparent(text)
    assert found is None or (len(found[0]), len(found[1])) == (32, 16)


def test_what_is_handed_down_is_understood() -> None:
    """The `traceparent` for child processes is valid, and names the run and the span."""
    assert parse_traceparent(traceparent(TRACE, SPAN)) == (TRACE, SPAN)
    assert run_context({"TRACEPARENT": traceparent(TRACE, SPAN)}) == (TRACE, SPAN, SPAN)


@pytest.mark.parametrize(
    ("given", "inherited"),
    [("00", "00"), ("01", "01"), ("03", "03"), ("02", "02"), ("fe", "02"), ("", "01")],
)
def test_flags_are_inherited(given: str, inherited: str) -> None:
    """A parent that is not sampled stays so. Flags that the standard does not define are not passed on."""
    assert trace_flags(f"00-{TRACE}-{SPAN}-{given}") == inherited


def test_a_parent_of_zeros_is_none() -> None:
    """The run that make begins has no parent span. The id that make sets instead distinguishes it from other makes."""
    context = run_context({"TRACEPARENT": f"00-{TRACE}-00000000deadbeef-01"})
    assert context == (TRACE, None, "00000000deadbeef")


GITHUB = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "test",
}


@pytest.mark.parametrize(
    ("environ", "other_run"),
    [
        (GITHUB, {"GITHUB_RUN_ATTEMPT": "2"}),
        (GITHUB, {"GITHUB_RUN_ID": "78"}),
        (
            {"CI": "true", "GITLAB_CI": "true", "CI_SERVER_URL": "https://gitlab.com", "CI_PIPELINE_ID": "5"},
            {"CI_PIPELINE_ID": "6"},
        ),
        ({"CI": "true", "BUILDKITE": "true", "BUILDKITE_BUILD_ID": "a-b"}, {"BUILDKITE_BUILD_ID": "a-c"}),
        ({"CI": "true", "CIRCLECI": "true", "CIRCLE_WORKFLOW_ID": "a-b"}, {"CIRCLE_WORKFLOW_ID": "a-c"}),
        (
            {
                "TF_BUILD": "True",
                "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/o/",
                "SYSTEM_TEAMPROJECT": "p",
                "BUILD_BUILDID": "5",
            },
            {"BUILD_BUILDID": "6"},
        ),
        ({"JENKINS_URL": "http://j/", "BUILD_URL": "http://j/job/a/5/"}, {"BUILD_URL": "http://j/job/a/6/"}),
        ({name: value for name, value in GITHUB.items() if "ATTEMPT" not in name}, {"GITHUB_RUN_ID": "78"}),  # Gitea
        (
            {"CI": "true", "BITBUCKET_BUILD_NUMBER": "5", "BITBUCKET_REPO_FULL_NAME": "o/r"},
            {"BITBUCKET_BUILD_NUMBER": "6"},
        ),
        (
            {
                "TEAMCITY_VERSION": "2024",
                "TEAMCITY_PROJECT_NAME": "p",
                "TEAMCITY_BUILDCONF_NAME": "c",
                "BUILD_NUMBER": "5",
            },
            {"BUILD_NUMBER": "6"},
        ),
    ],
)
def test_a_ci_run_is_one_run(environ: dict[str, str], other_run: dict[str, str]) -> None:
    """All jobs of a CI run share a trace id. Another run or another attempt has another trace id."""
    trace_id, parent, around = run_context(environ)
    assert parse_traceparent(f"00-{trace_id}-{SPAN}-01")
    assert parent is None
    assert around
    assert run_context({**environ, "MATRIX": "other"})[0] == trace_id
    assert run_context({**environ, **other_run})[0] != trace_id


def test_the_ids_on_github_com_are_those_of_the_collector() -> None:
    """On github.com, trace id and outermost span are those that OpenTelemetry's GitHub receiver gives the workflow.

    It takes SHA-256 of run id, attempt and a letter. The expected ids come from `printf 771t | sha256sum`.
    """
    public = {**GITHUB, "GITHUB_SERVER_URL": "https://github.com"}
    assert run_context(public)[:2] == ("657bda8b21f1b25bc55bc4328ec8c53b", "0cf5f7af6ea76dae")
    assert run_context({**public, "GITHUB_RUN_ATTEMPT": "2"})[0] != "657bda8b21f1b25bc55bc4328ec8c53b"
    assert run_context(GITHUB)[1] is None, "only the receiver of github.com has this convention"


def test_what_is_told_apart_in_a_ci_run() -> None:
    """Jobs of a CI run, and the makes in them, are distinguished. A `traceparent` with a span overrides the CI run."""
    trace_id, _, job = run_context(GITHUB)
    assert run_context({**GITHUB, "GITHUB_JOB": "deploy"})[2] != job
    in_make = {**GITHUB, "TRACEPARENT": f"00-{TRACE}-00000000deadbeef-01"}
    assert run_context(in_make) == (trace_id, None, "00000000deadbeef")
    assert run_context({**GITHUB, "TRACEPARENT": traceparent(TRACE, SPAN)}) == (TRACE, SPAN, SPAN)


def test_an_unknown_ci_service() -> None:
    """If only `CI` is set, each job is its own run, because nothing identifies the other jobs."""
    assert run_context({"CI": "true"})[0] != run_context({"CI": "true"})[0]
    assert run_context({"CI": "true", "GITHUB_ACTIONS": "true"})[2] is None


def test_without_one_each_run_is_its_own() -> None:
    """Without any variables, each run has its own trace id."""
    assert run_context({})[0] != run_context({})[0]
    assert len({new_trace_id() for _ in range(1000)}) == 1000


def test_processes_agree_on_a_span() -> None:
    """Two processes that share the run and the names derive the same span id, also with different hash seeds."""
    program = f"from pytest_swarmtask.core.trace import derived_span; print(derived_span({TRACE!r}, None, 'TASK', 'ü'))"
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=clean_environ(PYTHONHASHSEED=seed),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert answers == {derived_span(TRACE, None, "TASK", "ü")}


@given(st.none() | st.text())
def test_derived_spans_are_valid(task_id: str | None) -> None:
    """A derived span id has 16 hex digits and is not zero, for any task id."""
    span = derived_span(TRACE, SPAN, "TASK", task_id)
    assert parse_traceparent(f"00-{TRACE}-{span}-01") == (TRACE, span)


def test_derived_spans_differ() -> None:
    """Another run, surrounding span, kind or task gives another span id."""
    ids = {
        derived_span(run, around, kind, task)
        for around in (None, SPAN)
        for run in (TRACE, TRACE[::-1])
        for kind in ("TASK", "BUILD")
        for task in (None, "a", "b", "a" * 5000, "a" * 5001)
    }
    assert len(ids) == 40


def test_ids_are_unique_over_threads() -> None:
    """Sixteen threads that use the same `Ids` never get the same event id or span id. No id contains a dot."""
    ids = Ids()
    drawn: list[str] = []

    def draw() -> None:
        drawn.extend([ids.event() for _ in range(500)] + [ids.span() for _ in range(500)])

    threads = [threading.Thread(target=draw) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == len(drawn) == 16_000
    assert not any("." in one for one in drawn)


def _some_ids(count: int) -> list[str]:
    ids = Ids()
    return [ids.event() for _ in range(count)]


def test_ids_are_unique_over_processes() -> None:
    """Two processes never create the same event id."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        drawn = [one for batch in pool.map(_some_ids, [50] * 4) for one in batch]
    assert len(set(drawn)) == 200


def test_ids_start_afresh() -> None:
    """After `renew`, as in a forked child, no earlier id is created again."""
    ids = Ids()
    before = [ids.event(), ids.span(), ids.writer]
    ids.renew()
    assert not {ids.event(), ids.span(), ids.writer} & set(before)


def test_timestamps_are_rfc_3339() -> None:
    """A timestamp is in UTC with milliseconds, and shows the given or the present moment."""
    clock = Clock()
    assert clock.timestamp(1705314600.0) == "2024-01-15T10:30:00.000Z"
    assert clock.timestamp(1705314600.9996) == "2024-01-15T10:30:00.999Z"
    assert clock.timestamp(0) == "1970-01-01T00:00:00.000Z"
    shown = datetime.fromisoformat(clock.timestamp().replace("Z", "+00:00"))
    assert abs((shown - datetime.now(timezone.utc)).total_seconds()) < 5


def freeze(patch: pytest.MonkeyPatch) -> None:
    """Stop the time as freezegun does: in the module `time`, and in each module that imported its functions by name."""
    frozen: dict[Any, Callable[..., Any]] = {
        time.time: lambda: 0.0,
        time.perf_counter: lambda: 0.0,
        time.monotonic: lambda: 0.0,
        time.gmtime: lambda *_: (1970, 1, 1, 0, 0, 0, 3, 1, 0),
    }
    for module in (time, trace):
        for name, value in list(vars(module).items()):
            if callable(value) and getattr(value, "__module__", "") == "time" and value in frozen:
                patch.setattr(module, name, frozen[value])


def test_a_frozen_clock_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite that freezes time changes neither our clock nor durations, also for a clock created in the meantime."""
    before = Clock()
    begun = before.now()
    with monkeypatch.context() as patch:
        freeze(patch)
        assert time.time() == 0.0
        during = Clock()
        assert before.now() > begun
        assert abs(during.now() - before.now()) < 60
        assert during.timestamp()[:4] == before.timestamp()[:4] != "1970"


def test_timestamps_from_many_threads() -> None:
    """Threads that format different moments at the same time each get the right timestamp."""
    clock = Clock()
    wrong: list[str] = []

    def ask(second: int) -> None:
        expected = f"2024-01-15T10:30:{second:02}.000Z"
        wrong.extend(got for got in (clock.timestamp(1705314600.0 + second) for _ in range(3000)) if got != expected)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask, args=(second,)) for second in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def test_runs_of_act_are_runs_of_their_own() -> None:
    """nektos/act gives every run of a workflow the same number, so its number does not name a run."""
    assert run_context({**GITHUB, "ACT": "true"})[0] != run_context({**GITHUB, "ACT": "true"})[0]
