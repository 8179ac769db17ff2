"""The files that a run leaves for its report, written by hand, a few questions long."""

from pathlib import Path
from typing import Any

from stages import jsonl
from stages.artifact import write_json, write_text

ACCOUNT = {"in": 10, "kept": 7, "dropped": {"too_short": 2, "duplicate": 1}}
WHOLE = {"in": 2, "kept": 2, "dropped": {}}
CONTEXTS = ("open", "closed", "trained")
METRICS: dict[str, Any] = {
    "chunk": {
        "files": WHOLE, "pages": {"in": 9, "kept": 9, "dropped": {}}, "characters": WHOLE,
        "chunks": ACCOUNT, "words": 1234, "failed": {},
    },
    "generate": {"chunks": ACCOUNT, "candidates": 12},
    "verify": {"chunks": 7, "chunks_with_pairs": 3, "pairs": ACCOUNT},
    "tokenize": {"train": 5, "validation": 1, "test": 2, "rows": ACCOUNT},
    "train": {"trainable": 8, "parameters": 80, "steps": 4, "loss": {"before": 2.0, "after": 1.23456}},
    "merge": {"difference": 0.01, "tokens": 33},
    "baseline": {"answers": 6, "cut_off": 4, "tokens_per_second": 20.5},
    "evaluate": {"answers": 6, "cut_off": 1, "tokens_per_second": 10.5},
    "audit": {"questions": {"in": 2, "clean": 2, "affected": 0}, "reasons": {"same_question": 0}},
}  # fmt: skip


def one(value: float, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high} | more


def cell(
    figure: str, base: float, gap: tuple[float, float | None, float | None], better: float | None, **more: Any
) -> dict[str, Any]:
    """A cell of one figure: base's value, and tuned less base with its interval."""
    value, low, high = gap
    sides = {name: {figure: one(at, None, None)} for name, at in (("base", base), ("tuned", base + value))}
    difference = one(value, low, high, improvement=better, detectable=None if low is None else 0.07)
    return sides | {"difference": {figure: difference}, "n": 62, "passages": 38} | more


SQUAD = {
    "open": cell("f1", 0.4, (0.3, 0.2, 0.4), 1.0),
    "closed": cell("f1", 0.2, (0.1, 0.05, 0.15), 1.0),
    "trained": cell("f1", 0.2, (0.12, 0.05, 0.2), 1.0),
}
RETAINED = cell("perplexity", 20.0, (0.5, -0.1, 1.1), 0.04, n=80, passages=80, tokens=9000)


def question(name: str, context: str, **changes: Any) -> dict[str, Any]:
    row = {
        "id": name, "context": context, "chunk": f"chunk of {name}", "document": "ship.pdf", "pages": [7, 7],
        "passage": "The captain commands.", "question": f"Who commands {name}?", "reference": "The captain.",
        "cut_off": False, "tokens": 3, "token_losses": [0.1],
    }  # fmt: skip
    return row | changes


def write_run(root: Path, names: tuple[str, ...] = ("a", "b"), **changes: Any) -> None:
    """Write a run whose every question, answered by each model in each context, has the same `changes`."""
    rows = [question(name, context, **changes) for context in CONTEXTS for name in names]
    said = {"base": "The ship.", "tuned": "The captain."}
    answers = {model: changes.get("answer", text) for model, text in said.items()}
    for model, text in answers.items():
        asked = [row | {"model": model, "answer": text} for row in rows]
        jsonl.write(root / f"evaluation/{model}.jsonl", asked)
    both = [(model, row) for model in said for row in rows]
    keys = [{"id": row["id"], "model": model, "context": row["context"]} for model, row in both]
    value, pattern = {"base": 0.5, "tuned": 1.0}, {"base": "too_verbose", "tuned": "right"}
    jsonl.write(
        root / "evaluation/scores/squad.jsonl",
        [key | {"chunk": "c", "f1": value[key["model"]]} for key in keys],
    )
    jsonl.write(
        root / "evaluation/failures.jsonl", [key | {"pattern": pattern[key["model"]]} for key in keys]
    )
    counts = {
        model: {"n": len(names), "counts": {"empty": 0, "right": 0, "too_verbose": 0} | {name: len(names)}}
        for model, name in pattern.items()
    }
    moved = {"transitions": [{"base": "too_verbose", "tuned": "right", "count": len(names)}]}
    diagnosed = dict.fromkeys(CONTEXTS, counts | moved)
    for stage, figures in (METRICS | {"diagnose": diagnosed, "retain": RETAINED}).items():
        write_json(root / f"metrics/{stage}.json", figures)
    write_json(root / "metrics/score/squad.json", SQUAD)
    jsonl.write(root / "data/leaks.jsonl", [])
    curves = root / "plots/train/plots/metrics"
    write_text(curves / "train/loss.tsv", "step\tloss\n1\t2.5\n2\t1.5\n")
    write_text(curves / "validation/loss.tsv", "step\tloss\n0\t2.0\n2\t1.25\n")
    write_text(curves / "learning_rate.tsv", "step\tlearning_rate\n1\t0.0\n2\t0.0005\n")
