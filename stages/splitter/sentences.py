"""Sentences: the same number in every passage, never over a heading."""

from collections.abc import Iterable, Iterator

from pydantic import Field, model_validator

from stages import sections
from stages.blocks import Block, Passage
from stages.option import Option, setting


@setting
class Sentences(Option):
    """Cut a section every `sentences`; the last `overlap` of a passage begin the next."""

    sentences: int = Field(ge=1)
    overlap: int = Field(ge=0)
    language: str

    @model_validator(mode="after")
    def _ordered(self) -> "Sentences":
        if self.overlap >= self.sentences:
            raise ValueError(
                f"splitter.overlap={self.overlap} must be below splitter.sentences={self.sentences}"
            )
        return self

    def __call__(self, blocks: Iterable[Block]) -> Iterator[Passage]:
        """Yield the passages of one document in reading order; nothing is lost, the overlap alone doubled.

        The last passage of a section may hold fewer; headings that nothing stands under make passages
        of their own.
        """
        step = self.sentences - self.overlap
        for section in sections.sections(blocks):
            pieces = [piece for block in section.blocks for piece in sections.sentences(block, self.language)]
            for start in range(0, max(1, len(pieces) - self.overlap), step):
                part = pieces[start : start + self.sentences]
                yield sections.passage(part, section.headings, self.overlap if start else 0)
