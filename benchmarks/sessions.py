"""Sections about pytest sessions: the cost of a test, of a start, of a receiver in trouble, and of the peers."""

from __future__ import annotations

import socket
import statistics
import sys
from collections.abc import Iterator, Mapping

from benchmarks.measure import Command, Row, Run, added, ratios, turns
from benchmarks.place import FLOOR, OURS, Place, pytest, receiver, suite, with_peers
from scripts import lab

DRAIN_TIMEOUT = 2.0
"""Seconds that a session waits for delivery at its end, unless it is configured otherwise."""
ALONE = "pytest alone"


def tests(place: Place) -> Iterator[Row]:
    """The cost of a test, beside the floor and pytest's own JUnit XML."""
    count = 1000 if place.quick else 5000
    folder = place.project("tests")
    name = suite(folder, count)
    with receiver("ok") as url:
        commands = {
            ALONE: pytest(sys.executable, name),
            "the floor": pytest(sys.executable, *FLOOR, name),
            "journal on": pytest(sys.executable, *OURS, name),
            "webhook on": pytest(sys.executable, *OURS, name, environ={"TASKMASTER_WEBHOOK_URL": url}),
            "--junitxml": pytest(sys.executable, "--junitxml=j.xml", name),
        }
        taken = turns(commands, folder, place.turns(7))
    started = turns(_of_one_test(place), folder, place.turns(7))
    bars = {"journal on": "1.03", "webhook on": "1.04"}
    yield from _against_alone(f"{count:,} empty tests", taken, count, bars)
    floor, ours = (
        (added(taken[name], taken[ALONE]) - added(started[name], started[ALONE])) / (count - 1)
        for name in ("the floor", "journal on")
    )
    told = f"{ours * 1e6:.0f} and {floor * 1e6:.0f} µs a test, start left out"
    yield Row("tests", "journal on, added", "the floor, added", [ours / floor if floor > 0 else 0.0], "2", told)


def _of_one_test(place: Place) -> dict[str, Command]:
    name = suite(place.folder / "tests", 1, name="one")
    options = {ALONE: (), "the floor": FLOOR, "journal on": OURS}
    return {what: pytest(sys.executable, *chosen, name) for what, chosen in options.items()}


def _against_alone(
    suite_name: str, taken: Mapping[str, list[Run]], count: int, bars: Mapping[str, str], section: str = "tests"
) -> Iterator[Row]:
    for name, runs in taken.items():
        if name != ALONE:
            each = f"{added(runs, taken[ALONE]) / count * 1e6:+.0f} µs a test"
            what = f"{suite_name}, {name}"
            yield Row(section, what, ALONE, ratios(runs, taken[ALONE]), bars.get(name, ""), each)


def failing(place: Place) -> Iterator[Row]:
    """The cost of a test in a suite where one of twenty fails."""
    folder = place.project("failing")
    name = suite(folder, 5000, fails=20)
    commands = {
        ALONE: pytest(sys.executable, name, failing=True),
        "journal on": pytest(sys.executable, *OURS, name, failing=True),
    }
    yield from _against_alone("5 % of 5,000 failing", turns(commands, folder, place.turns(5)), 5000, {}, "failing")


def attrs(place: Place) -> Iterator[Row]:
    """The cost on a real suite, the one of attrs."""
    from scripts.acceptance import SUITES

    chosen = next(one for one in SUITES if one.name == "attrs")
    home = lab.CACHE / "bench-attrs"
    folder = lab.sdist(chosen.source, home / "source")
    python = lab.venv(home / "venv", [str(folder), chosen.pytest, *chosen.needs, "pytest-xdist"])
    lab.must([python, "-m", "pip", "install", "-qq", "--editable", str(lab.ROOT)])
    (folder / ".taskmaster").mkdir(exist_ok=True)
    seeded = ("-p", "no:randomly", "--hypothesis-seed=0", "-p", "_hypothesis_pytestplugin", "tests")
    commands = {ALONE: pytest(python, *seeded), "journal on": pytest(python, *OURS, *seeded)}
    # With newer Pythons or pytests, a test of some attrs versions fails, with our plugin and without it.
    commands = {name: command._replace(exit_codes=(0, 1)) for name, command in commands.items()}
    taken = turns(commands, folder, place.turns(5))
    yield Row("attrs", "the suite of attrs, journal on", ALONE, ratios(taken["journal on"], taken[ALONE]))


def startup(place: Place) -> Iterator[Row]:
    """The additional cost of a run with one test."""
    folder = place.project("startup")
    name = suite(folder, 1)
    with receiver("ok") as url:
        commands = {
            ALONE: pytest(sys.executable, name),
            "installed, switched off": pytest(sys.executable, *OURS, "--no-swarmtask", name),
            "journal on": pytest(sys.executable, *OURS, name),
            "webhook on": pytest(sys.executable, *OURS, name, environ={"TASKMASTER_WEBHOOK_URL": url}),
        }
        taken = turns(commands, folder, place.turns(15))
    for what, runs in taken.items():
        if what != ALONE:
            more = f"{added(runs, taken[ALONE]) * 1000:+.1f} ms"
            bar = "+10 ms" if what == "journal on" else ""
            yield Row("startup", f"one test, {what}", ALONE, ratios(runs, taken[ALONE]), bar, more)


