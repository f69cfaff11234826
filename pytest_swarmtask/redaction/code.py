"""Whether what follows a secret's name is code and no value: `password=get_password()`, `token = next_token`.

These are the rules of `texts` about source code. They stand apart because they need nothing of its search for names.
"""

from __future__ import annotations

import re

from pytest_swarmtask.redaction.values import is_identifier

_ATTRIBUTE = re.compile(r"\$?[A-Za-z_]\w{0,60}(?:(?:\?\.|::|->)#?[A-Za-z_$].{0,200}|(?:\.#?[A-Za-z_]\w{0,60}){2,9})")
_DOTTED_WORDS = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)+")
_DENIED = re.compile(r"!{1,2}[a-z][A-Za-z_.]{0,100}")
_LINE_LENGTH = 400
"""No line of code that people read is longer. A bound at all keeps a text of nothing but such values cheap, since each
of them is looked at as a whole."""
_ARGUMENTS_LENGTH = 200
"""How far after a value the bracket is looked for that closes a call."""
_AFTER_TEXT = ("", ",", ")", " ", ";", "]", "}", "+", ".", "\n")
"""What follows a quote that ends a text, and not one that begins a value."""


class _Unquoted:
    """A value without quotes, and what stands around it in its text."""

    __slots__ = ("after", "end", "is_listed", "is_spaced", "sign", "text", "value")

    def __init__(self, text: str, value: str, end: int, sign: str | None, *, is_spaced: bool) -> None:
        self.text = text
        self.value = value.rstrip(",;") or value
        self.end = end
        self.after = text[end : end + 1]
        self.sign = sign
        self.is_spaced = is_spaced
        self.is_listed = value[-1] == ","


def is_code(text: str, value: str, end: int, sign: str | None, *, spaced: bool) -> bool:
    """Whether an unquoted value is a variable, an attribute, a type or a call.

    Args:
        text: the text that the value stands in.
        value: not empty.
        end: where in the text it ends.
        sign: the sign between the name and the value, if there is one.
        spaced: there is a space before the value.
    """
    if len(value) > _LINE_LENGTH:
        return False
    unquoted = _Unquoted(text, value, end, sign, is_spaced=spaced)
    return any(is_such(unquoted) for is_such in _CODE)


def _is_continued(given: _Unquoted) -> bool:
    return given.text.startswith(" = ", given.end)  # `token = default = x`


def _is_generic_type(given: _Unquoted) -> bool:
    return given.after == "<" and is_identifier(given.value, quoted=False)  # `token: AccessToken<User>`


def _is_unpacked(given: _Unquoted) -> bool:
    return given.value.startswith("**")  # `password=**options`


def _is_expression(given: _Unquoted) -> bool:
    # `token = !user.token`. Without a space before it, as in `password=!user`, the sign belongs to the value.
    return given.is_spaced and (given.value[0] in "([" or _DENIED.fullmatch(given.value) is not None)


def _has_empty_call(given: _Unquoted) -> bool:
    return "()." in given.value  # `token=session().token`


def _is_attribute(given: _Unquoted) -> bool:
    # `password=a1->b2::c3` can be a password: with digits it is only believed after a space.
    return (given.is_spaced or not any(map(str.isdigit, given.value))) and _ATTRIBUTE.fullmatch(given.value) is not None


def _is_dotted_words(given: _Unquoted) -> bool:
    return _DOTTED_WORDS.fullmatch(given.value) is not None  # `password=self.password`


def _is_assigned_variable(given: _Unquoted) -> bool:
    # `token = next_token`. With `:` it may be YAML, and without the space a setting: `TOKEN=next_token`.
    return (
        given.sign == "="
        and given.is_spaced
        and given.value.replace(".", "").isidentifier()
        and is_identifier(given.value, quoted=False)
    )


def _is_listed(given: _Unquoted) -> bool:
    # `password=mypass,` as a line of a call. Without a sign, in `token my_token, x`, an underscore tells it from prose.
    return given.value.replace("_", "").isalpha() and (given.is_listed or ("_" in given.value and given.after == ","))


def _is_call(given: _Unquoted) -> bool:
    called, bracket, arguments = given.value.replace("[", "(").partition("(")
    is_opened = given.after in ("(", "[") or (bracket and _is_closed(given, arguments))
    return bool(is_opened) and called.replace("?.", ".").replace(".", "").replace("_", "").isalnum()


def _is_closed(given: _Unquoted, arguments: str) -> bool:
    rest_of_line = given.text[given.end : given.end + _ARGUMENTS_LENGTH].partition("\n")[0]
    return arguments[-1:] in ("", ")", "]") or ")" in rest_of_line


def _is_argument(given: _Unquoted) -> bool:
    # `f(password=mypass)`
    return bool(given.sign) and given.after in (",", ")") and given.value.replace("_", "").isalpha()


_CODE = (
    _is_continued,
    _is_generic_type,
    _is_unpacked,
    _is_expression,
    _has_empty_call,
    _is_attribute,
    _is_dotted_words,
    _is_assigned_variable,
    _is_listed,
    _is_call,
    _is_argument,
)


def is_closing_quote(text: str, start: int, name_end: int, at: int) -> bool:
    """Whether a quote after a name and its sign ends a text that began before the name: `print("Token: ", x)`.

    Args:
        text: the text that they stand in.
        start: where the name begins.
        name_end: where the name ends.
        at: where the quote stands, if there is one.
    """
    quote = text[at : at + 1]
    if not quote or quote not in "\"'" or text[name_end : name_end + 1] in (quote, "\\"):
        return False  # a name in quotes, as in JSON: what follows its sign is a value
    line = max(0, start - _LINE_LENGTH, text.rfind("\n", max(0, start - _LINE_LENGTH), start) + 1)
    return text.count(quote, line, start) % 2 == 1 and text[at + 1 : at + 2] in _AFTER_TEXT
