"""Questions that their answer fits: its words, its order, what it tells, what the opening asks for."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Annotated

from pydantic import Field, model_validator

from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.recast import FILLER
from stages.topic import topic
from stages.verdict import Verdict
from stages.words import SEARCHED, WORD, content_words, patterns, plain

KEY = "filter.fit.openings"
SUBJECT = "{0}"  # in what an answer must hold: what the brackets of the opening held
STEM = 5  # letters in which the forms of a word agree, but for an s: holds, hold; depending, depends

VERB = "should|must|may|can|could|will|would|might|shall|is|are|was|were|has|have"
# Words that belong to the asking and not to what is asked about: "How many boats are there?",
# "What does malware mean?", "If the alarm fails, what must the crew do?".
MEASURE = re.compile(r"\bhow (?:many|much|often|long|far|old|large|high|soon)\b", re.IGNORECASE)
ASKING = re.compile(
    rf"\b(?:mean|happen(?:s|ed)?|stand for|do|does|did)\b|, and (?:wh\w+|how)(?=\W*$)"
    rf"|(?<=, )(?:wh\w+|how)\b(?: (?:{VERB})\b)?",
    re.IGNORECASE,
)
# The same in other languages, where the order of words does not count.
MEASURE_OF = {
    "de": r"wie ?(?:viele?[mnrs]?|oft|lange|weit|alt|groß|hoch|bald|häufig)",
    "fr": r"combien(?: de (?:fois|temps))?|à quelle (?:fréquence|distance|hauteur)",
    "es": r"cuánt[oa]s?(?: (?:veces|tiempo))?|con qué frecuencia|a qué (?:distancia|altura)",
}
ASKING_OF = {
    "de": r"bedeute[nt]|heißt|versteht man|passiert|geschieht|steht|tun",
    "fr": r"signifie(?:nt)?|veut dire|entend-on|se passe(?:-t-il)?|faire|fait",
    "es": r"significan?|quieren? decir|se entiende|ocurre|sucede|hacer",
}
# "Wer prüft die Boote?": "Die Boote werden geprüft." "Wer führt die Übung durch?": "... wird durchgeführt."
PARTICIPLE = re.compile(
    r"\b(?:ab|an|auf|aus|bei|dar|durch|ein|fest|her|hin|mit|nach|über|um|vor|weg|zu|zurück|zusammen)?"
    r"ge(?=\w{3,}(?:t|en)\b)",
    re.IGNORECASE,
)
# "The boats are inspected by an officer.": "Who inspects the boats?"
PASSIVE = re.compile(
    r"(?P<object>[^,;:]+?) (?:is|are|was|were|been|be) (?P<verb>(?:\w+ly )?\w+(?:ed|en|wn|ne|pt|nt|ht|ld|un))"
    r" by (?!(?:default|hand)\b|\d)(?P<agent>.+)",
    re.IGNORECASE | re.DOTALL,
)
OPENING = re.compile(rf"\w+(?: (?:{VERB})\b)?", re.IGNORECASE)
# "How many boats does a ferry hold?": what is asked for stands before its verb.
FRONTED = re.compile(
    rf"(?:how|what|which) (?P<what>(?:[\w’'-]+ ){{1,5}}?)(?:{VERB}|do|does|did) (?P<rest>.+)", re.IGNORECASE
)

# Where a clause ends, and how many of a sentence are tried.
CLAUSE = re.compile(r"[,;:—–]\s+")
CLAUSES = 12

# "What should the team {rest}?", and prepositions that may end such a question.
OBJECT = re.compile(
    r"(?:what|whom?) (?P<verb>should|must|may|can|could|will|would|might|shall) (?P<rest>.+)\?",
    re.IGNORECASE,
)
PREPOSITIONS = frozenset(
    "about after against among and as at because before between but by during for from if in into of on or "
    "over so than that through to under until using via when where which while who with within "
    "without".split()
)


@setting
class Fit(Option):
    """`foreign_words`, `off_topic`, `other_order`, `echoes_answer`, `wrong_opening`, `nothing_asked`.

    A local model's answer is a sentence, and a question about it keeps its words and their order; a
    larger model's questions may use words and an order of their own. The order counts in English alone:
    other languages turn their questions around freely. Where a figure decided, it is the
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
        # A heading that is the question is the author's own, and its answer stands below it.
        return [
            Verdict() if pair["question"] == topic(pair["chunk"]) else self._verdict(pair) for pair in pairs
        ]

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[re.Pattern[str], str]]]:
        return {
            language: [_compiled(language, *entry) for entry in entries]
            for language, entries in self.openings.items()
        }

    def _verdict(self, pair: Record) -> Verdict:
        language, source = pair["chunk"]["language"], _source(pair)
        question = unicodedata.normalize("NFC", pair["question"])
        asked = content_words(_about(question, language), language)
        told, answer = (
            content_words(_with_verbs(source, language), language),
            content_words(pair["answer"], language),
        )
        foreign = len(asked - told - content_words(topic(pair["chunk"]), language))
        if foreign > self.foreign_words:
            return Verdict("foreign_words", float(foreign))
        if not asked & told:
            return Verdict("off_topic")
        if language == "en" and (order := in_order(question, source)) < self.order:
            return Verdict("other_order", round(order, 4))
        answer |= _counts(question, pair["answer"], language)
        untold = len(answer - asked)
        if untold < min(self.untold_words, len(answer)):
            return Verdict("echoes_answer", float(untold))
        if self._wrong_opening(question, source, language):
            return Verdict("wrong_opening")
        return Verdict("nothing_asked" if language == "en" and nothing_asked(question, source) else None)

    def _wrong_opening(self, question: str, source: str, language: str) -> bool:
        """Whether the first entry that fits the question finds nothing in the whole of its answer."""
        for asked, told in self._patterns.get(language, []):
            if match := asked.match(question[:SEARCHED]):
                subject = re.escape(match[1] or "") if asked.groups else ""
                wanted = told.replace(SUBJECT, subject)
                return len(source) <= SEARCHED and not re.search(wanted, source, re.IGNORECASE)
        return False


