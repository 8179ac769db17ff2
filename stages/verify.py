"""Candidate pairs to those that can be trusted, the others with their reason: python -m stages.verify"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig

from stages import cache, jsonl, language
from stages.account import Account
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.ledger import Ledger
from stages.option import build, nearest
from stages.settings.verify import Verify
from stages.verdict import Verdict

CHUNKS = Path("data/chunks.jsonl")
CANDIDATES = Path("data/candidates.jsonl")
PAIRS = Path("data/qa.jsonl")
REJECTED = Path("data/rejected.jsonl")
METRICS = Path("metrics/verify.json")
# A section of fewer words may well hold nothing to ask about.
LARGE = 100


class Filter(Protocol):
    """What stages/filter/ holds; one verdict for each pair, in the same order."""

    def __call__(self, pairs: Sequence[jsonl.Record], ledger: Ledger) -> list[Verdict]: ...  # noqa: D102


def joined(candidates: Iterable[jsonl.Record], chunks: Sequence[jsonl.Record]) -> list[jsonl.Record]:
    """Candidates with their whole chunk, in the chunks' order and in a chunk the likeliest first.

    So of pairs that exclude one another the first is the better one.

    Raises:
        FolioError: a chunk is missing: the two files are of different runs.
    """
    place = {chunk["id"]: number for number, chunk in enumerate(chunks)}
    try:
        placed = [pair | {"place": place[pair["chunk"]], "scores": {}} for pair in candidates]
    except KeyError as error:
        raise FolioError(
            f"{CANDIDATES} names chunk {error}, which {CHUNKS} lacks: run `dvc repro verify`"
        ) from error
    ranked = sorted(placed, key=lambda pair: (pair["place"], -(pair["score"] or 0.0)))
    return [pair | {"chunk": chunks[pair["place"]]} for pair in ranked]


def sift(
    pairs: Sequence[jsonl.Record], filters: Mapping[str, Filter], ledger: Ledger
) -> tuple[list[jsonl.Record], list[jsonl.Record], dict[str, Account]]:
    """Run the filters one after the other, each on what the ones before it left.

    Returns:
        The kept pairs with their `scores`, the rejected ones with `filter`, `reason` and that
        filter's figure, and each filter's account; that of `generate` counts what the generator
        itself found at fault.
    """
    own = [Verdict(pair.get("reason")) for pair in pairs]
    accounts = {"generate": Account("candidate pairs")}
    left, rejected = _parted(pairs, own, "generate", accounts["generate"])
    for name, judge in filters.items():
        accounts[name] = Account("candidate pairs")
        left, dropped = _parted(left, judge(left, ledger), name, accounts[name])
        rejected += dropped
    return sorted(left, key=_place), sorted(rejected, key=_place), accounts


def _place(pair: jsonl.Record) -> tuple[int, Any]:
    return pair["place"], pair["evidence"] or [0, 0]


def _parted(
    pairs: Sequence[jsonl.Record], verdicts: Sequence[Verdict], name: str, account: Account
) -> tuple[list[jsonl.Record], list[jsonl.Record]]:
    standing, fallen = [], []
    for pair, verdict in zip(pairs, verdicts, strict=True):
        if verdict.reason:
            account.drop(verdict.reason)
            fallen.append(pair | {"filter": name, "reason": verdict.reason, "figure": verdict.score})
            continue
        account.keep()
        scores = pair["scores"] | ({name: verdict.score} if verdict.score is not None else {})
        place = {"evidence": list(verdict.evidence)} if verdict.evidence else {}
        standing.append(pair | {"scores": scores} | place)
    return standing, fallen


def as_record(pair: jsonl.Record) -> jsonl.Record:
    """A line of data/qa.jsonl or, with the filter, its reason and its figure, of data/rejected.jsonl."""
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
        "kind": pair["kind"],
        "scores": pair["scores"],
        "generator": pair["generator"],
    }
    if "filter" not in pair:
        return record
    return record | {"filter": pair["filter"], "reason": pair["reason"], "score": pair["figure"]}


def figures(
    chunks: Sequence[jsonl.Record], kept: Sequence[jsonl.Record], accounts: Mapping[str, Account]
) -> dict[str, Any]:
    """What stands in metrics/verify.json beside the account of all pairs."""
    covered = {pair["chunk"]["id"] for pair in kept}
    return {
        "filters": {name: account.as_dict() for name, account in accounts.items()},
        "chunks": len(chunks),
        "chunks_with_pairs": len(covered),
        "sections": sections(chunks, covered),
        "kinds": dict(sorted(Counter(pair["kind"] for pair in kept).items())),
    }


def sections(chunks: Iterable[jsonl.Record], covered: set[str]) -> dict[str, int]:
    """How many sections have LARGE words or more (`large`), and of these how many a pair (`covered`)."""
    words: Counter[tuple[str, ...]] = Counter()
    asked = set()
    for chunk in chunks:
        section = (chunk["document"], *chunk["headings"])
        words[section] += len(chunk["text"].split())
        if chunk["id"] in covered:
            asked.add(section)
    large = {section for section, count in words.items() if count >= LARGE}
    return {"large": len(large), "covered": len(large & asked)}


def build_filters(config: DictConfig, names: Sequence[str]) -> dict[str, Filter]:
    """The chosen filters in the order of `verify.filters`.

    Raises:
        FolioError: a name is not among the chosen ones, stands twice, or one of them is not named.
    """
    chosen = list(map(str, config.filter or {}))
    for name in names:
        if name not in chosen:
            raise FolioError(
                f"verify.filters names {name}, which is not chosen: add it to `filter:` in "
                f"conf/config.yaml{nearest(name, chosen)}"
            )
    return {name: build(config, f"filter.{name}") for name in names}


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/qa.jsonl, data/rejected.jsonl and metrics/verify.json."""
    settings = build(config, "verify")
    filters = build_filters(config, settings.filters)
    chunks = language.mark(jsonl.read(CHUNKS), settings.language)
    with Ledger(cache.folder() / "ledger.sqlite") as ledger:
        kept, rejected, accounts = sift(joined(jsonl.read(CANDIDATES), chunks), filters, ledger)
    total = Account("candidate pairs")
    total.add(len(kept), sum((account.dropped for account in accounts.values()), Counter()))
    total.require(settings.keep_share, "verify.keep_share")
    jsonl.write(PAIRS, map(as_record, kept))
    jsonl.write(REJECTED, map(as_record, rejected))
    write_json(METRICS, {"pairs": total.as_dict()} | figures(chunks, kept, accounts))
    print(f"verify: {ledger.stored} new calls")
    print(f"verify: {total.kept} pairs kept of {total.total}; dropped: {total.reasons()}")


if __name__ == "__main__":
    main()
