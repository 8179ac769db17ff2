"""How much of an answer its passage supports."""

from collections.abc import Sequence
from typing import Literal

from stages.jsonl import Record
from stages.metric.faithfulness import Faithfulness as Metric
from stages.option import setting
from stages.worth import Reward


@setting
class Faithfulness(Reward):
    """A share of the metric `faithfulness`, which sees words alone; its docstring says what it does not see.

    An answer without a word of content ("no") cannot be measured so and has 0: else the safest way to be
    faithful would be to say nothing.
    """

    language: str
    figure: Literal["k_precision", "content", "numbers"]

    def __call__(self, answers: Sequence[Record]) -> list[float]:
        """Return the chosen share of every answer."""
        # They decide the metric's fourth figure alone.
        thresholds = {"least_content": 1.0, "least_numbers": 1.0}
        metric = Metric(name="faithfulness", language=self.language, **thresholds)  # type: ignore[call-arg]
        return [value.get(self.figure, 0.0) for value in metric(answers)]
