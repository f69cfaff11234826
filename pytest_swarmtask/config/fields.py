"""Types of fields that several sections use.

`Meta.extra` is for our own check of the file (`pytest_swarmtask.config.check`). Its keys are:

- ``rule``: a rule of `pytest_swarmtask.config.rules` for the text
- ``item_rule``: a rule for the items of a mapping, called with key and value
- ``expected``: what is expected, in words, for messages
- ``sensitive``: no message repeats the value
- ``literal``: no variable is filled in, and the model has the text with a plain dollar sign for each `$$`
- ``number``: a number is taken as the text that was written, so that the task 5.10 stays 5.10
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from msgspec import Meta

from pytest_swarmtask.config import rules
from pytest_swarmtask.core.project import NAME, NAME_IN_WORDS

ALSO_NUMBER = "a number is taken as text"
"""Marks texts that may be written as a number, in the JSON Schema that msgspec generates."""


def about(description: str) -> Meta:
    """Return the description of a field, which editors show."""
    return Meta(description=description)


def matching(pattern: str, expected: str, **extra: Any) -> Meta:
    """Return a constraint on texts: a regular expression for the whole text.

    This does not use `Meta.pattern`: in a union with a list, msgspec 0.22 frees the pattern twice, and the process
    crashes at its exit.

    Args:
        pattern: the regular expression.
        expected: what is expected, in words, for messages.
        **extra: further keys of `Meta.extra`.
    """
    compiled = re.compile(pattern)

    def rule(text: str) -> str | None:
        return None if compiled.fullmatch(text) else expected

    return Meta(
        extra={"rule": rule, "expected": expected, **extra},
        extra_json_schema={"type": "string", "pattern": f"^{pattern}$"},
    )


Name = Annotated[str, matching(NAME, NAME_IN_WORDS)]
Variable = Annotated[
    str,
    matching("[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable (never the secret itself)", sensitive=True),
]
TokenHash = Annotated[
    str, matching("sha256:[0-9a-f]{64}", "sha256: and 64 hex digits, the hash of the token", sensitive=True)
]
QuietHours = Annotated[
    str,
    matching("([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]", "two times of day such as 22:00-07:00"),
]
Seconds = Annotated[float, Meta(ge=0, extra={"expected": "a number of seconds, at least 0"})]
PositiveSeconds = Annotated[float, Meta(gt=0, extra={"expected": "a number of seconds above 0"})]
Count = Annotated[int, Meta(ge=1)]
# The rest of an event's 64 KiB is for its other facts, and for the signs that JSON adds.
EvidenceBytes = Annotated[int, Meta(ge=1024, le=48 * 1024)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Plain = Annotated[str, Meta(extra={"rule": rules.literal, "literal": True})]
Text = Annotated[
    str, Meta(min_length=1, extra={"rule": rules.literal, "literal": True, "expected": "text that is not empty"})
]
Expanded = Annotated[str, Meta(min_length=1, extra={"rule": rules.expanded, "expected": "text that is not empty"})]
TaskId = Annotated[
    str,
    Meta(
        min_length=1,
        extra={"rule": rules.expanded, "expected": "a task id", "number": True},
        extra_json_schema={"$comment": ALSO_NUMBER},
    ),
]
Glob = Annotated[
    str,
    Meta(
        min_length=1,
        extra={"rule": rules.literal, "literal": True, "expected": "text or a glob", "number": True},
        extra_json_schema={"$comment": ALSO_NUMBER},
    ),
]
TaskStatus = Literal["pending", "in-progress", "done", "deferred", "cancelled", "blocked", "review"]
EventGlob = Annotated[str, Meta(extra={"rule": rules.event_glob})]
Argument = Annotated[
    str,
    Meta(extra={"rule": rules.argument, "number": True}, extra_json_schema={"$comment": ALSO_NUMBER}),
]
Events = Annotated[list[EventGlob], Meta(min_length=1)]
ControlGlob = Annotated[str, Meta(extra={"rule": rules.control_glob})]
Template = Annotated[str, Meta(extra={"rule": rules.expanded_template})]
Key = Annotated[str, Meta(extra={"rule": rules.unfilled_key})]
Url = Annotated[str, Meta(min_length=1, extra={"rule": rules.url, "sensitive": True})]
UrlTemplate = Annotated[str, Meta(extra={"rule": rules.url_template, "sensitive": True})]
ServiceUrl = Annotated[str, Meta(min_length=1, extra={"rule": rules.service_url, "sensitive": True})]
Headers = Annotated[dict[str, str], Meta(extra={"item_rule": rules.header, "sensitive": True})]
Texts = Annotated[
    dict[Key, Annotated[str, Meta(extra={"rule": rules.expanded})]], Meta(extra={"item_rule": rules.named_secret})
]
TemplateTexts = Annotated[
    dict[Key, Annotated[str, Meta(extra={"rule": rules.expanded_template})]],
    Meta(extra={"item_rule": rules.named_secret}),
]
_Anything = Annotated[Any, Meta(extra={"rule": rules.expanded_template, "item_rule": rules.named_secret})]
Body = Annotated[dict[Key, _Anything], Meta(extra={"item_rule": rules.named_secret})]
Options = dict[Key, Annotated[Any, Meta(extra={"rule": rules.expanded})]]
Words = dict[Key, Annotated[str, Meta(extra={"rule": rules.expanded})]]
