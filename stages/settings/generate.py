"""Settings of the generate stage."""

from pydantic import Field

from stages.option import setting


@setting
class Generate:
    """How few chunks may give a candidate pair, and whether to plan alone."""

    language: str
    keep_share: float = Field(ge=0, le=1)
    plan: bool
