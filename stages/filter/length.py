"""Questions and answers that are neither scraps nor speeches."""

from collections.abc import Sequence

from pydantic import Field, model_validator

from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.verdict import Verdict
from stages.words import count


@setting
class Length(Option):
    """`question_too_short`, `question_too_long`, `answer_too_short`, `answer_too_long`.

    Both bounds are within; the score is the number of words. Two characters of Chinese or Japanese,
    or four of Thai, count as a word.
    """

    question_words: tuple[int, int] = Field(strict=False)
    answer_words: tuple[int, int] = Field(strict=False)

    @model_validator(mode="after")
    def _ordered(self) -> "Length":
        for name in ("question_words", "answer_words"):
            least, most = getattr(self, name)
            if not 1 <= least <= most:
                raise ValueError(
                    f"filter.length.{name}={[least, most]}: give the least, 1 or more, then the most"
                )
        return self

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Say of each pair whether its question and its answer are of a length between the bounds."""
        return [self._verdict(pair) for pair in pairs]

    def _verdict(self, pair: Record) -> Verdict:
        for part, (least, most) in (("question", self.question_words), ("answer", self.answer_words)):
            words = count(pair[part])
            if not least <= words <= most:
                return Verdict(f"{part}_too_{'short' if words < least else 'long'}", float(words))
        return Verdict()
