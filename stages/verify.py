"""Candidate pairs to those that can be trusted, the others with their reason: python -m stages.verify"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

from omegaconf import DictConfig
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from stages import cache, jsonl, language
from stages.account import Account
from stages.artifact import write_json
from stages.coverage import sections
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.ledger import Ledger
from stages.option import build, nearest
from stages.verdict import Verdict

CHUNKS = Path("data/chunks.jsonl")
CANDIDATES = Path("data/candidates.jsonl")
PAIRS = Path("data/qa.jsonl")
REJECTED = Path("data/rejected.jsonl")
METRICS = Path("metrics/verify.json")


class Filter(Protocol):
    """What stages/filter/ holds; one verdict for each pair, in the same order."""

    def __call__(self, pairs: Sequence[jsonl.Record], ledger: Ledger) -> list[Verdict]: ...  # noqa: D102


def _whole(text: str) -> str:
    text.encode()  # fails on half of a surrogate pair, which JSON can hold and UTF-8 cannot
    return text


Text = Annotated[str, AfterValidator(_whole)]


class Candidate(BaseModel):
    """What is read of a line of data/candidates.jsonl, which a user may have written or edited."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    chunk: Text
    kind: Text
    question: Text
    answer: Text
    quote: Text
    evidence: Annotated[list[NonNegativeInt], Field(min_length=2, max_length=2)] | None
    score: float | None
    generator: Text
    reason: Text | None = None


def checked(lines: Iterable[jsonl.Record]) -> Iterator[jsonl.Record]:
    """Yield each candidate; one without a question or an answer has a reason.

    Raises:
        FolioError: names the line and the key that is missing or has a wrong value.
    """
    for number, line in enumerate(lines, start=1):
        try:
            pair = Candidate.model_validate(line).model_dump()
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(map(str, fault["loc"]))
            wrong = "is missing" if fault["type"] == "missing" else f"is wrong: {fault['msg']}"
            raise FolioError(
                f"{CANDIDATES}, line {number}: {key} {wrong}; mend it or run `dvc repro generate`"
            ) from error
        empty = not (pair["question"].strip() and pair["answer"].strip())
        yield pair | {"reason": pair["reason"] or ("empty" if empty else None)}


def joined(candidates: Iterable[jsonl.Record], chunks: Sequence[jsonl.Record]) -> list[jsonl.Record]:
    """Candidates with their whole chunk and an `id`, in the chunks' order and in a chunk the likeliest first.

    So of pairs that exclude one another the first is the better one. Where a chunk has the same
    question and answer twice, the ids are numbered.

    Raises:
        FolioError: a chunk is missing: the two files are of different runs.
    """
    place = {chunk["id"]: number for number, chunk in enumerate(chunks)}
    placed = []
    for pair in candidates:
        if pair["chunk"] not in place:
            raise FolioError(
                f"{CANDIDATES} names the chunk {pair['chunk'][:60]}, which {CHUNKS} lacks; "
                "run `dvc repro generate`"
            )
        placed.append(pair | {"place": place[pair["chunk"]], "scores": {}})
    ranked = sorted(placed, key=lambda pair: (pair["place"], -(pair["score"] or 0.0)))
    seen: Counter[tuple[str, ...]] = Counter()
    for pair in ranked:
        key = (pair["chunk"], pair["question"], pair["answer"])
        pair["id"] = cache.digest(*key, *([seen[key]] if seen[key] else []))[:16]
        pair["chunk"] = chunks[pair["place"]]
        seen[key] += 1
    return ranked


def sift(
    pairs: Sequence[jsonl.Record], filters: Mapping[str, Filter], ledger: Ledger
) -> tuple[list[jsonl.Record], list[jsonl.Record], dict[str, Account]]:
    """Run the filters one after the other, each on what the ones before it left.

    Returns:
        The kept pairs with their `scores`, the rejected ones with `filter`, `reason` and that
        filter's figure, and each filter's account; that of `generate` counts what the generator
        itself found at fault.
    """
    own = [Verdict(pair["reason"]) for pair in pairs]
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
        located = pair | ({"evidence": list(verdict.evidence)} if verdict.evidence else {})
        if verdict.reason:
            account.drop(verdict.reason)
            fallen.append(located | {"filter": name, "reason": verdict.reason, "figure": verdict.score})
        else:
            account.keep()
            scores = {name: verdict.score} if verdict.score is not None else {}
            standing.append(located | {"scores": pair["scores"] | scores})
    return standing, fallen


def as_record(pair: jsonl.Record) -> jsonl.Record:
    """A line of data/qa.jsonl or, with the filter, its reason and its figure, of data/rejected.jsonl."""
    chunk = pair["chunk"]
    record = {
        "id": pair["id"],
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
    fault = {"filter": pair["filter"], "reason": pair["reason"], "score": pair["figure"]}
    return record | {"quote": pair["quote"]} | fault


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


def build_filters(config: DictConfig) -> dict[str, Filter]:
    """The filters that `verify.filters` names, in its order; chosen ones may be left out.

    Raises:
        FolioError: none is chosen, or a name is not among the chosen ones or stands twice.
    """
    chosen = list(map(str, config.get("filter") or {}))
    for name in chosen:
        if "_target_" not in config.filter[name]:
            raise FolioError(
                f"filter.{name} has settings but is not chosen: add it to `filter:` or leave them out "
                "(a recipe may hold them)"
            )
    if not chosen:
        raise FolioError("no filter is chosen: name some under `filter:` in conf/config.yaml")
    names = build(config, "verify").filters
    for name in names:
        if name not in chosen:
            raise FolioError(
                f"verify.filters names {name}, which is not chosen: add it to `filter:` in "
                f"conf/config.yaml{nearest(name, chosen)}"
            )
        if names.count(name) > 1:
            raise FolioError(f"verify.filters names {name} twice")
    return {name: build(config, f"filter.{name}") for name in names}


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/qa.jsonl, data/rejected.jsonl and metrics/verify.json."""
    filters = build_filters(config)
    settings = build(config, "verify")
    chunks = language.mark(jsonl.read(CHUNKS), settings.language)
    pairs = joined(checked(jsonl.read(CANDIDATES)), chunks)
    with Ledger(cache.folder() / "ledger.sqlite") as ledger:
        kept, rejected, accounts = sift(pairs, filters, ledger)
    total = Account("candidate pairs")
    total.add(len(kept), sum((account.dropped for account in accounts.values()), Counter()))
    # First of all: who is left with too few pairs wants to see the others.
    jsonl.write(REJECTED, map(as_record, rejected))
    total.require(settings.keep_share, "verify.keep_share")
    jsonl.write(PAIRS, map(as_record, kept))
    write_json(METRICS, {"pairs": total.as_dict()} | figures(chunks, kept, accounts))
    print(f"verify: {ledger.stored} new calls")
    print(f"verify: {total.kept} pairs kept of {total.total}; dropped: {total.reasons()}")


if __name__ == "__main__":
    main()
