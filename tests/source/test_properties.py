import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from stages.split import side
from tests.source.reading import source, split, write_lines

TALK = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user", "assistant")]
QA = {"question": "Why?", "answer": "Because.", "context": "It is so."}
ASKED = {"question": "Why?", "answers": [{"text": "Because.", "answer_start": 0}]}
# For each source its settings and a good row.
SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "qa": ({"passage": "context"}, QA),
    "instruct": ({}, {"instruction": "Add.", "input": "1, 2", "context": "Sums.", "response": "3"}),
    "preferences": ({}, {"prompt": TALK[:2], "chosen": TALK[2], "rejected": "No.", "system": "Be brief."}),
    "choice": (
        {"options": "choices", "label": "answer", "base": "letter"},
        {"question": "Sky?", "choices": ["Red", "Blue", "Green"], "answer": "B"},
    ),
    "conversations": ({}, {"messages": TALK, "system": "Be brief."}),
    "squad": ({}, {"title": "One", "paragraphs": [{"context": "It is so.", "qas": [ASKED, ASKED]}]}),
}
WRONG = [
    None, True, 0, -1, 7, 0.5, float("nan"), "", " ", "A", "Z", "1", "user", "tool", "\ud800", "a\0b",
    "\x1b[31m", "x" * 20_001, [], [[]], {}, {"text": "one"}, {"text": [1], "label": ["A"]},
    [{"role": "user", "content": 7}],
]  # fmt: skip


def spoilt(row: Any, chance: random.Random) -> Any:
    """A row of which one part, at any depth, is replaced, removed, or doubled."""
    whole = {"row": copy.deepcopy(row)}
    part: Any = whole
    key: Any = "row"
    while isinstance(part[key], dict | list) and part[key] and chance.random() < 0.8:
        part = part[key]
        key = chance.choice(list(part) if isinstance(part, dict) else range(len(part)))
    if isinstance(part, list) and chance.random() < 0.2:
        part.append(part[key])
    elif part is not whole and chance.random() < 0.2:
        del part[key]
    else:
        part[key] = chance.choice(WRONG)
    return whole["row"]


@pytest.mark.parametrize("name", SHAPES)
def test_any_rows_are_records_or_refusals_and_none_is_lost(tmp_path: Path, name: str) -> None:
    settings, good = SHAPES[name]
    chance = random.Random(0)  # noqa: S311 - the same rows each time
    rows = [good, *(spoilt(good, chance) for _ in range(1500))]
    file = write_lines(tmp_path / "rows.jsonl", *map(json.dumps, rows))
    records, refusals = split(source(name, file, **settings))
    lines = [one["line"] for one in records] + [one.line for one in refusals]
    # A row of SQuAD's has two questions, a conversation two turns of the assistant.
    every = list(range(1, max(lines) + 1))
    assert (sorted(set(lines)) if name == "conversations" else sorted(lines)) == every
    assert len(every) == 1501 or name == "squad"
    assert len(every) >= 1501
    assert len({refusal.reason for refusal in refusals}) >= 6
    assert len(records) >= 2
    for record in records:
        assert record["question"]
        assert record["answer"]
        assert record["passage"] != ""
        assert json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
        assert side(record["chunk"], 0, 0.2, 0.1)
