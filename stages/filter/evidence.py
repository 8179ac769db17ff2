"""Pairs whose quote stands in the passage, and whose answer the passage supports."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated

from pydantic import Field, model_validator

from stages.evidence import Evidence as Place
from stages.evidence import locate
from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.verdict import Verdict
from stages.words import WORD, content_words, count, plain

PRONOUN = {"1"}  # "one" is a pronoun more often than a number
FIGURE = re.compile(r"\d+(?:st|nd|rd|th|er|re|e|[eè]me|[ºª]|(?:['’/-]\d+)+)?", re.IGNORECASE)
NUMBER = re.compile(r"\d+(?:[.,'’]\d+)*")
# 10 000: thousands apart by a blank of some width (narrow ones are plain after NFKC).
BLANK_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?: \d{3})+)(?!\d)")
# "treinta y uno", "vingt et un", "vingt-et-un"
LINK = re.compile(
    r"\b(vingt|trente|quarante|cinquante|soixante|treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa)"
    r"[ -](?:et|y)[ -](?=(?:une?|una|uno|onze|dos|tres|cuatro|cinco|seis|siete|ocho|nueve)\b)",
    re.IGNORECASE,
)
ENDINGS = "mnrs"  # of a numeral that is declined
ENUMERATOR = re.compile(r"(?:^|(?<=[\s,;:]))\(?(\d{1,2})[.)]\s")


@setting
class Evidence(Option):
    """Reasons: `evidence_missing`, `unsupported_number`, `evidence_too_short`, `unsupported`.

    A quote is located exactly or, from `similarity`, nearly; the span comes back and the similarity is
    the score. A quote of fewer than `least_words` words proves an answer only by holding all of it.

    Every number of the answer must stand in the passage, in figures or as one of `numerals` (by language, a
    word's value; "twenty-one", "vingt et un" and "einundzwanzig" are put together from theirs). Of its other
    content words that the question does not say itself, at least the share `support` must stand in the
    passage; not in the quote, because an answer may name what its quote calls "it". But the quote must have
    something of the answer, or it is about something else. For a pair that is not
    supported the score is the share that is.
    """

    similarity: float = Field(ge=0.5, le=1)
    least_words: int = Field(ge=1)
    support: float = Field(ge=0, le=1)
    numerals: dict[str, dict[str, Annotated[int, Field(ge=0)]]]

    @model_validator(mode="after")
    def _single_words(self) -> "Evidence":
        for language, words in self.numerals.items():
            for word in words:
                if not WORD.fullmatch(word):
                    raise ValueError(f"filter.evidence.numerals.{language}: {word!r} is no single word")
        return self

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Say of each pair where its evidence stands and whether it supports the answer."""
        return [self._verdict(pair) for pair in pairs]

    def _verdict(self, pair: Record) -> Verdict:
        passage = pair["chunk"]["text"]
        place = self._place(pair, passage)
        if place.start == place.end or not WORD.search(passage[place.start : place.end]):
            return Verdict("evidence_missing", place.similarity)
        quote, span = passage[place.start : place.end], (place.start, place.end)
        numbers = self._numbers(pair, passage)
        if numbers < 1:
            return Verdict("unsupported_number", numbers, span)
        scrap = count(quote) < self.least_words
        if scrap and min(self._numbers(pair, quote), self._words(pair, quote)) < 1:
            return Verdict("evidence_too_short", place.similarity, span)
        words = self._words(pair, passage) if self._touches(pair, quote) else 0.0
        if words < self.support or words == 0:
            return Verdict("unsupported", words, span)
        return Verdict(None, place.similarity, span)

    def _place(self, pair: Record, passage: str) -> Place:
        if pair["evidence"] is not None:
            start, end = pair["evidence"]
            if 0 <= start < end <= len(passage) and passage[start:end] == pair["quote"]:
                return Place(start, end, 1.0)
        return locate(pair["quote"], passage, self.similarity)

    def _numbers(self, pair: Record, text: str) -> float:
        """The share of the answer's numbers that stand in a text; 1 for an answer without any."""
        known = _figures(text, joined=True) | _figures(text, joined=False)
        known |= self._named(text, pair["chunk"]["language"])
        shares = [len(told & known) / len(told) for told in self._readings(pair) if told]
        return max(shares, default=1.0)

    def _readings(self, pair: Record) -> list[set[str]]:
        """The answer's numbers, with and without taking 10 000 for one."""
        values = self._values.get(pair["chunk"]["language"], {})
        found = (_value(word, values) for word in _bare(LINK.sub(r"\1-", pair["answer"])))
        named = {value for value in found if value} - PRONOUN
        answer = _without_enumerators(pair["answer"])
        return [_figures(answer, joined=joined) | named for joined in (True, False)]

    def _words(self, pair: Record, text: str) -> float:
        """The share of what the answer says in words that stands in a text; 1 for one of numbers alone."""
        language = pair["chunk"]["language"]
        answer = self._content(pair)
        # "Which is larger, A or B?" says its answer; then all of it counts.
        claims = answer - content_words(pair["question"], language) or answer
        return len(claims & _known(text, language)) / len(claims) if claims else 1.0

    def _touches(self, pair: Record, quote: str) -> bool:
        """Whether the quote has any word or number of the answer."""
        words = self._content(pair) & _known(quote, pair["chunk"]["language"])
        return bool(words) or (any(self._readings(pair)) and self._numbers(pair, quote) > 0)

    def _content(self, pair: Record) -> set[str]:
        """The answer's content words beside its numbers; of one that has neither, all its words."""
        language = pair["chunk"]["language"]
        values = self._values.get(language, {})
        answer = WORD.sub(lambda word: "" if _is_number(word[0], values) else word[0], pair["answer"])
        content = content_words(answer, language)
        return content or (set() if any(self._readings(pair)) else _bare(pair["answer"]))

    def _named(self, text: str, language: str) -> set[str]:
        """The numbers that a text names in words, also in "seconds", "am dritten" and "four-week"."""
        values = self._values.get(language, {})
        found: set[str | None] = set()
        for word in _bare(LINK.sub(r"\1-", text)):
            parts = [word] if _value(word, values) else word.split("-")
            found.update(_value(part, values) or _value(part.rstrip(ENDINGS), values) for part in parts)
        return {value for value in found if value}

    @cached_property
    def _values(self) -> dict[str, dict[str, str]]:
        return {
            language: {plain(word): str(value) for word, value in words.items()}
            for language, words in self.numerals.items()
        }


def _bare(text: str) -> set[str]:
    return set(WORD.findall(plain(text)))


def _known(text: str, language: str) -> set[str]:
    return content_words(text, language) | _bare(text)


def _is_number(word: str, values: Mapping[str, str]) -> bool:
    # What is no number of an answer's own stays a word of it: "first".
    return bool(FIGURE.fullmatch(word)) or _value(plain(word), values) not in {None, *PRONOUN}


def _value(word: str, values: Mapping[str, str]) -> str | None:
    """The value of a numeral, also of one that has tens and units in either order."""
    if word in values:
        return values[word]
    pairs = [(word[: at.start()], word[at.end() :]) for at in re.finditer("-", word)]
    unit, _, ten = word.partition("und")
    for tens, units in [*pairs, (ten, unit)]:
        high, low = int(values.get(tens, 0)), int(values.get(units, 0))
        # Up to 19, as in "soixante-quinze".
        if high >= 20 and high % 10 == 0 and 0 < low < 20:
            return str(high + low)
    return None


def _figures(text: str, *, joined: bool) -> set[str]:
    """The numbers of a text in one notation: 10,000 and 10.000 become 10000, and with `joined` 10 000 too."""
    text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in plain(text))
    if joined:
        text = BLANK_THOUSANDS.sub(lambda match: match[0].replace(" ", ""), text)
    return {_canonical(number) for number in NUMBER.findall(text)}


def _canonical(number: str) -> str:
    first, *rest = re.split("[.,'’]", number)
    grouped = 0 < len(first) <= 3 and all(len(part) == 3 for part in rest)
    return ("" if grouped else ".").join([first.lstrip("0") or "0", *rest])


def _without_enumerators(answer: str) -> str:
    """The answer without 1. 2. 3. before the items of a list."""
    found = [int(number) for number in ENUMERATOR.findall(answer)]
    in_order = len(found) > 1 and found == list(range(1, len(found) + 1))
    return ENUMERATOR.sub(" ", answer) if in_order else answer
