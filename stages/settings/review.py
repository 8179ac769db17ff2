"""Settings of the review stage."""

from pydantic import Field

from stages.option import setting


@setting
class Review:
    """How many pairs, rejects and rows the page shows."""

    pairs: int = Field(ge=0, le=500)
    rejects: int = Field(ge=0, le=50)
    sections: int = Field(ge=1, le=1000)
    documents: int = Field(ge=1, le=1000)
