"""Exported events keep the promises of every delivery: nothing is lost, whatever dies or is missing."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab, Receiver, wait_until
from tests.relay.otlp.collector import Collector, partially


def record(lab: Lab, count: int, **environ: str) -> list[dict[str, Any]]:
    """Record `count` ends in one process, and return them."""
    program = (
        "from pytest_swarmtask import AutomationIntegrator as A; h = A()\n"
        f"for n in range({count}): h.trigger_event('TASK_STARTED', str(n)); h.trigger_event('TASK_COMPLETED', str(n))"
    )
    done = lab.python(program, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    return [event for event in lab.events() if event["event_type"] == "TASK_COMPLETED"]


def exported(collector: Collector) -> set[str]:
    """Return the ids of the events whose spans were accepted."""
    return {sent.attributes["swarmtask.event.id"] for sent in collector.spans().values()}


def counts(lab: Lab) -> tuple[int, int, int, int]:
    """Return how many events are delivered, waiting, dead letters and rejected."""
    found = lab.status()["endpoints"]["spans"]
    return found["delivered"], found["waiting"], found["dead"], found["rejected"]


@pytest.mark.slow
def test_a_relay_that_is_killed_again_and_again_loses_nothing(exporting: Lab, collector: Collector) -> None:
    exporting.webhooks({"name": "spans", "url": collector.base, "format": "otlp", "max_age": 0.05, "max_events": 20})
    collector.reply = lambda export: 200 if len(collector.exports) % 3 else 503
    ends = []
    for _ in range(8):
        before = len(collector.exports)  # read first: the relay may have sent all of them before `record` returns
        ends = record(exporting, 150)
        wait_until(lambda before=before: len(collector.exports) > before + 2, "some requests")  # type: ignore[misc]
        exporting.kill()
    exporting.run("flush")
    exporting.wait_for_settled()
    assert exported(collector) == {event["id"] for event in ends}
    assert counts(exporting)[1:] == (0, 0, 0)


@pytest.mark.long
def test_a_relay_that_takes_over_knows_the_facts_of_the_run(exporting: Lab, collector: Collector) -> None:
    """They are in the start of the session, which the relay before has read, and which is settled."""
    exporting.file(
        "test_it.py", "import pytest\n\n@pytest.mark.parametrize('n', range(30))\ndef test_it(n):\n    pass\n"
    )
    exporting.webhooks({"name": "spans", "url": collector.base, "format": "otlp", "max_age": 0, "max_events": 5})
    collector.reply = lambda _: 200 if len(collector.exports) < 3 else 503
    assert exporting.pytest().returncode == 0
    wait_until(lambda: len(collector.exports) > 2, "the first requests")
    exporting.kill()
    collector.reply = lambda _: 200
    exporting.run("flush")
    exporting.wait_for_settled()
    start = exporting.events()[0]["metadata"]
    assert len(collector.spans()) == 31
    assert {sent.resource["host.name"] for sent in collector.spans().values()} == {start["host"]}


@pytest.mark.long
def test_a_compressed_journal_still_has_the_facts(exporting: Lab, collector: Collector) -> None:
    """And a dead letter, which does not name its segment, finds them, too."""
    exporting.file("test_it.py", "def test_it():\n    pass\n")
    collector.reply = lambda _: 400
    exporting.pytest()
    exporting.wait_for_settled()
    exporting.wait_for_end()
    (segment,) = exporting.segments()
    Path(f"{segment}.gz").write_bytes(gzip.compress(segment.read_bytes()))
    segment.unlink()
    collector.reply = lambda _: 200
    done = exporting.run("replay", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(collector.spans()) == 2
    assert all("host.name" in sent.resource for sent in collector.spans().values())


def test_what_a_receiver_refuses_of_a_request_is_counted_apart(exporting: Lab, collector: Collector) -> None:
    exporting.record_unsent("TASK_COMPLETED", map(str, range(10)))
    collector.reply = lambda _: partially(3, "spans are\x1b[31m too old")
    done = exporting.run("flush")
    assert len(collector.exports) == 1
    assert counts(exporting) == (7, 0, 0, 3)
    shown = exporting.run("status")
    assert shown.returncode == 0
    assert ", 3 rejected" in shown.stdout
    assert "rejected: refused by a receiver that accepted the request" in shown.stdout
    assert "refused 3 of its items: spans are\\x1b[31m too old" in done.stderr + exporting.log()


def test_a_refused_event_is_a_dead_letter_and_the_others_are_delivered(exporting: Lab, collector: Collector) -> None:
    collector.reply = lambda export: 400 if any(one.span.name == "7" for one in export.spans) else 200
    ends = record(exporting, 20)
    exporting.wait_for_settled()
    (bad,) = [event["id"] for event in ends if event["task_id"] == "7"]
    assert exported(collector) == {event["id"] for event in ends} - {bad}
    (letter,) = json.loads(exporting.run("replay", "--json").stdout)
    assert letter["event"]["id"] == bad
    collector.reply = lambda _: 200
    assert exporting.run("replay", "--all").returncode == 0
    assert bad in exported(collector)


class TestWithoutTheExtra:
    @pytest.fixture
    def bare(self, exporting: Lab, tmp_path: Path) -> Path:
        """A folder on Python's path that hides opentelemetry-proto, as if it were not installed."""
        folder = tmp_path / "hiding"
        (folder / "opentelemetry").mkdir(parents=True)
        (folder / "opentelemetry" / "__init__.py").touch()
        exporting.environ["PYTHONPATH"] = str(folder)
        return folder

    @pytest.mark.long
    def test_nothing_is_sent_and_nothing_dropped_until_it_is_installed(
        self, exporting: Lab, collector: Collector, bare: Path
    ) -> None:
        said = 'format otlp needs an extra that is not installed: pip install "pytest-swarmtask[otlp]"'
        ends = record(exporting, 3)
        wait_until(lambda: said in exporting.log(), "the relay")
        shown = exporting.run("status")
        assert shown.returncode == 1
        assert said in shown.stdout
        assert counts(exporting)[0] == counts(exporting)[2] == 0
        exporting.kill()
        shutil.rmtree(bare)
        exporting.run("flush")
        assert exported(collector) == {event["id"] for event in ends}

    @pytest.mark.parametrize("command", [["doctor"], ["doctor", "--no-ping"], ["config", "validate"]])
    def test_the_checks_say_so(self, exporting: Lab, bare: Path, command: list[str]) -> None:
        done = exporting.run(*command)
        assert done.returncode == (2 if command[0] == "config" else 1)
        assert 'pip install "pytest-swarmtask[otlp]"' in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

    def test_an_endpoint_that_is_inactive_needs_no_extra(self, exporting: Lab, bare: Path) -> None:
        exporting.webhooks({"name": "spans", "format": "otlp"})
        assert exporting.run("config", "validate").returncode == 0

    def test_other_webhooks_do_not_need_it(self, lab: Lab, receiver: Receiver, bare: Path) -> None:
        lab.environ["PYTHONPATH"] = str(bare)
        lab.emit("TASK_COMPLETED", "1")
        assert receiver.wait(1)


def test_only_an_endpoint_of_otlp_loads_it(
    exporting: Lab, tmp_path: Path, receiver: Receiver, collector: Collector
) -> None:
    """Neither a relay with other webhooks nor the watched process loads protobuf."""
    loaded = ("google", "opentelemetry", "pytest_swarmtask.wire.otlp")
    show = f"print([name for name in sys.modules if name.startswith({loaded})])"
    program = f"import sys\nfrom pytest_swarmtask.cli.main import main\nmain(['flush'])\n{show}"
    other = Lab(tmp_path / "other", TASKMASTER_WEBHOOK_URL=receiver.url)
    for project, is_loaded in ((other, False), (exporting, True)):
        project.record_unsent("TASK_COMPLETED", ["1"])
        done = project.python(program)
        assert done.stderr == ""
        assert ("opentelemetry.proto" in done.stdout) is is_loaded, done.stdout
    assert receiver.wait(1)
    assert len(collector.spans()) == 1
    watched = "import sys, pytest_swarmtask\npytest_swarmtask.trigger_task_event('TASK_COMPLETED', '2')"
    done = exporting.python(f"{watched}\n{show}")
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
