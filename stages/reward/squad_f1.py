"""Words shared with the reference."""

from collections.abc import Sequence

from stages.jsonl import Record
from stages.metric.squad import Squad
from stages.option import setting
from stages.worth import Reward


@setting
class SquadF1(Reward):
    """SQuAD's F1, as the metric `squad` has it."""

    def __call__(self, answers: Sequence[Record]) -> list[float]:
        """Return F1 of every answer."""
        metric = Squad(name="squad")  # type: ignore[call-arg]
        return [value["f1"] for value in metric(answers)]
