"""Rows that nothing can be learnt from, and the checks that find them."""

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
EXCERPT = 80  # characters of what was found


class UnusableError(Exception):
    """A row that nothing can be learnt from: `reason` counts it, `detail` says in short what was found."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def excerpt(value: Any) -> str:
    """A value as Python writes it: shortened, on one line, without control characters."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = EXCERPT
    short.maxlevel = 2
    shown = short.repr(value)
    return shown if len(shown) <= 2 * EXCERPT else f"{shown[: 2 * EXCERPT - 4]} ..."


def field(row: Mapping[str, Any], key: str) -> Any:
    """A field that must be there.

    Raises:
        UnusableError: `missing_field`, also where it is null.
    """
    if row.get(key) is None:
        raise UnusableError("missing_field", f"no {key} among {excerpt(list(map(str, row)))}")
    return row[key]


def unicode_text(text: str) -> str:
    """Refuse what UTF-8 cannot write.

    Raises:
        UnusableError: `wrong_encoding` of bytes that were no UTF-8, `no_unicode` of half a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # Bytes that are no UTF-8 were read as these (PEP 383); JSON's \u can write the others.
        is_byte = "\udc80" <= text[error.start] <= "\udcff"
        around = text[max(0, error.start - EXCERPT // 4) : error.start + EXCERPT // 4]
        raise UnusableError("wrong_encoding" if is_byte else "no_unicode", excerpt(around)) from error
    return text


def plain_text(value: Any, name: str, characters: int) -> str:
    """A text of at most `characters`, without white space around it; `name` is the field's.

    Raises:
        UnusableError: `wrong_type`, `field_too_long`, `wrong_encoding`, `no_unicode` or `nul_byte`.
    """
    if not isinstance(value, str):
        raise UnusableError("wrong_type", f"{name} is {excerpt(value)}")
    text = value.strip()
    if len(text) > characters:
        raise UnusableError("field_too_long", f"{name} has {len(text)} characters")
    if "\0" in text:
        raise UnusableError("nul_byte", f"{name} is {excerpt(text)}")
    return unicode_text(text)


def attempt(make: Callable[..., T], *arguments: Any) -> "T | UnusableError":
    """What `make` returns, or in place of it the reason why the row is unusable."""
    try:
        return make(*arguments)
    except UnusableError as error:
        return error
