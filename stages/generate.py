"""Chunks to candidate question-answer pairs: python -m stages.generate [override ...]"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from omegaconf import DictConfig

from stages import cache, jsonl, language
from stages.account import Account
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.ledger import Ledger
from stages.option import build

CHUNKS = Path("data/chunks.jsonl")
CANDIDATES = Path("data/candidates.jsonl")
METRICS = Path("metrics/generate.json")


def counted(candidates: Iterable[jsonl.Record], account: Account) -> Iterator[jsonl.Record]:
    """Pass candidates on; count each chunk as kept, or as dropped for the reason why it gave none."""
    for _, group in groupby(candidates, key=lambda pair: pair["chunk"]["id"]):
        pairs = list(group)
        if pairs[0]["question"]:
            account.keep()
        else:
            account.drop(pairs[0]["reason"])
        yield from pairs


def as_record(candidate: jsonl.Record, generator: str) -> jsonl.Record:
    """A line of data/candidates.jsonl: the chunk is in a file of its own."""
    return candidate | {"chunk": candidate["chunk"]["id"], "generator": generator}


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/candidates.jsonl and metrics/generate.json."""
    generator, settings = build(config, "generator"), build(config, "generate")
    chunks = language.mark(jsonl.read(CHUNKS), settings.language)
    account = Account("chunks")
    with Ledger(cache.folder() / "ledger.sqlite") as ledger:
        if settings.plan:
            plan = generator.plan(chunks, ledger)
            print("generate would make " + ", ".join(f"{key} {value}" for key, value in plan.items()))
            return
        candidates = [
            as_record(pair, generator.identity) for pair in counted(generator(chunks, ledger), account)
        ]
    print(f"generate: {ledger.stored} new calls")
    account.require(settings.keep_share, "generate.keep_share")
    pairs = sum(bool(pair["question"]) for pair in candidates)
    jsonl.write(CANDIDATES, candidates)
    write_json(METRICS, {"chunks": account.as_dict(), "candidates": pairs} | generator.coverage(chunks))
    print(
        f"generate: {pairs} candidate pairs from {account.kept} of {account.total} chunks; without any: {account.reasons()}"
    )


if __name__ == "__main__":
    main()
