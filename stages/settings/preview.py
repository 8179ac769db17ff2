"""Settings of the preview stage."""

from pydantic import Field

from stages.option import setting


@setting
class Preview:
    """How many pages are shown beside their chunks, and how finely they are drawn."""

    pages: int = Field(ge=0, le=500)
    width: int = Field(ge=160, le=2000)
    quality: int = Field(ge=1, le=100)
