"""Chunks to question-answer pairs, each located in its passage: python -m stages.generate [override ...]"""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import cache, jsonl, verify
from stages.account import Account
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.ledger import Ledger
from stages.option import build
from stages.settings.generate import Generate

CHUNKS = Path("data/chunks.jsonl")
PAIRS = Path("data/qa.jsonl")
REJECTED = Path("data/rejected.jsonl")
METRICS = Path("metrics/generate.json")


def select(
    candidates: Iterable[jsonl.Record], settings: Generate, account: Account
) -> tuple[list[jsonl.Record], list[jsonl.Record]]:
    """Split candidates into kept pairs and rejected ones, which carry their reason.

    Of the candidates for one piece of evidence the likeliest stays, of a chunk's pairs the
    likeliest few, of equal questions the first.
    """
    kept: list[jsonl.Record] = []
    rejected: list[jsonl.Record] = []
    asked: set[str] = set()

    def reject(pair: jsonl.Record, reason: str) -> None:
        account.drop(reason)
        rejected.append(pair | {"reason": reason})

    for _, group in groupby(candidates, key=lambda pair: pair["chunk"]["id"]):
        standing: list[jsonl.Record] = []
        for pair in group:
            if reason := verify.reason_against(pair, settings):
                reject(pair, reason)
            else:
                standing.append(pair)
        chosen: list[jsonl.Record] = []
        for pair in sorted(standing, key=lambda pair: -pair["score"]):
            if any(pair["evidence"] == other["evidence"] for other in chosen):
                reject(pair, "likelier_twin")
            elif pair["question"].casefold() in asked:
                reject(pair, "repeated_question")
            elif len(chosen) == settings.pairs_per_chunk:
                reject(pair, "chunk_full")
            else:
                asked.add(pair["question"].casefold())
                chosen.append(pair)
        account.keep(len(chosen))
        kept += sorted(chosen, key=lambda pair: pair["evidence"])
    return kept, rejected


def as_record(pair: jsonl.Record, generator: str) -> jsonl.Record:
    """A line of data/qa.jsonl or, with its reason, of data/rejected.jsonl."""
    chunk = pair["chunk"]
    record = {
        "id": cache.digest(chunk["id"], pair["question"], pair["answer"])[:16],
        "chunk": chunk["id"],
        "document": chunk["document"],
        "pages": chunk["pages"],
        "passage": chunk["text"],
        "question": pair["question"],
        "answer": pair["answer"],
        "evidence": pair["evidence"],
        "score": pair["score"],
        "generator": generator,
    }
    return record | ({"reason": pair["reason"]} if "reason" in pair else {})


def figures(chunks: list[jsonl.Record], kept: list[jsonl.Record], account: Account) -> dict[str, Any]:
    """What stands in metrics/generate.json."""
    covered = {pair["chunk"]["id"] for pair in kept}
    coverage = {"chunks": len(chunks), "chunks_with_pairs": len(covered)}
    return coverage | {"pairs": account.as_dict()}


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/qa.jsonl, data/rejected.jsonl and metrics/generate.json."""
    generator, settings = build(config, "generator"), build(config, "generate")
    chunks, account = list(jsonl.read(CHUNKS)), Account("candidate pairs")
    with Ledger(cache.folder() / "ledger.sqlite") as ledger:
        kept, rejected = select(generator(chunks, ledger), settings, account)
    account.require(settings.keep_share, "generate.keep_share")
    jsonl.write(PAIRS, (as_record(pair, generator.identity) for pair in kept))
    jsonl.write(REJECTED, (as_record(pair, generator.identity) for pair in rejected))
    write_json(METRICS, figures(chunks, kept, account))
    print(f"generate: {account.kept} pairs kept of {account.total}; dropped: {account.reasons()}")


if __name__ == "__main__":
    main()
