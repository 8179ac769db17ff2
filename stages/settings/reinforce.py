"""Settings of the reinforce stage."""

from inspect import signature
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from stages.option import nearest, setting
from stages.settings.train import Updates


@setting
class Control:
    """A control of the format, and whether its answers are learnt for their rewards or against them."""

    name: str = Field(min_length=1)
    sign: Literal[1, -1]


def _from_line(line: Any) -> Any:
    """What stands in conf/ made a control: a strict type takes no dictionary for one."""
    if not isinstance(line, dict):
        return line
    knobs = signature(Control).parameters
    for key in (key for key in line if key not in knobs):
        raise ValueError(f"reinforce.controls: {key} is not a setting{nearest(str(key), knobs)}")
    if missing := [key for key in knobs if key not in line]:
        raise ValueError(f"reinforce.controls: {missing[0]} is missing; write {{name: good, sign: 1}}")
    return Control(**line)


@setting
class Reinforce(Updates):
    """One run that learns from rewards of its own answers; a step is an update of the weights."""

    stage: ClassVar[str] = "reinforce"

    objectives: list[str]
    fresh: bool
    rewards: list[str]
    controls: list[Annotated[Control, BeforeValidator(_from_line)]]
    rank: int = Field(ge=1)
    context_share: float = Field(ge=0, le=1)
    maximum_questions: int = Field(ge=1)
    validation_share: float = Field(gt=0, lt=1)
    validation_questions: int = Field(ge=1)
    maximum_prompt: int = Field(ge=16)
    prompts: int = Field(ge=1)
    samples: int = Field(ge=2, le=256)
    iterations: int = Field(ge=1)
    maximum_tokens: int = Field(ge=1)
    learn_cut_off: bool
    temperature: float = Field(gt=0)
    epsilon: float = Field(gt=0, lt=1)
    beta: float = Field(ge=0)
    steps: int = Field(ge=1)
    attention: Literal["sdpa", "eager", "flash_attention_2"]
    gradient_checkpointing: bool
    evaluate_steps: int = Field(ge=1)
    save_steps: int = Field(ge=1)
    watch: str
    code: str
    seed: int = Field(ge=0, lt=2**32)

    def answers(self) -> int:
        """Answers that are drawn at once, and learnt from `iterations` times."""
        return self.prompts * self.samples

    @model_validator(mode="after")
    def _scored(self) -> "Reinforce":
        if self.objectives and not self.rewards:
            raise ValueError(
                f"objective={self.objectives[0]} learns from rewards, and none is chosen: "
                "set reward=[bertscore]"
            )
        return self

    @model_validator(mode="after")
    def _whole_batches(self) -> "Reinforce":
        if self.answers() % self.batch:
            raise ValueError(
                f"reinforce.batch={self.batch} does not divide the reinforce.prompts * reinforce.samples = "
                f"{self.answers()} answers of a step; set it to {self.samples}, or another divisor"
            )
        # Answers that are to be learnt from again are in no checkpoint.
        for key in ("evaluate_steps", "save_steps", "steps"):
            if (every := getattr(self, key)) % self.iterations:
                raise ValueError(
                    f"reinforce.{key}={every} is no multiple of reinforce.iterations={self.iterations}, "
                    "the updates that are made from the same answers"
                )
        return self

    @model_validator(mode="after")
    def _names(self) -> "Reinforce":
        names = [one.name for one in self.controls]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"reinforce.controls names {twice[0]} twice; each may stand there once")
        return self
