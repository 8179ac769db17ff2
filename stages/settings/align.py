"""Settings of the align stage."""

from typing import ClassVar

from pydantic import Field

from stages.option import setting
from stages.settings.train import Run


@setting
class Align(Run):
    """One run that learns from preference pairs; `batch` and `accumulation` count pairs."""

    stage: ClassVar[str] = "align"

    objectives: list[str]
    adapter: str
    fresh: bool
    maximum_tokens: int = Field(ge=16)
    keep_share: float = Field(ge=0, le=1)
