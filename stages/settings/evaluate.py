"""Settings of the evaluate stage."""

from typing import Any, Literal

from pydantic import Field

from stages.option import setting


@setting
class Evaluate:
    """Which model answers, and how."""

    model: Literal["base", "tuned"]
    batch: int = Field(ge=1)
    maximum_tokens: int = Field(ge=1)
    maximum_questions: int = Field(ge=1)
    maximum_trained: int = Field(ge=0)
    bits: Literal[4, 8, 16]
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    seed: int

    def sampling(self) -> dict[str, Any]:
        """How tokens are drawn, in the words of transformers; nothing for greedy answers."""
        if not self.temperature:
            return {}
        return {"do_sample": True, "temperature": self.temperature, "top_p": self.top_p, "top_k": 0}
