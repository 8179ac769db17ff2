"""Settings of the export stage."""

from typing import Literal

from pydantic import Field

from stages.option import setting


@setting
class Export:
    """Whether there is a GGUF file, in which numbers, and how closely it must follow the merged model."""

    formats: list[Literal["gguf"]] = Field(max_length=1)
    weights: Literal["f32", "f16", "bf16", "q8_0"]
    rows: int = Field(ge=1)
    tolerance: float = Field(gt=0)
