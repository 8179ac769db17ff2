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
    likeliest few, of equal questions and of equal answers the first: a repeated one could stand in
    training and test alike.
    """
    kept: list[jsonl.Record] = []
    rejected: list[jsonl.Record] = []
    seen: set[str] = set()
    for _, group in groupby(candidates, key=lambda pair: pair["chunk"]["id"]):
        pairs = list(group)
        # A generator may have found a fault itself: a quote that stands nowhere, a chunk without a reply.
        reasons = {id(pair): pair.get("reason") or verify.reason_against(pair, settings) for pair in pairs}
        chosen: list[jsonl.Record] = []
        for pair in sorted(pairs, key=lambda pair: -pair["score"]):
            reason = reasons[id(pair)] or _surplus(pair, chosen, seen, settings.pairs_per_chunk)
            if reason:
                account.drop(reason)
                rejected.append(pair | {"reason": reason})
                continue
            account.keep()
            chosen.append(pair)
            seen |= {pair["question"].casefold(), pair["answer"].casefold()}
        kept += sorted(chosen, key=lambda pair: pair["evidence"])
    return kept, rejected


def _surplus(pair: jsonl.Record, chosen: list[jsonl.Record], seen: set[str], room: int) -> str | None:
    if any(pair["evidence"] == other["evidence"] for other in chosen):
        return "likelier_twin"
    if pair["question"].casefold() in seen:
        return "repeated_question"
    if pair["answer"].casefold() in seen:
        return "repeated_answer"
    return "chunk_full" if len(chosen) == room else None


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
        if settings.plan:
            plan = generator.plan(chunks, ledger)
            print("generate would make " + ", ".join(f"{key} {value}" for key, value in plan.items()))
            return
        kept, rejected = select(generator(chunks, ledger), settings, account)
    account.require(settings.keep_share, "generate.keep_share")
    jsonl.write(PAIRS, (as_record(pair, generator.identity) for pair in kept))
    jsonl.write(REJECTED, (as_record(pair, generator.identity) for pair in rejected))
    write_json(METRICS, figures(chunks, kept, account))
    print(f"generate: {ledger.stored} new calls")
    print(f"generate: {account.kept} pairs kept of {account.total}; dropped: {account.reasons()}")


if __name__ == "__main__":
    main()
