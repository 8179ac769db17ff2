"""An OpenAI-compatible endpoint reads passage, question and answer, and says what is wrong with the pair."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, Field

from stages.endpoint.asking import Asking, Form
from stages.endpoint.settings import Compatible
from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import setting
from stages.verdict import Verdict


class Judgement(BaseModel):
    """What the endpoint replies; `score` is from 1 (useless) to 5 (nothing to mend)."""

    answerable: bool
    correct: bool
    self_contained: bool
    score: int = Field(ge=1, le=5)


FORM = Form(
    name="judgement",
    version=1,
    content=Judgement,
    schema={
        "type": "object",
        "properties": {name: {"type": "boolean"} for name in ("answerable", "correct", "self_contained")}
        | {"score": {"type": "integer", "enum": [1, 2, 3, 4, 5]}},
        "required": list(Judgement.model_fields),
        "additionalProperties": False,
    },
    unit="pair",
)


@setting
class Judge(Compatible):
    """One call for each pair; a pair on which no readable judgement came is dropped as well."""

    place: ClassVar[str] = "filter.judge"
    needed: ClassVar[frozenset[str]] = frozenset({"passage", "question", "answer"})

    minimum: int = Field(ge=1, le=5)
    code: str

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Judge each pair; the verdict's score is the endpoint's, 1 to 5, or None where none came.

        Reasons: judged_unanswerable, judged_wrong, judged_dependent (not self-contained),
        judged_poor (below `minimum`), and judge_<why> where no readable reply came.

        Raises:
            FolioError: the endpoint refuses the key or the model, or is not there.
        """
        replies = Asking(self, FORM, self.texts, ledger).ask(pairs)
        return [self._verdict(judgement, fault) for judgement, fault in replies]

    def texts(self, pair: Record) -> tuple[str, str]:
        """What the system and the user say about a pair."""
        values = {"passage": pair["chunk"]["text"], "question": pair["question"], "answer": pair["answer"]}
        return self.filled(values)

    def _verdict(self, judgement: Judgement | None, fault: str | None) -> Verdict:
        if not judgement:
            return Verdict(f"judge_{fault}")
        findings = {
            "judged_unanswerable": not judgement.answerable,
            "judged_wrong": not judgement.correct,
            "judged_dependent": not judgement.self_contained,
            "judged_poor": judgement.score < self.minimum,
        }
        return Verdict(
            next((name for name, found in findings.items() if found), None), float(judgement.score)
        )
