"""The chunk stage beside plain readers, in pages a second, and its memory for 20 and for 200 files.

    python -m benchmarks.chunk [--folder DIR] [--files 40] [--runs 3] [--beside NAME ...] [--others PYTHON]
                               [--no-memory]

Everything is timed from the start of the process to its end, in turns, with two processes each. The
readers run under PYTHON, which may be an environment of its own; one that it lacks is reported as
null. Files are the PDFs of this project with their pages in another order each, or those of DIR.
Memory is the peak of the PSS summed over the stage's processes; half of those files are pages of
shuffled sentences, for no stage has to hold what it drops as a duplicate. The last line is JSON.
"""

import argparse
import ctypes
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
import pypdfium2
from pypdfium2 import raw

from benchmarks import readers
from tests.checkout import Checkout
from tests.corpus import DOCUMENTS, page_texts

# A slow reader gets a part of the files, one of each document at least.
SHARES = {"pdf-oxide": 1.0, "pypdf": 0.25, "pdfminer.six": 0.125, "docling-parse": 0.125}
STAGE = ("-m", "stages.chunk", "chunk.keep_share=0")  # the copies of a page are dropped as duplicates
MEMORY = (20, 200)
INTERVAL = 0.02  # seconds between two looks at the memory


def turned(source: Path, start: int, target: Path) -> None:
    """A copy of `source` that begins with another page."""
    with pypdfium2.PdfDocument(source) as whole, pypdfium2.PdfDocument.new() as part:
        order = [(start + page) % len(whole) for page in range(len(whole))]
        part.import_pages(whole, order)
        part.save(target)


def shuffled(sentences: Sequence[str], seed: int, target: Path, pages: int = 20) -> None:
    """Pages of sentences in an order that no other file has."""
    chance = random.Random(seed)  # noqa: S311 - no secret hangs on it
    with pypdfium2.PdfDocument.new() as document:
        for _ in range(pages):
            page = document.new_page(612, 792)
            lines = textwrap.wrap(" ".join(chance.sample(sentences, 40)), 90)[:50]
            for row, line in enumerate(lines):
                text = raw.FPDFPageObj_NewTextObj(document.raw, b"Times-Roman", 11)
                letters = ctypes.create_string_buffer(f"{line}\0".encode("utf-16-le"))
                raw.FPDFText_SetText(text, ctypes.cast(letters, ctypes.POINTER(ctypes.c_ushort)))
                raw.FPDFPageObj_Transform(text, 1, 0, 0, 1, 72, 720 - 13 * row)
                raw.FPDFPage_InsertObject(page.raw, text)
            page.gen_content()
        document.save(target)


def sources(folder: Path | None) -> list[Path]:
    """The PDFs to vary."""
    return sorted(folder.rglob("*.pdf")) if folder else DOCUMENTS


