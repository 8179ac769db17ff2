"""PDFs to passages with page numbers and headings: python -m stages.chunk [override ...]"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import furniture, jsonl
from stages.account import Account
from stages.artifact import write_json
from stages.blocks import Block, Passage
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.option import build
from stages.settings.chunk import Chunk

RAW = Path("data/raw")
CHUNKS = Path("data/chunks.jsonl")
METRICS = Path("metrics/chunk.json")

Parser = Callable[[Path], list[list[Block]]]
Splitter = Callable[[Iterable[Block]], Iterator[Passage]]


def find_documents(folder: Path) -> list[Path]:
    """The PDFs below `folder`, in a stable order.

    Raises:
        FolioError: there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".pdf")
    if not found:
        raise FolioError(f"no PDF in {folder}/; put at least one there and run `dvc repro`")
    return found


def join_over_pages(pages: Iterable[Iterable[Block]]) -> list[Block]:
    """String the pages together; a paragraph that a page end cut in two becomes one again.

    Footnotes are set after the paragraph that they would otherwise tear.
    """
    joined: list[Block] = []
    for page in pages:
        notes: list[Block] = []
        first = True
        for block in page:
            if block.kind == "footnote":
                notes.append(block)
                continue
            if first and joined and _continues(joined[-1], block):
                joined.append(_glued(joined.pop(), block))
            else:
                joined.append(block)
            first = False
        joined.extend(_before_open_paragraph(joined, notes))
    return joined


def _glued(before: Block, after: Block) -> Block:
    # A word cut at the page end keeps its hyphen: it may be a compound.
    blank = "" if before.text.endswith("-") else " "
    text = before.text + blank + after.text
    return replace(before, text=text, pages=(before.pages[0], after.pages[1]))


def _before_open_paragraph(joined: list[Block], notes: list[Block]) -> list[Block]:
    if notes and joined and not _is_closed(joined[-1]):
        notes = [*notes, joined.pop()]
    return notes


def _is_closed(block: Block) -> bool:
    return block.kind == "heading" or block.text.endswith((".", "!", "?", ":", ".”", '."', ".)"))


def _continues(before: Block, after: Block) -> bool:
    text = before.kind in ("paragraph", "item") and after.kind == "paragraph"
    return text and not _is_closed(before) and after.text[:1].islower()


def without_sections(blocks: Iterable[Block], skip: Iterable[str], account: Account) -> list[Block]:
    """Drop what stands under a heading named in `skip`, until a heading of its level or above."""
    names = {name.casefold() for name in skip}
    kept: list[Block] = []
    depth: int | None = None
    for block in blocks:
        if block.kind == "heading" and (depth is None or block.level <= depth):
            depth = block.level if block.text.casefold() in names else None
        if depth is None:
            kept.append(block)
        else:
            account.kept -= 1
            account.drop("skipped_section")
    return kept


def chunk_document(
    path: Path, name: str, parser: Parser, splitter: Splitter, settings: Chunk, account: Account
) -> tuple[list[jsonl.Record], int]:
    """Return the chunk records of one document and its number of pages.

    Raises:
        FolioError: the document cannot be read or has no text layer.
    """
    pages = parser(path)
    if not any(page for page in pages):
        raise FolioError(f"{path} has no text in any of its {len(pages)} pages; it needs OCR first")
    blocks = join_over_pages(furniture.remove(pages, account))
    passages = splitter(without_sections(blocks, settings.skip_headings, account))
    seen: Counter[str] = Counter()
    return [_record(name, passage, seen) for passage in passages], len(pages)


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


def select(chunks: Iterable[jsonl.Record], minimum_words: int, account: Account) -> list[jsonl.Record]:
    """Drop chunks too short to hold an answer, and exact repeats of an earlier chunk's text."""
    seen: set[str] = set()
    kept: list[jsonl.Record] = []
    for chunk in chunks:
        if len(chunk["text"].split()) < minimum_words:
            account.drop("too_short")
        elif chunk["text"] in seen:
            account.drop("duplicate")
        else:
            seen.add(chunk["text"])
            account.keep()
            kept.append(chunk)
    return kept


def chunk_folder(
    folder: Path, parser: Parser, splitter: Splitter, settings: Chunk
) -> tuple[list[jsonl.Record], dict[str, Any]]:
    """Return every chunk below `folder` and the figures of metrics/chunk.json.

    Raises:
        FolioError: nothing usable is left, or a file fails under `chunk.strict`.
    """
    blocks, chunks = Account("blocks"), Account("chunks")
    records: list[jsonl.Record] = []
    failed: dict[str, str] = {}
    pages = 0
    documents = find_documents(folder)
    for path in documents:
        name = path.relative_to(folder).as_posix()
        try:
            found, count = chunk_document(path, name, parser, splitter, settings, blocks)
        except FolioError as error:
            if settings.strict:
                raise
            failed[name] = str(error)
            print(f"warning: {error}")
            continue
        pages += count
        records += found
    if not records:
        raise FolioError("no document gave any text: " + "; ".join(failed.values()))
    kept = select(records, settings.minimum_words, chunks)
    chunks.require(settings.keep_share, "chunk.keep_share")
    figures = {"files": len(documents), "pages": pages, "words": _words(kept), "failed": failed}
    return kept, figures | {"blocks": blocks.as_dict(), "chunks": chunks.as_dict()}


def _words(chunks: Iterable[jsonl.Record]) -> int:
    return sum(len(chunk["text"].split()) for chunk in chunks)


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/chunks.jsonl and metrics/chunk.json."""
    parts = (build(config, key) for key in ("parser", "splitter", "chunk"))
    records, figures = chunk_folder(RAW, *parts)
    jsonl.write(CHUNKS, records)
    write_json(METRICS, figures)
    print(f"chunk: {figures['files']} files, {figures['pages']} pages, {len(records)} chunks")


if __name__ == "__main__":
    main()
