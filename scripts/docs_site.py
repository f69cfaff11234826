"""MkDocs' hook for the documentation site: pages that are made from the code, and links that work there, too.

`docs/` is read on the site and in the repository. The site has five pages more. Three are files of the repository's
root. The command line and the Python API are made from the code while the site is built, so they cannot be out of
date, and nothing of them is checked in: in the repository, `swarmtask --help` and the docstrings say the same.
"""

from __future__ import annotations

import argparse
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest_swarmtask
from pytest_swarmtask import emit, plugin
from pytest_swarmtask.cli.main import EXIT_CODES, make_parser
from pytest_swarmtask.plugins import hookspecs, sink
from pytest_swarmtask.sources.command import options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
COPIED = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the repository's root that are pages of the site, by the names of the pages."""
_OWN_HELP = {"swarmtask emit": emit.help_text(), "swarmtask run": options.HELP}
"""Commands that answer before there is a parser."""
_WIDTH = 84
"""Columns of a code block that a page shows without scrolling, on a screen of 1280 pixels."""
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")
_IMAGE = re.compile(r'<img src="(?P<target>[^"]*)" alt="(?P<text>[^"]*)" width="(?P<width>\d+)">')
"""An image with a width, which Markdown alone cannot say in the repository. MkDocs leaves addresses in HTML alone."""
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"[a-z]+:")


# --- what MkDocs calls ------------------------------------------------------------------------------------------------


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in `docs/`."""
    from mkdocs.structure.files import File

    pages = {page: (ROOT / name).read_text("utf-8") for name, page in COPIED.items()}
    for page, text in (pages | {"cli.md": command_line(), "python.md": python()}).items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs passes all
    """Make the links of a page work on the site."""
    names = {name: source for source, name in COPIED.items()}
    path = page.file.src_uri
    return links(markdown, names.get(path, f"docs/{path}"), config.extra["repository"])


# --- links ------------------------------------------------------------------------------------------------------------


def links(markdown: str, path: str, repository: str) -> str:
    """Return a page whose links to files of the repository work on the site.

    Args:
        markdown: the page. Its code blocks stay as they are.
        path: its place in the repository, such as ``docs/team.md``.
        repository: the address of the repository. Without one, a link to a file that is no page becomes its text.
    """

    def link(found: re.Match[str]) -> str:
        target, _, heading = found["target"].partition("#")
        if not target or _ADDRESS.match(target):
            return found[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        anchor = f"#{heading}" if heading else ""
        if place in COPIED:
            return f"{found['image']}[{found['text']}]({COPIED[place]}{anchor})"
        if place.startswith("docs/"):
            return f"{found['image']}[{found['text']}]({place.removeprefix('docs/')}{anchor})"
        if not repository:
            return found["text"]
        return f"{found['image']}[{found['text']}]({repository}/tree/HEAD/{place}{anchor})"

    markdown = _IMAGE.sub(r"![\g<text>](\g<target>){width=\g<width>}", markdown)
    parts, end = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_LINK.sub(link, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LINK.sub(link, markdown[end:])])


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
    return (ROOT / "docs" / page).read_text("utf-8").partition("\n")[0].removeprefix("# ")


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


def _table(what: str, rows: Iterable[tuple[object, str]]) -> str:
    lines = [f"| `{str(name).replace('|', chr(92) + '|')}` | {_escaped(meaning)} |" for name, meaning in rows]
    return "\n".join([f"| {what} | meaning |", "| --- | --- |", *lines])


def _escaped(text: str) -> str:
    """Return a text of the terminal as Markdown, in which `|`, `<` and `*` stand for themselves."""
    return re.sub(r"([|<*_\[\]])", r"\\\1", " ".join(text.split())) if "`" not in text else " ".join(text.split())


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


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
