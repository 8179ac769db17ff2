"""Every answer with every metric as one table, for pandas and SQL: python -m stages.tabulate"""

import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

from stages import jsonl
from stages.artifact import whole_file
from stages.entry import entrypoint
from stages.errors import FolioError

MODELS = ("base", "tuned")
ANSWERS = Path("evaluation")
FAILURES = Path("evaluation/failures.jsonl")
SCORES = Path("evaluation/scores")
LEAKS = Path("data/leaks.jsonl")
PARQUET = Path("evaluation/rows.parquet")
SQLITE = Path("evaluation/rows.sqlite")
KEYS = ("id", "model", "context")
# Columns and their types; after them a float for each value of each metric.
TEXT, WHOLE, REAL, TRUTH = "string", "int64", "float64", "bool"
COLUMNS = {
    "id": TEXT, "model": TEXT, "context": TEXT, "chunk": TEXT, "document": TEXT,
    "first_page": WHOLE, "last_page": WHOLE, "question": TEXT, "reference": TEXT, "answer": TEXT,
    "cut_off": TRUTH, "tokens": WHOLE, "nats": REAL, "reference_tokens": WHOLE,
    "pattern": TEXT, "leaked": TRUTH,
}  # fmt: skip
SQL_TYPES = {TEXT: "TEXT", WHOLE: "INTEGER", REAL: "REAL", TRUTH: "INTEGER"}
# What is the same for both models' answers to a question.
SHARED = ("id", "context", "chunk", "document", "first_page", "last_page", "question", "reference",
          "reference_tokens", "leaked")  # fmt: skip

Key = tuple[str, ...]


def key(row: jsonl.Record) -> Key:
    """What tells one answer from all others: its question, its model and how it was asked."""
    return tuple(row[name] for name in KEYS)


def named(metric: str, value: str) -> str:
    """The column of a metric's value: `squad_f1`; `perplexity`, where it is called as its metric."""
    return value if value == metric else f"{metric}_{value}"


def columns(scores: Mapping[str, Mapping[Key, jsonl.Record]]) -> dict[str, str]:
    """Every column and its type, those of the metrics last.

    Raises:
        FolioError: two columns would have one name; SQL does not tell F1 from f1.
    """
    found = dict(COLUMNS)
    for metric, rows in scores.items():
        values = dict.fromkeys(name for row in rows.values() for name in row if name not in (*KEYS, "chunk"))
        for column in (named(metric, value) for value in values):
            if column.casefold() in map(str.casefold, found):
                raise FolioError(
                    f"metric {metric} gives a second column {column}; rename the metric or its value"
                )
            found[column] = REAL
    return found


def rows(
    answers: Iterable[jsonl.Record],
    patterns: Mapping[Key, jsonl.Record],
    scores: Mapping[str, Mapping[Key, jsonl.Record]],
    leaked: set[str],
) -> list[jsonl.Record]:
    """One record per answer, by column; a value that was not measured is not in it."""
    found = []
    for answer in answers:
        first, last = answer["pages"] or (None, None)
        losses = answer["token_losses"]
        row = {name: answer[name] for name in COLUMNS if name in answer}
        row |= {"first_page": first, "last_page": last, "pattern": patterns[key(answer)]["pattern"]}
        row |= {"nats": math.fsum(losses), "reference_tokens": len(losses)}
        row["leaked"] = answer["context"] != "trained" and answer["id"] in leaked
        for metric, values in scores.items():
            measured = values[key(answer)].items()
            row |= {named(metric, name): value for name, value in measured if name not in (*KEYS, "chunk")}
        found.append(row)
    return found


def per_answer(source: Path, answers: Mapping[Key, jsonl.Record]) -> dict[Key, jsonl.Record]:
    """The records of a file by the answer that they are about.

    Raises:
        FolioError: they are not about these answers, each once.
    """
    listed = list(jsonl.read(source))
    found = {key(row): row for row in listed}
    if len(found) != len(listed) or found.keys() != answers.keys():
        raise FolioError(f"{source} is not about the answers in {ANSWERS}/; run `dvc repro`")
    return found


