"""Settings of the ablate stage."""

from typing import Literal

from pydantic import Field, model_validator

from stages.option import setting


@setting
class Ablate:
    """Whether the model as it was before its alignment is measured too."""

    models: list[Literal["trained"]] = Field(max_length=1)
    bits: Literal[4, 8, 16]
    seed: int

    @model_validator(mode="after")
    def _measured_alike(self) -> "Ablate":
        if self.models and self.bits != 16:
            raise ValueError(
                f"ablate.models=[trained] measures that model in its own precision, and evaluate.bits="
                f"{self.bits} the other two: set evaluate.bits=16 or ablate.models=[]"
            )
        return self
