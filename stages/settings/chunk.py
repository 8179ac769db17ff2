"""Settings of the chunk stage."""

from pydantic import Field

from stages.option import setting


@setting
class Chunk:
    """What becomes of files and chunks that cannot be used."""

    strict: bool
    minimum_words: int = Field(ge=1)
    keep_share: float = Field(ge=0, le=1)
    skip_headings: tuple[str, ...] = Field(strict=False)