def _compiled(language: str, asked: str, told: str) -> tuple[re.Pattern[str], str]:
    for part in (asked, told.replace(SUBJECT, "x")):
        # What it returns holds whole words alone; here an expression may begin or end within one.
        patterns(KEY, {language: [part]})
    opening = re.compile(asked, re.IGNORECASE)
    if SUBJECT in told and opening.groups != 1:
        raise ValueError(f"{KEY}.{language}: {SUBJECT} needs one pair of brackets in {asked!r}")
    return opening, told


def _source(pair: Record) -> str:
    """The words that a question is about: its evidence, and before it an answer in words of its own."""
    start, end = pair["evidence"] or (0, 0)
    evidence: str = pair["chunk"]["text"][start:end]
    source = evidence if pair["answer"] in evidence else f"{pair['answer']} {evidence}"
    return unicodedata.normalize("NFC", source)


def _about(question: str, language: str) -> str:
    """The question without the words that belong to the asking."""
    if language == "en":
        return ASKING.sub(" ", MEASURE.sub("how", question))
    words = "|".join(forms[language] for forms in (MEASURE_OF, ASKING_OF) if language in forms)
    return re.sub(rf"\b(?:{words})\b", " ", question, flags=re.IGNORECASE) if words else question


def _counts(question: str, answer: str, language: str) -> set[str]:
    """The stems that the answer adds where a measure is asked for: lists of function words hold numbers."""
    measure = MEASURE_OF.get(language)
    asked = measure and re.search(rf"\b(?:{measure})\b", question, re.IGNORECASE)
    return set(_stems(answer)) - set(_stems(question)) if asked else set()


def _with_verbs(source: str, language: str) -> str:
    """The source, in German once more with the verbs of its participles."""
    return f"{source} {PARTICIPLE.sub('', source)}" if language == "de" else source


def in_order(question: str, source: str) -> float:
    """The share of an English question's words behind its opening that stand in the source, in that order.

    That is the longest common subsequence of the two texts' stems over the number of the question's;
    1 for a question without such words. A clause may have changed its place: "Before a drill, the crew
    tests the alarm." gives "What does the crew test before a drill?". And a passive may become active.
    """
    from rapidfuzz.distance import LCSseq

    found = [_stems(reading) for reading in _turned(source)]
    shares = [
        LCSseq.similarity(words, reading) / len(words) if words else 1.0
        for words in map(_stems, _asked(question))
        for reading in found
    ]
    return max(shares)


def _asked(question: str) -> Iterator[str]:
    """The question behind its opening; where it begins with an object, also with that behind its verb."""
    measured = MEASURE.sub("how", question)
    yield ASKING.sub(" ", OPENING.sub("", measured, count=1))
    if fronted := FRONTED.match(measured[:SEARCHED]):
        yield ASKING.sub(" ", f"{fronted['rest']} {fronted['what']}")


def _turned(source: str) -> list[str]:
    """The source as it stands, with what follows each of its first clauses put first, and made active."""
    ends = [match.end() for match in islice(CLAUSE.finditer(source[:SEARCHED]), CLAUSES)]
    turned = [f"{source[end:]} {source[:end]}" for end in [0, *ends]]
    if passive := PASSIVE.match(source[:SEARCHED]):
        turned.append(f"{passive['verb']} {passive['object']} {passive['agent']}")
    return turned


def nothing_asked(question: str, source: str) -> bool:
    """Whether an English question leaves no gap: "What should the team avoid borrowing items?"

    It repeats subject and predicate whole, so that nothing is left that "what" could stand for.
    """
    match = OBJECT.fullmatch(question[:SEARCHED])
    if not match:
        return False
    verb, rest = match["verb"].casefold(), _words(match["rest"])
    found = _words(FILLER.sub("", source[:SEARCHED]))
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
    return [word[:STEM].rstrip("s") or word for word in _words(text)]


def _find(part: list[str], whole: list[str]) -> int | None:
    places = range(len(whole) - len(part) + 1)
    return next((at for at in places if whole[at : at + len(part)] == part), None)
