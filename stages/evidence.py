"""Where in its passage a quote stands, exactly or nearly."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

# What models write otherwise than the page does; each becomes one plain form, the soft hyphen none.
PLAIN = str.maketrans(
    dict.fromkeys("‘’‚‛′´`", "'")
    | dict.fromkeys("“”„‟″«»", '"')
    | dict.fromkeys("‐‑‒–—―−", "-")
    | {"\xad": ""}
)
EDGES = " \"'.…"
# A quote that is longer than its passage by more than this factor holds what the passage does not.
LONGER = 1.1


@dataclass(frozen=True)
class Evidence:
    """Characters [start, end) of the passage; `similarity` to the quote, 0 to 1; an empty span: not found."""

    start: int
    end: int
    similarity: float


def locate(quote: str, passage: str, least: float) -> Evidence:
    """Find a quote whatever its white space, quotation marks, dashes and ligatures.

    A quote that stands nowhere exactly is aligned with the part of its length that is most like
    it (normalised indel similarity); below `least` the span is empty.
    """
    bare = quote.strip()
    start = passage.find(bare)
    if bare and start >= 0:
        return Evidence(start, start + len(bare), 1.0)
    plain, places = _plain(passage)
    wanted = _plain(bare)[0]
    wanted = wanted if wanted in plain else wanted.strip(EDGES)
    if not wanted or len(wanted) > LONGER * len(plain):
        return Evidence(0, 0, 0.0)
    start, similarity = plain.find(wanted), 1.0
    end = start + len(wanted)
    if start < 0:
        start, end, similarity = _nearest(wanted, plain)
    if similarity < least or start == end:
        return Evidence(0, 0, similarity)
    return _whole_words(passage, places[start], places[end - 1] + 1, similarity)


def _nearest(wanted: str, plain: str) -> tuple[int, int, float]:
    from rapidfuzz import fuzz

    if len(wanted) > len(plain):
        return 0, len(plain), round(fuzz.ratio(wanted, plain) / 100, 4)
    found = fuzz.partial_ratio_alignment(wanted, plain)
    if found is None:
        return 0, 0, 0.0
    return found.dest_start, found.dest_end, round(found.score / 100, 4)


@lru_cache(maxsize=8)  # a passage is searched for several quotes
def _plain(text: str) -> tuple[str, list[int]]:
    """The text in its plain form, and for each of its characters the place it came from."""
    parts: list[str] = []
    places: list[int] = []
    for match in re.finditer(r"\s+|\S+", text):
        part = match[0]
        if part.isspace():
            forms = [" "]
        elif part.isascii():
            forms = list(part.translate(PLAIN))
        else:
            forms = [unicodedata.normalize("NFKC", letter.translate(PLAIN)) for letter in part]
        for place, form in enumerate(forms, start=match.start()):
            parts.append(form)
            places += [place] * len(form)
    return "".join(parts), places


def _whole_words(passage: str, start: int, end: int, similarity: float) -> Evidence:
    # An alignment may begin or end within a word, or on the blank beside it.
    if similarity < 1:
        while start > 0 and re.match(r"\w\w", passage[start - 1 : start + 1]):
            start -= 1
        while end < len(passage) and re.match(r"\w\w", passage[end - 1 : end + 1]):
            end += 1
    part = passage[start:end]
    return Evidence(start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip()), similarity)
