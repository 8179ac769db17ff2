"""One file to its chunks: read, compared with a second reader, stripped of furniture, arranged and split."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from stages import agreement, columns, furniture, jsonl, layout, pdfium, plain, tables
from stages.agreement import Agreement, compare
from stages.blocks import Block, Passage
from stages.errors import FolioError
from stages.lines import MARK, Line, clean, letters, lines
from stages.numbering import CAPTION
from stages.page_numbers import span_of
from stages.paragraphs import UNSPACED, is_closed
from stages.settings.chunk import Chunk
from stages.sheet import Sheet

# A page on which the readers agree less than this is read again, and the better reading kept.
REREAD = 0.85
WORST_PAGES = 5  # that are named in a document on which the readers disagree

Parser = Callable[[Path, str | None], list[Sheet]]
Ocr = Callable[[Path, Sequence[int], str | None], list[Sheet]]
Splitter = Callable[[Iterable[Block]], Iterator[Passage]]


@dataclass
class Figures:
    """What became of one file; `characters` are letters and digits."""

    pages: int = 0
    chunks: int = 0
    characters: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    lost: dict[str, list[int]] = field(default_factory=dict)  # why: the pages that gave no text
    reread: list[int] = field(default_factory=list)  # pages that PDFium reads better
    agreement: Agreement | None = None  # None: the file has no second reader
    worst: list[tuple[int, Agreement]] = field(default_factory=list)
    refused: tuple[str, str] | None = None  # reason and sentence: the whole file gives nothing

    @property
    def lost_pages(self) -> dict[str, list[int]]:
        """The pages that gave no text as no_text, garbage and unreadable; the reader's words aside."""
        sorted_out: dict[str, list[int]] = {}
        for why, pages in self.lost.items():
            sorted_out.setdefault(why if why in ("no_text", "garbage") else "unreadable", []).extend(pages)
        return sorted_out


class _Page:
    """A sheet and the lines on it, put together once."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.lines: list[Line] = lines(sheet) if sheet.blocks is None else []
        texts = self.lines if sheet.blocks is None else sheet.blocks
        text = "\n".join(part.text for part in texts)
        self.text = text.replace(MARK[0], "").replace(MARK[1], "")

    @cached_property
    def lack(self) -> str | None:
        """Why the page gives no text, if it gives none: no_text, garbage, or the reader's words."""
        if self.sheet.problem:
            return self.sheet.problem
        if not self.text:
            return "no_text"
        return "garbage" if agreement.is_garbage(self.text) else None


