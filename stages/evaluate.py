"""A model's answers to held-out questions: python -m stages.evaluate evaluate.model=base [override ...]"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import jsonl
from stages.account import Account
from stages.artifact import write_json
from stages.decode import Decoder
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.language_model import load_model, load_tokenizer, saved_dtype, stop_tokens
from stages.likelihood import token_losses
from stages.option import build
from stages.prompt import answer_ids, prompt_ids
from stages.settings.evaluate import Evaluate

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TEST = Path("data/test.jsonl")
MERGED = Path("models/merged")
ANSWERS = Path("evaluation")
METRICS = {"base": Path("metrics/baseline.json"), "tuned": Path("metrics/evaluate.json")}


def ask(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    pairs: Sequence[jsonl.Record],
    settings: Evaluate,
) -> list[jsonl.Record]:
    """Return one answer record per pair and context: with the passage (open) and without (closed).

    Answers are greedy and see the prompt alone; token losses are those of the reference.
    """
    cells = [(pair, context) for context in ("open", "closed") for pair in pairs]
    prompts = [
        prompt_ids(tokenizer, pair["question"], pair["passage"] if context == "open" else None)
        for pair, context in cells
    ]
    answers: dict[int, jsonl.Record] = {}
    decoder = Decoder(model, tokenizer.pad_token_id)
    for batch in _batches(prompts, settings.batch):
        asked = [prompts[i] for i in batch]
        references = [answer_ids(tokenizer, cells[i][0]["answer"]) for i in batch]
        losses = token_losses(model, list(zip(asked, references, strict=True)), tokenizer.pad_token_id)
        replies = decoder.complete(asked, stop_tokens(model, tokenizer), settings.maximum_tokens)
        for i, loss, (reply,) in zip(batch, losses, replies, strict=True):
            text = tokenizer.decode(reply.ids, skip_special_tokens=True).strip()
            answers[i] = _record(*cells[i], settings.model, text, reply.stop is None, loss)
    return [answers[i] for i in range(len(cells))]


def _batches(prompts: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    from tqdm import tqdm

    # Similar lengths together, the longest first: too large a batch fails at once, not at the end.
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    for start in tqdm(range(0, len(order), size), desc="answers", unit="batch"):
        yield order[start : start + size]


def _record(
    pair: jsonl.Record, context: str, model: str, answer: str, cut: bool, losses: list[float]
) -> jsonl.Record:
    kept = {key: pair[key] for key in ("id", "chunk", "document", "pages", "question")}
    said = {"reference": pair["answer"], "answer": answer, "cut_off": cut}
    rounded = {"token_losses": [round(loss, 5) for loss in losses]}
    return {"model": model, "context": context} | kept | said | rounded


def sample(pairs: Sequence[jsonl.Record], most: int, account: Account) -> list[jsonl.Record]:
    """At most `most` pairs: those whose ids, which are hashes, come first; the rest is counted."""
    chosen = {pair["id"] for pair in sorted(pairs, key=lambda pair: pair["id"])[:most]}
    kept = [pair for pair in pairs if pair["id"] in chosen]
    account.keep(len(kept))
    if len(kept) < len(pairs):
        account.drop("not_sampled", len(pairs) - len(kept))
    return kept


def figures(account: Account, answers: Sequence[jsonl.Record]) -> dict[str, Any]:
    """What stands in metrics/baseline.json and metrics/evaluate.json.

    Raises:
        FolioError: a loss is no number, as a broken model gives it.
    """
    if not all(math.isfinite(loss) for row in answers for loss in row["token_losses"]):
        raise FolioError("the model finds an answer infinitely unlikely or gives no number: it is broken")
    cut = sum(row["cut_off"] for row in answers)
    return {"questions": account.as_dict(), "answers": len(answers), "cut_off": cut}


def _folder(config: DictConfig, model: str) -> tuple[Path, str]:
    source = build(config, "model")
    return (source.folder(), source.dtype) if model == "base" else (MERGED, saved_dtype(MERGED))


@entrypoint
def main(config: DictConfig) -> None:
    """Write evaluation/<model>.jsonl."""
    settings = build(config, "evaluate")
    account = Account("questions")
    pairs = sample(list(jsonl.read(TEST)), settings.maximum_questions, account)
    if not pairs:
        raise FolioError(f"{TEST} holds no question; raise tokenize.test_share above 0")
    folder, dtype = _folder(config, settings.model)
    tokenizer = load_tokenizer(folder)
    answers = ask(load_model(folder, dtype), tokenizer, pairs, settings)
    counted = figures(account, answers)
    jsonl.write(ANSWERS / f"{settings.model}.jsonl", answers)
    write_json(METRICS[settings.model], counted)
    print(f"evaluate: {settings.model} answered {len(pairs)} questions, open and closed book")


if __name__ == "__main__":
    main()
