"""The parser of the command line: helps with an example, and messages that name the nearest word."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import re
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

_WIDEST = 100
"""Columns of a description. Longer lines are hard to read."""
_MANY = 10
"""Words that a message does not list any more."""
_CHOICE = re.compile(
    r"argument (?P<what>\w+): invalid choice: '(?P<given>[^']*)'.* \(choose from (?P<known>.*)\)", re.DOTALL
)
"""What argparse says of a command that does not exist, up to Python 3.14."""
_NO_ACTION = "the following arguments are required: ACTION"
"""What argparse says of a command such as `config` without an action."""


class CommandParser(argparse.ArgumentParser):
    """The parser of a command, or of all of them.

    Args:
        example: a command line that people can copy, shown below the options.
        page: the page of the documentation, such as ``history``, and a heading in it after a ``#``.
        options: those of `argparse.ArgumentParser`.
    """

    def __init__(self, *, example: str = "", page: str = "", **options: Any) -> None:
        below = [f"Example:\n  {example}"] if example else []
        if page:
            name, _, heading = page.partition("#")
            below.append(f"More: docs/{name}.md" + (f", {heading}" if heading else ""))
        super().__init__(
            epilog="\n\n".join(below) or None, formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )
        self.set_defaults(parser=self)  # that of a command replaces that of `swarmtask`

    def format_help(self) -> str:
        """Return the help, with a description as wide as the terminal."""
        width = min(shutil.get_terminal_size().columns, _WIDEST) - 2
        self.description = textwrap.fill(self.description, width) if self.description else None
        return super().format_help()

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Return the arguments. An option that the command does not have ends the process with 2."""
        chosen, unknown = self.parse_known_args(args, namespace)
        if unknown:
            chosen.parser.refuse(unknown[0])
        return chosen

    def refuse(self, argument: str) -> NoReturn:
        """End with exit code 2 because of an argument that is not expected."""
        given = argument.partition("=")[0]
        if not given.startswith("-"):
            self.error(f"unexpected argument {given!r}")
        known = [option for action in self._actions for option in action.option_strings]
        self.error(f"there is no option {given}{nearest(given, known)}")

    def error(self, message: str) -> NoReturn:
        """End with exit code 2, even if standard error cannot be written, where Python 3.10 would end otherwise."""
        found = _CHOICE.fullmatch(message)
        if found:
            known = re.findall(r"[\w-]+", found["known"])
            meant = nearest(found["given"], known) or (f", expected {', '.join(known)}" if len(known) < _MANY else "")
            message = f"there is no {found['what'].lower()} {found['given']!r}{meant}"
        elif message == _NO_ACTION:
            known = [name for action in self._actions for name in action.choices or ()]
            message = f"found no action, expected {', '.join(known)}"
        with contextlib.suppress(OSError, AttributeError):
            self._print_message(f"{self.prog}: {message}\n{self.prog} --help shows what there is\n")
        raise SystemExit(2)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a question for the known word that is nearest to a wrong one, or an empty text."""
    found = difflib.get_close_matches(word, list(known), 1)
    return f". Did you mean {found[0]}?" if found else ""
