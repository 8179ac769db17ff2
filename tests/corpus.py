"""How much of a PDF stands in its chunks, and in which order: python -m tests.corpus FOLDER

The reference is the text layer as PDFium reads it. For the documents of `tests/data` the files of
`tests/data/expected` say what a reader of the page image sees: furniture, headings, what follows
what. Any other folder is measured without: lines that recur are then neither asked for nor forbidden.
"""

import argparse
import difflib
import json
import re
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.imports import ROOT

DATA = ROOT / "tests/data"
DOCUMENTS = [*sorted((DATA / "pdf").glob("*.pdf")), *sorted((ROOT / "data/raw").glob("nist-*.pdf"))]
CUT = "\x02"  # PDFium's mark of a hyphen that it took away at a line end
SIGN = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # scripts that set no blanks: a sign is a word
WORD = re.compile(rf"[{SIGN}]|[^\W\d_{SIGN}]+(?:{CUT}[^\W\d_{SIGN}]+)*|\d+")
NUMBER = re.compile(r"(?:page\s*)?(?:\d{1,5}|[ivxlc]{1,7}|[A-Z]-\d{1,3})", re.IGNORECASE)

Record = dict[str, Any]


def chunks_of(folder: Path) -> tuple[list[Record], dict[str, Any]]:
    """The records of the files below `folder` and the figures of metrics/chunk.json, by default settings."""
    from stages import jsonl
    from stages.chunk import chunk_folder
    from stages.compose import compose
    from stages.document import Reader
    from stages.option import build

    config = compose(ROOT / "conf")
    parts = [build(config, key) for key in ("parser", "ocr", "splitter", "chunk")]
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "chunks.jsonl"
        figures = chunk_folder(folder, Reader(*parts), target)
        return list(jsonl.read(target)), figures


def outcome_of(folder: Path) -> str:
    """How the stage ends on `folder`: `3 chunks`, or every reason for which there is none."""
    from stages.errors import FolioError

    try:
        records, figures = chunks_of(folder)
    except FolioError as error:
        return str(error)
    return f"{len(records)} chunks" if records else str(figures["failed"])


def is_reason(sentence: str, path: Path) -> bool:
    """Whether the stage's last sentence says why `path`, its one file, gives no chunk."""
    return path.name in sentence or bool(re.search(r": +\S", sentence))


def normal(text: str) -> str:
    """Compatibility forms resolved, accents and soft hyphens gone, case folded."""
    bare = "".join(c for c in text if unicodedata.category(c) != "Sk" and c not in "\u02c6\u00ad")
    parts = unicodedata.normalize("NFKD", bare)
    return "".join(c for c in parts if not unicodedata.combining(c)).casefold()


def words(text: str) -> list[str]:
    """Runs of letters, runs of digits, single signs; a word cut at a line end keeps `CUT`."""
    return WORD.findall(normal(text))


def squeezed(text: str) -> str:
    """The letters and digits alone: how a hyphen or a blank was resolved no longer matters."""
    return "".join(words(text)).replace(CUT, "")


