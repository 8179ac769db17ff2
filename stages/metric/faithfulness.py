"""Whether an answer says what its passage says, by words and numbers alone."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import ClassVar

from pydantic import Field

from stages.figure import Metric
from stages.jsonl import Record
from stages.option import setting
from stages.words import ARTICLES, WORD, content_words, plain

THOUSANDS = re.compile(r"(?<=\d)[,'’](?=\d{3}(?!\d))")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@setting
class Faithfulness(Metric):
    """Lexical support of an answer by its passage, in each context; the question does not count.

    `k_precision` is the share of the answer's words, articles apart, that stand in the passage, a word as
    often as it stands there: K-Precision of Adlakha et al. (2023, arXiv:2307.16877), which among lexical
    measures followed people's judgement of faithfulness best. `content` counts words of content alone,
    each once and by its stem, and `numbers` the numbers in figures (1 for an answer without any).
    `supported` is 1 where both reach `least_content` and `least_numbers`.

    It sees words that were made up: names, terms, amounts. It does not see a false statement made of the
    passage's own words (a negation, exchanged roles, a number with the wrong thing), and takes a right
    paraphrase in other words, or a number in words, for unsupported. It does not say whether the question
    is answered.
    """

    reads: ClassVar[tuple[str, ...]] = ("passage",)

    language: str
    least_content: float = Field(ge=0, le=1)
    least_numbers: float = Field(ge=0, le=1)

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return four shares of every answer; nothing without a passage, or a word of content ("no", "")."""
        return [self._values(row["answer"], row["passage"]) for row in answers]

    def _values(self, answer: str, passage: str | None) -> dict[str, float]:
        said = content_words(answer, self.language)
        if not said or passage is None:
            return {}
        content = _share(said, content_words(passage, self.language))
        numbers = _share(_numbers(answer), _numbers(passage))
        supported = content >= self.least_content and numbers >= self.least_numbers
        return {
            "k_precision": k_precision(answer, passage),
            "content": content,
            "numbers": numbers,
            "supported": float(supported),
        }


def k_precision(answer: str, passage: str) -> float:
    """The share of the answer's words that stand in the passage; of no words all do."""
    said, known = _words(answer), _words(passage)
    return (said & known).total() / said.total() if said else 1.0


def _words(text: str) -> Counter[str]:
    return Counter(word for word in WORD.findall(plain(text)) if word not in ARTICLES)


def _numbers(text: str) -> set[str]:
    return set(NUMBER.findall(THOUSANDS.sub("", plain(text))))


def _share(said: Collection[str], known: Collection[str]) -> float:
    return sum(word in known for word in said) / len(said) if said else 1.0
