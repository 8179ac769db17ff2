"""Settings of the retain stage."""

from typing import Literal

from pydantic import Field

from stages.option import setting


@setting
class Retain:
    """On which general texts forgetting is measured, and how they are read."""

    texts: str = Field(min_length=1)
    batch: int = Field(ge=1)
    maximum_tokens: int = Field(ge=2)
    bits: Literal[4, 8, 16]
    seed: int
