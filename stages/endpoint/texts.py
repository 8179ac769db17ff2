"""Text that an endpoint wrote, as it may stand in a record."""

import re
from typing import Annotated

from pydantic import StringConstraints

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")

MOST_CHARACTERS = 2_000  # of a question, an answer or a quote
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MOST_CHARACTERS)]
Quote = Annotated[str, StringConstraints(max_length=MOST_CHARACTERS)]


def one_line(text: str) -> str:
    """White space as single blanks, and no control characters."""
    return CONTROLS.sub("", " ".join(text.split()))
