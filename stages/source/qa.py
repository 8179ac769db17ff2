"""Questions with answers, each of which may stand in a passage: any table with columns for them."""

from collections.abc import Iterator

from stages.jsonl import Record
from stages.option import setting
from stages.tabular import Entry, Fields, Tabular


@setting
class Qa(Tabular):
    """One question a row, under the field names given; `passage` may be null, as may a row's passage."""

    question: str
    answer: str
    passage: str | None

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield the entry of each row."""
        return self.each(self._entry)

    def _entry(self, row: Fields) -> Record:
        return {
            "question": self.filled(row, self.question, "empty_question"),
            "answer": self.filled(row, self.answer, "empty_answer"),
            "passage": self.optional(row, self.passage),
        }
