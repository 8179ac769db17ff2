"""The model's own chat template."""

from stages.option import setting
from stages.wording import Format


@setting
class Chat(Format):
    """As an instruct model's publisher has trained it to be asked."""
