"""Settings of the evaluate stage."""

from typing import Literal

from pydantic import Field

from stages.option import setting


@setting
class Evaluate:
    """Which model answers, and how."""

    model: Literal["base", "tuned"]
    batch: int = Field(ge=1)
    maximum_tokens: int = Field(ge=1)
    maximum_questions: int = Field(ge=1)
