"""What an answer is worth: rewards, each 0 to 1, and their weighted sum."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field, model_validator

from stages.errors import FolioError
from stages.jsonl import Record
from stages.option import Option, setting

# What rounding may add to a figure that lies between 0 and 1.
ROUNDING = 1e-5


@setting
class Reward(Option):
    """One thing that is wanted of an answer.

    A subclass's `__call__` returns a number from 0 to 1 for every answer record, which holds `answer`,
    `reference`, `question` and `passage`. In the sum it counts `weight` times; a weight below 0 makes
    a penalty of it.
    """

    weight: float = Field(ge=-100, le=100)

    @model_validator(mode="after")
    def _counts(self) -> "Reward":
        if not self.weight:
            raise ValueError(f"reward.{self.name}.weight=0 counts for nothing: leave it out of reward=[...]")
        return self

    def __call__(self, answers: Sequence[Record]) -> list[float]:
        """A number from 0 to 1 for every answer; none of them is empty."""
        raise NotImplementedError


@dataclass(frozen=True)
class Worth:
    """The weighted sum of an answer's rewards, and each of them by name, 0 to 1, without its weight."""

    total: float
    parts: dict[str, float]


def is_empty(answer: str) -> bool:
    """Whether an answer says nothing: it has no letter and no digit."""
    return not any(map(str.isalnum, answer))


def worth(rewards: Sequence[Reward], answers: Sequence[Record]) -> list[Worth]:
    """What each answer is worth: the sum over rewards of weight times value, six places.

    An empty answer gets the least sum that there is, the sum of the weights below 0, and no reward is
    asked about it: else one that never says anything wrong would be worth something.

    Raises:
        FolioError: a reward gives what is no number from 0 to 1.
    """
    said = [row for row in answers if not is_empty(row["answer"])]
    columns = {reward.name: iter(_values(reward, said)) for reward in rewards}
    found = []
    for row in answers:
        if is_empty(row["answer"]):
            parts = {reward.name: float(reward.weight < 0) for reward in rewards}
        else:
            parts = {name: next(values) for name, values in columns.items()}
        total = sum(reward.weight * parts[reward.name] for reward in rewards)
        found.append(Worth(round(total, 6), parts))
    return found


def _values(reward: Reward, answers: Sequence[Record]) -> list[float]:
    values = reward(answers) if answers else []
    for value in values:
        if not -ROUNDING <= value <= 1 + ROUNDING:  # NaN is neither
            raise FolioError(f"reward.{reward.name} gives {value:g}, which is not between 0 and 1")
    return [round(min(max(value, 0.0), 1.0), 6) for value in values]
