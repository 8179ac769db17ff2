"""Settings of the train stage."""

from typing import Literal

from pydantic import Field

from stages.option import setting


@setting
class Train:
    """One supervised fine-tuning run."""

    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    scheduler: Literal["linear", "cosine", "constant_with_warmup"]
    warmup_share: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    batch: int = Field(ge=1)
    accumulation: int = Field(ge=1)
    gradient_norm: float = Field(gt=0)
    patience: int = Field(ge=1)
    gradient_checkpointing: bool
    log_steps: int = Field(ge=1)
    seed: int
