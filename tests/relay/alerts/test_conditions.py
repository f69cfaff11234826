"""Each kind of alert becomes active when its condition is met, is resolved later, and is silent otherwise.

One real relay evaluates all kinds.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.lab import Json, receiving
from tests.relay.alerts.world import Run, World

URL = "https://ci.example/runs/7"
COMMITS = [digit * 40 for digit in "abcdefgh"]


def run(number: int, *ends: tuple[str, str, Json], coverage: float | None = None, **facts: object) -> Run:
    known = {"branch": "main", "commit": COMMITS[number], "host": "box", "ci": "github", "ci_url": URL, "dirty": False}
    return Run({**known, **facts}, coverage, list(ends))


def good(task_id: str, seconds: float = 1.0) -> tuple[str, str, Json]:
    return "TASK_COMPLETED", task_id, {"duration": seconds}


def bad(task_id: str) -> tuple[str, str, Json]:
    return "TASK_FAILED", task_id, {"error": "it broke\nsecond line"}


def test(name: str, outcome: str, **more: object) -> tuple[str, str, Json]:
    return f"TEST_{outcome.upper()}", f"tests/t.py::{name}", {"outcome": outcome, "duration": 0.1, **more}


test.__test__ = False  # type: ignore[attr-defined]

A_SHARD = "TASK_COMPLETED", "shard", {"coverage_percent": 10, "split": {"shard": "1/2", "tests": 2, "digest": "d"}}
"""It covers a part of what the suite covers, and nobody is told."""
ALERTS: list[Json] = [
    {"name": "failure", "kind": "failure", "when": {"task_id": "f-*"}, "severity": "critical"},
    {"name": "failed-on-main", "kind": "failure", "when": {"task_id": "c-branch", "branch": "dev"}},
    {"name": "limit", "kind": "duration", "above": 10, "when": {"task_id": "d-*"}},
    {"name": "median", "kind": "duration", "times_median": 2, "when": {"task_id": "m-*"}},
    {"name": "rate", "kind": "failure_rate", "above": 40, "runs": 5, "when": {"task_id": "r-*"}},
    {"name": "row", "kind": "consecutive_failures", "count": 3, "when": {"task_id": "c-*"}},
    {"name": "new", "kind": "newly_failing", "when": {"task_id": "*::new_*"}},
    {"name": "flaky", "kind": "flaky", "when": {"task_id": "*::flaky_*"}},
    {"name": "brief", "kind": "flaky", "runs": 2, "when": {"task_id": "*::brief_*"}},
    {"name": "floor", "kind": "coverage", "below": 85},
    {"name": "drop", "kind": "coverage", "drop": 2},
    {"name": "off", "kind": "failure", "enabled": False},
]

STORY = [
    run(
        0,
        *(A_SHARD, good("f-good"), bad("other"), good("d-long", 9), good("m-slow"), good("m-steady"), good("m-young")),
        *(good("r-bad"), bad("r-good"), bad("c-bad"), bad("c-short"), bad("c-branch")),
        *(test("new_one", "passed"), test("new_never", "failed"), test("flaky_same", "failed")),
        *(test("flaky_fixed", "failed"), test("flaky_again", "passed", attempt=2)),
        *(test("flaky_at_times", "passed"), test("flaky_mended", "passed"), test("brief_again", "passed", attempt=2)),
        coverage=90,
    ),
    run(0, test("flaky_same", "passed"), test("new_other", "passed"), bad("c-branch"), coverage=89, branch="dev"),
    run(0, test("flaky_same", "passed"), test("new_skipped", "passed"), coverage=89),
    run(
        1,
        *(bad("f-bad"), good("d-long", 12), good("m-slow"), good("m-steady"), good("m-young", 9)),
        *(bad("r-bad"), good("r-good"), bad("c-bad"), bad("c-short"), bad("c-branch")),
        *(test("new_one", "failed"), test("new_other", "failed"), test("new_never", "failed")),
        *(test("flaky_fixed", "passed"), test("new_skipped", "skipped"), test("brief_again", "passed")),
        *(test("flaky_at_times", "failed"), test("flaky_mended", "failed")),
        coverage=84,
    ),
    run(
        2,
        *(bad("f-bad"), good("d-long", 12), good("m-slow"), good("m-steady")),
        *(good("r-bad"), good("r-good"), bad("c-bad"), good("c-short")),
        *(test("new_one", "failed"), test("flaky_dirty", "failed")),
        coverage=84,
        dirty=True,
    ),
    run(
        2,
        *(good("m-slow", 3), good("m-steady", 1.5), bad("r-bad"), good("r-good"), bad("c-short")),
        *(test("flaky_dirty", "passed"), test("new_one", "passed")),
        coverage=88,
    ),
    run(
        3,
        *(good("f-bad"), good("d-long", 5), good("m-slow"), bad("r-bad"), good("r-good"), good("c-bad")),
        *(bad("c-short"), test("flaky_at_times", "passed"), test("flaky_mended", "passed")),
        test("brief_again", "passed"),
    ),
    run(4, good("r-bad"), good("r-good"), good("f-bad"), test("flaky_at_times", "failed")),
    run(5, good("r-bad"), good("f-bad"), test("flaky_at_times", "passed"), test("flaky_mended", "passed")),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Json]]:
    """The messages that a relay has sent about the story, in order."""
    with receiving() as receiver:
        world = World(tmp_path_factory.mktemp("story") / "shop", receiver)
        world.watch(*({**alert, "notify": []} for alert in ALERTS))
        world.file("CODEOWNERS", "/tests/ @quality @ada")
        world.play(*STORY)
        world.kill()
        # Runs that begin in one millisecond may arrive in any order, so deliver again now that the story is complete.
        shutil.rmtree(world.journal / "relay")
        (world.journal / "history.sqlite").unlink(missing_ok=True)
        world.watch(*ALERTS, chat={"most": 1000})
        world.run("flush")
        yield list(world.told())
        world.kill()


@pytest.mark.parametrize(
    ("alert", "subject", "states"),
    [
        ("failure", "f-bad on main", ["firing", "resolved"]),
        ("failed-on-main", "c-branch on dev", ["firing"]),
        ("limit", "d-long on main", ["firing", "resolved"]),
        ("median", "m-slow on main", ["firing", "resolved"]),
        ("rate", "r-bad on main", ["firing", "resolved"]),
        ("row", "c-bad on main", ["firing", "resolved"]),
        ("new", "tests/t.py::new_one on main", ["firing", "resolved"]),
        ("brief", "tests/t.py::brief_again on main", ["firing", "resolved"]),
        ("floor", "suite on main", ["firing", "resolved"]),
        ("drop", "suite on main", ["firing", "resolved"]),
        ("off", None, []),
    ],
)
def test_it_is_told_once_and_resolved(told: list[Json], alert: str, subject: str | None, states: list[str]) -> None:
    """An alert notifies once about each affected subject, is resolved once, and ignores healthy subjects."""
    messages = [message for message in told if message["name"] == alert]
    assert {message["subject"] for message in messages} == ({subject} if subject else set())
    assert [message["state"] for message in messages] == states


def test_whose_test_it_is(told: list[Json]) -> None:
    """A message about a test names its owners; one about a task, or that all is well, names nobody."""
    owned = {(message["name"], message["state"]) for message in told if "\nowner: @quality, @ada\n" in message["text"]}
    assert owned == {("new", "firing"), ("flaky", "firing"), ("brief", "firing")}


def test_flaky(told: list[Json]) -> None:
    """A test is flaky if it fails and passes on one clean commit, passes on a rerun, or fails now and then.

    What other branches show does not count. Fixed tests are not flaky. Uncommitted work does not make a test flaky.
    """
    found = {message["subject"]: message["text"] for message in told if message["name"] == "flaky"}
    names = {subject.removesuffix(" on main").rpartition("::")[2]: text for subject, text in found.items()}
    lines = {name: text.splitlines()[:2] for name, text in names.items()}
    assert lines == {
        f"flaky_{name}": [
            f"tests/t.py::flaky_{name} is flaky: it {why}",
            f"compared: flaky in {failed} of the last {total}",
        ]
        for name, why, failed, total in (
            ("same", "passed and failed on one commit", 1, "2 runs"),
            ("again", "passed when repeated", 1, "1 run"),
            ("at_times", "failed now and then on one branch", 2, "5 runs"),
        )
    }
    assert {message["state"] for message in told if message["name"] == "flaky"} == {"firing"}


def of(told: list[Json], alert: str, state: str = "firing") -> Json:
    return next(message for message in told if (message["name"], message["state"]) == (alert, state))


def test_the_text_is_one_that_you_would_want_to_get(told: list[Json]) -> None:
    """A message contains the event, the comparison, the location, the time, a link, the next step and the alert."""
    message = of(told, "new")
    what = "tests/t.py::new_one failed (it passed before)"
    assert message["title"] == f"shop: {what}"
    lines = message["text"].splitlines()
    assert [lines[0], *lines[2:4], *lines[5:]] == [
        what,
        f"where: branch main, commit {'b' * 12}, host box, CI github",
        "owner: @quality, @ada",
        f"link: {URL}",
        "next: swarmtask tests tests/t.py::new_one",
        "alert: new (warning)",
    ]
    assert lines[1].startswith("compared: last well at 20")
    assert lines[1].endswith(", commit aaaaaaaaaa")
    assert lines[4] == f"since: {message['since']}"
    assert (message["link"], message["severity"]) == (URL, "warning")


def test_a_task_is_told_with_its_error_and_its_run(told: list[Json]) -> None:
    message = of(told, "failure")
    assert message["severity"] == "critical"
    assert message["title"] == "shop: f-bad failed: it broke"
    assert "next: swarmtask report --run " in message["text"]
    assert "compared: failed 3 times in a row" in of(told, "row")["text"]


@pytest.mark.parametrize(
    ("alert", "compared"),
    [
        ("limit", "d-long took 12 s\ncompared: the limit is 10 s"),
        ("median", "m-slow took 3 s\ncompared: 3.0 times the median of 3 earlier times, 1 s"),
        ("rate", "r-bad failed 3 of the last 5 times (60 %)\ncompared: the limit is 40 %"),
        ("floor", "coverage of suite is 84 %\ncompared: the floor is 85 %"),
        ("drop", "coverage of suite is 84 %\ncompared: before it was 89 %, and may fall by 2"),
    ],
)
def test_how_it_compares(told: list[Json], alert: str, compared: str) -> None:
    assert of(told, alert)["text"].startswith(compared)


def test_what_is_resolved_tells_what_it_was_and_for_how_long(told: list[Json]) -> None:
    message = of(told, "row", "resolved")
    assert message["title"] == "resolved: shop: c-bad failed: it broke"
    lines = message["text"].splitlines()
    assert lines[0] == "all is well again: c-bad on main"
    assert [line.partition(":")[0] for line in lines[1:]] == ["it was", "from", "to", "link", "alert"]