def read_answers() -> dict[Key, jsonl.Record]:
    """Both models' answers, base's first.

    Raises:
        FolioError: a file is missing, or one question was answered twice.
    """
    found: dict[Key, jsonl.Record] = {}
    for source in (ANSWERS / f"{model}.jsonl" for model in MODELS):
        for row in jsonl.read(source):
            if key(row) in found:
                raise FolioError(f"{source} holds two answers of question {row['id']}; run `dvc repro`")
            found[key(row)] = row
    return found


def write_parquet(target: Path, types: Mapping[str, str], found: Sequence[jsonl.Record]) -> None:
    """Write records as Parquet, whole or not at all; the same records give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in types.items()])
    table = pa.Table.from_pylist(list(found), schema=schema)
    with whole_file(target) as path:
        pq.write_table(table, path, compression="zstd")


def write_sqlite(target: Path, types: Mapping[str, str], found: Sequence[jsonl.Record]) -> None:
    """Write the table `answers` and the view `side_by_side`, whole or not at all.

    The view has a row per question and context that both models answered. The same records give the
    same bytes under the same version of SQLite.
    """
    # Made in memory: a full disk is then a failure of writing a file, which `whole_file` explains.
    database = sqlite3.connect(":memory:")
    try:
        listed = ", ".join(f"{quoted(name)} {SQL_TYPES[kind]}" for name, kind in types.items())
        database.execute(f"CREATE TABLE answers ({listed}, PRIMARY KEY (id, context, model))")
        marks = ", ".join("?" for _ in types)
        values = ([row.get(name) for name in types] for row in found)
        database.executemany(f"INSERT INTO answers VALUES ({marks})", values)  # noqa: S608 - marks alone
        for name in ("context", "model"):
            database.execute(f"CREATE INDEX answers_{name} ON answers ({name})")
        database.execute(f"CREATE VIEW side_by_side AS {beside(types)}")
        database.commit()
        with whole_file(target) as path:
            path.write_bytes(database.serialize())
    finally:
        database.close()


def beside(types: Iterable[str]) -> str:
    """The query behind `side_by_side`: what both rows share, then base_ and tuned_ columns."""
    shown = [f"base.{quoted(name)} AS {quoted(name)}" for name in SHARED]
    for name in types:
        if name not in (*SHARED, "model"):
            shown += [f"{model}.{quoted(name)} AS {quoted(f'{model}_{name}')}" for model in MODELS]
    return (
        f"SELECT {', '.join(shown)} FROM answers AS base "  # noqa: S608 - names of columns, quoted
        "JOIN answers AS tuned ON tuned.id = base.id AND tuned.context = base.context "
        "WHERE base.model = 'base' AND tuned.model = 'tuned'"
    )


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def tabulate(metrics: Iterable[str]) -> tuple[dict[str, str], list[jsonl.Record]]:
    """Every column with its type, and a record for each answer, from the files of the stages before.

    Raises:
        FolioError: a file is missing, or is not about the same answers as the others.
    """
    answers = read_answers()
    patterns = per_answer(FAILURES, answers)
    scores = {name: per_answer(SCORES / f"{name}.jsonl", answers) for name in metrics}
    leaked = {row["id"] for row in jsonl.read(LEAKS)}
    return columns(scores), rows(answers.values(), patterns, scores, leaked)


@entrypoint
def main(config: DictConfig) -> None:
    """Write evaluation/rows.parquet and evaluation/rows.sqlite."""
    types, found = tabulate(config.metric)
    write_parquet(PARQUET, types, found)
    write_sqlite(SQLITE, types, found)
    print(f"tabulate: {len(found)} rows, {len(types)} columns: {', '.join(types)}")


if __name__ == "__main__":
    main()
