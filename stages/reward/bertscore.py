"""Nearness of meaning to the reference."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from pydantic import Field

from stages.errors import FolioError
from stages.jsonl import Record
from stages.metric.bertscore import Bertscore as Metric
from stages.option import setting
from stages.worth import Reward


@setting
class Bertscore(Reward):
    """BERTScore F1, as the metric `bertscore` has it; one below 0, of unlike texts, counts as 0."""

    package: str
    layers: int = Field(ge=1)
    batch: int = Field(ge=1)

    def __call__(self, answers: Sequence[Record]) -> list[float]:
        """Return BERTScore F1 of every answer.

        Raises:
            FolioError: the package of the embedding model is not installed.
        """
        try:
            values = self._metric(answers)
        except FolioError as error:
            raise FolioError(str(error).replace("metric.bertscore", "reward.bertscore")) from error
        return [max(value["bertscore"], 0.0) for value in values]

    @cached_property
    def _metric(self) -> Metric:
        knobs: dict[str, Any] = {"package": self.package, "layers": self.layers, "batch": self.batch}
        return Metric(name="bertscore", **knobs)  # type: ignore[call-arg]
