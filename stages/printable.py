"""Text of documents and models made fit to be shown: bounded, whole words, in the order that it has."""

import re
from typing import Any

LONGEST_LABEL = 60  # characters of a reason, a kind, an id or the name of a filter

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
