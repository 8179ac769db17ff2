"""Text, Markdown and HTML files: one sheet of blocks each."""

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from stages.blocks import Block, Kind
from stages.errors import FolioError
from stages.lines import clean
from stages.numbering import BULLET, ENUMERATOR
from stages.paragraphs import join
from stages.sheet import Sheet

MIB = 2**20
# The largest files, in bytes: a MiB of prose takes 1 s as Markdown and 0.1 s as HTML, of hostile text 10 s.
LARGEST = {".txt": 64 * MIB, ".html": 64 * MIB, ".htm": 64 * MIB, ".md": 8 * MIB, ".markdown": 8 * MIB}

DECLARED = re.compile(
    rb"<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,200}?encoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE
)
# Of Python's codecs those in which pages are written; unicode_escape and its like are none.
CODEC = re.compile(r"cp\d+|iso8859-\d+|koi8-[rut]|gb\w+|big5\w*|shift_jis\w*|euc_\w+|mac-\w+|tis-620")
FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?=[\w-]+[ \t]*:).*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
# Without an end tag each of these would hide the rest of a file.
RAW = ("title", "textarea", "style", "xmp", "iframe", "noembed", "noframes", "script", "plaintext")

HEADINGS = {f"h{level}": level for level in range(1, 7)}
# No page nests deeper; each stray end tag is looked for in all that is open.
DEEPEST = 5000
FEED = 2**16
SECTIONS = ("main", "article", "section")
# Before and after these a paragraph ends.
BREAKING = {*HEADINGS, *SECTIONS} | set(
    "address aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure "
    "footer form header hr legend li nav ol p pre summary table tbody td tfoot th thead tr ul".split()
)
UNSEEN = set(
    "annotation audio button canvas datalist dialog iframe nav noembed noframes noscript object rp script "
    "select style svg template textarea title video".split()
)
ROLES = {"banner", "contentinfo", "navigation", "search"}
INVISIBLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f\u200b\u2060\ufeff]")
LINE_BREAK = "\u2028"
KEPT_BREAK = "\x00"  # the decoder lets none through
BLANK_LINE = re.compile(rf"{LINE_BREAK}\s*{LINE_BREAK}")


def read(path: Path) -> list[Sheet]:
    """Return a .txt, .md, .markdown, .html or .htm file as one sheet, page 1.

    Raises:
        FolioError: the file is too large, no text, or in a character set that it does not name.
    """
    kind = path.suffix.lower()
    if path.stat().st_size > LARGEST[kind]:
        raise FolioError(f"{path} is larger than {LARGEST[kind] // MIB} MiB; split it")
    text = _decode(path, path.read_bytes())
    if kind == ".txt":
        blocks = _paragraphs(text)
    else:
        blocks = _elements(text if kind in (".html", ".htm") else _to_html(text), path)
    return [Sheet(1, 0, 0, blocks=blocks)]