def common(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest common subsequence, a bit for each word of `a` (Hyyrö 2004)."""
    at: defaultdict[str, int] = defaultdict(int)
    for i, word in enumerate(a):
        at[word] |= 1 << i
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        hits = row & at.get(word, 0)
        row = ((row + hits) | (row - hits)) & full
    return len(a) - row.bit_count()


@lru_cache
def page_texts(path: Path) -> list[str]:
    """The text of each page as PDFium gives it."""
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_bounded().replace("\r\n", "\n") for page in document]


def flexible(pattern: str) -> re.Pattern[str]:
    """A pattern whose blanks match any white space, or none."""
    return re.compile(pattern.replace(" ", r"\s*"), re.DOTALL)


@dataclass
class Expected:
    """What a reader of the page images says of one document; see tests/data/README.md."""

    furniture: list[dict[str, Any]] = field(default_factory=list)
    never: list[str] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    optional: list[dict[str, Any]] = field(default_factory=list)
    apart: list[tuple[int, str]] = field(default_factory=list)
    headings: list[dict[str, Any]] = field(default_factory=list)
    adjacent: list[tuple[int, str, str, str]] = field(default_factory=list)
    rows: list[tuple[int, list[str]]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> "Expected":
        """The list for `path`, or an empty one."""
        file = DATA / "expected" / f"{path.stem}.json"
        return cls(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else cls()

    def label(self, page: int) -> str:
        """The page number as printed, or nothing."""
        for run in self.labels:
            first, last = run["pages"]
            if first <= page <= last:
                start = run["first"]
                number = page - first + (int(start) if start.isdigit() else ROMAN.index(start))
                return str(number) if start.isdigit() else ROMAN[number]
        return ""


ROMAN = ["", *"i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split()]


def _on(page: int, entry: dict[str, Any]) -> bool:
    return entry["pages"][0] <= page <= entry["pages"][1]


@dataclass
class Page:
    """One page of the reference: `parts` are asked for, each in its own order; `optional` is not."""

    number: int
    label: str
    parts: list[list[str]]
    optional: list[str]
    lines: list[str]

    @property
    def required(self) -> list[str]:
        """The words asked for."""
        return [word for part in self.parts for word in part]


def reference(path: Path) -> list[Page]:
    """The pages of `path` without their furniture."""
    expected, texts = Expected.of(path), page_texts(path)
    running = set() if expected.furniture or expected.labels else recurring(texts)
    return [_page(number, text, expected, running) for number, text in enumerate(texts, start=1)]


def _page(number: int, text: str, expected: Expected, running: set[str]) -> Page:
    label = expected.label(number)
    for entry in expected.furniture:
        if _on(number, entry):
            text = flexible(entry["text"]).sub("", text, count=1 if entry.get("once") else 0)
    if label:
        text = re.sub(rf"^\s*{label}\s*$", "", text, count=1, flags=re.MULTILINE)
    optional: list[str] = []
    for entry in expected.optional:
        if _on(number, entry):
            optional += (match[0] for match in flexible(entry["text"]).finditer(text))
            text = flexible(entry["text"]).sub("\n", text)
    lines = text.split("\n")
    if running:
        optional += (line for line in lines if is_running(line, running))
        text = "\n".join(line for line in lines if not is_running(line, running))
    starts = [phrase for page, phrase in expected.apart if page == number]
    return Page(number, label, _split(words(text), starts), words(" ".join(optional)), lines)


def _split(text: list[str], starts: Iterable[str]) -> list[list[str]]:
    cuts = [find(text, words(phrase), phrase) for phrase in starts]
    return [text[a:b] for a, b in pairwise([0, *sorted(cuts), len(text)])]


def find(text: Sequence[str], phrase: Sequence[str], name: str) -> int:
    """Where `phrase` begins in `text`."""
    for i in range(len(text) - len(phrase) + 1):
        if text[i : i + len(phrase)] == phrase:
            return i
    raise ValueError(f"the expected list names what the page lacks: {name}")


def _shape(line: str) -> str:
    return re.sub(r"\d+", "#", " ".join(words(line)))


def recurring(texts: Sequence[str]) -> set[str]:
    """The shapes of lines with letters that stand on a tenth of the pages, three at least."""
    seen = Counter(shape for text in texts for shape in {_shape(line) for line in text.split("\n")})
    least = max(3, len(texts) / 10)
    return {shape for shape, count in seen.items() if count >= least and re.search(r"[^\W\d_]{3}", shape)} | {
        "#"
    }


def is_running(line: str, running: set[str]) -> bool:
    """Whether nobody can ask for `line`: it recurs, is a page number or a contents line."""
    number = NUMBER.fullmatch(line.strip())
    return bool(number) or _shape(line) in running - {"#"} or bool(re.search(r"(?:\.\s?){5,}", line))


class Stream:
    """The records of one document as one run of words; a heading stands where it first applies."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)
        self._pieces: list[list[str]] = []
        before: tuple[str, ...] = ()
        for record in self.records:
            path = tuple(record["headings"])
            same = next(
                (i for i, (a, b) in enumerate(zip(path, before, strict=False)) if a != b), len(before)
            )
            self._pieces.append(words("\n".join((*path[same:], record["text"]))))
            before = path

    @cached_property
    def words(self) -> list[str]:
        """Every word, in order."""
        return [word for piece in self._pieces for word in piece]

    @cached_property
    def squeezed(self) -> str:
        """Letters and digits of the whole document."""
        return "".join(self.words)

    @cached_property
    def vocabulary(self) -> set[str]:
        """The words that occur."""
        return set(self.words)

    @cached_property
    def pairs(self) -> set[tuple[str, str]]:
        """The words that stand side by side."""
        return set(pairwise(self.words))

    def near(self, page: int) -> list[str]:
        """The words of the records that stand on `page`, and of the record after them."""
        on = [i for i, r in enumerate(self.records) if r["pages"][0] <= page <= r["pages"][1]]
        after = {i + 1 for i in on[-1:]} or {
            next((i for i, r in enumerate(self.records) if r["pages"][0] > page), len(self.records))
        }
        return [word for i in sorted({*on, *after}) if i < len(self._pieces) for word in self._pieces[i]]

    def settle(self, text: Sequence[str]) -> list[str]:
        """`text` with words joined or parted as the records have them, where they have them."""
        parted = [piece for word in text for piece in self._parted(word)]
        out: list[str] = []
        for word in parted:
            if out and out[-1] + word in self.vocabulary and not {out[-1], word} <= self.vocabulary:
                out[-1] += word
            else:
                out.append(word)
        return out

    def _parted(self, word: str) -> list[str]:
        whole = word.replace(CUT, "")
        if whole in self.vocabulary:
            return [whole]
        if CUT in word or not word.isalpha():
            return word.split(CUT)
        halves = ((word[:i], word[i:]) for i in range(1, len(word)))
        return list(next((pair for pair in halves if pair in self.pairs), (word,)))


@dataclass
class Measure:
    """The figures of one document; shares are of the words asked for."""

    document: str
    pages: int
    words: int
    chunks: int
    recall: float
    order: float
    added: float
    worst: list[str]


def measure(path: Path, records: Iterable[Record]) -> Measure:
    """Compare the records of one document with its text layer.

    `recall` counts words as a bag over the document. `order` sums, over the parts of each page, the
    longest common subsequence with the records that claim the page. `added` is the share of the
    records' words that the text layer does not account for.
    """
    stream = Stream(records)
    pages = reference(path)
    asked: Counter[str] = Counter()
    known: Counter[str] = Counter()
    losses: list[tuple[int, int, Page]] = []
    in_order = 0
    for page in pages:
        near = stream.near(page.number)
        parts = [stream.settle(part) for part in page.parts]
        found = sum(common(part, near) for part in parts)
        asked.update(word for part in parts for word in part)
        known.update(stream.settle(page.optional))
        losses.append((sum(map(len, parts)) - found, page.number, page))
        in_order += found
    total, got = asked.total(), Counter(stream.words)
    worst = [_explain(page, stream) for lost, _, page in sorted(losses, reverse=True)[:5] if lost > 2]
    return Measure(
        document=path.name,
        pages=len(pages),
        words=total,
        chunks=len(stream.records),
        recall=(asked & got).total() / max(total, 1),
        order=in_order / max(total, 1),
        added=(got - asked - known).total() / max(got.total(), 1),
        worst=worst,
    )


def _explain(page: Page, stream: Stream) -> str:
    near = stream.near(page.number)
    runs: list[tuple[int, str]] = []
    for raw in page.parts:
        part = stream.settle(raw)
        matcher = difflib.SequenceMatcher(None, part, near, autojunk=False)
        for tag, a, b, _, _ in matcher.get_opcodes():
            if tag in ("delete", "replace"):
                lacking = (Counter(part[a:b]) - Counter(near)).total()
                absent = "missing" if 2 * lacking > b - a else "out of order"
                runs.append((b - a, f"{absent}: {' '.join(part[a:b][:14])}{' …' if b - a > 14 else ''}"))
    lost = sum(length for length, _ in runs)
    longest = [f"    {length:4} words {what}" for length, what in sorted(runs, reverse=True)[:4]]
    return "\n".join((f"  page {page.number}: {lost} of {len(page.required)} words", *longest))


def missing_headings(path: Path, records: Sequence[Record]) -> list[str]:
    """The expected headings that stand in no heading path of a chunk on their page or the next."""
    absent: list[str] = []
    for heading in Expected.of(path).headings:
        forms = {squeezed(form) for form in (heading["text"], *heading.get("also", []))}
        pages = {heading["page"], heading["page"] + 1}
        near = [r for r in records if pages & set(range(r["pages"][0], r["pages"][1] + 1))]
        if not any(forms & set(_spelled(record["headings"])) for record in near):
            absent.append(f"page {heading['page']}: {heading['text']}")
    return absent


def _spelled(path: Sequence[str]) -> Iterator[str]:
    """Each heading of a path, and neighbours as one: a chapter's number and name are often two lines."""
    for start in range(len(path)):
        for end in range(start + 1, len(path) + 1):
            yield squeezed("\n".join(path[start:end]))


def surviving_furniture(path: Path, records: Sequence[Record]) -> list[str]:
    """Running lines and page numbers that stand in the chunks, with the chunk's id.

    What reads like a running line but does not run, as on the cover, may stand as often as it is printed.
    """
    expected = Expected.of(path)
    pages = reference(path)
    bare = "\n".join(line for page in pages for line in page.lines)
    running = [*(entry["text"] for entry in expected.furniture), *expected.never]
    patterns = {text: len(flexible(text).findall(bare)) for text in running}
    texts = [(r["id"], r["text"]) for r in records]
    texts += [("a heading", heading) for heading in {h: 0 for r in records for h in r["headings"]}]
    found: list[str] = []
    for pattern, allowed in patterns.items():
        hits = [f"{name}: {match[0]!r}" for name, text in texts for match in flexible(pattern).finditer(text)]
        found += hits if len(hits) > allowed else []
    return found + list(_stray_numbers(pages, records))


def _stray_numbers(pages: Sequence[Page], records: Sequence[Record]) -> Iterator[str]:
    whole = " ".join(word for page in pages for word in page.required)
    for page in (page for page in pages if page.label and page.required):
        seams = {" ".join((page.label, *page.parts[0][:3]))}
        seams |= {" ".join((*part[-3:], page.label)) for part in page.parts}
        seams = {seam for seam in seams if f" {seam} " not in f" {whole} "}
        for record in (r for r in records if r["pages"][0] <= page.number <= r["pages"][1]):
            alone = page.label in (line.strip() for line in record["text"].split("\n"))
            printed = page.label in (line.strip() for line in page.lines)
            text = f" {' '.join(words(record['text']))} "
            if (alone and not printed) or any(f" {seam} " in text for seam in seams):
                yield f"{record['id']}: the number of page {page.number}, {page.label!r}"


def broken_facts(path: Path, records: Iterable[Record]) -> list[str]:
    """The expected neighbours that the chunks part, and the table rows that they scatter."""
    stream = Stream(records)
    expected = Expected.of(path)
    broken: list[str] = []
    for page, before, after, why in expected.adjacent:
        if squeezed(before + " " + after) not in stream.squeezed:
            broken.append(f"page {page}, {why}: {before!r} is not followed by {after!r}")
    for page, cells in expected.rows:
        if not _in_one_run(words(" ".join(cells)), stream):
            broken.append(f"page {page}, a table row: {' | '.join(cells)}")
    return broken


def _in_one_run(row: Sequence[str], stream: Stream, slack: int = 6) -> bool:
    """Whether the words of a row stand in order with at most `slack` others among them."""
    row = stream.settle(row)
    text = stream.words
    starts = (i for i, word in enumerate(text) if word == row[0])
    return any(common(row, text[i : i + len(row) + slack]) == len(row) for i in starts)


def by_document(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each document, in order."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[record["document"]].append(record)
    return found


def table(folder: Path, records: Iterable[Record]) -> Iterator[str]:
    """A line for each document below `folder`, then where it loses most."""
    yield f"{'document':44} pages  words chunks recall  order  added"
    for name, own in sorted(by_document(records).items()):
        m = measure(folder / name, own)
        yield f"{name:44} {m.pages:5} {m.words:6} {m.chunks:6} {m.recall:6.4f} {m.order:6.4f} {m.added:6.4f}"
        yield from m.worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunks", type=Path, help="records made before, in place of a run of the stage")
    options = parser.parse_args()
    if options.chunks:
        lines = options.chunks.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
    else:
        records, figures = chunks_of(options.folder)
        print(json.dumps(figures.get("failed", {}), indent=2))
    print("\n".join(table(options.folder, records)))


if __name__ == "__main__":
    main()