def webhooks(place: Place) -> Iterator[Row]:
    """The additional duration of a session when its receiver is in trouble: wall time without `drain_timeout`."""
    count, names = 1000, ("hung", "refused", "slow", "error")
    alone = place.project("webhooks")
    name = suite(alone, count)
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))  # bound until the end, so that no receiver gets this port; nobody listens
    refused = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with closed, receiver("hung") as hung, receiver("slow") as slow, receiver("error") as error:
        urls = dict(zip(names, (hung, refused, slow, error), strict=True))
        commands = {ALONE: pytest(sys.executable, name)}
        for which, url in urls.items():
            environ = {"TASKMASTER_WEBHOOK_URL": url}
            commands[which] = pytest(sys.executable, *OURS, name, environ=environ)
        taken = turns(commands, alone, place.turns(5))
    for which in names:
        pairs = zip(taken[which], taken[ALONE], strict=True)
        waited = [(one.wall - DRAIN_TIMEOUT) / other.wall for one, other in pairs]
        more = statistics.median(one.wall for one in taken[which]) - statistics.median(o.wall for o in taken[ALONE])
        yield Row("webhooks", f"{count:,} tests, webhook {which}: wall", ALONE, waited, "1.03", f"{more:+.2f} s in all")


def peers(place: Place) -> Iterator[Row]:
    """The cost of other plugins on the same suite, each activated according to its manual."""
    count = 1000
    folder = place.project("peers")
    name = suite(folder, count)
    python = with_peers()
    old = lab.venv(lab.CACHE / "bench-8", ["pytest<9", "pytest-publish"])
    with receiver("ok") as url:
        arguments = peers_options(url)
        commands: dict[str, Command] = {ALONE: pytest(python, name), "ours, journal on": pytest(python, *OURS, name)}
        for peer, (options, environ) in arguments.items():
            commands[peer] = pytest(python, *options, name, environ=environ)
        taken = turns(commands, folder, place.turns(5))
        publish = ("-p", "pytest_publish", f"--publish={url}/result")
        its_own = turns({ALONE: pytest(old, name), "publish": pytest(old, *publish, name)}, folder, place.turns(3))
    rows = [*_against_alone(f"{count:,} empty tests", taken, count, {}, "peers")]
    rows += _against_alone(f"{count:,} empty tests, pytest 8", its_own, count, {}, "peers")
    yield from sorted(rows, key=lambda row: row.median)


def peers_options(url: str) -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
    """Return the options and the environment of each peer, reporting to a file or to the receiver."""
    otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    otlp |= {"OTEL_TRACES_EXPORTER": "otlp_proto_http", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    ddtrace = {f"DD_{name}_ENABLED": "0" for name in ("INSTRUMENTATION_TELEMETRY", "REMOTE_CONFIGURATION")}
    ddtrace |= {"DD_CIVISIBILITY_ITR_ENABLED": "0", "DD_CIVISIBILITY_GIT_UPLOAD_ENABLED": "0"}
    ddtrace |= {"DD_API_KEY": "x", "DD_CRASHTRACKING_ENABLED": "0", "DD_TRACE_AGENT_URL": url}
    html = ("-p", "metadata", "-p", "html", "-p", "html_fixtures", "--html=h.html", "--self-contained-html")
    json_report = ("-p", "metadata", "-p", "pytest_jsonreport", "--json-report", "--json-report-file=jr.json")
    portal = {"rp_endpoint": url, "rp_project": "p", "rp_api_key": "k", "rp_launch": "bench"}
    options = tuple(word for name, value in portal.items() for word in ("-o", f"{name}={value}"))
    reportportal = ("-p", "pytest_reportportal", "--reportportal", *options)
    buildkite = {"BUILDKITE_ANALYTICS_TOKEN": "t", "BUILDKITE_ANALYTICS_API_URL": url}
    return {
        "junitxml": (("--junitxml=j.xml",), {}),
        "reportlog": (("-p", "pytest_reportlog", "--report-log=r.jsonl"), {}),
        "json-report": (json_report, {}),
        "html": (html, {}),
        "allure": (("-p", "allure_pytest", "--alluredir=allure"), {}),
        "buildkite": (("-p", "buildkite-test-collector"), buildkite),
        "opentelemetry": (("-p", "pytest_opentelemetry", "--export-traces"), otlp),
        "ddtrace": (("-p", "ddtrace", "--ddtrace"), ddtrace),
        "reportportal, batched": (
            (*reportportal, "-o", "rp_client_type=ASYNC_BATCHED"),
            {"AGENT_NO_ANALYTICS": "1"},
        ),
        "reportportal": (reportportal, {"AGENT_NO_ANALYTICS": "1"}),
    }
