"""Settings of the tokenize stage."""

from pydantic import Field, model_validator

from stages.option import setting


@setting
class Tokenize:
    """How pairs are split and how long a row may be."""

    test_share: float = Field(gt=0, le=0.9)
    validation_share: float = Field(gt=0, le=0.9)
    context_share: float = Field(ge=0, le=1)
    maximum_tokens: int = Field(ge=16)
    keep_share: float = Field(ge=0, le=1)
    seed: int

    @model_validator(mode="after")
    def _room_to_train(self) -> "Tokenize":
        if self.test_share + self.validation_share >= 1:
            raise ValueError(
                f"tokenize.test_share={self.test_share:g} and tokenize.validation_share="
                f"{self.validation_share:g} leave nothing to train on: make them sum to less than 1"
            )
        return self