def _decode(path: Path, data: bytes) -> str:
    """UTF-8 or UTF-16 by its mark, else UTF-8, else what an HTML page declares; never a guess."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ["utf-16"] if marked else ["utf-8-sig", _declared(data)]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            raise FolioError(f"{path} is no text: it holds zero bytes")
        return text.replace("\r\n", "\n")
    raise FolioError(
        f"{path} is not UTF-8 and its character set is not declared; convert it, for example with "
        f"`iconv -f WINDOWS-1252 -t UTF-8`"
    )


def _declared(data: bytes) -> str:
    if found := DECLARED.search(data[:4096]):
        try:
            name = codecs.lookup(found[1].decode("ascii")).name
        except (LookupError, ValueError):
            return "utf-8"
        # Browsers take Latin-1 for its superset, and so do those who write the pages.
        name = "cp1252" if name == "iso8859-1" else name
        if CODEC.fullmatch(name):
            return name
    return "utf-8"


def _paragraphs(text: str) -> list[Block]:
    runs = groupby(text.splitlines(), key=lambda line: bool(line.strip()))
    blocks: list[Block] = []
    for filled, lines in runs:
        part: list[str] = []
        for line in lines if filled else ():
            if part and (BULLET.match(line.strip()) or ENUMERATOR.match(line.strip())):
                blocks.append(_paragraph(part))
                part = []
            part.append(line)
        if part:
            blocks.append(_paragraph(part))
    return [block for block in blocks if block.text]


def _paragraph(lines: Sequence[str]) -> Block:
    text = join(filter(None, map(_tidy, lines)), set())
    if bullet := BULLET.match(text):
        return Block("item", f"- {text[bullet.end() :]}", (1, 1))
    return Block("item" if ENUMERATOR.match(text) else "paragraph", text, (1, 1))


def _tidy(text: str) -> str:
    return clean(CONTROL.sub("", text)).strip()


def _lines(text: str) -> str:
    """Tidy each line of a text whose line breaks count."""
    return "\n".join(filter(None, map(_tidy, text.split(KEPT_BREAK))))


def _to_html(markdown: str) -> str:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for rule in ("html_block", "html_inline"):
        parser.add_render_rule(rule, _harmless)
    return str(parser.render(FRONT_MATTER.sub("", markdown)))


def _harmless(_renderer: Any, tokens: Sequence[Any], index: int, *_: Any) -> str:
    html: str = tokens[index].content
    lower = html.lower()
    for name in RAW:
        if lower.count(f"<{name}") > lower.count(f"</{name}"):
            html = re.sub(rf"<(?={name})", "&lt;", html, flags=re.IGNORECASE)
    return html


def _elements(html: str, path: Path) -> list[Block]:
    from lxml import etree

    # Events instead of a tree: time and memory stay in proportion, however deep the tags nest.
    # Without huge_tree a long comment would come as text.
    parser = etree.HTMLParser(target=_Reader(path), encoding="utf-8", huge_tree=True)
    data = html.encode()
    for start in range(0, len(data) + 1, FEED):  # in one go it would read on after the reader has refused
        parser.feed(data[start : start + FEED])
    blocks: list[Block] = parser.close()
    return blocks


class _Reader:
    """Follows the tags of a page, which come well nested: what is open decides what a text is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._depth = 0
        self._blocks: list[Block] = []
        self._text: list[str] = []
        self._unseen = 0  # depth within an element that is not shown
        self._pre = 0  # depth within a text whose line breaks count
        self._sections: Counter[str] = Counter()  # of each that is open
        self._main: list[Block] = []
        self._open: list[tuple[Kind, int]] = []  # headings and list items
        self._lists: list[int | None] = []  # the next number, None in a list without numbers
        self._marker = ""
        self._row: list[list[Block]] | None = None  # its cells

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take a start tag."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise FolioError(f"{self._path} nests more than {DEEPEST} elements; close its tags")
        if tag in BREAKING and not self._unseen:
            self._flush()
        if self._unseen or self._is_unseen(tag, attributes):
            self._unseen += 1
        elif tag == "br":
            self._text.append(LINE_BREAK)
        elif tag == "pre":
            self._pre += 1
        elif tag in HEADINGS:
            self._open.append(("heading", HEADINGS[tag]))
        elif tag == "li":
            self._begin_item()
        elif tag in ("ul", "ol"):
            start = attributes.get("start", "")
            first = int(start) if re.fullmatch(r"[0-9]{1,6}", start) else 1
            self._lists.append(first if tag == "ol" else None)
        elif tag in SECTIONS:
            self._sections[tag] += 1
        else:
            self._begin_cell(tag)

    def data(self, text: str) -> None:
        """Take a piece of text."""
        if not self._unseen:
            self._text.append(text.replace("\n", KEPT_BREAK) if self._pre else text)

    def end(self, tag: str) -> None:
        """Take an end tag."""
        self._depth -= 1
        if self._unseen:
            self._unseen -= 1
            return
        if tag in BREAKING:
            self._flush()
        if tag == "pre":
            self._pre -= 1
        elif tag in HEADINGS or tag == "li":
            self._open.pop()
            self._marker = ""
        elif tag in ("ul", "ol"):
            self._lists.pop()
        elif tag in SECTIONS:
            self._sections[tag] -= 1
        elif tag in ("tr", "table"):
            self._end_row()

    def close(self) -> list[Block]:
        """Return what was read: what a page marks as its main part, where that is most of it."""
        self._flush()
        self._end_row()
        lengths = (sum(len(block.text) for block in blocks) for blocks in (self._main, self._blocks))
        if 2 * next(lengths) <= next(lengths):
            return self._blocks
        # A page's title may stand before its main part.
        title = [block for block in self._blocks if block.kind == "heading" and block.level == 1][:1]
        return self._main if not title or title[0] in self._main else title + self._main

    def _is_unseen(self, tag: str, attributes: Mapping[str, str]) -> bool:
        if tag in ("header", "footer") and not self._sections.total():  # of the site, not of an article
            return attributes.get("id") != "title-block-header"  # pandoc's
        if tag == "a" and "headerlink" in attributes.get("class", "").split():
            return True
        shown = tag == "dialog" and "open" in attributes
        return (
            (tag in UNSEEN and not shown)
            or "hidden" in attributes
            or attributes.get("aria-hidden") == "true"
            or attributes.get("role") in ROLES
            or bool(INVISIBLE.search(attributes.get("style", "")))
        )

    def _begin_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        self._marker = "- " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1
        self._open.append(("item", 0))

    def _begin_cell(self, tag: str) -> None:
        if tag in ("table", "tr"):  # a table within a cell ends the row around it
            self._end_row()
        if tag == "tr":
            self._row = []
        elif tag in ("td", "th") and self._row is not None:
            self._row.append([])

    def _flush(self) -> None:
        found = []
        kind, level = self._open[-1] if self._open else ("paragraph", 0)
        parts = BLANK_LINE.split("".join(self._text))
        self._text = []
        for text in filter(None, map(_lines, parts)):
            marker = self._marker if kind == "item" else ""
            found.append(Block(kind, marker + text, (1, 1), level))
            self._marker = ""
        if self._row:
            self._row[-1] += found
        else:
            self._add(found)

    def _add(self, blocks: list[Block]) -> None:
        self._blocks += blocks
        if self._sections["main"]:
            self._main += blocks

    def _end_row(self) -> None:
        """A row of several cells is one block, unless its cells hold the layout of a page."""
        cells, self._row = self._row or [], None
        inside = [block for cell in cells for block in cell]
        if len(cells) < 2 or any(block.kind == "heading" for block in inside):
            self._add(inside)
        elif inside:
            texts = (" ".join(block.text for block in cell) for cell in cells)
            self._add([Block("row", clean(" | ".join(texts)).strip(), (1, 1))])
