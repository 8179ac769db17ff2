"""Settings of the tokenize stage."""

from pydantic import Field, model_validator

from stages.option import setting


@setting
class Tokenize:
    """How pairs are split and how long a row may be."""

    test_share: float = Field(gt=0, le=0.9)
    validation_share: float = Field(gt=0, le=0.9)
    folds: int = Field(ge=0)
    fold: int = Field(ge=0)
    context_share: float = Field(ge=0, le=1)
    maximum_tokens: int = Field(ge=16)
    keep_share: float = Field(ge=0, le=1)
    seed: int

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
