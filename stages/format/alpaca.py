"""Instruction, input and response under headings."""

from stages.option import setting
from stages.wording import Format


@setting
class Alpaca(Format):
    """Taori et al., 2023, github.com/tatsu-lab/stanford_alpaca: the two openings of its prompts."""
