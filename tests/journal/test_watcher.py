"""The watcher reports each new segment once and closes the open spans of dead writers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.timing import Timing
from pytest_swarmtask.journal import watcher as watchers
from pytest_swarmtask.journal.watcher import SegmentWatcher
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.settings import read_settings
from tests.lab import read_events


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose journal does not exist yet."""
    return Project(str(tmp_path))


@pytest.fixture
def recorder(project: Project) -> Iterator[Recorder]:
    """A writer in this process."""
    made = Recorder(read_settings(project, {}), {})
    yield made
    made.close()


def test_a_segment_is_new_once(project: Project, recorder: Recorder) -> None:
    """Each segment is returned by exactly one call, including the first segment of a journal."""
    watcher = SegmentWatcher(project)
    assert watcher.new_segments() == []
    for _ in range(2):
        recorder.trigger("TASK_STARTED", "a", None, {})
        assert [segment.name for segment in watcher.unseen()] == [recorder._journal.segment]
        assert [segment.name for segment in watcher.new_segments()] == [recorder._journal.segment]
        assert watcher.new_segments() == watcher.unseen() == []
        recorder.close()


@pytest.mark.parametrize("tick", [60.0, 0.0], ids=["at once", "when the watcher was held up longer than that"])
def test_two_segments_in_one_tick(project: Project, recorder: Recorder, tick: float) -> None:
    """A new segment is found even if the folder's modification time did not change, as with a coarse clock."""
    watcher = SegmentWatcher(project, Timing(tick=tick))
    recorder.trigger("TASK_STARTED", "first", None, {})
    assert len(watcher.new_segments()) == 1
    stat = os.stat(project.journal)
    recorder.close()
    recorder.trigger("TASK_STARTED", "second", None, {})
    os.utime(project.journal, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert len(watcher.new_segments()) == 1


def add_unnoticed(project: Project, recorder: Recorder) -> None:
    """Add a segment that the folder's modification time does not show."""
    stat = os.stat(project.journal)
    recorder.close()
    recorder.trigger("TASK_STARTED", "unnoticed", None, {})
    os.utime(project.journal, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("how", ["after a while", "after a look at the end"])
def test_a_clock_that_stands_still(
    project: Project, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A segment that the folder's time never shows is found nevertheless: the clock of files stood still too long."""
    monkeypatch.setattr(watchers, "_RELIST", 3600.0)
    watcher = SegmentWatcher(project, Timing(tick=0.0))
    recorder.trigger("TASK_STARTED", "first", None, {})
    assert len(watcher.new_segments()) == 1
    assert watcher.new_segments() == []  # the last listing that the folder's time asks for
    add_unnoticed(project, recorder)
    assert watcher.new_segments() == []
    if how == "after a while":
        watcher._relist_at = 0.0
    else:
        assert len(watcher.unseen()) == 1
    assert len(watcher.new_segments()) == 1


def test_an_unchanged_folder_is_not_listed(
    project: Project, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one clock tick, checking an unchanged journal costs a single stat."""
    monkeypatch.setattr(watchers, "_RELIST", 3600.0)
    watcher = SegmentWatcher(project, Timing(tick=0.0))
    recorder.trigger("TASK_STARTED", "a", None, {})
    watcher.new_segments()
    watcher.new_segments()
    monkeypatch.setattr(watcher, "unseen", None)
    assert watcher.new_segments() == []


def test_a_living_writer_is_left_alone(project: Project, recorder: Recorder) -> None:
    """A writer that closed one segment and has another one locked is not dead."""
    watcher = SegmentWatcher(project, Timing(dead_after=0.0))
    begin(recorder)
    (first,) = watcher.new_segments()
    assert watcher.is_live(first.name)
    recorder.close()
    begin(recorder)
    assert not watcher.is_live(first.name)
    watcher.close_orphaned_spans()
    assert [event["status"] for event in read_events(project.root)] == ["started", "started"]


def test_a_dead_writer(project: Project, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead writer's spans are closed once, after a delay, as the writer might continue in another segment."""
    watcher = SegmentWatcher(project)
    begin(recorder)
    recorder.close()
    (segment,) = watcher.new_segments()
    assert not watcher.is_live(segment.name)
    watcher.close_orphaned_spans()
    assert len(read_events(project.root)) == 1
    assert not watcher.is_final(segment.name)
    monkeypatch.setattr(watcher, "_timing", Timing(dead_after=0.0))
    watcher.close_orphaned_spans()
    assert watcher.is_final(segment.name)
    assert [event["status"] for event in read_events(project.root)] == ["started", "failed"]
    monkeypatch.setattr(watchers, "close_orphaned_spans", None)
    watcher.close_orphaned_spans()


def begin(recorder: Recorder) -> None:
    """Begin a span that only this process can end."""
    recorder.record("TASK_STARTED", "a", {}, span_id=recorder.span_id(), parent_span_id=None)
