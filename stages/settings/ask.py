"""Settings of the terminal's and the page's questions."""

from typing import Literal

from pydantic import Field

from stages.option import setting
from stages.settings.evaluate import Sampling


@setting
class Ask(Sampling):
    """Who is asked, with what, and within which bounds."""

    model: Literal["tuned", "base", "both"]
    context: Literal["retrieved", "none"]
    passages: int = Field(ge=1, le=20)
    language: str
    maximum_tokens: int = Field(ge=1)
    seconds: float = Field(gt=0)
    characters: int = Field(ge=1)
    bits: Literal[4, 8, 16]
    examples: int = Field(ge=0)
    waiting: int = Field(ge=1)
    host: str = Field(min_length=1)
    port: int = Field(ge=0, le=65535)
    seed: int

    def where(self) -> str:
        """Its place in conf/."""
        return "ask"
