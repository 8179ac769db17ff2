"""The passages that fit a question: by BM25 over the words that carry meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages import jsonl
from stages.printable import printable, where
from stages.words import content_terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNKS = Path("data/chunks.jsonl")
LONGEST_SHOWN = 4000  # characters of a passage that are shown; the model reads all of it


@dataclass(frozen=True)
class Context:
    """What goes before a question (None: nothing), and in words where it is from or why there is none."""

    passage: str | None
    shown: str


class Passages:
    """An index of passages (Robertson et al., 1994; k1 = 1.5, b = 0.75), headings included.

    Args:
        chunks: records of data/chunks.jsonl.
        language: ISO 639-1 code, which decides what counts as a function word.
    """

    def __init__(self, chunks: Sequence[jsonl.Record], language: str) -> None:
        self._chunks, self._language = chunks, language
        words = [content_terms("\n".join([*chunk["headings"], chunk["text"]]), language) for chunk in chunks]
        self._known = frozenset(word for some in words for word in some)
        if self._known:
            from bm25s import BM25

            self._index = BM25()
            self._index.index(words, show_progress=False)

    def scores(self, question: str) -> "NDArray[np.float32]":
        """How well each chunk fits, [chunks]; 0 for one without a common word."""
        import numpy as np

        words = [word for word in content_terms(question, self._language) if word in self._known]
        found = self._index.get_scores(words) if words else np.zeros(len(self._chunks))
        return np.asarray(found, dtype=np.float32)

    def best(self, question: str, most: int) -> list[jsonl.Record]:
        """The chunks that fit best, the best first; of equal ones the earlier; none without a common word."""
        scores = self.scores(question)
        order = (-scores).argsort(kind="stable")[:most]
        return [self._chunks[at] for at in order if scores[at] > 0]


def read_passages(language: str) -> Passages | None:
    """The passages of the last run; None where it had none, as with questions from other sources.

    Raises:
        FolioError: the file is no JSON lines.
    """
    return Passages([*jsonl.read(CHUNKS)], language) if CHUNKS.is_file() else None


def look_up(passages: Passages | None, question: str, most: int) -> Context:
    """What goes before a question: at most so many passages, the best first."""
    if passages is None:
        return Context(None, f"Asked without a passage: there is no {CHUNKS}.")
    found = passages.best(question, most)
    if not found:
        return Context(None, "Asked without a passage: none shares a telling word with the question.")
    shown = [f"{where(chunk)}\n\n{printable(chunk['text'], LONGEST_SHOWN)}" for chunk in found]
    return Context("\n\n".join(chunk["text"] for chunk in found), "\n\n".join(shown))
