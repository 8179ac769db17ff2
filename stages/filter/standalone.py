"""Questions that can be understood without their passage."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property

from pydantic import Field, model_validator

from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.verdict import Verdict
from stages.words import SEARCHED, content_words, patterns


@setting
class Standalone(Option):
    """`dangling`: words that point outside the question; `vague`: too few content words, which are the score.

    `pointing` holds, by language, regular expressions of such words; in a language without any nothing
    dangles. A definition ("What is phishing?") may have one content word less than others.
    """

    pointing: dict[str, list[str]]
    least_content_words: int = Field(ge=0)

    @model_validator(mode="after")
    def _readable(self) -> "Standalone":
        _ = self._patterns
        return self

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Say of each pair whether its question stands alone."""
        return [self._verdict(pair) for pair in pairs]

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return patterns("filter.standalone.pointing", self.pointing)

    def _verdict(self, pair: Record) -> Verdict:
        language = pair["chunk"]["language"]
        question = unicodedata.normalize("NFC", pair["question"])
        pointing = self._patterns.get(language)
        if pointing and pointing.search(question[:SEARCHED]):
            return Verdict("dangling")
        words = len(content_words(question, language))
        least = self.least_content_words - (pair["kind"] == "definition")
        return Verdict("vague" if words < least else None, float(words))
