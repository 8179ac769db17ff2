"""Settings of the publish stage."""

from typing import Literal

from pydantic import Field

from stages.option import setting


@setting
class Publish:
    """Whether there is a folder to publish, in which numbers its weights are, and what its card names."""

    stages: list[Literal["folder", "hub"]] = Field(max_length=1)
    title: str = Field(min_length=1, max_length=100)
    dtype: Literal["merged", "bfloat16", "float16", "float32"]
    shard: float = Field(gt=0)
    documents: int = Field(ge=0)
