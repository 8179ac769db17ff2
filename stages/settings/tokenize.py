"""Settings of the tokenize stage."""

from typing import Annotated

from pydantic import Field, model_validator

from stages.option import nearest, setting


@setting
class Tokenize:
    """How pairs are split and how long a row may be."""

    sources: list[str]
    held_out: list[str]
    weights: dict[str, Annotated[float, Field(gt=0, le=100)]]
    test_share: float = Field(ge=0, le=0.9)
    validation_share: float = Field(gt=0, le=0.9)
    folds: int = Field(ge=0)
    fold: int = Field(ge=0)
    context_share: float = Field(ge=0, le=1)
    maximum_tokens: int = Field(ge=16)
    keep_share: float = Field(ge=0, le=1)
    seed: int

    @model_validator(mode="after")
    def _of_chosen_sources(self) -> "Tokenize":
        for key, told in (("held_out", self.held_out), ("weights", list(self.weights))):
            if strange := [name for name in told if name not in self.sources]:
                raise ValueError(
                    f"tokenize.{key} names the source {strange[0]}, which is not chosen"
                    f"{nearest(strange[0], self.sources)}"
                )
        return self

    @model_validator(mode="after")
    def _something_held_out(self) -> "Tokenize":
        if not (self.test_share or self.held_out or self.folds):
            raise ValueError(
                "tokenize.test_share=0 and tokenize.held_out=[] hold nothing out, so that nothing could be "
                "measured: raise the share, or name a source that is held out"
            )
        if self.held_out and self.folds:
            raise ValueError("tokenize.held_out and tokenize.folds both decide what is held out; choose one")
        return self

    @model_validator(mode="after")
    def _fold_among_folds(self) -> "Tokenize":
        if self.folds == 1:
            raise ValueError(
                "tokenize.folds=1 would hold out everything: choose 2 or more, or 0 for a split by test_share"
            )
        if self.fold and not self.folds:
            raise ValueError(
                f"tokenize.fold={self.fold} chooses a fold, but tokenize.folds=0 makes none: "
                "add experiment=kfold or tokenize.folds=5"
            )
        if self.folds and self.fold >= self.folds:
            raise ValueError(
                f"tokenize.fold={self.fold} is none of tokenize.folds={self.folds}: "
                f"they count from 0 to {self.folds - 1}"
            )
        return self

    @model_validator(mode="after")
    def _room_to_train(self) -> "Tokenize":
        test_share = 1 / self.folds if self.folds else self.test_share
        if test_share + self.validation_share >= 1:
            tests = f"folds={self.folds}" if self.folds else f"test_share={self.test_share:g}"
            remedy = (
                "more folds or a smaller validation share" if self.folds else "make them sum to less than 1"
            )
            raise ValueError(
                f"tokenize.{tests} and tokenize.validation_share={self.validation_share:g} "
                f"leave nothing to train on: {remedy}"
            )
        return self
