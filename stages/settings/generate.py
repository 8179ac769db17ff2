"""Settings of the generate stage."""

from pydantic import Field

from stages.option import setting


@setting
class Generate:
    """How strictly a candidate pair is verified and how many are kept."""

    pairs_per_chunk: int = Field(ge=1)
    minimum_score: float = Field(le=0)
    answer_share: float = Field(ge=0, le=1)
    foreign_words: int = Field(ge=0)
    keep_share: float = Field(ge=0, le=1)
    plan: bool
