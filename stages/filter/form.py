"""Questions that have the form of one, in the language of their document."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property

from pydantic import Field, model_validator

from stages.jsonl import Record
from stages.language import language_of, letter_bytes
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.verdict import Verdict
from stages.words import QUESTION_MARKS, WORD, patterns

# Greek has a question mark of its own, and Japanese may do without.
ENDS_OF = {"el": (";", "\u037e"), "ja": ("か。",)}
# Control characters, line ends, marks that turn the direction of writing, half and lost characters.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffd\ufffe\uffff\ud800-\udfff]"
)
BLANKS = str.maketrans("", "", "\n\t\r")  # these may stand in an answer
# Numbers, bullets and labels that a model puts before what it was asked for.
LABEL = re.compile(
    r"(?:q|question|frage|pregunta|domanda|вопрос|answer|antwort|réponse|respuesta|risposta|ответ|问题|答案|質問|回答)"
    r"\s*\d*\s*[:：.)]"
    r"|\(?\d{1,3}[.):]\s|[-*•#>]",
    re.IGNORECASE,
)
LEFTOVER = re.compile(
    r"(?<!\w)\*\*|\*\*(?!\w)|```|<\||\|>|\[/?INST\]|</?(?:s|question|answer|quote|passage|think|pairs?)>"
    r'|"(?:question|answer|quote)"\s*:|(?<!\w)(?:question|answer)\s*:',
    re.IGNORECASE,
)
QUOTES = str.maketrans(dict.fromkeys("“”„‟«»", '"'))


@setting
class Form(Option):
    """`malformed`: no single clean line that opens and ends like a question, or an empty answer.

    `other_language`: the question is surely in another language than its document; the score is
    the probability of that. `openings` holds, by language, regular expressions of which one fits the
    beginning of every question; in a language without any, a question may begin with any word.
    """

    openings: dict[str, list[str]]
    certainty: float = Field(ge=0.5, le=1)
    letter_bytes: int = Field(ge=1)

    @model_validator(mode="after")
    def _readable(self) -> "Form":
        _ = self._patterns
        return self

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Say of each pair whether question and answer have the form of one."""
        return [self._verdict(pair) for pair in pairs]

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return patterns("filter.form.openings", self.openings)

    def _verdict(self, pair: Record) -> Verdict:
        question, language = unicodedata.normalize("NFC", pair["question"]), pair["chunk"]["language"]
        if _is_empty(pair["answer"]) or not self._is_question(question, language):
            return Verdict("malformed")
        code, probability = language_of(question)
        sure = probability >= self.certainty and letter_bytes(question) >= self.letter_bytes
        return Verdict("other_language", probability) if sure and code != language else Verdict()

    def _is_question(self, question: str, language: str) -> bool:
        opening = self._patterns.get(language, WORD)
        return (
            question.endswith(QUESTION_MARKS + ENDS_OF.get(language, ()))
            and not UNPRINTABLE.search(question)
            and not LABEL.match(question.lstrip())
            and not LEFTOVER.search(question)
            and _is_balanced(question)
            and bool(opening.match(question.lstrip("¿ \"'“„«‘")))
        )


def _is_empty(answer: str) -> bool:
    """Whether nothing is said, or what cannot be written down."""
    bare = answer.strip(" \t\r\n.…-–—*\"'")
    return not bare or bool(UNPRINTABLE.search(answer.translate(BLANKS)) or LEFTOVER.search(answer))


def _is_balanced(question: str) -> bool:
    """Whether a quotation that begins or ends the question is whole; inches within it do not count."""
    marks = question.translate(QUOTES)
    at_ends = marks.startswith('"') or marks[-2:-1] == '"'
    return not at_ends or marks.count('"') % 2 == 0
