"""PDFs and other texts to passages with page numbers and headings: python -m stages.chunk [override ...]"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import jsonl, repeats, workers
from stages.account import Account
from stages.artifact import write_json
from stages.document import Figures, Reader, span_of
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.lines import letters
from stages.measure import in_words
from stages.option import build
from stages.settings.chunk import Chunk

RAW = Path("data/raw")
CHUNKS = Path("data/chunks.jsonl")
METRICS = Path("metrics/chunk.json")
SUFFIXES = (".pdf", ".txt", ".md", ".markdown", ".html", ".htm")
PASSWORD = "FOLIO_PDF_PASSWORD"  # noqa: S105 - the name of the variable

WORDS = {
    "no_text": "have no text layer",
    "garbage": "have a text layer without readable characters",
    "unreadable": "cannot be read",
}


def find_documents(folder: Path) -> list[Path]:
    """The files below `folder` that can be read, in a stable order.

    Raises:
        FolioError: there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise FolioError(
            f"no PDF, text, Markdown or HTML file in {folder}/; put at least one there and run `dvc repro`"
        )
    return found


@dataclass(frozen=True)
class Part:
    """What a worker says of one file; the file's chunks lie in a part file of their own."""

    figures: Figures
    signatures: bytes  # of its chunks, one after the other
    words: list[int]  # in each chunk


def read_part(job: tuple[int, Path, str], reader: Reader, parts: Path) -> Part:
    """Write the chunks of one file to its part file (in a worker process)."""
    index, path, name = job
    records, figures = reader(path, name)
    jsonl.write(_part(parts, index), records)
    figures.chunks = len(records)
    texts = [record["text"] for record in records]
    return Part(figures, b"".join(map(repeats.signature, texts)), [in_words(text) for text in texts])


def _part(parts: Path, index: int) -> Path:
    return parts / f"{index:07}.jsonl"


def read_all(documents: Sequence[Path], folder: Path, reader: Reader, parts: Path) -> list[Part]:
    """Read every document in worker processes; one that fails says why in its figures."""
    from tqdm import tqdm

    settings = reader.settings
    names = [path.relative_to(folder).as_posix() for path in documents]
    jobs = [(i, path, name) for i, (path, name) in enumerate(zip(documents, names, strict=True))]
    found: dict[int, Part] = {}
    preload = ["stages.document", "stages.entry", "stages.repeats", "stages.workers", "numpy", "pypdfium2"]
    preload += [type(part).__module__ for part in (reader.parser, reader.splitter, reader.ocr)]
    results = workers.each(
        partial(read_part, reader=reader, parts=parts),
        jobs,
        workers=settings.workers or os.cpu_count() or 1,
        seconds=settings.seconds,
        memory=settings.memory,
        preload=preload,
    )
    with tqdm(total=len(jobs), desc="chunk", unit="file", disable=None) as bar:
        for index, result in results:
            if isinstance(result, workers.Failure):
                result = _failed(documents[index], result)
                jsonl.write(_part(parts, index), [])
            found[index] = result
            bar.update()
    return [found[index] for index in range(len(jobs))]


def _failed(path: Path, failure: workers.Failure) -> Part:
    sentence = failure.reason if failure.kind == "refused" else f"{path} {failure.reason}"
    remedy = {"time": "; raise chunk.seconds to wait longer", "memory": "; raise chunk.memory to allow more"}
    return Part(Figures(refused=(failure.kind, sentence + remedy.get(failure.kind, ""))), b"", [])


def select(parts: Sequence[Part], folder: Path, settings: Chunk, account: Account) -> list[str | None]:
    """Why each chunk of all documents is dropped, in order; None: it is kept."""
    reasons: list[str | None] = [
        "too_short" if words < settings.minimum_words else None for part in parts for words in part.words
    ]
    signatures = b"".join(part.signatures for part in parts)
    long = [i for i, reason in enumerate(reasons) if reason is None]
    chosen = b"".join(signatures[i * repeats.SIZE : (i + 1) * repeats.SIZE] for i in long)
    places = [(i, k) for i, part in enumerate(parts) for k in range(len(part.words))]

    @lru_cache(maxsize=4)
    def texts(part: int) -> list[str]:
        return [record["text"] for record in jsonl.read(_part(folder, part))]

    def text_of(index: int) -> str:
        part, line = places[long[index]]
        return texts(part)[line]

    for index, repeat in repeats.find(chosen, text_of, settings.duplicate_similarity).items():
        reasons[long[index]] = "duplicate" if repeat.kind == "exact" else "near_duplicate"
    for reason in reasons:
        if reason:
            account.drop(reason)
        else:
            account.keep()
    return reasons


def kept(parts: int, folder: Path, reasons: Sequence[str | None], dropped: Counter[str]) -> Iterator[jsonl.Record]:
    """Yield the chunks that stay, in order; `dropped` counts the letters of the others."""
    places = iter(reasons)
    for index in range(parts):
        for record in jsonl.read(_part(folder, index)):
            if reason := next(places):
                dropped[reason] += letters(record["text"])
            else:
                yield record


