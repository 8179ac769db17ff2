"""Sections, and how many of the large ones have a pair."""

from collections import Counter
from collections.abc import Container, Iterable

from stages.jsonl import Record
from stages.measure import in_words

LARGE = 100  # words of a section that should have a pair; a smaller one may well hold nothing to ask about

Section = tuple[str, tuple[str, ...]]  # a document and the path of headings in it


def section_of(chunk: Record) -> Section:
    """The section in which a chunk stands."""
    return chunk["document"], tuple(chunk["headings"])


def sections(chunks: Iterable[Record], covered: Container[str]) -> dict[str, int]:
    """How many sections are `large`, and how many of these are `covered`.

    Args:
        chunks: all chunks of all documents.
        covered: the ids of the chunks that have a pair.
    """
    words: Counter[Section] = Counter()
    asked: set[Section] = set()
    for chunk in chunks:
        section = section_of(chunk)
        words[section] += in_words(chunk["text"])
        if chunk["id"] in covered:
            asked.add(section)
    large = {section for section, count in words.items() if count >= LARGE}
    return {"large": len(large), "covered": len(large & asked)}
