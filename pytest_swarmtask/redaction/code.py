"""What in a text is code and no value: `password=get_password()`, `token: AccessToken`, `print("Token: ", x)`."""

from __future__ import annotations

import re

from pytest_swarmtask.redaction.values import is_identifier

_ACCESS = re.compile(r"\$?[A-Za-z_]\w{0,60}(?:(?:\?\.|::|->)#?[A-Za-z_$].{0,200}|(?:\.#?[A-Za-z_]\w{0,60}){2,9})")
_DENIED = re.compile(r"!{1,2}[a-z][A-Za-z_.]{0,100}")
_REFERENCE = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)+")
_LINE_LENGTH = 400
_AFTER_TEXT = ("", ",", ")", " ", ";", "]", "}", "+", ".", "\n")
"""What follows a quote that ends something."""


def is_code(text: str, value: str, end: int, sign: str | None, *, spaced: bool) -> bool:
    """Tell whether an unquoted value is a variable, an attribute, a type or a call.

    Args:
        text: the text that the value stands in.
        value: not empty.
        end: where in the text it ends.
        sign: what stands between the name and it, if anything does.
        spaced: there is a space before it.
    """
    if len(value) > _LINE_LENGTH:
        return False  # also so that a text of nothing but such values takes no time
    after = text[end : end + 1]
    listed = value[-1] == ","
    value = value.rstrip(",;") or value
    if (
        text.startswith((" = ", "?."), end)
        or (after == "<" and is_identifier(value, quoted=False))
        or value.startswith("**")
        or (spaced and (value[0] in "([" or _DENIED.fullmatch(value)))
        or "()." in value
        or ((spaced or not any(map(str.isdigit, value))) and _ACCESS.fullmatch(value))
        or _REFERENCE.fullmatch(value)
        or (sign == "=" and spaced and value.replace(".", "").isidentifier() and is_identifier(value, quoted=False))
        or (value.replace("_", "").isalpha() and (listed or ("_" in value and after == ",")))
    ):
        return True
    called, bracket, rest = value.replace("[", "(").partition("(")
    ends = rest[-1:] in ("", ")", "]") or ")" in text[end : end + 200].partition("\n")[0]
    if (after in ("(", "[") or (bracket and ends)) and _is_dotted(called):
        return True
    return bool(sign) and after in (",", ")") and value.replace("_", "").isalpha()


def _is_dotted(name: str) -> bool:
    return name.replace("?.", ".").replace(".", "").replace("_", "").isalnum()


def closes_text(text: str, start: int, name_end: int, at: int) -> bool:
    """Tell whether a double quote after a name and its sign ends what began before the name.

    Args:
        text: the text that they stand in.
        start: where the name begins.
        name_end: where it ends.
        at: where the quote stands.
    """
    if text[at : at + 1] != '"' or text[name_end : name_end + 1] in ('"', "\\"):
        return False
    line = max(0, start - _LINE_LENGTH, text.rfind("\n", max(0, start - _LINE_LENGTH), start) + 1)
    return text.count('"', line, start) % 2 == 1 and text[at + 1 : at + 2] in _AFTER_TEXT
