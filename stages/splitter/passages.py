"""Passages: whole sentences under one heading, about as long as a paragraph or two."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from pydantic import Field, model_validator

from stages.blocks import Block, Passage
from stages.measure import Measure, in_tokens, in_words
from stages.option import Option, setting
from stages.sections import Piece, join, passage, sections, sentences


@setting
class Passages(Option):
    """Pack the sentences of a section until `target`, never past `maximum`; both include the overlap.

    A length is in words, or in the tokens of `tokenizer`. A single sentence longer than `maximum` stays
    whole: a torn sentence answers nothing. A table's row that fits is never cut either.
    """

    target: int = Field(ge=20)
    maximum: int = Field(ge=20)
    overlap: int = Field(default=0, ge=0)
    tokenizer: str | None = None
    language: str

    @model_validator(mode="after")
    def _ordered(self) -> "Passages":
        if self.maximum < self.target:
            raise ValueError(f"splitter.maximum={self.maximum} is below splitter.target={self.target}")
        if 2 * self.overlap > self.target:
            raise ValueError(
                f"splitter.overlap={self.overlap} is more than half of splitter.target={self.target}"
            )
        return self

    def check(self) -> None:
        """Load the tokenizer.

        Raises:
            FolioError: it is missing.
        """
        self._measure()

    def __call__(self, blocks: Iterable[Block]) -> Iterator[Passage]:
        """Yield the passages of one document in reading order; nothing is lost, the overlap alone doubled.

        Headings that nothing stands under make passages of their own, as long as `maximum` allows.

        Raises:
            FolioError: the tokenizer is missing.
        """
        measure = self._measure()
        for section in sections(blocks):
            pieces = [piece for block in section.blocks for piece in self._pieces(block, measure)]
            target = self.maximum if section.bare else self.target
            packing = _Packing(pieces, measure, target, self.maximum, self.overlap)
            for first, start, end in packing.ranges():
                yield passage(pieces[first:end], section.headings, start - first)

    def _measure(self) -> Measure:
        return in_words if self.tokenizer is None else in_tokens(self.tokenizer)

    def _pieces(self, block: Block, measure: Measure) -> Iterator[Piece]:
        if block.kind in ("row", "heading") and measure(block.text) <= self.maximum:
            yield Piece(block.text.strip(), block.pages, "\n", last=True)
        else:
            yield from sentences(block, self.language)


class _Packing:
    """Where the passages of one section begin and end; positions count its pieces."""

    def __init__(
        self, pieces: list[Piece], measure: Measure, target: int, maximum: int, overlap: int
    ) -> None:
        self._pieces = pieces
        self._measure = measure
        self._target, self._maximum, self._overlap = target, maximum, overlap
        self._sums = [0, *accumulate(measure(piece.glue + piece.text) for piece in pieces)]

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """Yield (first, start, end): the passage is [first, end); [first, start) repeats the one before."""
        first = start = 0
        while start < len(self._pieces):
            first, end = self._within(first, start, self._end(first, start))
            yield first, start, end
            first, start = self._repeat(first, end), end

    def _size(self, first: int, end: int) -> int:
        return self._sums[end] - self._sums[first]

    def _exact(self, first: int, end: int) -> int:
        # The tokens of a text are not quite the sum of those of its sentences.
        return self._measure(join(self._pieces[first:end]))

    def _end(self, first: int, start: int) -> int:
        count = len(self._pieces)
        fits = max(start + 1, bisect_right(self._sums, self._sums[first] + self._maximum) - 1)
        enough = bisect_left(self._sums, self._sums[first] + self._target)
        end, aim = min(fits, max(start + 1, enough)), float(self._target)
        if self._size(end, count) < self._target / 2:
            if fits == count:
                return count
            # Two halves are worth more than a full passage and a scrap.
            aim = self._size(first, count) / 2
            end = min(range(start + 1, fits + 1), key=lambda at: abs(self._size(first, at) - aim))
        near = (at for at in range(start + 1, fits + 1) if self._is_good(first, at, aim))
        end = min(near, key=lambda at: abs(self._size(first, at) - aim), default=end)
        return self._past_lead_in(first, start, end, fits)

    def _is_good(self, first: int, end: int, aim: float) -> bool:
        """Whether `end` is the end of a block, within a quarter of `aim`, and leaves no scrap."""
        near = abs(self._size(first, end) - aim) <= self._target / 4
        rest = self._size(end, len(self._pieces))
        no_scrap = rest == 0 or rest >= self._target / 2
        return near and no_scrap and self._pieces[end - 1].last and not self._leads_in(end)

    def _leads_in(self, end: int) -> bool:
        return end < len(self._pieces) and self._pieces[end - 1].text.endswith((":", "："))

    def _past_lead_in(self, first: int, start: int, end: int, fits: int) -> int:
        until = end
        while until < fits and self._leads_in(until):
            until += 1
        if not self._leads_in(until):
            return until
        # What it leads in does not fit: it goes to the next passage, unless it is most of this one.
        if end - 1 > start and self._size(first, end - 1) >= self._target / 2:
            return end - 1
        return end

    def _within(self, first: int, start: int, end: int) -> tuple[int, int]:
        # Words never become more when sentences are joined; tokens may.
        if self._measure is in_words:
            return first, end
        while end - first > 1 and self._exact(first, end) > self._maximum:
            first, end = (first, end - 1) if end - start > 1 else (first + 1, end)
        return first, end

    def _repeat(self, first: int, end: int) -> int:
        """Where the next passage begins: whole sentences of this one, not all of it, that leave room."""
        at = end
        while end < len(self._pieces) and at - 1 > first and self._fits(at - 1, end):
            at -= 1
        return at

    def _fits(self, first: int, end: int) -> bool:
        size = self._size(first, end)
        if size == 0 or self._size(first, end + 1) > self._maximum:
            return False
        return max(size, self._exact(first, end)) <= self._overlap
