"""`make -j8` with two hundred targets loses no event, mixes up no events, and delivers all of them."""

from __future__ import annotations

import pytest

from tests.lab import SECRET, Lab, read_events, receiving
from tests.make.lab import Event, MakeProject, paths

pytestmark = pytest.mark.slow

COUNT = 200
EVENTS = (
    '\t@$(call task-event,TASK_STARTED,$@,\'{"name":"$@","list":[1,2]}\') && '
    '$(call task-event,TASK_COMPLETED,$@,\'{"name":"$@","list":[1,2]}\')\n'
)
WRAPPED = '\t@$(call build-run,$@,echo "$$(echo $@), done" >&2; test $@ != target-7)\n'


def write(project: MakeProject, recipe: str) -> list[str]:
    names = [f"target-{number}" for number in range(COUNT)]
    project.write(f"include tasks.mk\nall: {' '.join(names)}\n{' '.join(names)}:\n{recipe}")
    return names


def pairs(events: list[Event], names: list[str]) -> dict[str, tuple[Event, Event]]:
    """Return the start and the end event of each target, and check that there are no other events."""
    assert len(events) == 2 * len(names)
    assert len({event["id"] for event in events}) == len(events)
    assert len({event["trace_id"] for event in events}) == 1
    found: dict[str, list[Event]] = {name: [] for name in names}
    for event in sorted(events, key=lambda event: not event["event_type"].endswith("STARTED")):
        found[event["task_id"]].append(event)
    assert len({start["span_id"] for start, _ in found.values()}) == len(names)
    assert all(start["span_id"] == end["span_id"] for start, end in found.values())
    return {name: (start, end) for name, (start, end) in found.items()}


def test_events(project: MakeProject) -> None:
    """Two events from each recipe, each from its own process, are recorded once and unmixed."""
    names = write(project, EVENTS)
    done = project.make("-j8")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name, (start, end) in pairs(read_events(project.root), names).items():
        assert (start["event_type"], end["event_type"]) == ("TASK_STARTED", "TASK_COMPLETED")
        for event in (start, end):
            assert event["metadata"].items() >= {"name": name, "list": [1, 2]}.items()


def test_wrappers_with_a_live_webhook(project: MakeProject) -> None:
    """Wrapped commands, one of which fails, report all events, and the relay delivers each event once."""
    names = write(project, WRAPPED)
    with receiving() as receiver:
        done = project.make("-j8", "-k", TASKMASTER_WEBHOOK_URL=receiver.url, AUTOMATION_SECRET_KEY=SECRET)
        assert done.returncode == 2
        assert sorted(done.stderr.splitlines())[-COUNT:] == sorted(f"{name}, done" for name in names)
        journal = read_events(project.root)
        for name, (start, end) in pairs(journal, names).items():
            failed = name == "target-7"
            assert end["event_type"] == ("BUILD_FAILED" if failed else "BUILD_COMPLETED")
            assert end["metadata"]["command"][-1].endswith(f"test {name} != target-7")
            assert end["metadata"].get("stderr_tail") == (f"{name}, done" if failed else None)
            assert start["parent_span_id"] is None
        receiver.wait(2 * COUNT)
        lab = Lab(project.root, TASKMASTER_WEBHOOK_URL=receiver.url)
        lab.wait_for_end()
        assert sorted(receiver.ids) == sorted(event["id"] for event in journal)
        assert receiver.refused == 0
        assert len(paths(receiver.accepted)) == COUNT
