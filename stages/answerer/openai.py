"""An OpenAI-compatible endpoint answers questions from their passages alone."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from stages.endpoint.asking import Asking, Form
from stages.endpoint.settings import Compatible
from stages.endpoint.texts import Quote, one_line
from stages.ledger import Ledger
from stages.option import setting


class Answer(BaseModel):
    """What the endpoint replies; nothing: the passage does not answer the question."""

    answer: Quote


FORM = Form(
    name="answer",
    version=1,
    content=Answer,
    schema={
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    },
    unit="question",
)


@setting
class OpenAI(Compatible):
    """One call for each question; `prompt` says how to reply where the passage does not answer."""

    place: ClassVar[str] = "filter.round_trip.answerer"
    needed: ClassVar[frozenset[str]] = frozenset({"passage", "question"})

    watch: str
    code: str

    def __call__(
        self, questions: Sequence[tuple[str, str]], ledger: Ledger
    ) -> list[tuple[str | None, str | None]]:
        """Give for each (passage, question) the answer, or None and why no readable reply came.

        An empty answer: the endpoint says that the passage does not answer.

        Raises:
            FolioError: the endpoint refuses the key or the model, or is not there.
        """
        replies = Asking(self, FORM, self.texts, ledger).ask(questions)
        return [(one_line(reply.answer) if reply else None, fault) for reply, fault in replies]

    def texts(self, question: tuple[str, str]) -> tuple[str, str]:
        """What the system and the user say about a passage and its question."""
        return self.filled(dict(zip(("passage", "question"), question, strict=True)))
