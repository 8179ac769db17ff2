"""Settings of the audit stage."""

from pydantic import Field

from stages.option import setting


@setting
class Audit:
    """From what likeness on a test question counts as seen, and how many may be."""

    question_similarity: float = Field(gt=0, le=1)
    passage_similarity: float = Field(ge=0.6, le=1)  # what the bands of stages/repeats.py find
    most_leaked: float = Field(ge=0, le=1)
    package: str
    batch: int = Field(ge=1)