@dataclass(frozen=True)
class Reader:
    """Turns a file into chunk records; it goes to worker processes as it is."""

    parser: Parser
    ocr: Ocr
    splitter: Splitter
    settings: Chunk
    password: str | None = field(default=None, repr=False)

    def __call__(self, path: Path, name: str) -> tuple[list[jsonl.Record], Figures]:
        """Return the chunks of a file and its figures; a file that gives none says why."""
        figures = Figures()
        try:
            pages = self._pages(path, figures)
        except FolioError as error:
            reason = "encrypted" if str(error) == pdfium.needs_password(path) else "unreadable"
            figures.refused = (reason, str(error))
            return [], figures
        blocks = self._blocks(pages, figures)
        if not blocks:
            figures.refused = _no_text(path, figures, self.ocr)
            return [], figures
        seen: Counter[str] = Counter()
        return [_record(name, passage, seen) for passage in self.splitter(blocks)], figures

    def _pages(self, path: Path, figures: Figures) -> list[_Page]:
        """Read the pages; those that give no text are counted in `figures` and left out."""
        begun = time.monotonic()
        if path.suffix.lower() != ".pdf":
            pages = [_Page(sheet) for sheet in plain.read(path)]
        elif getattr(self.parser, "name", "") == "pdfium":
            pages = [_Page(sheet) for sheet in self.parser(path, self.password)]
        else:
            pages = self._twice_read(path, figures)
        if path.suffix.lower() == ".pdf":
            pages = [self._scanned(path, page, begun) if page.lack else page for page in pages]
        for page in pages:
            if page.lack:
                figures.lost.setdefault(page.lack, []).append(page.sheet.number)
        figures.pages = len(pages)
        return [page for page in pages if not page.lack]

    def _scanned(self, path: Path, page: _Page, begun: float) -> _Page:
        """A page as OCR reads it, where that is asked for and there is time left for it."""
        longest = getattr(self.ocr, "seconds", 0.0)
        try:
            if time.monotonic() - begun + longest > self.settings.seconds:
                why = "no time is left for OCR; raise chunk.seconds"
                return _Page(Sheet(page.sheet.number, 0.0, 0.0, problem=why)) if longest else page
            found = self.ocr(path, [page.sheet.number], self.password)
        except FolioError as error:
            return _Page(Sheet(page.sheet.number, 0.0, 0.0, problem=str(error)))
        return _Page(found[0]) if found else page

    def _twice_read(self, path: Path, figures: Figures) -> list[_Page]:
        """What the parser reads, compared with PDFium; where it cannot open the file, what PDFium reads."""
        try:
            pages = [_Page(sheet) for sheet in self.parser(path, self.password)]
        except FolioError:
            pages = self._rescued(path)
            if not any(page.text for page in pages):
                raise
            figures.reread = [page.sheet.number for page in pages]
            return pages
        self._second_opinion(path, pages, figures)
        return pages

    def _rescued(self, path: Path) -> list[_Page]:
        try:
            with pdfium.opened(path, self.password) as document:
                return [_Page(sheet) for sheet in pdfium.sheets(document, range(len(document)))]
        except FolioError:
            return []

    def _second_opinion(self, path: Path, pages: list[_Page], figures: Figures) -> None:
        """Compare with PDFium's words, and take from it the pages that it reads better."""
        try:
            document = pdfium.opened(path, self.password)
        except FolioError:
            return  # only the parser can open it
        with document:
            ours = [agreement.words(page.text) for page in pages]
            theirs = [agreement.words(clean(text)) for text in pdfium.texts(document)][: len(ours)]
            theirs += [Counter()] * (len(ours) - len(theirs))
            apart = [
                i for i, pair in enumerate(zip(ours, theirs, strict=True)) if compare(*pair).least < REREAD
            ]
            for i in _better(apart, ours, theirs):
                pages[i] = _Page(next(pdfium.sheets(document, [i])))
                ours[i] = agreement.words(pages[i].text)
                figures.reread.append(i + 1)
        by_page = [compare(a, b) for a, b in zip(ours, theirs, strict=True)]
        figures.agreement = agreement.together(zip(ours, theirs, strict=True))
        whole = figures.agreement.least
        apart_most = [page for page in enumerate(by_page, start=1) if page[1].least <= whole < 1]
        figures.worst = sorted(apart_most, key=lambda page: page[1].least)[:WORST_PAGES]

    def _blocks(self, pages: Sequence[_Page], figures: Figures) -> list[Block]:
        figures.characters = sum(letters(page.text) for page in pages)
        plain_pages = [page for page in pages if page.sheet.blocks is None]
        units = [page.sheet.blocks for page in pages if page.sheet.blocks]
        if plain_pages:
            units += _arranged(plain_pages, figures.dropped, self.settings.skip_contents)
        joined = join_over_pages(units)
        return without_sections(joined, self.settings.skip_headings, figures.dropped)


def _better(apart: list[int], ours: list[Counter[str]], theirs: list[Counter[str]]) -> list[int]:
    """The pages of which PDFium's reading has more words that stand on other pages too."""
    if not apart:
        return []
    count: Counter[str] = Counter()
    for page in ours:
        count.update(page.keys())

    def known(page: Counter[str]) -> float:
        return sum(n for word, n in page.items() if count[word] > 1) / (page.total() or 1)

    return [i for i in apart if theirs[i] and (not ours[i] or known(theirs[i]) > known(ours[i]))]


def _arranged(pages: Sequence[_Page], dropped: Counter[str], skip_contents: bool) -> list[list[Block]]:
    kept, gone = furniture.remove([page.lines for page in pages])
    for _, reason, line in gone:
        dropped[reason] += letters(line.text)
    found = [tables.with_rows(page.sheet, rest) for page, rest in zip(pages, kept, strict=True)]
    flows = columns.read(found)
    arranged = [layout.Page(page.sheet.number, read) for page, read in zip(pages, flows, strict=True)]
    return layout.arrange(arranged, dropped, skip_contents)


def join_over_pages(units: Iterable[Iterable[Block]]) -> list[Block]:
    """String columns and pages together; a paragraph that their end cut in two becomes one again.

    A table or footnotes that stand between the halves come after them.
    """
    joined: list[Block] = []
    for unit in units:
        first = True
        for block in unit:
            between = _between(joined, block, first)
            if between is None:
                joined.append(block)
            else:
                joined[-1 - between] = _glued(joined[-1 - between], block)
            first = first and block.kind in APART
    return joined


