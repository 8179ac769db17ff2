"""Settings of the diagnose stage."""

from pydantic import Field

from stages.option import setting


@setting
class Diagnose:
    """Where one pattern of failure ends and the next begins; the patterns stand in stages/diagnose.py."""

    language: str
    hollow: list[str]
    repeated_share: float = Field(gt=0, le=1)
    loop_rounds: int = Field(ge=2)
    loop_words: int = Field(ge=2)
    right_f1: float = Field(gt=0, le=1)
    right_key: float = Field(gt=0, le=1)
    verbose_key: float = Field(gt=0, le=1)
    verbose_recall: float = Field(gt=0, le=1)
    verbose_length: float = Field(ge=1)
    partial_f1: float = Field(gt=0, le=1)
    partial_precision: float = Field(gt=0, le=1)
    support: float = Field(ge=0, le=1)
