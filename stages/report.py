"""Every figure and a few answers side by side, as a page and as text: python -m stages.report"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import jsonl
from stages.artifact import read_json, write_text
from stages.entry import entrypoint
from stages.option import build
from stages.page_numbers import span_of
from stages.template import render

METRICS = Path("metrics")
ANSWERS = Path("evaluation")
REPORT = Path("report")
STAGES = ("chunk", "verify", "tokenize", "train", "merge")
CONTEXTS = {
    "open": "with the passage",
    "closed": "without the passage",
    "trained": "trained questions, without the passage",
}


def table(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per context and figure: base, tuned, their difference with intervals, and the n behind them."""
    rows = []
    for metric, contexts in scores.items():
        for context, found in contexts.items():
            counts = {"n": found["n"], "passages": found["passages"]}
            for figure, gap in found.get("difference", {}).items():
                name = figure if figure == metric else f"{metric} {figure}"
                sides = {model: found[model][figure] for model in ("base", "tuned")}
                ranges = {f"{model}_range": (one["low"], one["high"]) for model, one in sides.items()}
                values = {model: one["value"] for model, one in sides.items()}
                row = {"figure": name, "context": CONTEXTS[context], "difference": gap}
                rows.append(row | counts | values | ranges)
    return sorted(rows, key=lambda row: list(CONTEXTS.values()).index(row["context"]))


def side_by_side(
    base: Iterable[jsonl.Record], tuned: Iterable[jsonl.Record], most: int
) -> list[jsonl.Record]:
    """Up to `most` held-out questions, drawn by hash, with both models' open-book answers."""
    other = {(row["id"], row["context"]): row["answer"] for row in base}
    rows = [row | {"base": other[row["id"], "open"]} for row in tuned if row["context"] == "open"]
    drawn = sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).hexdigest())[:most]
    return [row | {"tuned": row["answer"], "where": where(row)} for row in drawn]


def where(row: jsonl.Record) -> str:
    """`manual.pdf, page 7` or `manual.pdf, pages 7 to 8`."""
    first, last = row["pages"]
    return f"{row['document']}, {span_of(range(first, last + 1))}"


def gather(metrics: Sequence[str], examples: int) -> dict[str, Any]:
    """Everything that the templates show.

    Raises:
        FolioError: an earlier stage's file is missing.
    """
    stages = {stage: read_json(METRICS / f"{stage}.json") for stage in STAGES}
    scores = {name: read_json(METRICS / "score" / f"{name}.json") for name in metrics}
    base, tuned = (jsonl.read(ANSWERS / f"{model}.jsonl") for model in ("base", "tuned"))
    return stages | {"table": table(scores), "examples": side_by_side(base, tuned, examples)}


@entrypoint
def main(config: DictConfig) -> None:
    """Write report/index.html and report/summary.md, and print the summary."""
    facts = gather(list(config.metric), build(config, "report").examples)
    facts["model"] = config.model.get("id") or config.model.get("path") or config.model.file
    facts["method"] = config.method.name
    write_text(REPORT / "index.html", render("report.html", facts))
    summary = render("summary.md", facts)
    write_text(REPORT / "summary.md", summary)
    print(summary)


if __name__ == "__main__":
    main()
