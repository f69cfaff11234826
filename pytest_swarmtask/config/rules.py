"""Rules for single values, beyond their type.

A rule is a function that gets a text of the file. It returns None if the text is valid, or else what is expected, as
the end of the sentence "found …, expected …". So the docstring of a rule says what it expects.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pytest_swarmtask.config.variables import has_defaults, literal_part, mentioned, unknown_reference
from pytest_swarmtask.core.event import EVENT_TYPES, MASK
from pytest_swarmtask.core.roles import CONTROLS
from pytest_swarmtask.redaction.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACEHOLDERS = (
    "id",
    "event_type",
    "task_id",
    "task_title",
    "status",
    "timestamp",
    "source",
    "trace_id",
    "span_id",
    "parent_span_id",
    "environment",
    "name",
    "title",
    "text",
    "since",
    "link",
    "subject",
    "severity",
    "state",
)
"""The names that `{{…}}` may contain besides `metadata.…`: fields of the event, then of the rule, alert or message."""

BY_NAME_ONLY = "no secret in the file: put it into an environment variable and write ${NAME}"

# Without environment variables: whether a file is valid must not depend on who reads it.
_redactor = Redactor({})
_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_REFERENCE = "${NAME}, ${NAME:-default}, or $$ for a plain dollar sign"
# A token of RFC 9110, section 5.6.2.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NETWORK_LOCATION = re.compile(r"//([^/?#]*)@")
_QUERY = re.compile(r"[?&]([^=&#]+)=([^&#]+)")
_QUERY_SECRETS = ("key", "sig", "signature", "code", "auth")
"""Parameters of a URL that are secrets although their names alone, elsewhere, are not."""


def did_you_mean(found: str, names: Iterable[str]) -> str:
    """Return the end of a sentence with the most similar of the valid names, or an empty text if none is similar."""
    import difflib  # only for an error message

    by_folded = {name.casefold(): name for name in names}
    # Keys have underscores, and a hyphen is a common mistake.
    close = difflib.get_close_matches(found.casefold().replace("-", "_"), by_folded, 1, 0.6)
    return f"; did you mean {by_folded[close[0]]}?" if close else ""


def event_glob(text: str) -> str | None:
    """An event type, or a glob that matches at least one."""
    return _matching(text, EVENT_TYPES, "an event type or a glob over")


def control_glob(text: str) -> str | None:
    """A control, or a glob that matches at least one."""
    return _matching(text, CONTROLS, "a control or a glob over")


def expanded(text: str) -> str | None:
    """A text in which every dollar sign belongs to a reference, or is a plain one."""
    return _REFERENCE if unknown_reference(text) else None


def expanded_template(text: str) -> str | None:
    """A template that may also contain references."""
    return expanded(text) or template(text)


def literal(text: str) -> str | None:
    """A text without references, for a key in which no variable is filled in."""
    refused = unknown_reference(text) or mentioned(text)
    return "text without variables, which are not filled in here; $$ is a plain dollar sign" if refused else None


def unfilled_key(text: str) -> str | None:
    """A key of a mapping. Only values are filled in, so a key must not look as if it were; `$set` is a usual key."""
    refused = mentioned(text) or (unknown_reference(text) or "").startswith("${")
    return "a key without ${…}: only values are filled in" if refused else None


def argument(text: str) -> str | None:
    """A template that may also contain references, and `$NAME`, which is for a shell that the command starts."""
    unknown = unknown_reference(text) or ""
    return _REFERENCE if unknown.startswith("${") else template(text)


def template(text: str) -> str | None:
    """A text in which every `{{…}}` is a known name."""
    for name in _PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS and not re.fullmatch(r"metadata(\.[\w-]+)+", name):
            return f"{{{{…}}}} to name one of {', '.join(PLACEHOLDERS)}, metadata.…{did_you_mean(name, PLACEHOLDERS)}"
    return None


def url(text: str) -> str | None:
    """A URL for HTTP, possibly with `${NAME}`, that contains no credentials."""
    if unknown_reference(text):
        return _REFERENCE
    literal = literal_part(text)
    if re.search(r"[\s\x00-\x20\x7f]", literal):
        return "a URL without spaces"
    # A variable may contain the whole URL; it is checked again when the URL is used.
    if not text.startswith("${") and not re.match(r"https?://[^/?#]", text):
        return "a URL that starts with https:// or http://"
    return BY_NAME_ONLY if _has_credential(literal) else None


def url_template(text: str) -> str | None:
    """A URL that may also contain `{{…}}`."""
    return url(text) or template(text)


def service_url(text: str) -> str | None:
    """A URL of a notification service, with any scheme, that contains no credentials."""
    if unknown_reference(text):
        return _REFERENCE
    return BY_NAME_ONLY if _has_credential(literal_part(text)) else None


def header(name: str, value: str) -> str | None:
    """A well-formed HTTP header that contains no secret, but its name as `${NAME}`."""
    if not _HEADER_NAME.fullmatch(name):
        return "the name of an HTTP header"
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):  # all control characters but the tab
        return "a header value on one line"
    if unknown_reference(value):
        return _REFERENCE
    return named_secret(name, value)


def named_secret(name: str, value: str) -> str | None:
    """A value that, if the key's name marks a secret, is written as `${NAME}` without a default."""
    if not _redactor.is_secret_key(name):
        return None
    # A default would be the secret itself. Other text beside the reference is allowed, such as `Bearer ${TOKEN}`.
    named = bool(mentioned(value)) and not has_defaults(value)
    return None if named or not value else BY_NAME_ONLY


def no_secret(text: str) -> str | None:
    """A text without secrets of a known format."""
    literal = literal_part(text)
    # A text that contains the mask itself, copied from a log, is no secret.
    return BY_NAME_ONLY if MASK in _redactor.text(literal, len(literal)) and MASK not in literal else None


def is_secret_name(name: str) -> bool:
    """Whether the value of this name is a secret, which no message may contain."""
    return _redactor.is_secret_key(name)


def _matching(text: str, names: Iterable[str], noun: str) -> str | None:
    if any(fnmatchcase(name, text) for name in names):
        return None
    return f"{noun} {', '.join(names)}{did_you_mean(text, names)}"


def _has_credential(literal: str) -> bool:
    """Whether a URL contains a password, a user without a password (as tokens are written), or a secret parameter."""
    location = _NETWORK_LOCATION.search(literal)
    if location and location[1].rpartition(":")[2]:
        return True
    return any(is_secret_name(name) or name.lower() in _QUERY_SECRETS for name, _value in _QUERY.findall(literal))
