"""What a passage is about: its deepest heading that has words."""

import re

from stages.jsonl import Record

NUMBERING = re.compile(r"^[\dA-Z]{1,3}(?:\.\d+)*\.?\s+")


def topic(chunk: Record) -> str:
    """The heading without its number; the document's name where no heading has words."""
    # A heading may be a bare number: "3.1.6" above a sentence that states a requirement.
    titles = (NUMBERING.sub("", heading) for heading in reversed(chunk["headings"]))
    return next((title for title in titles if re.search(r"[^\W\d]{2}", title)), chunk["document"])
