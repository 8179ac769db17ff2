"""Settings of the verify stage."""

from pydantic import Field

from stages.option import setting


@setting
class Verify:
    """Which filters a candidate pair passes, in which order, and how few may be left."""

    filters: list[str] = Field(min_length=1)
    language: str
    keep_share: float = Field(ge=0, le=1)
    watch: str
    answerer: str
    judge: str