def chunk_folder(folder: Path, reader: Reader, target: Path = CHUNKS) -> dict[str, Any]:
    """Write every chunk below `folder` to `target` and return the figures of metrics/chunk.json.

    Raises:
        FolioError: nothing usable is left, or a file fails under `chunk.strict`.
    """
    documents = find_documents(folder)
    names = [path.relative_to(folder).as_posix() for path in documents]
    settings = reader.settings
    with tempfile.TemporaryDirectory(prefix="folio-") as temporary:
        parts = read_all(documents, folder, reader, Path(temporary))
        refused = {n: p.figures.refused for n, p in zip(names, parts, strict=True) if p.figures.refused}
        _report(names, parts, settings)
        if refused and (settings.strict or len(refused) == len(parts)):
            why = "; ".join(sentence for _, sentence in refused.values())
            raise FolioError(f"{len(refused)} of {len(parts)} files gave no text: {why}")
        chunks = Account("chunks")
        reasons = select(parts, Path(temporary), settings, chunks)
        chunks.require(settings.keep_share, "chunk.keep_share")
        gone: Counter[str] = Counter()
        records = _Counted(kept(len(parts), Path(temporary), reasons, gone))
        jsonl.write(target, records)
    figures = _figures(names, parts, settings)
    figures["characters"].add(-gone.total(), gone)
    figures["characters"] = figures["characters"].as_dict()
    return figures | {"chunks": chunks.as_dict(), "words": records.words}


class _Counted:
    """Records that pass by, and the words in them."""

    def __init__(self, records: Iterable[jsonl.Record]) -> None:
        self._records = records
        self.words = 0

    def __iter__(self) -> Iterator[jsonl.Record]:
        for record in self._records:
            self.words += len(record["text"].split())
            yield record


def _report(names: Sequence[str], parts: Sequence[Part], settings: Chunk) -> None:
    for name, part in zip(names, parts, strict=True):
        figures = part.figures
        if figures.refused:
            print(f"warning: {figures.refused[1]}")
            continue
        for reason, pages in figures.lost.items():
            remedy = "" if reason == "unreadable" else "; ocr=tesseract reads such pages"
            print(f"warning: {name}: {span_of(pages)} {WORDS[reason]}{remedy}")
        if figures.reread:
            print(f"{name}: {span_of(figures.reread)} taken from PDFium, which reads more known words there")
        if _disagrees(figures, settings):
            worst = ", ".join(str(page) for page, _ in figures.worst)
            print(
                f"warning: {name}: the two readers share fewer words than chunk.agreement="
                f"{settings.agreement:g} asks, most of all on pages {worst}; look at them, or try parser=pdfium"
            )


def _disagrees(figures: Figures, settings: Chunk) -> bool:
    found = figures.agreement
    return found is not None and min(found.recall, 1 - found.surplus) < settings.agreement


def _figures(names: Sequence[str], parts: Sequence[Part], settings: Chunk) -> dict[str, Any]:
    """The figures of metrics/chunk.json about files and pages; characters are letters and digits."""
    files, pages, characters = Account("files"), Account("pages"), Account("characters")
    for figures in (part.figures for part in parts):
        if figures.refused:
            files.drop(figures.refused[0])
        else:
            files.keep()
        lost = {reason: len(numbers) for reason, numbers in figures.lost.items()}
        pages.add(figures.pages - sum(lost.values()), lost)
        characters.add(figures.characters - figures.dropped.total(), figures.dropped)
    return {
        "files": files.as_dict(),
        "pages": pages.as_dict(),
        "characters": characters,
        "failed": {n: p.figures.refused[1] for n, p in zip(names, parts, strict=True) if p.figures.refused},
        "documents": {n: _document(p.figures, settings) for n, p in zip(names, parts, strict=True)},
    }


def _document(figures: Figures, settings: Chunk) -> dict[str, Any]:
    found: dict[str, Any] = {"pages": figures.pages, "chunks": figures.chunks}
    found |= {reason: numbers for reason, numbers in figures.lost.items() if numbers}
    if figures.agreement:
        found |= {"recall": round(figures.agreement.recall, 4), "surplus": round(figures.agreement.surplus, 4)}
    if figures.reread:
        found["reread"] = figures.reread
    if _disagrees(figures, settings):
        found["apart"] = [[page, round(a.recall, 4), round(a.surplus, 4)] for page, a in figures.worst]
    return found


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/chunks.jsonl and metrics/chunk.json."""
    parser, ocr, splitter, settings = (build(config, key) for key in ("parser", "ocr", "splitter", "chunk"))
    reader = Reader(parser, ocr, splitter, settings, os.environ.get(PASSWORD))
    figures = chunk_folder(RAW, reader)
    write_json(METRICS, figures)
    files, pages, chunks = (figures[key]["kept"] for key in ("files", "pages", "chunks"))
    print(f"chunk: {files} files, {pages} pages, {chunks} chunks")


if __name__ == "__main__":
    main()
