"""Settings of the chunk stage."""

from pydantic import Field

from stages.option import setting


@setting
class Chunk:
    """How files are read, and what becomes of files and chunks that cannot be used."""

    strict: bool
    workers: int = Field(ge=0)
    seconds: float = Field(gt=0)
    memory: float = Field(ge=0.25)
    agreement: float = Field(ge=0, le=1)
    minimum_words: int = Field(ge=1)
    duplicate_similarity: float = Field(ge=0.8, le=1)
    keep_share: float = Field(ge=0, le=1)
    skip_headings: tuple[str, ...] = Field(strict=False)
    skip_contents: bool
