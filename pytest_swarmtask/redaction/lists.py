"""Secrets in lists: `["psql", "--password", "x"]`, `["vault", "login", "x"]`, `("api_key", "a1b2c3")`.

Each session has a list, its arguments. So the rules are only loaded for an item that may be a secret.
"""

from __future__ import annotations

from pytest_swarmtask.redaction.hints import MAYBE, may_hold_command, may_name_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_LONGEST_COMMAND = 6144
"""So much of a command line is searched: as much as of the longest text."""


def taken(items: Sequence[Any]) -> Sequence[str]:
    """Return the secrets that a command line takes as its arguments: `["vault", "login", "x"]`."""
    words = [item for item in items if type(item) is str]
    programs = " ".join(word for word in words[:_FIRST_WORDS] if not word.startswith("-")).lower()
    if " " not in programs or not (may_name_secret(programs) or may_hold_command(programs)):
        return ()
    from pytest_swarmtask.redaction.commands import arguments_in

    return arguments_in(" ".join(words)[:_LONGEST_COMMAND])


def is_announced(is_secret_key: Callable[[str], bool], before: str, item: str, items: Sequence[Any]) -> bool:
    """Whether an item of a list is the secret that the item before it announces, as in a command line.

    Args:
        is_secret_key: says whether a key names a secret.
        before: the item before it.
        item: the item.
        items: the whole list.
    """
    if item[:1] in ("", "-"):  # an option, not the value of one; but `mysql` has the password in the option
        return item.startswith("-p") and len(item) >= _MYSQL_OPTION and "mysql" in str(items[0])
    if before.startswith(("-", "/")):
        return _is_option_value(is_secret_key, before, item, items)
    # A pair such as `("api_key", "a1b2c3")` is not always a name and its value, so the value has to look like a secret.
    return len(items) == 2 and is_secret_key(before) and _is_hidden(item)


def _is_option_value(is_secret_key: Callable[[str], bool], option: str, item: str, items: Sequence[Any]) -> bool:
    if is_secret_key(option) and "=" not in option:
        return not _is_stand_in(item)
    for options, is_command, is_secret in _OPTIONS:
        if option in options and is_command(items):
            return is_secret(item)
    return len(option) > 1 and _takes_secret(option, items) and not _is_stand_in(item)


def _takes_secret(option: str, items: Sequence[Any]) -> bool:
    """Whether one of the first words of a command line is a program that takes a secret with this option."""
    if str(items[0]).startswith("-"):
        return False  # the arguments of a session: the table of commands is not loaded for them
    from pytest_swarmtask.redaction.commands import takes_secret

    words = [item for item in items if type(item) is str]
    before = words[: words.index(option)]  # not after it: `pytest -p no:cacheprovider -k login`
    return any(takes_secret(word, option) for word in before[:_FIRST_WORDS])


def _is_hidden(item: str) -> bool:
    from pytest_swarmtask.redaction.hidden import is_hidden

    return is_hidden(MAYBE, item)


def _is_stand_in(item: str) -> bool:
    from pytest_swarmtask.redaction.hidden import is_stand_in

    return is_stand_in(item)


def _is_any_command(_items: Sequence[Any]) -> bool:
    return True


def _is_httpie(items: Sequence[Any]) -> bool:
    return "http" in str(items[0])


def _has_password(login: str) -> bool:
    password = login.partition(":")[2]
    return bool(password) and not password.isdigit() and not _is_stand_in(password)  # digits: `docker run -u 1000:1000`


_MYSQL_OPTION = 5
"""From this length on `-p…` is a password: a shorter one may be several options in one, such as `-pN`."""
_OPTIONS: tuple[tuple[tuple[str, ...], Callable[[Sequence[Any]], bool], Callable[[str], bool]], ...] = (
    # (options, whether the command means a login or a password with them, whether the value then is a secret)
    (("-u", "--user", "--proxy-user"), _is_any_command, _has_password),  # curl, wget and others
    (("-a", "--auth"), _is_httpie, _has_password),
)
"""Options that take a login. Those that take a secret are in `commands`."""
_FIRST_WORDS = 8
"""The program of a command line is looked for in so many words: `sudo -u ann docker login -p x`."""
