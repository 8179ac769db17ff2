"""Kept and dropped, and pages beside their chunks: python -m stages.preview [override ...]"""

import base64
import contextlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import doubts, jsonl, pdfium, workers
from stages.artifact import read_json, write_text
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.measure import in_words
from stages.option import build
from stages.page_numbers import span_of
from stages.settings.preview import Preview
from stages.template import render

RAW = Path("data/raw")
CHUNKS = Path("data/chunks.jsonl")
METRICS = Path("metrics/chunk.json")
TARGET = Path("report/chunks.html")

# The units that metrics/chunk.json accounts for, and what became of those that are left.
ACCOUNTS = {"files": "read", "pages": "with text", "characters": "kept", "chunks": "kept"}

# What the page shows at most, so that its file stays small whatever is in a document.
MOST_DOCUMENTS = 200
MOST_CHARACTERS = 24_000  # beside one page; a dense printed page has 8000
FRAME = 200  # characters that the frame of a chunk counts for
LONGEST_HEADING = 200  # characters
TALLEST = 2.5  # height of an image, in widths
BINS = 12  # of the histogram, about

# A page may be made to exhaust whoever draws it; sound ones take a tenth of a second.
SECONDS = 30
MEMORY = 2.0  # GiB


@dataclass
class Page:
    """A page that is shown, the chunks on it, and its image as a data: URI or why it cannot be drawn."""

    document: str
    number: int
    doubts: list[str] = field(default_factory=list)
    reread: bool = False
    image: str = ""
    lack: str = ""
    chunks: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    room: int = MOST_CHARACTERS

    def add(self, record: jsonl.Record, number: int) -> None:
        """Take a chunk, the `number`th of its document; what there is no room for is only counted."""
        if self.room <= 0:
            self.left_out += 1
            return
        first, last = record["pages"]
        text = record["text"][: self.room]
        self.chunks.append(
            {
                "id": record["id"],
                "number": number,
                "headings": [heading[:LONGEST_HEADING] for heading in record["headings"]],
                "pages": span_of(range(first, last + 1)),
                "before": first if first < self.number else None,
                "after": last if last > self.number else None,
                "words": in_words(record["text"]),
                "text": text,
                "cut": len(record["text"]) - len(text),
            }
        )
        self.room -= FRAME + len(text)


def read_chunks(records: Iterable[jsonl.Record], pages: Sequence[Page]) -> tuple[Counter[str], Counter[int]]:
    """Give each page its chunks; return how many each document has, and how many have how many words."""
    shown: dict[str, list[Page]] = {}
    for page in pages:
        shown.setdefault(page.document, []).append(page)
    numbers: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    for record in records:
        document, (first, last) = record["document"], record["pages"]
        numbers[document] += 1
        lengths[in_words(record["text"])] += 1
        for page in shown.get(document, ()):
            if first <= page.number <= last:
                page.add(record, numbers[document])
    return numbers, lengths


def draw(job: tuple[Path, int], width: int, quality: int, password: str | None = None) -> bytes:
    """Return page `job[1]` (1 is the first) of a PDF as WebP, `width` pixels wide or less if it is tall.

    Raises:
        FolioError: the file cannot be opened, or the page not drawn.
    """
    import pypdfium2

    path, number = job
    with pdfium.opened(path, password) as document:
        try:
            page = document[number - 1]
            across, down = (max(side, 1.0) for side in page.get_size())
            image = page.render(scale=min(width / across, TALLEST * width / down)).to_pil()
        except pypdfium2.PdfiumError as error:
            raise FolioError(f"{path}, page {number} cannot be drawn: {error}") from error
    encoded = io.BytesIO()
    image.save(encoded, "WEBP", quality=quality)
    return encoded.getvalue()


def draw_all(pages: Sequence[Page], folder: Path, settings: Preview, password: str | None) -> None:
    """Give each page of a PDF its image, drawn in another process, or the reason why it has none."""
    printed = [page for page in pages if page.document.lower().endswith(".pdf")]
    results = workers.each(
        partial(draw, width=settings.width, quality=settings.quality, password=password),
        [(folder / page.document, page.number) for page in printed],
        workers=workers.cores(),
        seconds=SECONDS,
        memory=MEMORY,
        preload=["stages.entry", "stages.template", "stages.workers", "pypdfium2", "PIL.WebPImagePlugin"],
    )
    with contextlib.closing(results):
        for index, result in results:
            page = printed[index]
            if isinstance(result, bytes):
                page.image = f"data:image/webp;base64,{base64.b64encode(result).decode()}"
            else:
                refused = result.kind == "refused"
                page.lack = result.reason if refused else f"This page cannot be drawn: it {result.reason}"


