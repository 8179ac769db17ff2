"""Which texts repeat another, word for word or nearly so: over all documents, in little memory."""

import hashlib
import re
import struct
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from stages.measure import words

SHINGLE = 5  # words
BANDS, ROWS = 16, 6
WIDE = 32, 4  # bands and rows that also find what is less alike
SEAL = 16  # bytes of a signature that tell exact copies
SIZE = SEAL + 4 * BANDS  # bytes of a signature
RIVALS = 24  # earlier chunks that one is compared with, at most: there may be thousands of a form
COMPARED = 200  # known texts that one is compared with, at most

_MARKS = ".,;:!?()[]{}'\"`*_|•·…“”‘’‚„«»‹›。、，；：！？（）「」『』【】।؟،؛"
_DASHES = "-‐‑‒–—―"
_FIGURE = re.compile(r"[\d<>=≤≥≠≈±+−]")


class Repeat(NamedTuple):
    """The earlier chunk that stays, and whether it is the same text or nearly so."""

    of: int
    kind: Literal["exact", "near"]


class _Reading(NamedTuple):
    figures: list[str]
    shingles: set[tuple[str, ...]]


def signature(text: str) -> bytes:
    """What `find` needs to know of a text: SIZE bytes, the same in every process.

    A digest tells exact copies. After it come the keys of 16 bands of 6 MinHash values of the word
    5-grams: texts of Jaccard similarity s share one with probability 1 - (1 - s^6)^16, 0.99 at 0.8 and
    0.02 at 0.3 (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4). Texts whose
    figures differ share none. Neither does a text of fewer than 5 words: its keys are 0.
    """
    seal = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=SEAL).digest()
    tokens = _tokens(text)
    start = zlib.crc32(" ".join(_figures(tokens)).encode("utf-8", "surrogatepass"))
    return seal + struct.pack(f"={BANDS}I", *_keys(tokens, BANDS, ROWS, start))


def _keys(tokens: list[str], bands: int, rows: int, start: int = 0) -> list[int]:
    """The keys of bands of MinHash values of a text's shingles; 0 in every band where it has none."""
    if len(tokens) < SHINGLE:
        return [0] * bands
    from rensa import RMinHash

    sketch = RMinHash(num_perm=bands * rows, seed=0)
    sketch.update([" ".join(shingle) for shingle in _shingles(tokens)])
    values = struct.pack(f"<{bands * rows}I", *sketch.digest())
    width = 4 * rows
    return [zlib.crc32(values[at : at + width], start) or 1 for at in range(0, len(values), width)]


