"""Settings of the pairs stage."""

from typing import Literal

from pydantic import Field, model_validator

from stages.option import setting
from stages.settings.evaluate import Sampling


@setting
class Pairs(Sampling):
    """How many answers are drawn to how many questions, and which of them make a pair."""

    models: list[Literal["tuned"]] = Field(max_length=1)
    rewards: list[str]
    context_share: float = Field(ge=0, le=1)
    maximum_questions: int = Field(ge=1)
    samples: int = Field(ge=1, le=256)
    batch: int = Field(ge=1)
    maximum_tokens: int = Field(ge=1)
    margin: float = Field(gt=0)
    reference_chosen: bool
    validation_share: float = Field(gt=0, lt=1)
    watch: str
    code: str
    appraised: list[str]
    seed: int

    def where(self) -> str:
        """Its place in conf/."""
        return "pairs"

    @model_validator(mode="after")
    def _scored(self) -> "Pairs":
        if self.models and not self.rewards:
            raise ValueError(
                "pairs.models=[tuned] asks for answers that rewards tell apart, and none is chosen: "
                "set reward=[bertscore,squad_f1], or pairs.models=[]"
            )
        return self

    @model_validator(mode="after")
    def _no_circle(self) -> "Pairs":
        # The second: a classifier whose weights nobody watches.
        unwatched = "classifier" in self.rewards and self.watch == "stages/reward"
        if self.models and self.appraised and (self.watch == "models/reward" or unwatched):
            raise ValueError(
                "pairs would wait for models/reward, which the stage appraise learns from these very pairs: "
                "set pairs.rewards=[bertscore] pairs.watch=stages/reward, or appraise.stages=[]"
            )
        return self

    @model_validator(mode="after")
    def _different_answers(self) -> "Pairs":
        if self.samples == 1 and not self.reference_chosen:
            raise ValueError(
                "pairs.samples=1 leaves nothing to compare an answer with: draw more, or set "
                "pairs.reference_chosen=true"
            )
        if self.samples > 1 and not self.temperature:
            raise ValueError(
                f"pairs.temperature=0 gives the same answer pairs.samples={self.samples} times: set a "
                "temperature above 0"
            )
        return self
