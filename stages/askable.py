"""Which sentences of a passage can be asked about alone, and why the others cannot."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stages.recast import acronym
from stages.sentences import spans
from stages.words import QUESTION_MARKS, count

# A sentence that leans on the one before it, in English.
LEANING = re.compile(
    r"(this|these|those|it|they|he|she|such|that|its|their|however|also|for example|in addition|"
    r"additionally|therefore|thus|otherwise|both|another|others?|some|as a result|similarly|then|"
    r"instead|each|note|see|figure|table|section|appendix)\b",
    re.IGNORECASE,
)
MARKER = re.compile(r"(?:[-•*]|\d{1,3}[.)])[^\S\n]+")
ITEM = re.compile(rf"\n{MARKER.pattern}[^\n]+")
ENDS = (".", "!", "。", "！", "।", "．")
# Reasons that a sentence may be asked in spite of, where its passage has none without.
SECOND_CHOICE = ("leaning", "unfinished")


@dataclass(frozen=True)
class Sentence:
    """Characters [start, end) of a passage; `reason`: why it is not asked about, None where it is."""

    start: int
    end: int
    reason: str | None


def sentences(text: str, language: str, words: tuple[int, int]) -> list[Sentence]:
    """Every sentence of a passage, without the marker of a list; `language` is an ISO 639-1 code.

    `words`: the fewest and the most of a sentence that is asked about. A passage in which every sentence
    has a reason is asked about the ones whose reason is a second choice.
    """
    found = [_judged(text, start, end, language, words) for start, end in _parts(text, language)]
    found = [_with_items(text, sentence, words[1]) for sentence in found]
    if any(sentence.reason is None for sentence in found):
        return found
    return [
        Sentence(sentence.start, sentence.end, None) if sentence.reason in SECOND_CHOICE else sentence
        for sentence in found
    ]


def _with_items(text: str, sentence: Sentence, most: int) -> Sentence:
    """A sentence that ends in a colon, with all items below it; half a list would be a wrong answer."""
    if text[sentence.end - 1] != ":" or sentence.reason not in (None, "unfinished", "leaning", "too_short"):
        return sentence
    end, items = sentence.end, 0
    # So many items are too long at a word each; a text of many such sentences is not walked for each of them.
    while items <= 2 * most and (match := ITEM.match(text, end)):
        end, items = match.end(), items + 1
    if items < 2:
        return sentence
    further = ITEM.search(text, end)
    torn = further and not text[end : further.start()].rstrip().endswith(":")
    long = items > 2 * most or count(text[sentence.start : end]) > 2 * most
    return Sentence(sentence.start, end, "long_list" if long else "torn_list" if torn else None)


def torn(sentence: Sentence, text: str, following: str) -> bool:
    """Whether a list that ends with its passage goes on in the following one."""
    listed = ITEM.search(text, sentence.start, sentence.end)
    return bool(listed and sentence.end == len(text.rstrip()) and MARKER.match(following))


def opening(text: str, language: str, most: int) -> Sentence | None:
    """The first whole sentences of a passage, `most` words together; None where the first is longer."""
    parts = list(spans(text, language))
    fitting = [(start, end) for start, end in parts if count(text[parts[0][0] : end]) <= most]
    return Sentence(parts[0][0], fitting[-1][1], None) if fitting else None


def _parts(text: str, language: str) -> Iterator[tuple[int, int]]:
    for begin, end in spans(text, language):
        marker = MARKER.match(text, begin, end)
        start = marker.end() if marker else begin
        if start < end:
            yield start, end


def _judged(text: str, start: int, end: int, language: str, words: tuple[int, int]) -> Sentence:
    sentence = text[start:end]
    size, is_row = count(sentence), acronym(sentence) is not None
    reasons = {
        "table_row": " | " in sentence and not is_row,
        "link": "http://" in sentence or "https://" in sentence or "www." in sentence,
        "question": sentence.endswith(QUESTION_MARKS),
        "too_short": size < words[0] and not is_row,
        "too_long": size > words[1],
        "fragment": sentence[:1].islower(),
        "unfinished": not sentence.endswith(ENDS) and not is_row,
        "leaning": language == "en" and bool(LEANING.match(sentence)),
    }
    return Sentence(start, end, next((reason for reason, holds in reasons.items() if holds), None))
