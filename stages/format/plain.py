"""Question and answer as plain text, for base models."""

from stages.option import setting
from stages.wording import Format


@setting
class Plain(Format):
    """Question: ... Answer: ..., turn after turn."""
