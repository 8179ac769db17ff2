"""Where the sentences of a text begin and end."""

from collections.abc import Iterator


def spans(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of each sentence, without the blanks around it; a line break ends one.

    `language` is a code that sentencex knows: en, de, fr, ...
    """
    import sentencex

    at = 0
    for line in text.split("\n"):
        for sentence in sentencex.segment(language, line):
            start = at + len(sentence) - len(sentence.lstrip())
            end = at + len(sentence.rstrip())
            if end > start:
                yield start, end
            at += len(sentence)
        at += 1
