"""PDFs and other texts to passages with page numbers and headings: python -m stages.chunk [override ...]"""

import contextlib
import gc
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import parts, pdfium, plain, repeats, workers
from stages.account import Account
from stages.artifact import write_json
from stages.document import Figures, Reader, told
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.option import build
from stages.page_numbers import span_of
from stages.parts import Part, Parts
from stages.settings.chunk import Chunk

RAW = Path("data/raw")
CHUNKS = Path("data/chunks.jsonl")
METRICS = Path("metrics/chunk.json")
NAMED = 5  # of the files that cannot be read, in the last sentence
SUFFIXES = (".pdf", *plain.LARGEST)


def find_documents(folder: Path) -> list[Path]:
    """The files below `folder` that can be read, in a stable order.

    Raises:
        FolioError: there is none.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    if others := Counter(path.suffix.lower() or path.name for path in files if path not in set(found)):
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common(9))
        print(f"left out of {folder}/, as no stage reads such files: {kinds}")
    for path in found:
        if str(path) != str(path).encode(errors="replace").decode():
            raise FolioError(f"the name of {str(path)!a} is not UTF-8; rename the file")
    if not found:
        raise FolioError(
            f"no PDF, text, Markdown or HTML file in {folder}/; put at least one there and run `dvc repro`"
        )
    return found


def read_part(job: tuple[int, Path, str], reader: Reader, folder: Path) -> Part | FolioError:
    """Write the chunks of one file to its part file (in a worker process).

    An error is returned, not raised, where it is no fault of the file: the disk is full, say.
    """
    _collect_seldom()
    index, path, name = job
    records, figures = reader(path, name)
    try:
        return parts.save(parts.place(folder, index), records, figures)
    except OSError as error:
        return FolioError(
            f"could not write below {folder}: {error.strerror}; free some space there, or set TMPDIR to a "
            "folder with more, then run again"
        )


@cache
def _collect_seldom() -> None:
    """Once a process: pages make many small objects and hardly any cycles among them."""
    gc.freeze()
    gc.set_threshold(500_000)


def read_all(documents: Sequence[Path], names: Sequence[str], reader: Reader, folder: Path) -> list[Part]:
    """Read every document in worker processes; one that fails says why in its figures."""
    from tqdm import tqdm

    settings = reader.settings
    jobs = [(i, path, name) for i, (path, name) in enumerate(zip(documents, names, strict=True))]
    jobs.sort(key=lambda job: -job[1].stat().st_size)  # so that no long file is left for the end
    found: dict[int, Part] = {}
    options = (type(part).__module__ for part in (reader.parser, reader.ocr, reader.splitter))
    results = workers.each(
        partial(read_part, reader=reader, folder=folder),
        jobs,
        workers=settings.workers or workers.cores(),
        seconds=settings.seconds,
        memory=settings.memory,
        preload=["stages.entry", "stages.parts", "stages.workers", "pypdfium2", "rensa", *options],
    )
    with contextlib.closing(results), tqdm(total=len(jobs), desc="chunk", unit="file", disable=None) as bar:
        for place, result in results:
            index = jobs[place][0]
            if isinstance(result, workers.Failure):
                found[index] = Part(_failed(documents[index], result))
            elif isinstance(result, FolioError):
                raise result
            else:
                found[index] = result
            bar.update()
    return [found[index] for index in range(len(jobs))]


def _failed(path: Path, failure: workers.Failure) -> Figures:
    sentence = failure.reason if failure.kind == "refused" else f"{path} {failure.reason}"
    remedy = {"time": "; raise chunk.seconds to wait longer", "memory": "; raise chunk.memory to allow more"}
    return Figures(refused=(failure.kind, sentence + remedy.get(failure.kind, "")))


def select(chunks: Parts, settings: Chunk) -> list[str | None]:
    """Why each chunk is dropped, in order; None: it is kept."""
    reasons: list[str | None] = ["too_short" if n < settings.minimum_words else None for n in chunks.words]
    long = [i for i, reason in enumerate(reasons) if reason is None]
    signatures = b"".join(chunks.signatures[i * repeats.SIZE : (i + 1) * repeats.SIZE] for i in long)
    found = repeats.find(signatures, lambda i: chunks.text(long[i]), settings.duplicate_similarity)
    for i, repeat in found.items():
        reasons[long[i]] = "duplicate" if repeat.kind == "exact" else "near_duplicate"
    return reasons


def chunk_folder(folder: Path, reader: Reader, target: Path = CHUNKS) -> dict[str, Any]:
    """Write every chunk below `folder` to `target` and return the figures of metrics/chunk.json.

    Raises:
        FolioError: nothing usable is left, or a file fails under `chunk.strict`.
    """
    documents = find_documents(folder)
    names = [path.relative_to(folder).as_posix() for path in documents]
    with tempfile.TemporaryDirectory(prefix="folio-") as temporary:
        found = read_all(documents, names, reader, Path(temporary))
        _report(names, found, reader)
        _require(found, reader.settings.strict)
        chunks = Parts(Path(temporary), found)
        reasons = select(chunks, reader.settings)
        account = Account("chunks")
        account.add(reasons.count(None), Counter(filter(None, reasons)))
        account.require(reader.settings.keep_share, "chunk.keep_share")
        gone = chunks.write(target, reasons)
    _report_empty(names, chunks.of_each(reasons))
    words = sum(n for n, reason in zip(chunks.words, reasons, strict=True) if not reason)
    figures = _figures(names, found, reader.settings, gone)
    return figures | {"chunks": account.as_dict(), "words": words}


def _require(found: Sequence[Part], strict: bool) -> None:
    refused = [part.figures.refused[1] for part in found if part.figures.refused]
    if refused and (strict or len(refused) == len(found)):
        more = f"; and {len(refused) - NAMED} more, named above" if len(refused) > NAMED else ""
        first = "; ".join(refused[:NAMED])
        raise FolioError(f"{len(refused)} of {len(found)} files gave no text: {first}{more}")


def _report(names: Sequence[str], found: Sequence[Part], reader: Reader) -> None:
    for name, part in zip(names, found, strict=True):
        figures = part.figures
        if figures.refused:
            print(f"warning: {figures.refused[1]}")
            continue
        for reason, pages in figures.lost.items():
            print(f"warning: {name}: {told(reason, pages, reader.ocr)}")
        if figures.reread:
            print(f"{name}: {span_of(figures.reread)} taken from PDFium, which reads more known words there")
        if _disagrees(figures, reader.settings):
            worst = span_of(sorted(page for page, _ in figures.worst))
            print(
                f"warning: {name}: two readers share fewer words than chunk.agreement="
                f"{reader.settings.agreement:g} asks, fewest on {worst}; look there, or try parser=pdfium"
            )


def _report_empty(names: Iterable[str], reasons: Iterable[Sequence[str | None]]) -> None:
    for name, ends in zip(names, reasons, strict=True):
        if ends and None not in ends:
            why = ", ".join(f"{count} {reason}" for reason, count in Counter(ends).most_common())
            print(f"warning: {name}: no chunk of it is kept: {why}")


def _disagrees(figures: Figures, settings: Chunk) -> bool:
    found = figures.agreement
    return found is not None and found.least < settings.agreement


def _figures(
    names: Sequence[str], found: Sequence[Part], settings: Chunk, gone: Counter[str]
) -> dict[str, Any]:
    """The figures of metrics/chunk.json about files and pages; characters are letters and digits."""
    files, pages, characters = Account("files"), Account("pages"), Account("characters")
    for figures in (part.figures for part in found):
        files.add(int(not figures.refused), {figures.refused[0]: 1} if figures.refused else {})
        lost = {reason: len(numbers) for reason, numbers in figures.lost_pages.items()}
        pages.add(figures.pages - sum(lost.values()), lost)
        characters.add(figures.characters - figures.dropped.total(), figures.dropped)
    characters.add(-gone.total(), gone)
    return {
        "files": files.as_dict(),
        "pages": pages.as_dict(),
        "characters": characters.as_dict(),
        "failed": {n: p.figures.refused[1] for n, p in zip(names, found, strict=True) if p.figures.refused},
        "documents": {n: _document(p.figures, settings) for n, p in zip(names, found, strict=True)},
    }


def _document(figures: Figures, settings: Chunk) -> dict[str, Any]:
    found: dict[str, Any] = {"pages": figures.pages, "chunks": figures.chunks}
    found |= figures.lost_pages
    if figures.agreement:
        found |= {
            "recall": round(figures.agreement.recall, 4),
            "surplus": round(figures.agreement.surplus, 4),
        }
    if figures.reread:
        found["reread"] = figures.reread
    if _disagrees(figures, settings):
        found["apart"] = [[page, round(a.recall, 4), round(a.surplus, 4)] for page, a in figures.worst]
    return found


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/chunks.jsonl and metrics/chunk.json."""
    parser, ocr, splitter, settings = (build(config, key) for key in ("parser", "ocr", "splitter", "chunk"))
    for option in (parser, ocr, splitter):
        option.check()
    reader = Reader(parser, ocr, splitter, settings, os.environ.get(pdfium.PASSWORD))
    figures = chunk_folder(RAW, reader)
    write_json(METRICS, figures)
    files, pages, chunks = (figures[key]["kept"] for key in ("files", "pages", "chunks"))
    print(f"chunk: {files} files, {pages} pages, {chunks} chunks")


if __name__ == "__main__":
    main()