def fill(
    checkout: Checkout, documents: Sequence[Path], files: int, sentences: Sequence[str] = ()
) -> list[Path]:
    """Put `files` distinct PDFs into data/raw; every other one of shuffled sentences, if there are any."""
    target = checkout.folder / "data/raw"
    for old in target.iterdir():
        old.unlink()
    for number, source in enumerate(islice(cycle(documents), files)):
        file = target / f"{number:04}.pdf"
        if sentences and number % 2:
            shuffled(sentences, number, file)
        else:
            turned(source, 3 * (number // len(documents)), file)
    return sorted(target.iterdir())


def pages_of(files: Sequence[Path]) -> int:
    """How many pages the files have together."""
    count = 0
    for file in files:
        with pypdfium2.PdfDocument(file) as document:
            count += len(document)
    return count


def timed(command: Sequence[str], checkout: Checkout, watch: Callable[[int], None] | None = None) -> float:
    """Seconds from the start of a process to its end; `watch` is called with its id."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=checkout.folder, env=checkout.environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        if watch:
            watch(process.pid)
        if process.wait():
            errors.seek(0)
            sys.exit(f"{' '.join(command[:4])} failed: {errors.read()[-2000:]}")
    return time.perf_counter() - start


def held(process: psutil.Process) -> int:
    """Bytes that a process holds: its share of shared pages where the system tells, else all of them."""
    try:
        used = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0
    return getattr(used, "pss", used.rss)


class Peak:
    """Follows a process and its descendants until it ends."""

    def __init__(self) -> None:
        self.mebibytes = 0.0

    def __call__(self, pid: int) -> None:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            family = [root, *root.children(recursive=True)]
            self.mebibytes = max(self.mebibytes, sum(map(held, family)) / 2**20)
            time.sleep(INTERVAL)


def has(python: str, package: str) -> bool:
    """Whether an interpreter finds a package."""
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def contenders(
    python: str, names: Sequence[str], files: Sequence[Path]
) -> Iterator[tuple[str, list[str], Sequence[Path]]]:
    """Each name with its command and the files that it reads; the stage first."""
    yield "folio", [sys.executable, *STAGE], files
    script = str(Path(readers.__file__))
    for name in names:
        own = files[: max(len(DOCUMENTS), round(SHARES[name] * len(files)))]
        if has(python, readers.PACKAGES[name]):
            yield name, [python, script, name, *map(str, own)], own
        else:
            print(f"{name} is not installed: {python} -m pip install {name}")


def speeds(
    checkout: Checkout,
    files: Sequence[Path],
    rivals: Iterable[tuple[str, list[str], Sequence[Path]]],
    runs: int,
) -> dict[str, dict[str, float]]:
    """Pages a second: the median of `runs` turns, and the best, which other work hurts least."""
    rivals = list(rivals)
    for file in files:
        file.read_bytes()  # so that the first to read does not wait for the disk
    taken: dict[str, list[float]] = {name: [] for name, _, _ in rivals}
    for run in range(runs):
        for name, command, own in rivals:
            taken[name].append(pages_of(own) / timed(command, checkout))
            print(f"run {run + 1}, {name}: {taken[name][-1]:.1f} pages/s, {len(own)} files", flush=True)
    return {
        name: {"median": round(statistics.median(speed), 1), "best": round(max(speed), 1)}
        for name, speed in taken.items()
    }


def memory(checkout: Checkout, documents: Sequence[Path]) -> dict[str, float]:
    """The peak in MiB for few and for many files, and how many times the first the second is."""
    text = " ".join(" ".join(page_texts(path)) for path in documents)
    found = re.findall(r"[A-Z][a-z][^.\x02]{40,200}\.", re.sub(r"\s+", " ", text))
    sentences = [sentence for sentence in found if sentence.isascii()]
    peaks: dict[str, float] = {}
    for count in MEMORY:
        files = fill(checkout, documents, count, sentences)
        peak = Peak()
        seconds = timed([sys.executable, *STAGE], checkout, peak)
        figures = json.loads((checkout.folder / "metrics/chunk.json").read_text(encoding="utf-8"))
        print(f"{count} files, {pages_of(files)} pages, {seconds:.1f} s: {peak.mebibytes:.0f} MiB")
        print(f"  {figures['chunks']}", flush=True)
        peaks[f"files_{count}"] = round(peak.mebibytes, 1)
    few, many = peaks.values()
    return peaks | {"ratio": round(many / few, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="PDFs in place of the project's own")
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    known = list(readers.PACKAGES)
    parser.add_argument("--beside", nargs="*", choices=known, default=known, help="readers, by name")
    parser.add_argument("--others", default=sys.executable, help="the interpreter that has the other readers")
    parser.add_argument("--no-memory", action="store_true")
    options = parser.parse_args()
    documents = sources(options.folder)
    figures: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "runs": options.runs}
    with tempfile.TemporaryDirectory() as place:
        checkout = Checkout(Path(place) / "folio", Path(place) / "cache")
        files = fill(checkout, documents, options.files)
        figures |= {"files": len(files), "pages": pages_of(files)}
        rivals = contenders(options.others, options.beside, files)
        figures["pages_per_second"] = dict.fromkeys(["folio", *options.beside]) | speeds(
            checkout, files, rivals, options.runs
        )
        figures["load"] = round(os.getloadavg()[0], 1)  # above the cores, other work took its part
        if not options.no_memory:
            figures["peak_pss_mib"] = memory(checkout, documents)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
