"""Settings of the train stage."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from stages.option import setting


@setting
class Updates:
    """How any run changes weights, and when it is looked at."""

    # Under which these settings stand in conf/, and which says what a run says.
    stage: ClassVar[str] = "train"

    steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    scheduler: Literal["linear", "cosine", "cosine_with_min_lr", "constant", "constant_with_warmup"]
    minimum_share: float = Field(ge=0, lt=1)
    warmup_share: float = Field(ge=0, lt=1)
    optimiser: Literal["adamw", "paged_adamw", "paged_adamw_8bit"]
    weight_decay: float = Field(ge=0)
    gradient_norm: float = Field(gt=0)
    batch: int = Field(ge=1)
    log_steps: int = Field(ge=1)
    evaluate_steps: int = Field(ge=0)
    save_steps: int = Field(ge=0)
    save_limit: int = Field(ge=1)
    seed: int


@setting
class Learning(Updates):
    """A run over given rows: how often it sees them, how many at once, and when it stops early."""

    epochs: float = Field(gt=0)
    accumulation: int = Field(ge=1)
    patience: int = Field(ge=1)
    threshold: float = Field(ge=0)


@setting
class Run(Learning):
    """A run of a language model, and how it is computed."""

    neftune_noise: float = Field(ge=0)
    halve_batch: bool
    packing: Literal["prefix", "rows", "none"]
    attention: Literal["sdpa", "eager", "flash_attention_2"]
    gradient_checkpointing: bool
    torch_compile: bool
    check_memory: bool


@setting
class Train(Run):
    """One supervised fine-tuning run."""

    launch: str
    batch_tokens: int = Field(ge=0)
    questions: int = Field(ge=0)
    answer_tokens: int = Field(ge=1)
    metrics: list[Any]
    bad_share: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _a_command(self) -> "Train":
        if not self.launch.split()[:1]:
            raise ValueError("train.launch is empty; set it to python or to an accelerate launch line")
        return self
