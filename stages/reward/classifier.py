"""What a text classifier makes of an answer."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from pydantic import Field, model_validator

from stages.errors import FolioError
from stages.jsonl import Record
from stages.metric.classifier import KINDS
from stages.metric.classifier import Classifier as Metric
from stages.option import setting
from stages.worth import Reward


@setting
class Classifier(Reward):
    """The probability of one label, as the metric `classifier` has it.

    It is of the answer alone or, as what the stage appraise trains, of question and answer.
    """

    model: Any
    label: str
    question: bool
    batch: int = Field(ge=1)
    watch: str
    code: str

    @model_validator(mode="after")
    def _classifies(self) -> "Classifier":
        if self.model.name not in KINDS:
            raise ValueError(f"reward.classifier.model={self.model.name}: choose {' or '.join(KINDS)}")
        return self

    def check(self) -> None:
        """The model must be there and know the label; one of the hub is fetched by `pairs` alone."""
        try:
            self._metric.check()
        except FolioError as error:
            raise self._own(error) from error

    def __call__(self, answers: Sequence[Record]) -> list[float]:
        """Return the label's probability for every answer, of which the model reads as much as it can.

        Raises:
            FolioError: the model cannot be loaded, is no classifier or lacks the label.
        """
        try:
            return [value[self.label] for value in self._metric(answers)]
        except FolioError as error:
            raise self._own(error) from error

    def _own(self, error: FolioError) -> FolioError:
        """The metric's sentence with the keys of this reward."""
        text = str(error).replace("metric.classifier.labels", "metric.classifier.label")
        return FolioError(text.replace("metric.classifier", "reward.classifier"))

    @cached_property
    def _metric(self) -> Metric:
        knobs: dict[str, Any] = {"model": self.model, "labels": [self.label], "question": self.question}
        return Metric(name="classifier", better="higher", batch=self.batch, **knobs)  # type: ignore[call-arg]
