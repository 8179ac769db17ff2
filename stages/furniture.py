"""Running headers, footers, page numbers and contents lines: what a page carries and nobody asks about."""

import re
from collections import Counter
from collections.abc import Sequence

from stages.account import Account
from stages.blocks import Block

# A running line stands on at least this many pages and at this share of the document's pages.
MINIMUM_PAGES = 3
MINIMUM_SHARE = 0.1
# It is looked for in this many blocks from the top and from the bottom of a page.
EDGE = 3
NUMBER = r"(?:\d{1,4}|[ivxlc]{1,7}|[A-Z]-\d{1,3})"
PAGE_NUMBER = re.compile(rf"(?:page\s+)?{NUMBER}(?:\s+of\s+\d+)?", re.IGNORECASE)
CONTENTS_LINE = re.compile(r"(?:\.\s?){5,}\s*(?:\d+|[ivxlc]+|[A-Z]-\d+)?$")
FOOTNOTE = re.compile(r"(?:\d{1,3}|\[\^\d{1,3}\]:)\s+\S")


def _shape(text: str) -> str:
    return re.sub(rf"\b{NUMBER}\b", "#", text).casefold().strip("# ")


def _edges(page: Sequence[Block]) -> list[int]:
    return sorted({*range(min(EDGE, len(page))), *range(max(0, len(page) - EDGE), len(page))})


def running_lines(pages: Sequence[Sequence[Block]]) -> set[str]:
    """The shapes (page numbers removed, case folded) of lines that recur at page edges."""
    seen: Counter[str] = Counter()
    for page in pages:
        seen.update({_shape(page[i].text) for i in _edges(page) if len(page[i].text) < 200})
    least = max(MINIMUM_PAGES, MINIMUM_SHARE * len(pages))
    return {shape for shape, count in seen.items() if shape and count >= least}


def _trim(text: str, running: set[str]) -> str:
    # A reader sometimes glues the running line, with its page number, to the last paragraph.
    for shape in running:
        line = rf"(?:{NUMBER}\s+)?{re.escape(shape)}(?:\s+{NUMBER})?"
        if len(shape) >= 12:
            text = re.sub(rf"^{line}\s+|\s*{line}$", "", text, flags=re.IGNORECASE)
    return text


def _reason(block: Block, at_edge: bool, running: set[str]) -> str | None:
    if at_edge and PAGE_NUMBER.fullmatch(block.text):
        return "page_number"
    # Footnotes can push a footer away from the edge; a heading there is a heading.
    if (at_edge or block.kind == "paragraph") and _shape(block.text) in running:
        return "running_line"
    if CONTENTS_LINE.search(block.text):
        return "contents_line"
    return None


def remove(pages: Sequence[Sequence[Block]], account: Account) -> list[list[Block]]:
    """Drop the furniture of every page, counting each block in `account`; mark footnotes."""
    running = running_lines(pages)
    kept: list[list[Block]] = []
    for page in pages:
        edges = set(_edges(page))
        rest: list[Block] = []
        for index, block in enumerate(page):
            if reason := _reason(block, index in edges, running):
                account.drop(reason)
                continue
            account.keep()
            kind = block.kind
            if kind == "paragraph" and FOOTNOTE.match(block.text):
                kind = "footnote"
            text = _trim(block.text, running) if index in edges else block.text
            rest.append(Block(kind, text, block.pages, block.level))
        kept.append(rest)
    return kept
