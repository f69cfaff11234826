"""The reference pages of the documentation site, made from the code.

They cannot be out of date, and nothing of them is checked in. In the repository, `swarmtask --help`, the docstrings,
and the JSON Schema of `workflow.yaml` say the same.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from msgspec import NODEFAULT, Struct, inspect

import pytest_swarmtask
from pytest_swarmtask import emit, plugin
from pytest_swarmtask.cli.main import EXIT_CODES, make_parser
from pytest_swarmtask.config import fields
from pytest_swarmtask.config.triggers import TextComparison, ValueComparison, When
from pytest_swarmtask.config.workflow import Workflow
from pytest_swarmtask.core.event import EVENT_TYPES, SHARED
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.plugins import hookspecs, sink
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.settings import DEFAULTS, Settings
from pytest_swarmtask.sources.command import options
from pytest_swarmtask.sources.pytest.evidence import EvidenceReader
from pytest_swarmtask.sources.pytest.outcome import EVENT_OF, TestRun
from pytest_swarmtask.sources.pytest.testcase_metadata import EndMetadata, start_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_swarmtask.core.event import Event

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_OWN_HELP = {"swarmtask emit": emit.help_text(), "swarmtask run": options.HELP}
"""Commands that answer before there is a parser."""
_WIDTH = 84
"""Columns of a code block that a page shows without scrolling, on a screen of 1280 pixels."""


# --- the command line -------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Return the page on the command line, from the parsers."""
    parts = [
        "# Command line",
        "`swarmtask COMMAND --help` shows the same in a terminal.",
        "## Exit codes",
        _table("exit code", EXIT_CODES.items()),
        "`swarmtask run` ends with the exit code of its command.",
    ]
    for name, parser in _commands(make_parser()):
        parts += [f"## `{name}`", *([_block(_OWN_HELP[name])] if name in _OWN_HELP else _command(parser))]
        for action, one in _commands(parser):
            parts += [f"### `{action}`", *_command(one)]
    parts += ["## Options of pytest", *_options_of_pytest()]
    return "\n\n".join(parts) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, one in action.choices.items():
                yield f"{parser.prog} {name}", one


def _command(parser: argparse.ArgumentParser) -> Iterator[str]:
    if parser.description:
        yield _escaped(parser.description)
    usage = argparse.HelpFormatter(parser.prog, width=_WIDTH)
    usage.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")  # noqa: SLF001
    yield _block(usage.format_help())
    rows = [
        (_spelling(action), (action.help or "") % (vars(action) | {"prog": parser.prog}))
        for action in parser._actions  # noqa: SLF001
        if action.dest != "help" and not isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
    ]
    if rows:
        yield _table("argument", rows)
    below = parser.epilog or ""
    example = re.search(r"^Example:\n  (.*)$", below, re.MULTILINE)
    if example:
        yield f"```console\n$ {example[1]}\n```"
    page = re.search(r"^More: docs/([\w-]+\.md)", below, re.MULTILINE)
    if page:
        yield f"More: [{_title(page[1])}]({page[1]})"


def _spelling(action: argparse.Action) -> str:
    value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    if not action.option_strings:
        return str(value if action.metavar or action.choices else action.dest)
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    return f"{', '.join(action.option_strings)} " + (f"[{value}]" if action.nargs == "?" else str(value))


def _title(page: str) -> str:
    return (_DOCS / page).read_text("utf-8").partition("\n")[0].removeprefix("# ")


class _Asked:
    """Notes the options that the plugin asks pytest for."""

    def __init__(self) -> None:
        self.options: dict[str, str] = {}
        self.ini: dict[str, str] = {}

    def getgroup(self, *_: str) -> _Asked:
        return self

    def addoption(self, name: str, *, help: str, **about: Any) -> None:  # noqa: A002 - pytest's word
        value = about.get("metavar") or "|".join(about.get("choices", ()))
        self.options[f"{name} {value}".strip()] = help

    def addini(self, name: str, help: str, **_: object) -> None:  # noqa: A002
        self.ini[name] = help


def _options_of_pytest() -> Iterator[str]:
    asked: Any = _Asked()
    plugin.pytest_addoption(asked)
    yield _table("option", asked.options.items())
    yield "The same for a project, in pytest's own configuration:"
    yield _table("ini key", asked.ini.items())


# --- Python -----------------------------------------------------------------------------------------------------------


