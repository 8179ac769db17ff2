"""Questions that their answer fits: its words, its order, what it tells, what the opening asks for."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated

from pydantic import Field, model_validator

from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.recast import FILLER
from stages.topic import topic
from stages.verdict import Verdict
from stages.words import WORD, content_words, patterns, plain

# Characters of a text that are searched: the expressions are the user's, and may take long.
LONGEST = 2_000
KEY = "filter.fit.openings"
SUBJECT = "{0}"  # in what an answer must hold: what the brackets of the opening held
STEM = 5  # letters in which the forms of a word agree: depend, depends

# Words that belong to the asking and not to what is asked about: "How many boats are there?",
# "What does malware mean?", "What does the team do when ...?".
MEASURE = re.compile(r"\bhow (?:many|much|often|long|far|old|large|high|soon)\b", re.IGNORECASE)
ASKING = re.compile(r"\b(?:mean|happen|stand for|do|does|did)\b", re.IGNORECASE)
VERBS = frozenset("should must may can could will would might shall is are was were has have".split())

# "What should the team {rest}?", and prepositions that may end such a question.
OBJECT = re.compile(
    r"(?:what|whom?) (?P<verb>should|must|may|can|could|will|would|might|shall) (?P<rest>.+)\?",
    re.IGNORECASE,
)
PREPOSITIONS = frozenset(
    "about after against among and as at because before between but by during for from if in into of on or "
    "over so than that through to under until using via when where which while who with within without".split()
)


@setting
class Fit(Option):
    """Reasons: `foreign_words`, `off_topic`, `other_order`, `echoes_answer`, `wrong_opening`, `nothing_asked`.

    A local model's answer is a sentence, and a question about it keeps its words and their order; a
    larger model's questions may use words and an order of their own. Where a figure decided, it is the
    score: the number of foreign words, the share in order, the number of words that the question leaves
    unsaid. `openings` holds, by language, pairs of regular expressions: a question that the first fits
    from its beginning must find the second in its answer; the first such pair counts.
    """

    foreign_words: int = Field(ge=0)
    order: float = Field(ge=0, le=1)
    untold_words: int = Field(ge=0)
    openings: dict[str, list[Annotated[tuple[str, str], Field(strict=False)]]]

    @model_validator(mode="after")
    def _readable(self) -> "Fit":
        _ = self._patterns
        return self

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Say of each pair whether question and answer belong together."""
        return [self._verdict(pair) for pair in pairs]

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[re.Pattern[str], str]]]:
        found = {}
        for language, entries in self.openings.items():
            told = [wanted.replace(SUBJECT, "x") for _, wanted in entries]
            # Only to have them checked: they are used one by one, and may begin or end within a word.
            patterns(KEY, {language: [asked for asked, _ in entries]})
            patterns(KEY, {language: told})
            found[language] = [(re.compile(asked, re.IGNORECASE), wanted) for asked, wanted in entries]
            for asked, wanted in found[language]:
                if SUBJECT in wanted and asked.groups != 1:
                    raise ValueError(f"{KEY}.{language}: {SUBJECT} needs one pair of brackets in {asked.pattern!r}")
        return found

    def _verdict(self, pair: Record) -> Verdict:
        language, source = pair["chunk"]["language"], _source(pair)
        question = unicodedata.normalize("NFC", pair["question"])
        asked = content_words(ASKING.sub(" ", MEASURE.sub("how", question)), language)
        told, answer = content_words(source, language), content_words(pair["answer"], language)
        foreign = len(asked - told - content_words(topic(pair["chunk"]), language))
        if foreign > self.foreign_words:
            return Verdict("foreign_words", float(foreign))
        if not asked & told:
            return Verdict("off_topic")
        if (order := in_order(question, source)) < self.order:
            return Verdict("other_order", round(order, 4))
        untold = len(answer - asked)
        if untold < min(self.untold_words, len(answer)):
            return Verdict("echoes_answer", float(untold))
        if self._wrong_opening(question, source, language):
            return Verdict("wrong_opening")
        return Verdict("nothing_asked" if language == "en" and nothing_asked(question, source) else None)

    def _wrong_opening(self, question: str, source: str, language: str) -> bool:
        """Whether the first entry that fits the question finds nothing in the whole of its answer."""
        for asked, told in self._patterns.get(language, []):
            if match := asked.match(question[:LONGEST]):
                subject = re.escape(match[1] or "") if asked.groups else ""
                wanted = told.replace(SUBJECT, subject)
                return len(source) <= LONGEST and not re.search(wanted, source, re.IGNORECASE)
        return False


def _source(pair: Record) -> str:
    """The words that a question is about: its evidence, and before it an answer in words of its own."""
    start, end = pair["evidence"] or (0, 0)
    evidence: str = pair["chunk"]["text"][start:end]
    source = evidence if pair["answer"] in evidence else f"{pair['answer']} {evidence}"
    return unicodedata.normalize("NFC", source)


def in_order(question: str, source: str) -> float:
    """The share of the question's words behind its opening that stand in the source, in that order.

    A clause may have changed its place once: "Before a drill, the crew tests the alarm." gives "What
    does the crew test before a drill?". So it is the longest common subsequence of the question's stems
    and the source's, these twice, over the number of the question's; 1 for a question without such words.
    """
    from rapidfuzz.distance import LCSseq

    opening, *rest = _stems(ASKING.sub(" ", MEASURE.sub("how", question))) or [""]
    rest = rest[1:] if rest and rest[0] in VERBS else rest
    return LCSseq.similarity(rest, _stems(source) * 2) / len(rest) if rest else 1.0


def nothing_asked(question: str, source: str) -> bool:
    """Whether an English question leaves no gap: "What should the team avoid borrowing items?"

    It repeats subject and predicate whole, so that nothing is left that "what" could stand for.
    """
    match = OBJECT.fullmatch(question[:LONGEST])
    if not match:
        return False
    verb, rest = match["verb"].casefold(), _words(match["rest"])
    found = _words(FILLER.sub("", source[:LONGEST]))
    if not rest or _find([verb, *rest], found) is not None:  # the subject is what is asked for
        return False
    bare = [word for word in found if word != verb]
    at = _find(rest, bare)
    if at is None or rest[-1] in PREPOSITIONS:
        return False
    after = bare[at + len(rest) : at + len(rest) + 1]
    return not after or after[0] in PREPOSITIONS


def _words(text: str) -> list[str]:
    return WORD.findall(plain(text))


def _stems(text: str) -> list[str]:
    return [word[:STEM] for word in _words(text)]


def _find(part: list[str], whole: list[str]) -> int | None:
    places = range(len(whole) - len(part) + 1)
    return next((at for at in places if whole[at : at + len(part)] == part), None)
