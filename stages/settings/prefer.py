"""Settings of the prefer stage."""

from pydantic import Field

from stages.option import setting


@setting
class Prefer:
    """Where preference pairs come from, how large they may be and how they are split."""

    stages: list[str]
    file: str = Field(min_length=1)
    megabytes: float = Field(gt=0)
    characters: int = Field(ge=1)
    validation_share: float = Field(gt=0, le=0.9)
    keep_share: float = Field(ge=0, le=1)
    seed: int