def python() -> str:
    """Return the page on the Python API. mkdocstrings puts the docstrings in."""
    names = [f"pytest_swarmtask.{name}" for name in pytest_swarmtask.__all__ if name != "__version__"]
    hooks = [name for name in vars(hookspecs) if name.startswith("swarmtask_")]
    extending = [f"{hookspecs.__name__}.{name}" for name in (*hookspecs.__all__, *hooks) if name != "hookimpl"]
    sinks = [
        f"{sink.__name__}.{name}"
        for name, found in vars(sink).items()
        if isinstance(found, type) and found.__module__ == sink.__name__
    ]
    parts = [
        "# Python",
        "## The package",
        "[Scripts and Python](scripts.md) has examples. `pytest_swarmtask` exports these names:",
        *[f"::: {name}" for name in names],
        "## Hooks of plug-ins",
        f"[Plug-ins](plugins.md) has an example. A plug-in marks its functions with `{hookspecs.__name__}.hookimpl`.",
        *[f"::: {name}" for name in extending],
        "## Sinks",
        "A sink delivers the events of one endpoint. Its `send` returns one of the results below.",
        *[f"::: {name}" for name in sinks],
    ]
    return "\n\n".join(parts) + "\n"


# --- workflow.yaml ----------------------------------------------------------------------------------------------------


_SHARED: dict[type[Struct], str] = {
    When: "Conditions",
    TextComparison: "Comparison of a text",
    ValueComparison: "Comparison of a value",
}
"""Mappings that several keys have, and the headings under which their keys are listed once."""
_TEXTS = {
    get_args(kind)[1].extra["expected"]: word
    for kind, word in (
        (fields.Glob, "glob"),
        (fields.Name, "name"),
        (fields.TaskId, "task id"),
        (fields.Variable, "variable"),
    )
}
"""The word for a text, by what the check of the file expects."""
_DAY = 86400.0


def workflow() -> str:
    """Return the page on the keys of `workflow.yaml`, from the model that the JSON Schema is generated from."""
    parts = [
        "# All keys of workflow.yaml",
        (
            "[Configuration](configuration.md) has examples and the rules of the file. `swarmtask config schema` "
            "prints the same keys for your editor."
        ),
        (
            "- `[]` stands for an item of a list, `NAME` for a name that you choose.\n"
            "- A key without a value has its default. *required* means that the mapping must have the key.\n"
            "- Durations are in seconds, sizes in bytes."
        ),
    ]
    for section in _struct(Workflow).fields:
        name = section.encode_name
        parts += [f"## `{name}`", _escaped(_description(section))]
        inner = [one for one in _members(section.type) if isinstance(one, inspect.StructType)]
        keys = [key for one in inner for key in _keys(one, f"{name}.")] or [(name, section)]
        parts.append(_key_table(keys))
        for key, field in keys:
            parts += _kinds(key, field)
    parts += ["## Shared mappings", "Several keys above have these mappings as values."]
    for model, title in _SHARED.items():
        parts += [f"### {title}", _escaped(model.__doc__ or ""), _key_table(_keys(_struct(model), ""))]
    return "\n\n".join(parts) + "\n"


def _kinds(key: str, field: inspect.Field) -> Iterator[str]:
    """Yield the parts on the items of a list whose keys depend on their `kind` or `action`."""
    kinds = _tagged(field.type)
    if not kinds:
        return
    yield f"### Items of `{key}`"
    common = [one for one in kinds[0].fields if all(one in kind.fields for kind in kinds)]
    if common:
        yield "All of them have these keys:"
        yield _key_table((f"{key}[].{one.encode_name}", one) for one in common)
    for kind in kinds:
        yield f"#### `{kind.tag_field}: {kind.tag}`"
        yield _escaped(kind.cls.__doc__ or "")
        own = [(f"{key}[].{one.encode_name}", one) for one in kind.fields if one not in common]
        if own:
            yield _key_table(own)


def _key_table(keys: Iterable[tuple[str, inspect.Field]]) -> str:
    rows = [(f"`{key}`", _words(one.type), _default(one), _escaped(_description(one))) for key, one in keys]
    return _columns(("key", "type", "default", "meaning"), rows)


def _keys(struct: inspect.StructType, path: str) -> Iterator[tuple[str, inspect.Field]]:
    """Yield the keys of a mapping, each followed by those below it, with their paths in the file."""
    for field in struct.fields:
        key = f"{path}{field.encode_name}"
        yield key, field
        for kind in _members(field.type):
            if isinstance(kind, inspect.ListType):
                items, below = _members(kind.item_type), f"{key}[]."
            elif isinstance(kind, inspect.DictType):
                items, below = _members(kind.value_type), f"{key}.NAME."
            else:
                items, below = [kind], f"{key}."
            for item in items:
                if isinstance(item, inspect.StructType) and item.tag is None and item.cls not in _SHARED:
                    yield from _keys(item, below)


