"""The records of every source to token rows, split by passage: python -m stages.tokenize [override ...]"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import jsonl, split, tokens
from stages.account import Account
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.formatted import formatted
from stages.language_model import load_tokenizer
from stages.option import build
from stages.prompt import answer_ids, prompt_ids
from stages.settings.tokenize import Tokenize
from stages.wording import Format, RefusedError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SOURCES = Path("data/sources")
TOKENS = Path("data/tokens")
TEST = Path("data/test.jsonl")
TRAINED = Path("data/trained.jsonl")
METRICS = Path("metrics/tokenize.json")
Sides = dict[split.Side, list[jsonl.Record]]


def read(settings: Tokenize, account: Account) -> Iterator[jsonl.Record]:
    """Yield the records of every source; one that an earlier source has too is counted as `duplicate`.

    Those that are held out come first: what they share with another source is tested on, not trained on.
    """
    seen: set[str] = set()
    for name in sorted(settings.sources, key=lambda name: name not in settings.held_out):
        for record in jsonl.read(SOURCES / f"{name}.jsonl"):
            if record["id"] in seen:
                account.drop("duplicate")
                continue
            seen.add(record["id"])
            yield record


def divide(records: Iterable[jsonl.Record], settings: Tokenize, account: Account) -> Sides:
    """Put each record on the side of its passage, or of its question where it has none.

    The sources of `settings.held_out` are the test side; a record of another one that stands on a passage
    or question of theirs is counted as `held_out_too`.

    Raises:
        FolioError: a side that is needed stays empty.
    """
    listed = list(records)
    apart = {split.key(record) for record in listed if record.get("source") in settings.held_out}
    sides: Sides = {"train": [], "validation": [], "test": []}
    for record in listed:
        if record.get("source") in settings.held_out:
            sides["test"].append(record)
        elif split.key(record) in apart:
            account.drop("held_out_too")
        else:
            sides[side_of(split.key(record), settings)].append(record)
    if missing := [name for name, rows in sides.items() if not rows]:
        counts = ", ".join(f"{len(rows)} {name}" for name, rows in sides.items())
        raise FolioError(
            f"no pair fell to {' and '.join(missing)} ({counts}); add documents, "
            f"or {_remedy(missing[0], settings.folds)}, or change tokenize.seed"
        )
    return sides


def _remedy(side: str, folds: int) -> str:
    if side == "train":
        return "lower tokenize.validation_share"
    return "lower tokenize.folds" if folds and side == "test" else f"raise tokenize.{side}_share"


def side_of(passage: str, settings: Tokenize) -> split.Side:
    """The side of a passage: in a fold of a cross-validation, or by the test share."""
    if settings.folds:
        folds, share = (settings.folds, settings.fold), settings.validation_share
        return split.fold_side(passage, settings.seed, *folds, share)
    return split.side(passage, settings.seed, settings.test_share, settings.validation_share)


def tokenize(
    tokenizer: "PreTrainedTokenizerBase",
    form: Format,
    pairs: Iterable[jsonl.Record],
    settings: Tokenize,
    context_share: float,
    account: Account,
) -> list[tokens.Row]:
    """Return the rows that fit; one that is too long or that the format refuses is dropped and counted."""
    rows: list[tokens.Row] = []
    for pair in pairs:
        is_open = split.is_open(pair, settings.seed, context_share)
        try:
            form.turns(pair, with_passage=True)  # so it is asked elsewhere
            prompt = prompt_ids(tokenizer, form, pair, is_open)
        except RefusedError:
            account.drop("refused_by_the_format")
            continue
        completion = answer_ids(tokenizer, pair["answer"])
        if len(prompt) + len(completion) > settings.maximum_tokens:
            account.drop("too_long")
            continue
        account.keep()
        context = "open" if is_open else "closed"
        rows.append(tokens.Row(pair["id"], pair["chunk"], context, pair["answer"], prompt, completion))
    return rows


def askable(
    tokenizer: "PreTrainedTokenizerBase", form: Format, pairs: Iterable[jsonl.Record], account: Account
) -> list[jsonl.Record]:
    """Return the test records that can be asked; one that the format refuses is dropped and counted."""
    found = []
    for pair in pairs:
        try:
            prompt_ids(tokenizer, form, pair, with_passage=True)
        except RefusedError:
            account.drop("refused_by_the_format")
            continue
        account.keep()
        found.append(pair)
    return found


def _check(sides: Mapping[str, Sequence[Any]], account: Account) -> None:
    if empty := [name for name, rows in sides.items() if not rows]:
        raise FolioError(
            f"no row is left to {' and '.join(empty)} (dropped: {account.reasons()}); raise "
            "tokenize.maximum_tokens or tokenize.weights, or add pairs"
        )


def _figures(rows: dict[str, list[tokens.Row]], sides: Sides, account: Account) -> dict[str, Any]:
    lengths = [len(row.prompt) + len(row.completion) for side in rows.values() for row in side]
    targets = [len(row.completion) for side in rows.values() for row in side]
    counts = {name: len(side) for name, side in rows.items()} | {"test": len(sides["test"])}
    sums = {"tokens": sum(lengths), "target_tokens": sum(targets), "longest": max(lengths)}
    sources = {name: dict(Counter(record["source"] for record in side)) for name, side in sides.items()}
    return counts | sums | {"sources": sources, "rows": account.as_dict()}


def weighed(rows: Sequence[tokens.Row], names: Mapping[str, str], settings: Tokenize) -> Iterator[tokens.Row]:
    """Yield the training rows as often as the weight of their source says.

    Of a weight's fraction the rows are drawn by hash: 1.5 gives every row once and half of them twice.
    """
    for row in rows:
        weight = settings.weights.get(names[row.id], 1.0)
        again = split.position(row.id, settings.seed, "weight") < weight % 1
        for _ in range(math.floor(weight) + again):
            yield row


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/tokens/, data/test.jsonl, data/trained.jsonl and metrics/tokenize.json."""
    settings, form, account = build(config, "tokenize"), build(config, "format"), Account("rows")
    sides = divide(read(settings, account), settings, account)
    tokenizer = load_tokenizer(formatted(form, build(config, "model")).folder())
    share = settings.context_share
    rows = {
        name: tokenize(tokenizer, form, sides[name], settings, share, account)
        for name in ("train", "validation")
    }
    sides["test"] = askable(tokenizer, form, sides["test"], account)
    account.require(settings.keep_share, "tokenize.keep_share")
    of = {record["id"]: record["source"] for record in sides["train"]}
    fitting = len(rows["train"])
    rows["train"] = list(weighed(rows["train"], of, settings))
    _check(rows | {"test": sides["test"]}, account)
    for name, side in rows.items():
        tokens.write(TOKENS / f"{name}.parquet", side)
    jsonl.write(TEST, sides["test"])
    learnt = {row.id for row in rows["train"]}
    jsonl.write(TRAINED, [record for record in sides["train"] if record["id"] in learnt])
    figures = _figures(rows, sides, account)
    if left := fitting - len(learnt):
        figures["left_out_by_weight"] = left
    write_json(METRICS, figures)
    print(f"tokenize: {figures['train']} rows to train, {figures['validation']} to validate")


if __name__ == "__main__":
    main()
