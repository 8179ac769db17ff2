"""Text of documents and models made fit to be shown: bounded, whole words, in the order that it has."""

import re
from collections.abc import Mapping
from typing import Any

from stages.page_numbers import span_of

LONGEST_LABEL = 60  # characters of a reason, a kind, an id or the name of a filter

LONGEST_NAME = 200  # of a document

# Control characters, halves of surrogate pairs and the marks that turn the order of letters around.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff]")

# A word that a cut may have gone through.
TORN_END = re.compile(r"(?<=\s)\S{1,30}\Z")


def printable(text: Any, most: int) -> str:
    """At most `most` characters of a text, in whole words, and an ellipsis for more; "" stands for no text.

    What cannot be seen, or would show the text in another order than it has, becomes U+FFFD.
    """
    text = text if isinstance(text, str) else ""
    cut = UNPRINTABLE.sub("\ufffd", text[:most])
    if len(text) <= most:
        return cut
    # In scripts without blanks a run of letters is no word.
    return (cut if text[most].isspace() else TORN_END.sub("", cut)).rstrip() + " …"


def label(text: Any) -> str:
    """A short name of something, its underscores as blanks."""
    return printable(text, LONGEST_LABEL).replace("_", " ") or "not stated"


def where(row: Mapping[str, Any]) -> str:
    """Where a record is from: `manual.pdf, page 7`, `manual.pdf, pages 7 to 8` or `faq.csv, row 12`."""
    name = printable(row["document"], LONGEST_NAME)
    if row["pages"] is None:
        return f"{name}, row {row['line']}"
    first, last = row["pages"]
    return f"{name}, {span_of(range(first, last + 1))}"
