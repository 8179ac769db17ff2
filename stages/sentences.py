"""Where the sentences of a text begin and end."""

import re
from collections.abc import Iterator

# sentencex takes time with the square of the sentences, in some scripts: 80,000 characters of Japanese
# in one line took 1.5 s, in windows of this many characters 0.1 s.
WINDOW = 5_000
LONGEST = 4_000  # characters of a sentence
# A capital, one of these and a full stop bring sentencex 1.0.32 down.
WIDE_BLANK = re.compile("[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")


def spans(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each sentence, without the blanks around it; a line break ends one.

    `language` is a code that sentencex knows: en, de, fr, ...
    """
    text = text if text.isascii() else WIDE_BLANK.sub(" ", text)
    at, size = 0, WINDOW
    while at + size < len(text):
        found = list(_spans(text[at : at + size], language))
        yield from ((at + start, at + end) for start, end in found[:-1])
        # The last sentence may go on behind the window.
        at, size = (at + found[-1][0], WINDOW) if len(found) > 1 else (at, 2 * size)
    yield from ((at + start, at + end) for start, end in _spans(text[at:], language))


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence; one that never ends is a list or a dump, and is cut behind a stop or a blank."""
    while end - start > LONGEST:
        cut = max(text.rfind(mark, start + LONGEST // 2, start + LONGEST) for mark in ("; ", ", ", " "))
        stop = cut + 1 if cut > 0 else start + LONGEST
        yield start, start + len(text[start:stop].rstrip())
        start = stop + len(text[stop:end]) - len(text[stop:end].lstrip())
    if end > start:
        yield start, end


def _spans(text: str, language: str) -> Iterator[tuple[int, int]]:
    import sentencex

    at = 0
    for line in text.split("\n"):
        for sentence in sentencex.segment(language, line):
            start = at + len(sentence) - len(sentence.lstrip())
            yield from _bounded(text, start, at + len(sentence.rstrip()))
            at += len(sentence)
        at += 1