def _struct(model: type[Struct]) -> inspect.StructType:
    found = inspect.type_info(model)
    assert isinstance(found, inspect.StructType)  # noqa: S101 - for the type checker
    return found


def _members(kind: inspect.Type) -> list[inspect.Type]:
    """Return the types that a value may have, without that of a missing value."""
    if isinstance(kind, inspect.Metadata):
        return _members(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [one for member in kind.types for one in _members(member)]
    return [] if isinstance(kind, inspect.NoneType) else [kind]


def _tagged(kind: inspect.Type) -> list[inspect.StructType]:
    """Return the kinds of a list's items, if there are several."""
    items = [item for one in _members(kind) if isinstance(one, inspect.ListType) for item in _members(one.item_type)]
    return [item for item in items if isinstance(item, inspect.StructType) and item.tag is not None]


def _description(field: inspect.Field) -> str:
    about = field.type.extra_json_schema if isinstance(field.type, inspect.Metadata) else None
    return str((about or {})["description"])


def _default(field: inspect.Field) -> str:
    if field.required:
        return "*required*"
    value = field.default if field.default_factory is NODEFAULT else field.default_factory()
    if value is None or isinstance(value, Struct):
        return ""
    if isinstance(value, float):
        days = f" ({value / _DAY:g} days)" if value and value % _DAY == 0 else ""
        return f"`{value:.15g}`{days}"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`" if value != "" else ""


def _words(kind: inspect.Type, plural: str = "") -> str:
    """Return a type in words, with "s" as `plural` for several values."""
    if isinstance(kind, inspect.Metadata):
        word = _TEXTS.get((kind.extra or {}).get("expected", ""))
        return f"{word}{plural}" if word else _words(kind.type, plural)
    return _WORDS[type(kind)](kind, plural)


def _alternatives(kind: inspect.UnionType, plural: str) -> str:
    known = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
    *others, last = dict.fromkeys(_words(one, plural) for one in known)
    return f"{', '.join(others)} or {last}" if others else last


def _mapping(kind: inspect.DictType, plural: str) -> str:
    return f"mapping{plural} of {_words(kind.key_type, 's')} to {_words(kind.value_type, 's')}"


def _bounded(word: str, kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.gt is not None:
        return f"{word} above {kind.gt:g}"
    if kind.ge is None:
        return word
    return f"{word}, at least {kind.ge:g}" if kind.le is None else f"{word} from {kind.ge:g} to {kind.le:g}"


def _link(model: type[Struct]) -> str:
    title = _SHARED.get(model, "").lower()
    return f"[{title}](#{title.replace(' ', '-')})" if title else ""


_WORDS: dict[type, Callable[[Any, str], str]] = {
    inspect.AnyType: lambda _, plural: f"value{plural}",
    inspect.BoolType: lambda _, plural: "booleans" if plural else "true or false",
    inspect.DictType: _mapping,
    inspect.EnumType: lambda *_: "[event type](event-types.md)",
    inspect.FloatType: lambda kind, plural: _bounded(f"number{plural}", kind),
    inspect.IntType: lambda kind, plural: _bounded(f"whole number{plural}", kind),
    inspect.ListType: lambda kind, plural: f"list{plural} of {_words(kind.item_type, 's')}",
    inspect.LiteralType: lambda kind, _: ", ".join(f"`{value}`" for value in kind.values),
    inspect.StrType: lambda _, plural: f"text{plural}",
    inspect.StructType: lambda kind, plural: _link(kind.cls) or f"mapping{plural}",
    inspect.UnionType: _alternatives,
}
"""The words for each type: called with the type and the plural, see `_words`."""


# --- event types ------------------------------------------------------------------------------------------------------


_FAMILIES = {
    "TASK": (
        "Tasks",
        "A task, a command of `swarmtask run`, or a pytest session",
        "A `TASK_FAILED` with the status `skipped` is no failure: no test of the task passed, and none failed.",
    ),
    "BUILD": ("Builds", "A build", "`build-run` of make and `swarmtask run --kind build` record a build."),
    "DEPLOYMENT": (
        "Deployments",
        "A deployment",
        "`deploy-run` of make and `swarmtask run --kind deployment` record a deployment.",
    ),
    "TEST": ("Tests", "A test", "[From pytest](events.md#from-pytest) says when a test has which outcome."),
}
"""The first words of event types, with a heading, what such events are about, and a note."""
_VERBS = {
    "STARTED": "began.",
    "COMPLETED": "ended well.",
    "PASSED": "passed.",
    "FAILED": "failed.",
    "SKIPPED": "was skipped, or its failure does not count.",
}
_SAMPLE_RUN = "2a9c56b46e4ab4f4d4028142e7d76c16"
_SAMPLE_PARENT = "6f3e6c3b1d2a4f52"
_SAMPLE_TEST = "tests/test_shop.py::test_total"
_SAMPLE_TIME = 1769854500.0
"""2026-01-31, 10:15 UTC."""


def event_types() -> str:
    """Return the page on the types of events. Its samples are made by the recorder."""
    parts = [
        "# Event types",
        (
            "[Events](events.md) explains every field and all metadata. [Webhooks](webhooks.md) shows the requests "
            "that contain events. The samples below are spread over several lines; in the journal, each has one line."
        ),
    ]
    for family, (title, subject, note) in _FAMILIES.items():
        rows = [
            (f"`{event_type}`", f"`{status}`", _meaning(event_type, subject))
            for event_type, status in EVENT_TYPES.items()
            if event_type.startswith(f"{family}_")
        ]
        samples = "\n".join(json.dumps(event.to_dict(), indent=2) for event in _samples(family))
        parts += [f"## {title}", _columns(("type", "status", "meaning"), rows), note, f"```json\n{samples}\n```"]
    return "\n\n".join(parts) + "\n"


def _meaning(event_type: str, subject: str) -> str:
    outcomes = [f"`{outcome}`" for outcome, ends_with in EVENT_OF.items() if ends_with == event_type]
    more = f" Outcomes: {', '.join(outcomes)}." if outcomes else ""
    return f"{subject} {_VERBS[event_type.partition('_')[2]]}{more}"


class _SampleClock(Clock):
    """A clock that is half a second later each time that it is read."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self._zero, self._counter = _SAMPLE_TIME, itertools.count(0.5, 0.5).__next__


def _samples(family: str) -> list[Event]:
    """Return an event that starts something and the one that ends it, with the same ids and times in each build."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {"TRACEPARENT": f"00-{_SAMPLE_RUN}-{_SAMPLE_PARENT}-01"}
        settings = Settings(Project(folder), environ, {**DEFAULTS, "source": "shop", "endpoints": []}, None)
        recorder = Recorder(settings, environ)
        recorder.clock = _SampleClock()
        made = _sample_test(recorder) if family == "TEST" else _sample_span(recorder, family)
        recorder.close()
    events = [event for event in made if event is not None]
    for number, event in enumerate(events, 1):
        event.id = f"eabee3e1700674c8-{number}{SHARED if event.id.endswith(SHARED) else ''}"
    return events


def _sample_span(recorder: Recorder, family: str) -> list[Event | None]:
    task, metadata = ("5.2", {}) if family == "TASK" else ("web", {"version": "1.4"})
    return [
        recorder.trigger(f"{family}_STARTED", task, None, metadata),
        recorder.trigger(f"{family}_COMPLETED", task, None, {}),
    ]


def _sample_test(recorder: Recorder) -> list[Event | None]:
    run = TestRun(_SAMPLE_TEST, _SAMPLE_TEST, "6f3e6c3b1d2a4f57")
    run.phase, run.duration = "call", 0.0123
    root = recorder.settings.project.root
    evidence = EvidenceReader(DEFAULTS["evidence"], recorder.redactor, root, root, lambda _: (), lambda _: None)
    metadata = {"TEST_STARTED": start_metadata(run)}
    metadata["TEST_PASSED"] = EndMetadata(recorder.redactor, root, evidence).of(run, "passed")
    return [
        recorder.record(event_type, run.task_id, facts, span_id=run.span_id, parent_span_id=recorder.parent_span_id)
        for event_type, facts in metadata.items()
    ]


# --- Markdown ---------------------------------------------------------------------------------------------------------


def _table(what: str, rows: Iterable[tuple[object, str]]) -> str:
    cells = [(f"`{str(name).replace('|', chr(92) + '|')}`", _escaped(meaning)) for name, meaning in rows]
    return _columns((what, "meaning"), cells)


def _columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. Its cells are Markdown."""
    return "\n".join([f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)])


def _escaped(text: str) -> str:
    """Return a text of the terminal as Markdown, in which `|`, `<` and `*` stand for themselves."""
    return re.sub(r"([|<*_\[\]])", r"\\\1", " ".join(text.split())) if "`" not in text else " ".join(text.split())


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


PAGES = {"cli.md": command_line, "workflow.md": workflow, "event-types.md": event_types, "python.md": python}
"""The function that makes each page."""
