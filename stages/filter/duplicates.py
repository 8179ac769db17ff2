"""Questions that no earlier one asks already, within and across documents."""

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from stages.embedding import Embedder, model_folder
from stages.jsonl import Record
from stages.ledger import Ledger
from stages.option import Option, setting
from stages.verdict import Verdict
from stages.words import count, plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY = "filter.duplicates.package"
# What does not tell two texts apart; + # % < > - do (C and C++, 5 and -5).
PUNCTUATION = re.compile(r"[\s.,;:!?…'\"’‘“”„«»()\[\]、。，！？：；؟¿¡|]+")
# The rounding of products of vectors in fp32: what is nearer to the threshold than this counts as above it.
ROUNDING = 1e-5
BLOCK = 1024  # questions compared at once with as many others: 4 MiB
# Share of a question's tokens that the model does not know, from which its vector says little.
UNKNOWN = 0.1


@setting
class Duplicates(Option):
    """`repeated_question`, `repeated_answer`, `similar_question`: of such pairs the first stays.

    Questions and answers repeat a kept one when they differ in case, blanks and punctuation alone; answers
    of fewer than `answer_words` words may repeat, for many questions have "two weeks" as their answer, and so
    may those of one place.
    No two kept questions have vectors whose cosine is `similarity` or more. The score is the cosine
    to the nearest question kept before, None for the first. Questions in a script that the model cannot read
    (Thai, most of Chinese: unknown tokens) are compared by their pairs of letters instead, among themselves.
    """

    similarity: float = Field(gt=0, le=1)
    answer_words: int = Field(ge=1)
    package: str
    batch: int = Field(ge=1)

    def check(self) -> None:
        """The package must be installed."""
        model_folder(self.package, KEY)

    def __call__(self, pairs: Sequence[Record], ledger: Ledger) -> list[Verdict]:
        """Say of each pair, in the given order, whether one that is kept before it asks the same.

        Raises:
            FolioError: the package is not installed.
        """
        if not pairs:
            return []
        questions: set[str] = set()
        answers: dict[str, object] = {}

        def repeats(index: int) -> str | None:
            if normal(pairs[index]["question"]) in questions:
                return "repeated_question"
            # Several questions about one place are alternatives, which the choice decides about.
            place = _place(pairs[index])
            return "repeated_answer" if answers.get(normal(pairs[index]["answer"]), place) != place else None

        verdicts: list[Verdict] = []
        embedder = Embedder(self.package, self.batch, KEY)
        rows = vectors([pair["question"] for pair in pairs], embedder)
        for reason, nearest in separate(rows, self.similarity, repeats):
            pair = pairs[len(verdicts)]
            verdicts.append(Verdict(reason, nearest))
            if reason is None:
                questions.add(normal(pair["question"]))
                if count(pair["answer"]) >= self.answer_words:
                    answers.setdefault(normal(pair["answer"]), _place(pair))
        return verdicts


def _place(pair: Record) -> tuple[str, object]:
    return pair["chunk"]["id"], pair["evidence"]


def normal(text: str) -> str:
    """The text folded and without punctuation, blanks as one; what is punctuation alone stays as it is."""
    folded = plain(text)
    return PUNCTUATION.sub(" ", folded).strip() or folded


def vectors(questions: Sequence[str], embedder: Embedder) -> "NDArray[np.float32]":
    """A vector of length 1 for each question; by model and by letters they are at right angles."""
    import numpy as np

    texts = list(dict.fromkeys(questions))
    unread = [i for i, share in enumerate(embedder.unknown(texts)) if share >= UNKNOWN]
    found = embedder(texts)
    if unread:
        letters = np.zeros_like(found)
        letters[unread] = [letter_vector(texts[i], found.shape[1]) for i in unread]
        found[unread] = 0
        found = np.hstack([found, letters])
    place = {text: index for index, text in enumerate(texts)}
    return found[[place[question] for question in questions]]


def separate(
    vectors: "NDArray[np.float32]",
    similarity: float,
    repeats: Callable[[int], str | None] = lambda index: None,
    block: int = BLOCK,
) -> Iterator[tuple[str | None, float | None]]:
    """Yield for each vector why it goes (None: it is kept) and its cosine to the nearest kept before it.

    A vector goes if `repeats` of its index gives a reason, or as `similar_question` if the cosine is
    `similarity` or more. `repeats` is asked when all vectors before have been yielded. Memory beside
    `vectors`: a copy of them and three squares of `block` cosines; time is that of their product.

    Args:
        vectors: [n, width], each of length 1.
        similarity: from which cosine on two vectors are too near.
        repeats: another reason against the vector of an index.
        block: vectors compared at once.
    """
    import numpy as np

    kept, size = np.empty_like(vectors), 0
    for start in range(0, len(vectors), block):
        rows = vectors[start : start + block]
        nearest = _nearest(rows, kept[:size], block)
        among = rows @ rows.T
        for i in range(len(rows)):
            best = float(nearest[i]) if size else None
            near = best is not None and best >= similarity - ROUNDING
            reason = repeats(start + i) or ("similar_question" if near else None)
            if reason is None:
                kept[size] = rows[i]
                size += 1
                np.maximum(nearest, among[i], out=nearest)
            yield reason, None if best is None else round(best, 6)


def _nearest(rows: "NDArray[np.float32]", kept: "NDArray[np.float32]", block: int) -> "NDArray[np.float32]":
    import numpy as np

    nearest = np.full(len(rows), -1, dtype=rows.dtype)
    for start in range(0, len(kept), block):
        np.maximum(nearest, (rows @ kept[start : start + block].T).max(axis=1), out=nearest)
    return nearest


def letter_vector(text: str, width: int) -> "NDArray[np.float32]":
    """Counts of a text's pairs of neighbouring letters, hashed to `width` figures, as a vector of length 1.

    The sign of a pair is hashed too, so that pairs that meet in one figure cancel out on average
    (Weinberger et al., 2009, arXiv:0902.2206).
    """
    import numpy as np

    vector = np.zeros(width, dtype=np.float32)
    letters = f" {normal(text)} "
    for at in range(len(letters) - 1):
        code = zlib.crc32(letters[at : at + 2].encode("utf-8", "surrogatepass"))
        vector[(code >> 1) % width] += 1 - 2 * (code & 1)
    length = float(np.linalg.norm(vector))
    if length == 0:  # all pairs cancelled
        vector[0] = length = 1.0
    return vector / np.float32(length)
