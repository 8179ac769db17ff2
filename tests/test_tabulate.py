import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from stages import jsonl
from stages.errors import FolioError
from stages.tabulate import (
    COLUMNS,
    PARQUET,
    SQLITE,
    columns,
    key,
    quoted,
    tabulate,
    write_parquet,
    write_sqlite,
)
from tests.imports import ROOT

SAID = ["=1+1", "'; DROP TABLE answers; --", "no\x00end \"'é海\n", "", "<b>oil</b>", "@SUM(A1)"]
NAMES = [("base", "open"), ("base", "closed"), ("base", "trained"), ("tuned", "open"), ("tuned", "closed"),
         ("tuned", "trained")]  # fmt: skip


def answer(model: str, context: str, said: str) -> dict[str, Any]:
    return {
        "id": "t" if context == "trained" else "q", "model": model, "context": context, "chunk": "c",
        "document": "ship.pdf", "pages": [3, 4], "passage": "Oil is in the hold.", "question": "What?",
        "reference": "Oil.", "answer": said, "cut_off": model == "base", "tokens": 7,
        "token_losses": [0.5, 0.25, 0.25],
    }  # fmt: skip


ANSWERS = [answer(*names, said) for names, said in zip(NAMES, SAID, strict=True)]


def scored(row: dict[str, Any], **values: float) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "model", "context", "chunk")} | values


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stages before this one have written."""
    monkeypatch.chdir(tmp_path)
    for model in ("base", "tuned"):
        jsonl.write(Path(f"evaluation/{model}.jsonl"), [row for row in ANSWERS if row["model"] == model])
    patterns = [{name: row[name] for name in ("id", "model", "context")} for row in ANSWERS]
    jsonl.write(Path("evaluation/failures.jsonl"), [row | {"pattern": "partial"} for row in patterns[::-1]])
    squad = [scored(row, f1=0.5, exact=float(row["model"] == "tuned")) for row in ANSWERS]
    jsonl.write(Path("evaluation/scores/squad.jsonl"), squad)
    # One answer could not be measured.
    bert = [scored(ANSWERS[0]), *(scored(row, bertscore=0.25) for row in ANSWERS[1:])]
    jsonl.write(Path("evaluation/scores/bertscore.jsonl"), bert)
    leak = {"question": "What?", "reasons": ["same_question"], "closest": None}
    jsonl.write(Path("data/leaks.jsonl"), [{"id": name} | leak for name in ("q", "t", "not asked")])
    return tmp_path


def write(*metrics: str) -> None:
    types, found = tabulate(metrics or ("squad", "bertscore"))
    write_parquet(PARQUET, types, found)
    write_sqlite(SQLITE, types, found)


def test_every_answer_is_a_row_with_every_value(made: Path) -> None:
    write()
    frame = pd.read_parquet(PARQUET)
    assert list(frame) == [*COLUMNS, "squad_f1", "squad_exact", "bertscore"]
    assert frame["answer"].to_list() == SAID
    first = frame.iloc[0]
    assert (first["first_page"], first["last_page"], first["tokens"]) == (3, 4, 7)
    assert (first["nats"], first["reference_tokens"]) == (1.0, 3)  # 0.5 + 0.25 + 0.25
    assert first["pattern"] == "partial"
    assert frame["bertscore"].isna().to_list() == [True] + 5 * [False]
    assert frame["squad_exact"].to_list() == 3 * [0.0] + 3 * [1.0]
    # A trained question leaks nothing: it was trained on.
    assert frame["leaked"].to_list() == 2 * [True, True, False]
    assert frame["cut_off"].dtype == bool
    assert pq.read_schema(PARQUET).field("bertscore").type == "double"


def test_sqlite_holds_the_same_and_both_answers_in_a_row(made: Path) -> None:
    write()
    with closing(sqlite3.connect(SQLITE)) as database:
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM answers")]
        pairs = [dict(row) for row in database.execute("SELECT * FROM side_by_side ORDER BY context")]
        plan = database.execute("EXPLAIN QUERY PLAN SELECT * FROM answers WHERE id = 'q'").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert rows == pq.read_table(PARQUET).to_pylist()
    assert [(row["context"], row["base_answer"], row["tuned_answer"]) for row in pairs] == [
        ("closed", SAID[1], SAID[4]), ("open", SAID[0], SAID[3]), ("trained", SAID[2], SAID[5])
    ]  # fmt: skip
    assert (pairs[1]["base_bertscore"], pairs[1]["tuned_bertscore"]) == (None, 0.25)
    assert (pairs[1]["question"], pairs[1]["leaked"], pairs[1]["base_cut_off"]) == ("What?", 1, 1)
    assert "INDEX" in plan[0]["detail"]


def test_duckdb_reads_the_table(made: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    write()
    query = f"SELECT model, avg(squad_exact) FROM '{PARQUET}' GROUP BY model ORDER BY model"  # noqa: S608
    assert duckdb.sql(query).fetchall() == [("base", 0.0), ("tuned", 1.0)]


def test_the_same_answers_give_the_same_bytes(made: Path) -> None:
    write()
    before = [path.read_bytes() for path in (PARQUET, SQLITE)]
    assert len(list(PARQUET.parent.iterdir())) == 6
    write()
    assert [path.read_bytes() for path in (PARQUET, SQLITE)] == before


def test_only_the_chosen_metrics_are_columns(made: Path) -> None:
    write("squad")
    assert "bertscore" not in pq.read_schema(PARQUET).names


@pytest.mark.parametrize("change", ["one less", "one twice", "another"])
def test_scores_of_other_answers_are_refused(change: str, made: Path) -> None:
    source = Path("evaluation/scores/squad.jsonl")
    rows = list(jsonl.read(source))
    changed = {"one less": rows[1:], "one twice": [*rows, rows[0]], "another": [*rows, rows[0] | {"id": "x"}]}
    jsonl.write(source, changed[change])
    with pytest.raises(
        FolioError, match=f"{source} is not about the answers in evaluation/; run `dvc repro`"
    ):
        tabulate(["squad"])


def test_a_question_that_was_answered_twice_is_refused(made: Path) -> None:
    jsonl.write(Path("evaluation/base.jsonl"), [ANSWERS[0], ANSWERS[0]])
    with pytest.raises(FolioError, match=r"base\.jsonl holds two answers of question q; run `dvc repro`"):
        tabulate(["squad"])


def test_two_columns_of_one_name_are_refused() -> None:
    scores = {
        name: {key(ANSWERS[0]): scored(ANSWERS[0], **{value: 1.0})}
        for name, value in (("a", "b_f1"), ("a_b", "F1"))
    }
    with pytest.raises(FolioError, match="metric a_b gives a second column a_b_F1; rename"):
        columns(scores)
    with pytest.raises(FolioError, match="metric tokens gives a second column tokens;"):
        columns({"tokens": {key(ANSWERS[0]): scored(ANSWERS[0], tokens=1.0)}})


def test_a_name_is_a_name_whatever_is_in_it() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        name = 'a"; DROP TABLE x --'
        assert database.execute(f"SELECT 1 AS {quoted(name)}").description[0][0] == name


def command() -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "stages.tabulate", "metric=[squad,bertscore]"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


def test_the_command_writes_both_files_or_none(made: Path) -> None:
    leaks = Path("data/leaks.jsonl").rename("leaks.jsonl")
    done = command()
    sentence = "folio: data/leaks.jsonl is missing; run `dvc repro`\n"
    assert (done.returncode, done.stderr) == (1, sentence)
    assert not PARQUET.exists()
    assert not SQLITE.exists()
    leaks.rename("data/leaks.jsonl")
    done = command()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tabulate: 6 rows, 19 columns: id, model, context, ")
    assert len(pd.read_parquet(PARQUET)) == 6
    assert SQLITE.is_file()
