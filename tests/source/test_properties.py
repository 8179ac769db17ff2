import json
import random
from pathlib import Path
from typing import Any

import pytest

from stages.split import side
from tests.source.reading import source, split, write_lines

SHAPES: dict[str, dict[str, Any]] = {
    "qa": {"passage": "context"},
    "instruct": {},
    "preferences": {},
    # Of any base but this the labels of a file may be refused together.
    "choice": {"base": "letter", "options": "choices", "label": "answer"},
    "conversations": {"system": "context"},
    "squad": {},
}
KEYS = """
    question answer context choices prompt chosen instruction response messages role content from value
    paragraphs qas answers text label
""".split()
LEAVES = [
    None, True, 0, 1, 7, 0.5, float("nan"), "", " ", "Why?", "Because.", "A", "B", "1",
    "user", "assistant", "system", "gpt", "human", "\ud800", "\0", "x" * 20_001,
]  # fmt: skip


def anything(chance: random.Random, depth: int) -> Any:
    """A JSON value whose objects have the keys that readers look for."""
    kind = chance.random() * (1 if depth else 0.4)
    if kind < 0.4:
        return chance.choice(LEAVES)
    if kind < 0.6:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {key: anything(chance, depth - 1) for key in chance.sample(KEYS, chance.randrange(1, 9))}


@pytest.mark.parametrize("name", SHAPES)
def test_any_rows_are_records_or_refusals_and_none_is_lost(tmp_path: Path, name: str) -> None:
    chance = random.Random(0)  # noqa: S311 - rows, not secrets
    rows = [anything(chance, 4) for _ in range(2000)]
    file = write_lines(tmp_path / "rows.jsonl", *map(json.dumps, rows))
    records, refusals = split(source(name, file, **SHAPES[name]))
    lines = [one["line"] for one in records] + [one.line for one in refusals]
    if name not in ("squad", "conversations"):
        assert sorted(lines) == list(range(1, len(rows) + 1))
    elif name == "conversations":
        assert set(lines) == set(range(1, len(rows) + 1))
    else:
        assert sorted(lines) == list(range(1, len(lines) + 1))
    assert records or name == "squad"
    for record in records:
        assert record["question"]
        assert record["answer"]
        assert record["passage"] != ""
        assert json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
        assert side(record["chunk"], 0, 0.2, 0.1)