def find(
    signatures: bytes | bytearray, text_of: Callable[[int], str], similarity: float
) -> dict[int, Repeat]:
    """Return, for each chunk that repeats an earlier one, the one it repeats; that one itself stays.

    A chunk nearly repeats another when the figures in both are the same, in the same order, and the
    Jaccard similarity of their word 5-grams is at least `similarity`; case and punctuation aside. Chunks
    are taken in their order and compared with those that stay. So of exact copies the first stays
    whatever stands between them, and of near ones, which may be like a third and not each other, it
    depends on the order which stay.

    Args:
        signatures: those of all chunks, one after the other.
        text_of: gives a chunk's text by its index; called only for chunks that may be near repeats.
        similarity: 0.8 to 1; 1 finds exact copies alone.
    """
    repeats = _copies(signatures)
    if similarity < 1:
        first_of_its_text = [index for index in range(len(signatures) // SIZE) if index not in repeats]
        near = _near(signatures, first_of_its_text, text_of, similarity)
        for index, (of, kind) in repeats.items():
            repeats[index] = near.get(of, Repeat(of, kind))
        repeats |= near
    return repeats


def near_repeats(texts: Sequence[str], known: Iterable[str], similarity: float) -> set[int]:
    """Return the indices of the texts that a known one nearly repeats, whatever the figures in both.

    Nearly: the Jaccard similarity of their word 5-grams is at least `similarity`, 0.6 to 1; case and
    punctuation aside. They share the key of one of 32 bands of 4 MinHash values with probability
    1 - (1 - s^4)^32: 0.988 at 0.6, 0.05 at 0.2. A text of fewer than 5 words nearly repeats
    none, and where thousands have one form, each is compared with the first COMPARED of them.
    """

    @lru_cache(maxsize=1024)
    def read(index: int) -> set[tuple[str, ...]]:
        return set(_shingles(_tokens(texts[index])))

    homes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        for home in enumerate(_keys(_tokens(text), *WIDE)):
            homes[home].append(index)
    found: set[int] = set()
    compared: Counter[int] = Counter()
    for text in known:
        tokens = _tokens(text)
        if len(tokens) < SHINGLE:
            continue
        like = {index for home in enumerate(_keys(tokens, *WIDE)) for index in homes.get(home, ())} - found
        compared.update(like)
        shingles = set(_shingles(tokens)) if like else set()
        rivals = (index for index in sorted(like) if compared[index] <= COMPARED)
        found.update(index for index in rivals if jaccard(read(index), shingles) >= similarity)
    return found


def jaccard(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> float:
    """Of all shingles, not none, the share that both have: |A ∩ B| / |A ∪ B|."""
    both = len(left & right)
    return both / (len(left) + len(right) - both)


def _tokens(text: str) -> list[str]:
    tokens = (word.strip(_MARKS) for word in words(text.casefold()))
    return [token for token in tokens if token.strip(_DASHES)]


def _figures(tokens: list[str]) -> list[str]:
    return [token for token in tokens if _FIGURE.search(token)]


def _shingles(tokens: list[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(tokens[at:] for at in range(SHINGLE)), strict=False)


def _copies(signatures: bytes | bytearray) -> dict[int, Repeat]:
    def seal(index: int) -> bytes:
        return bytes(signatures[index * SIZE : index * SIZE + SEAL])

    repeats: dict[int, Repeat] = {}
    first = 0
    for index in sorted(range(len(signatures) // SIZE), key=seal):  # equal ones stay in their order
        if seal(index) == seal(first) and index != first:
            repeats[index] = Repeat(first, "exact")
        else:
            first = index
    return repeats


def _near(
    signatures: bytes | bytearray, members: list[int], text_of: Callable[[int], str], similarity: float
) -> dict[int, Repeat]:
    @lru_cache(maxsize=64)
    def read(index: int) -> _Reading:
        tokens = _tokens(text_of(index))
        return _Reading(_figures(tokens), set(_shingles(tokens)))

    words_of_4 = memoryview(signatures).cast("I")
    bands = [_Band(array("I", words_of_4[at :: SIZE // 4]), members) for at in range(SEAL // 4, SIZE // 4)]
    repeats: dict[int, Repeat] = {}
    for index in members:
        for other in _rivals(bands, index, repeats):
            left, right = read(other), read(index)
            if left.figures == right.figures and jaccard(left.shingles, right.shingles) >= similarity:
                repeats[index] = Repeat(other, "near")
                break
    return repeats


class _Band:
    """The members in the order of their keys in one band, those of one key in the order of the chunks."""

    def __init__(self, keys: "array[int]", members: list[int]) -> None:
        order = sorted((index for index in members if keys[index]), key=keys.__getitem__)
        self.order = array("I", order)
        self.begin = array("I", bytes(4 * len(keys)))  # where in `order` the members of a chunk's key begin
        begin = 0
        for at, index in enumerate(order):
            if keys[index] != keys[order[begin]]:
                begin = at
            self.begin[index] = begin


def _rivals(bands: list[_Band], index: int, repeats: dict[int, Repeat]) -> Iterator[int]:
    seen: set[int] = set()
    for band in bands:
        begin = band.begin[index]
        for other in band.order[begin : begin + RIVALS]:
            if other >= index or len(seen) == RIVALS:
                break
            if other not in seen and other not in repeats:
                seen.add(other)
                yield other
