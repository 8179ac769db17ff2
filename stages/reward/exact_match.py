"""The same words as the reference, or not."""

from collections.abc import Sequence

from stages.jsonl import Record
from stages.metric.squad import Squad
from stages.option import setting
from stages.worth import Reward


@setting
class ExactMatch(Reward):
    """SQuAD's exact match, as the metric `squad` has it."""

    def __call__(self, answers: Sequence[Record]) -> list[float]:
        """Return 1 or 0 for every answer."""
        metric = Squad(name="squad")  # type: ignore[call-arg]
        return [value["exact"] for value in metric(answers)]
