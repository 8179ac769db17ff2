"""SQuAD's JSON, versions 1.1 and 2, and the table that the hub makes of it."""

from collections.abc import Iterator
from typing import Any

from stages.jsonl import Record
from stages.option import setting
from stages.tabular import Entry, Tabular
from stages.unusable import UnusableError, attempt, excerpt, field


@setting
class Squad(Tabular):
    """Articles with paragraphs with questions; `line` counts the questions. The first answer is the answer.

    A question that its passage does not answer is counted as `unanswerable`.
    """

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield the entry of each question."""
        found = (entry for _, row in self.numbered() for entry in self._questions(row))
        yield from enumerate(found, start=1)

    def _questions(self, row: Any) -> Iterator[Entry]:
        if isinstance(row, UnusableError):
            yield row
        elif "paragraphs" not in row:  # the hub's table
            yield attempt(self._entry, row, row)
        else:
            for paragraph in _within(row, "paragraphs"):
                for question in _within(paragraph, "qas"):
                    yield attempt(self._entry, paragraph, question)

    def _entry(self, paragraph: Any, question: Any) -> Record:
        passage = self.filled(_checked(paragraph), "context", "empty_passage")
        text = self.filled(_checked(question), "question", "empty_question")
        answers = _texts(field(question, "answers"))
        if question.get("is_impossible") is True or not answers:
            raise UnusableError("unanswerable", excerpt(text))
        answer = self.filled({"answer": answers[0]}, "answer", "empty_answer")
        return {"question": text, "answer": answer, "passage": passage}


def _within(parent: Any, key: str) -> list[Any]:
    """The parts of an article or a paragraph, or in place of them the reason why there are none."""
    found = attempt(lambda: field(_checked(parent), key))
    if not isinstance(found, list | UnusableError):
        found = UnusableError("wrong_type", f"{key} is {excerpt(found)}")
    return found if isinstance(found, list) else [found]


def _checked(part: Any) -> dict[str, Any]:
    if isinstance(part, UnusableError):
        raise part
    if not isinstance(part, dict):
        raise UnusableError("wrong_type", excerpt(part))
    return part


def _texts(answers: Any) -> list[Any]:
    """The texts of a list of {text, answer_start}, or of one such of lists."""
    if isinstance(answers, dict):
        answers = field(answers, "text")
    if not isinstance(answers, list):
        raise UnusableError("wrong_type", f"the answers are {excerpt(answers)}")
    return [one.get("text") if isinstance(one, dict) else one for one in answers]
