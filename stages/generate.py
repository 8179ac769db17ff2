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
    """Pass candidates on; count each chunk as kept, or as dropped for the first reason why it gave none.

    What a model left empty without saying why gets the reason `empty`.
    """
    for _, group in groupby(candidates, key=lambda pair: pair["chunk"]["id"]):
        pairs = [pair if asks(pair) or pair.get("reason") else pair | {"reason": "empty"} for pair in group]
        if any(map(asks, pairs)):
            account.keep()
        else:
            account.drop(pairs[0]["reason"])
        yield from pairs


def asks(candidate: jsonl.Record) -> bool:
    """Whether there is a question at all: a chunk that gave none has a record that says why."""
    return bool(candidate["question"].strip())


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
        found = [as_record(pair, generator.identity) for pair in counted(generator(chunks, ledger), account)]
    print(f"generate: {ledger.stored} new calls")
    account.require(settings.keep_share, "generate.keep_share")
    pairs = sum(map(asks, found))
    jsonl.write(CANDIDATES, found)
    write_json(METRICS, {"chunks": account.as_dict(), "candidates": pairs} | generator.coverage(chunks))
    chunks_asked = f"{account.kept} of {account.total} chunks; without any: {account.reasons()}"
    print(f"generate: {pairs} candidate pairs from {chunks_asked}")


if __name__ == "__main__":
    main()
