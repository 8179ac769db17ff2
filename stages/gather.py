"""One source to records of questions and answers: python -m stages.gather gather.source=qa [override ...]"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import jsonl
from stages.account import Account
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.option import build, nearest
from stages.origin import Refusal, Source

SOURCES = Path("data/sources")
REFUSED = Path("data/refused")
METRICS = Path("metrics/gather")


def gather(source: Source, name: str, account: Account) -> tuple[list[jsonl.Record], list[jsonl.Record]]:
    """The usable records of a source, each with its source's name, and the rows that were refused.

    Both are counted; a refused row keeps its line, the reason and what was found there.
    """
    records: list[jsonl.Record] = []
    refused: list[jsonl.Record] = []
    for found in source.records():
        if isinstance(found, Refusal):
            account.drop(found.reason)
            refused.append(asdict(found))
        else:
            records.append(found | {"source": name})
    account.keep(len(records))
    return records, refused


def figures(records: Sequence[jsonl.Record], account: Account) -> dict[str, Any]:
    """What stands in metrics/gather/<source>.json."""
    groups = {record["chunk"] for record in records}
    return {"rows": account.as_dict(), "groups": len(groups)}


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/sources/<name>.jsonl, data/refused/<name>.jsonl and metrics/gather/<name>.json."""
    name = build(config, "gather").source
    if name not in config.source:
        raise FolioError(
            f"gather.source={name} is no chosen source{nearest(name, list(config.source))}; "
            "choose it in the list `source` of conf/config.yaml"
        )
    source, account = build(config, f"source.{name}"), Account("rows")
    records, refused = gather(source, name, account)
    # Written before the check: who is stopped wants to see which rows they are.
    jsonl.write(REFUSED / f"{name}.jsonl", refused)
    account.require(source.keep_share, f"source.{name}.keep_share")
    chosen = source.draw(records)
    if left := len(records) - len(chosen):
        account.keep(-left)
        account.drop("not_chosen", left)
    jsonl.write(SOURCES / f"{name}.jsonl", chosen)
    write_json(METRICS / f"{name}.json", figures(chosen, account))
    print(f"gather: {name}: {account.kept} of {account.total} rows")
    if account.dropped:
        print(f"gather: {name}: left out, by line in {REFUSED / name}.jsonl: {account.reasons()}")


if __name__ == "__main__":
    main()
