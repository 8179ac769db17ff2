"""Pages: one passage a page, as long as it is."""

from collections.abc import Iterable, Iterator
from itertools import groupby, takewhile

from stages.blocks import Block, Passage
from stages.option import Option, setting
from stages.sections import below, titles


@setting
class Pages(Option):
    """Keep each page whole, its headings among its lines; no knobs."""

    def __call__(self, blocks: Iterable[Block]) -> Iterator[Passage]:
        """Yield a passage for each page that has text, in page order; nothing is lost or doubled.

        A block that runs over a page end belongs to the page where it begins. `headings` is the path at
        the start of the page, without those that a heading at its very top ends.
        """
        path: list[Block] = []
        written = (block for block in blocks if block.text.strip())
        for _, group in groupby(sorted(written, key=_page), key=_page):
            page = list(group)
            text = "\n".join(block.text.strip() for block in page)
            top = [block.level for block in takewhile(_is_heading, page)]
            above = [heading for heading in path if all(heading.level < level for level in top)]
            yield Passage(text, (_page(page[0]), max(block.pages[1] for block in page)), titles(above))
            for heading in filter(_is_heading, page):
                path = below(path, heading)


def _page(block: Block) -> int:
    return block.pages[0]


def _is_heading(block: Block) -> bool:
    return block.kind == "heading"