LONG = 80  # characters: a shorter text that ends without a full stop may be a label
FAR = 100  # blocks between the halves of a paragraph, at most
APART = ("row", "footnote")  # what may stand between the halves of a paragraph


def _between(joined: Sequence[Block], block: Block, first: bool) -> int | None:
    """How many blocks stand between this one and what it goes on from; None: it goes on from none."""
    if block.kind == "footnote":
        return _open_note(joined) if block.text[:1].islower() else None
    if block.kind != "paragraph" or CAPTION.match(block.text):
        return None
    # Behind a table within a page, only a long text that begins in the middle is the other half.
    inner = not first and len(block.text) > LONG and block.text[:1].islower()
    caption = False
    for count, before in enumerate(reversed(joined[-FAR:])):
        if CAPTION.match(before.text):
            caption = True
        elif before.kind == "paragraph" and len(before.text) < LONG and inner:
            continue  # the cells of a table without rules may pass for short paragraphs
        elif before.kind in ("paragraph", "item") and _continues(before, block):
            return count if first or (caption and inner) else None
        elif before.kind not in APART:
            return None
    return None


def _open_note(joined: Sequence[Block]) -> int | None:
    """How many blocks stand behind the last footnote, if that goes on in the next column."""
    for count, before in enumerate(reversed(joined[-FAR:])):
        if before.kind == "footnote":
            return None if is_closed(before.text) else count
    return None


def _continues(before: Block, after: Block) -> bool:
    if is_closed(before.text):
        return False
    return after.text[:1].islower() or len(before.text) > LONG or before.text.endswith(("-", "–"))


def _glued(before: Block, after: Block) -> Block:
    # A word cut at the page end keeps its hyphen: it may be a compound.
    unspaced = UNSPACED.match(before.text[-1:]) and UNSPACED.match(after.text)
    blank = "" if before.text.endswith(("-", "–")) or unspaced else " "
    text = before.text + blank + after.text
    return replace(before, text=text, pages=(before.pages[0], after.pages[1]))


def without_sections(blocks: Iterable[Block], skip: Iterable[str], dropped: Counter[str]) -> list[Block]:
    """Drop what stands under a heading named in `skip`, until a heading of its level or above."""
    names = {name.casefold() for name in skip}
    kept: list[Block] = []
    depth: int | None = None
    for block in blocks:
        if block.kind == "heading" and (depth is None or block.level <= depth):
            depth = block.level if clean(block.text).strip().casefold() in names else None
        if depth is None:
            kept.append(block)
        else:
            dropped["skipped_section"] += letters(block.text)
    return kept


def _no_text(path: Path, figures: Figures, ocr: Ocr) -> tuple[str, str]:
    """Why a whole file gives nothing: a reason to count, and a sentence."""
    if path.suffix.lower() != ".pdf":
        return "no_text", f"{path} holds no text"
    if not figures.pages:
        return "zero_pages", f"{path} has no pages"
    if not figures.lost:
        return "nothing_left", f"{path} holds nothing but contents, running lines or skipped sections"
    reason = next((reason for reason in ("garbage", "no_text") if reason in figures.lost), "unreadable")
    sentences = (told(why, pages, ocr) for why, pages in figures.lost.items())
    return reason, f"{path} gives no text: {'; '.join(sentences)}"


def told(reason: str, pages: Sequence[int], ocr: Ocr) -> str:
    """A phrase about pages without text: which, why, and what to do."""
    remedy = getattr(ocr, "remedy", "")
    has = "has" if len(pages) == 1 else "have"
    match reason:
        case "no_text":
            return f"{span_of(pages)} {has} no text layer: {remedy}"
        case "garbage":
            return f"{span_of(pages)} {has} a text layer without readable characters: {remedy}"
        case _:
            return f"{span_of(pages)} cannot be read: {reason}"


def _record(document: str, passage: Passage, seen: Counter[str]) -> jsonl.Record:
    key = hashlib.sha256(f"{document}\0{passage.text}".encode()).hexdigest()[:16]
    seen[key] += 1
    return {
        "id": key if seen[key] == 1 else f"{key}-{seen[key]}",
        "document": document,
        "pages": list(passage.pages),
        "headings": list(passage.headings),
        "text": passage.text,
    }
