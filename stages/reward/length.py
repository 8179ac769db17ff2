"""Whether an answer is as long as it should be."""

from collections.abc import Sequence

from pydantic import Field, model_validator

from stages.jsonl import Record
from stages.option import setting
from stages.words import count
from stages.worth import Reward


@setting
class Length(Reward):
    """1 within a band of words; outside it falls off linearly, to 0 at `fall` words from its nearer end."""

    words: tuple[int, int] = Field(strict=False)
    fall: int = Field(ge=1)

    @model_validator(mode="after")
    def _band(self) -> "Length":
        if not 0 <= self.words[0] <= self.words[1]:
            raise ValueError(f"reward.length.words={list(self.words)}: fewest and most, from 0")
        return self

    def __call__(self, answers: Sequence[Record]) -> list[float]:
        """Return the value of every answer; its words are counted as the filter `length` counts them."""
        return [self._value(count(row["answer"])) for row in answers]

    def _value(self, words: int) -> float:
        fewest, most = self.words
        return max(0.0, 1 - max(fewest - words, words - most, 0) / self.fall)
