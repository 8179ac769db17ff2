"""Settings of the evaluate stage, and of how a model's tokens are chosen."""

from typing import Any, Literal

from pydantic import Field, model_validator

from stages.option import setting


@setting
class Sampling:
    """How tokens are chosen: the likeliest, or drawn from some of them."""

    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    top_k: int = Field(ge=0)
    repetition_penalty: float = Field(gt=0)

    def where(self) -> str:
        """Where these settings stand, for a sentence about them."""
        return "evaluate"

    @model_validator(mode="after")
    def _drawn_from(self) -> "Sampling":
        if not self.temperature and (self.top_p < 1 or self.top_k):
            raise ValueError(
                f"{self.where()}: temperature=0 takes the likeliest token, so that top_p={self.top_p:g} and "
                f"top_k={self.top_k} choose nothing; set top_p=1 and top_k=0, or a temperature above 0"
            )
        return self

    def sampling(self) -> dict[str, Any]:
        """How tokens are chosen, in the words of transformers; greedy answers are its default."""
        penalty = {"repetition_penalty": self.repetition_penalty}
        if not self.temperature:
            return penalty
        drawn = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        return penalty | {"do_sample": True} | drawn


@setting
class Evaluate(Sampling):
    """Which model answers, and how."""

    model: Literal["base", "tuned"]
    batch: int = Field(ge=1)
    maximum_tokens: int = Field(ge=1)
    maximum_questions: int = Field(ge=1)
    maximum_trained: int = Field(ge=0)
    bits: Literal[4, 8, 16]
    control: str | None
    seed: int
