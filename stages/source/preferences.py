"""Preferences as the stage `prefer` reads them, of which the prompt and the chosen answer are learnt from."""

from collections.abc import Iterator

from stages.conversation import alternating, answer_of, prompt_of
from stages.jsonl import Record
from stages.option import setting
from stages.tabular import Entry, Fields, Tabular
from stages.unusable import field, plain_text


@setting
class Preferences(Tabular):
    """One preference a row: its prompt's last turn is the question, its chosen answer the answer.

    Rejected answers are not read. `chunk` is what the stage `prefer` calls `group`.
    """

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield the entry of each row."""
        return self.each(self._entry)

    def _entry(self, row: Fields) -> Record:
        messages = prompt_of(row)
        answer = plain_text(answer_of(field(row, "chosen"), messages), "chosen", self.characters)
        *history, question = alternating([self.trimmed(message) for message in messages])
        return {"question": question["content"], "answer": answer, "history": history}
