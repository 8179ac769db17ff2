"""Pairs whose question, asked again of the passage alone, gets their answer."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.verdict import Verdict
from stages.words import PAIRED_OR_HIRAGANA, WORD, plain

ARTICLES = {"en": frozenset({"a", "an", "the"})}


@setting
class RoundTrip(Option):
    """A question must lead back to its answer.

    Reasons: `unanswered`, the answerer says that the passage does not answer; `no_round_trip`, it says
    something else; `round_trip_<why>`, it gave no answer that can be read.

    The score is the highest F1 of its answer with the pair's answer or with the evidence, each with and
    without the question's words: where the pair's answer is a whole sentence, "The captain." is right,
    and where it is a word of its evidence, the sentence is.
    """

    answerer: Any
    agreement: float = Field(ge=0, le=1)

    @field_validator("answerer")
    @classmethod
    def _chosen(cls, answerer: Any) -> Any:
        if isinstance(answerer, Option):
            return answerer
        raise ValueError(
            "filter.round_trip.answerer is no option: "
            "choose one with answerer@filter.round_trip.answerer=local or =openai"
        )

    def check(self) -> None:
        """What the answerer needs must be there."""
        self.answerer.check()

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Say of each pair whether its question leads back to its answer; each question is asked once."""
        questions = [(pair["chunk"]["text"], pair["question"]) for pair in pairs]
        once = list(dict.fromkeys(questions))
        answers = dict(zip(once, self.answerer(once, ledger), strict=True))
        return [self._verdict(pair, answers[asked]) for pair, asked in zip(pairs, questions, strict=True)]

    def _verdict(self, pair: Record, reply: tuple[str | None, str | None]) -> Verdict:
        answer, fault = reply
        if fault:
            return Verdict(f"round_trip_{fault}")
        if not answer or not plain(answer).strip():
            return Verdict("unanswered")
        start, end = pair["evidence"] or (0, 0)
        references = [pair["answer"], pair["chunk"]["text"][start:end]]
        known = ["", pair["question"]]
        language = pair["chunk"]["language"]
        score = max(f1(answer, text, language, told) for text in references for told in known)
        return Verdict("no_round_trip" if score < self.agreement else None, round(score, 4))


def f1(answer: str, reference: str, language: str, told: str = "") -> float:
    """The harmonic mean of precision and recall of an answer's words, repeated ones counted as often.

    SQuAD's F1 (Rajpurkar et al., 2016, arXiv:1606.05250, section 6.1) for any script. `language` is an
    ISO 639-1 code; words that stand in `told` count on neither side.
    """
    said, expected, known = (_words(text, language) for text in (answer, reference, told))
    for word in known:
        del said[word], expected[word]
    shared = (said & expected).total()
    return 2 * shared / (said.total() + expected.total()) if shared else 0.0


def _words(text: str, language: str) -> Counter[str]:
    """How often each word occurs, folded and but for articles; a text without any is one word itself.

    Where a script has no blanks between words, and in Korean, each pair of neighbouring characters is
    a word, and a lone one.
    """
    folded = plain(text)
    runs = PAIRED_OR_HIRAGANA.findall(folded)
    found = Counter(run[at : at + 2] for run in runs for at in range(max(1, len(run) - 1)))
    found.update(WORD.findall(PAIRED_OR_HIRAGANA.sub(" ", folded)))
    for article in ARTICLES.get(language, ()):
        del found[article]
    return found or Counter([folded.strip()])