def percent(part: int, whole: int) -> str:
    """A share with one decimal; what is little is not nothing."""
    share = 100 * part / (whole or 1)
    return "<0.1%" if 0 < share < 0.05 else f"{share:.1f}%"


def histogram(lengths: Counter[int]) -> dict[str, Any]:
    """Bars of the chunks' lengths in words, and the figures below them.

    The last bar takes in whatever is longer than 99 of 100 chunks.
    """
    last = _quantile(lengths, 0.99)
    steps = (step * 10**power for power in count() for step in (1, 2, 5))
    step = next(step for step in steps if last / step <= BINS)
    bars: Counter[int] = Counter()
    for length, chunks in lengths.items():
        bars[min(length, last) // step * step] += chunks
    top = max(bars.values())
    starts = range(min(bars), max(bars) + 1, step)
    return {
        "bars": [
            {"start": start, "count": bars[start], "height": f"{100 * bars[start] / top:.1f}"}
            for start in starts
        ],
        "open": max(lengths) >= starts[-1] + step,
        "step": step,
        "n": lengths.total(),
        "shortest": min(lengths),
        "longest": max(lengths),
        "quarters": [_quantile(lengths, share) for share in (0.25, 0.5, 0.75)],
    }


def _quantile(lengths: Counter[int], share: float) -> int:
    """The least length that `share` of the chunks do not exceed."""
    below = 0
    for length in sorted(lengths):
        below += lengths[length]
        if below >= share * lengths.total():
            return length
    raise FolioError(f"{CHUNKS} holds no chunk; run `dvc repro`")


def rows(documents: Mapping[str, doubts.Figures], chunks: Counter[str]) -> list[dict[str, Any]]:
    """The documents by name; of very many the flagged and those on which the readers agree least."""
    found: list[dict[str, Any]] = []
    for name, figures in documents.items():
        reread = figures.get("reread")
        row = {"name": name, "chunks": chunks[name], "flags": list(doubts.flags(figures, chunks[name]))}
        row |= {key: figures.get(key) for key in ("pages", "recall", "surplus")}
        found.append(row | {"reread": f"{span_of(reread).capitalize()} taken from PDFium" if reread else ""})
    found.sort(key=lambda row: (not row["flags"], doubts.least(documents[row["name"]]), row["name"]))
    return sorted(found[:MOST_DOCUMENTS], key=lambda row: row["name"])


def gather(settings: Preview, password: str | None = None) -> dict[str, Any]:
    """Everything that the template shows.

    Raises:
        FolioError: a file of the chunk stage is missing or damaged.
    """
    chunk = read_json(METRICS)
    documents, failed = chunk["documents"], chunk["failed"]
    pages = [
        Page(name, number, doubts.by_page(figures).get(number, []), number in figures.get("reread", ()))
        for name, number in doubts.choose(documents, settings.pages)
        for figures in [documents[name]]
    ]
    chunks, lengths = read_chunks(jsonl.read(CHUNKS), pages)
    draw_all(pages, RAW, settings, password)
    read = {name: figures for name, figures in documents.items() if name not in failed}
    return {
        "accounts": {unit: chunk[unit] | {"verb": verb} for unit, verb in ACCOUNTS.items()},
        "histogram": histogram(lengths),
        "documents": rows(read, chunks),
        "documents_left_out": max(0, len(read) - MOST_DOCUMENTS),
        "flagged": sum(any(doubts.flags(figures, chunks[name])) for name, figures in read.items()),
        "failed": dict(list(failed.items())[:MOST_DOCUMENTS]),
        "failed_left_out": max(0, len(failed) - MOST_DOCUMENTS),
        "pages": pages,
        "percent": percent,
    }


@entrypoint
def main(config: DictConfig) -> None:
    """Write report/chunks.html."""
    facts = gather(build(config, "preview"), os.environ.get(pdfium.PASSWORD))
    write_text(TARGET, render("preview.html", facts))
    print(f"preview: {len(facts['pages'])} pages beside their chunks in {TARGET}: are the cuts right?")


if __name__ == "__main__":
    main()
