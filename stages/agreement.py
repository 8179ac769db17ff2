"""A second opinion on what a page says: the words that two readers of a PDF find on it."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

WORD = re.compile(r"\w+")
# Neither letters nor signs: what is left where a font does not say what its glyphs mean.
UNMAPPED = re.compile("[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]|\\(cid:\\d+\\)")
UNMAPPED_SHARE = 0.1


@dataclass(frozen=True)
class Agreement:
    """How the parser's words compare with PDFium's, in a document or on a page.

    `recall` is the share of PDFium's words that the parser has, `surplus` the share of the parser's
    words that PDFium has not; both count every occurrence.
    """

    recall: float
    surplus: float

    @property
    def least(self) -> float:
        """The lower of recall and of what is no surplus: 1 where the readers agree."""
        return min(self.recall, 1 - self.surplus)


def words(text: str) -> Counter[str]:
    """Every word of a cleaned text, case folded; a word that a line's end cuts counts as two."""
    return Counter(WORD.findall(text.casefold()))


def compare(ours: Counter[str], theirs: Counter[str]) -> Agreement:
    """The agreement on one page; two empty pages agree."""
    return together([(ours, theirs)])


def together(pages: Iterable[tuple[Counter[str], Counter[str]]]) -> Agreement:
    """The agreement over several pages, ours and theirs of each, word by word and page by page."""
    shared = our = their = 0
    for ours, theirs in pages:
        here = ours.total()
        our += here
        their += theirs.total()
        shared += here if dict.__eq__(ours, theirs) else (ours & theirs).total()
    return Agreement(shared / their if their else 1.0, 1 - shared / our if our else 0.0)


def is_garbage(text: str) -> bool:
    """Whether so many characters have no meaning that the text layer is of no use."""
    if not UNMAPPED.search(text):
        return False
    solid = re.sub(r"\s", "", text)
    unmapped = sum(len(match) for match in UNMAPPED.findall(solid))
    return unmapped > UNMAPPED_SHARE * len(solid)
