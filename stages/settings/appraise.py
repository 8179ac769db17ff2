"""Settings of the appraise stage."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from stages.option import setting
from stages.settings.train import Learning

KINDS = ("folder", "hub")


@setting
class Appraise(Learning):
    """One run that learns to tell better answers from worse; `batch` and `accumulation` count pairs.

    It begins from the model `base`, or where that is none from the one that `package` carries. DVC watches
    `watch` and `code`, the base's files and the code that finds them.
    """

    stage: ClassVar[str] = "appraise"

    stages: list[Literal["reward"]] = Field(max_length=1)
    base: Any
    package: str
    maximum_tokens: int = Field(ge=8)
    keep_share: float = Field(ge=0, le=1)
    watch: str
    code: str

    @model_validator(mode="after")
    def _begins_somewhere(self) -> "Appraise":
        if self.base is not None and self.base.name not in KINDS:
            raise ValueError(f"appraise.base.name={self.base.name}: choose model@appraise.base=folder or hub")
        return self
