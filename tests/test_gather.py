"""One source to records, with the rows that were refused beside them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages import jsonl
from stages.account import Account
from stages.gather import figures, gather
from stages.option import setting
from stages.origin import Refusal, Source
from tests.imports import ROOT


@setting
class Numbers(Source):
    """Every third row is refused."""

    def records(self) -> Iterator[dict[str, Any] | Refusal]:
        for line in range(1, 10):
            if line % 3 == 0:
                yield Refusal(line, "empty_answer", "answer is ''")
            else:
                yield {"id": f"{line:016x}", "chunk": f"c{line // 4}", "question": f"{line}?"}


def numbers(rows: int = 0) -> Numbers:
    return Numbers(name="numbers", watch="x", rows=rows, seed=0, keep_share=0.0)


def test_every_row_is_a_record_of_its_source_or_refused_with_line_and_reason() -> None:
    account = Account("rows")
    records, refused = gather(numbers(), "mine", account)
    assert [(row["question"], row["source"]) for row in records][:2] == [("1?", "mine"), ("2?", "mine")]
    assert refused[0] == {"line": 3, "reason": "empty_answer", "detail": "answer is ''"}
    assert figures(records, account) == {
        "rows": {"in": 9, "kept": 6, "dropped": {"empty_answer": 3}}, "groups": 3,
    }  # fmt: skip


def test_of_the_usable_records_some_are_drawn_and_stay_when_more_are_asked_for() -> None:
    records, _ = gather(numbers(), "mine", Account("rows"))
    few, more = numbers(2).draw(records), numbers(4).draw(records)
    assert len(few) == 2
    assert [row for row in more if row in few] == few


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.gather", *words],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_stage_writes_records_refusals_and_figures(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "data/qa.jsonl", [{"id": "a", "chunk": "c"}, {"id": "b", "chunk": "c"}])
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "gather: pairs: 2 of 2 rows\n"
    assert [row["source"] for row in jsonl.read(tmp_path / "data/sources/pairs.jsonl")] == ["pairs", "pairs"]
    assert list(jsonl.read(tmp_path / "data/refused/pairs.jsonl")) == []
    found = json.loads((tmp_path / "metrics/gather/pairs.json").read_text(encoding="utf-8"))
    assert found == {"rows": {"in": 2, "kept": 2, "dropped": {}}, "groups": 1}


def test_a_source_that_is_not_chosen_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "gather.source=pears")
    assert done.returncode == 1
    assert done.stderr.startswith("folio: gather.source=pears is no chosen source; did you mean pairs?")
