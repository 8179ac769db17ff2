"""Pairs to token rows, split by passage: python -m stages.tokenize [override ...]"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import jsonl, split, tokens
from stages.account import Account
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.language_model import load_tokenizer
from stages.option import build
from stages.prompt import answer_ids, prompt_ids
from stages.settings.tokenize import Tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAIRS = Path("data/qa.jsonl")
TOKENS = Path("data/tokens")
TEST = Path("data/test.jsonl")
TRAINED = Path("data/trained.jsonl")
METRICS = Path("metrics/tokenize.json")


def divide(pairs: Iterable[jsonl.Record], settings: Tokenize) -> dict[split.Side, list[jsonl.Record]]:
    """Put each pair on its passage's side.

    Raises:
        FolioError: a side that is needed stays empty.
    """
    sides: dict[split.Side, list[jsonl.Record]] = {"train": [], "validation": [], "test": []}
    for pair in pairs:
        sides[side_of(pair["passage"], settings)].append(pair)
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
    pairs: Iterable[jsonl.Record],
    settings: Tokenize,
    context_share: float,
    account: Account,
) -> list[tokens.Row]:
    """Return the rows that fit; a row that is too long is dropped and counted, never cut."""
    rows: list[tokens.Row] = []
    for pair in pairs:
        is_open = split.position(pair["id"], settings.seed, "context") < context_share
        prompt = prompt_ids(tokenizer, pair["question"], pair["passage"] if is_open else None)
        completion = answer_ids(tokenizer, pair["answer"])
        if len(prompt) + len(completion) > settings.maximum_tokens:
            account.drop("too_long")
            continue
        account.keep()
        context = "open" if is_open else "closed"
        rows.append(tokens.Row(pair["id"], pair["chunk"], context, pair["answer"], prompt, completion))
    return rows


def _figures(rows: dict[str, list[tokens.Row]], test: int, account: Account) -> dict[str, Any]:
    lengths = [len(row.prompt) + len(row.completion) for side in rows.values() for row in side]
    targets = [len(row.completion) for side in rows.values() for row in side]
    counts = {name: len(side) for name, side in rows.items()} | {"test": test}
    sums = {"tokens": sum(lengths), "target_tokens": sum(targets), "longest": max(lengths)}
    return counts | sums | {"rows": account.as_dict()}


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/tokens/, data/test.jsonl, data/trained.jsonl and metrics/tokenize.json."""
    settings, account = build(config, "tokenize"), Account("rows")
    sides = divide(jsonl.read(PAIRS), settings)
    tokenizer = load_tokenizer(build(config, "model").folder())
    share = settings.context_share
    rows = {
        name: tokenize(tokenizer, sides[name], settings, share, account) for name in ("train", "validation")
    }
    account.keep(len(sides["test"]))
    account.require(settings.keep_share, "tokenize.keep_share")
    for name, side in rows.items():
        tokens.write(TOKENS / f"{name}.parquet", side)
    jsonl.write(TEST, sides["test"])
    jsonl.write(TRAINED, sides["train"])
    figures = _figures(rows, len(sides["test"]), account)
    write_json(METRICS, figures)
    print(f"tokenize: {figures['train']} rows to train, {figures['validation']} to validate")


if __name__ == "__main__":
    main()
