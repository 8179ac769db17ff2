"""Passages: whole sentences under one heading, about as long as a paragraph or two."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from pydantic import Field, model_validator

from stages.blocks import Block, Passage
from stages.option import Option, setting
from stages.sentences import spans


@dataclass(frozen=True)
class _Piece:
    text: str
    pages: tuple[int, int]
    glue: str  # what joins it to the piece before: a blank within a paragraph, else a line break

    @property
    def words(self) -> int:
        return len(self.text.split())


@setting
class Passages(Option):
    """Pack the sentences of a section until `target` words, never past `maximum`.

    A single sentence longer than `maximum` stays whole: a torn sentence answers nothing.
    """

    target: int = Field(ge=20)
    maximum: int = Field(ge=20)
    language: str

    @model_validator(mode="after")
    def _ordered(self) -> "Passages":
        if self.maximum < self.target:
            raise ValueError(f"splitter.maximum={self.maximum} is below splitter.target={self.target}")
        return self

    def __call__(self, blocks: Iterable[Block]) -> Iterator[Passage]:
        """Yield the passages of one document in reading order; no word is lost or doubled."""
        for headings, section in groupby(_under_headings(blocks), key=lambda pair: pair[0]):
            pieces = [piece for _, block in section for piece in self._pieces(block)]
            for group in self._pack(pieces):
                text = "".join((piece.glue if i else "") + piece.text for i, piece in enumerate(group))
                pages = min(p.pages[0] for p in group), max(p.pages[1] for p in group)
                yield Passage(text, pages, headings)

    def _pieces(self, block: Block) -> Iterator[_Piece]:
        before: int | None = None
        for start, end in spans(block.text, self.language):
            glue = "\n" if before is None else block.text[before:start]
            yield _Piece(block.text[start:end], block.pages, glue)
            before = end

    def _pack(self, pieces: list[_Piece]) -> Iterator[list[_Piece]]:
        remaining = sum(piece.words for piece in pieces)
        group: list[_Piece] = []
        size = 0
        for piece in pieces:
            full = size >= self.target and remaining >= self.target / 2
            if group and (full or size + piece.words > self.maximum):
                yield group
                group, size = [], 0
            group.append(piece)
            size += piece.words
            remaining -= piece.words
        if group:
            yield group


def _under_headings(blocks: Iterable[Block]) -> Iterator[tuple[tuple[str, ...], Block]]:
    path: list[tuple[int, str]] = []
    for block in blocks:
        if block.kind == "heading":
            path = [entry for entry in path if entry[0] < block.level]
            path.append((block.level, block.text))
        else:
            yield tuple(text for _, text in path), block
