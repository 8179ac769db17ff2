"""A model's answers to held-out questions: python -m stages.evaluate evaluate.model=base [override ...]"""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from stages import jsonl
from stages.account import Account
from stages.artifact import write_json
from stages.contenders import load
from stages.decode import Completion, Decoder
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.formatted import formatted
from stages.language_model import context, stop_tokens
from stages.option import build
from stages.prompt import answer_ids, prompt_ids
from stages.settings.evaluate import Evaluate
from stages.steps import groups
from stages.wording import Format

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from stages.reading import Reader, Reading

TEST = Path("data/test.jsonl")
TRAINED = Path("data/trained.jsonl")
ANSWERS = Path("evaluation")
METRICS = {"base": Path("metrics/baseline.json"), "tuned": Path("metrics/evaluate.json")}

# Of a record, what an answer to it keeps.
KEPT = ("id", "chunk", "source", "document", "line", "pages", "passage", "question")

# A record and how it is asked: open with its passage, closed without; trained is closed, of those learnt.
Cell = tuple[jsonl.Record, str]


def cells(test: Sequence[jsonl.Record], trained: Sequence[jsonl.Record]) -> list[Cell]:
    """Every question with every context in which it is asked: without a passage it is closed alone."""
    opened = [(pair, "open") for pair in test if pair["passage"] is not None]
    contexts = [*opened, *((pair, "closed") for pair in test)]
    return [*contexts, *((pair, "trained") for pair in trained)]


def ask(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    form: Format,
    asked: Sequence[Cell],
    settings: Evaluate,
) -> list[jsonl.Record]:
    """Return one answer record per cell.

    Answers see the prompt alone and are greedy unless `settings.sampling` says otherwise; token losses are
    those of the reference.
    """
    prompts = [
        prompt_ids(tokenizer, form, pair | {"control": settings.control}, context == "open")
        for pair, context in asked
    ]
    references = [answer_ids(tokenizer, pair["answer"]) for pair, _ in asked]
    answers: dict[int, jsonl.Record] = {}
    from stages.reading import Reader

    reader, decoder = Reader(model, tokenizer.pad_token_id), Decoder(model, tokenizer.pad_token_id)
    stop = stop_tokens(model, tokenizer)
    for batch in _batches(prompts, settings.batch):
        read = reader.read([prompts[i] for i in batch], [references[i] for i in batch])
        replies = _replies(decoder, read, [prompts[i] for i in batch], stop, settings)
        for i, losses, reply in zip(batch, read.losses, replies, strict=True):
            text = tokenizer.decode(reply.ids, skip_special_tokens=True).strip()
            said = {"answer": text, "cut_off": reply.stop is None, "tokens": len(reply.ids)}
            found = {"token_losses": _rounded(losses)}
            answers[i] = _described(*asked[i], settings.model) | said | found
    for i, losses in _options(reader, tokenizer, asked, prompts, settings.batch):
        answers[i].setdefault("options", asked[i][0]["options"])
        answers[i].setdefault("option_losses", []).append(losses)
    return [answers[i] for i in range(len(asked))]


def _options(
    reader: "Reader",
    tokenizer: "PreTrainedTokenizerBase",
    asked: Sequence[Cell],
    prompts: Sequence[list[int]],
    size: int,
) -> Iterator[tuple[int, list[float]]]:
    """Of every option of a multiple-choice question: whose it is, and the losses of its tokens."""
    rows = [
        (i, answer_ids(tokenizer, option))
        for i, (pair, _) in enumerate(asked)
        for option in pair.get("options", ())
    ]
    for batch in (rows[start : start + size] for start in range(0, len(rows), size)):
        read = reader.read([prompts[i] for i, _ in batch], [ids for _, ids in batch])
        for (i, _), losses in zip(batch, read.losses, strict=True):
            yield i, _rounded(losses)


def _rounded(losses: Sequence[float]) -> list[float]:
    return [round(loss, 5) for loss in losses]


def _replies(
    decoder: Decoder, read: "Reading", prompts: list[list[int]], stop: list[int], settings: Evaluate
) -> list[Completion]:
    most, sampling = settings.maximum_tokens, settings.sampling()
    if read.past is None:  # a model that keeps something else than keys and values reads again
        return [reply for (reply,) in decoder.complete(prompts, stop, most, **sampling)]
    state = read.ids, read.mask, read.past
    return [reply for (reply,) in decoder.go_on(state, stop, most, **sampling)]


def _batches(prompts: Sequence[list[int]], size: int) -> Iterator[list[int]]:
    """Prompts that share much stand in one batch, the longest first."""
    from tqdm import tqdm

    found = groups([np.array(prompt) for prompt in prompts])
    # Too large a batch fails at once, not at the end.
    found.sort(key=lambda group: (-max(len(prompts[i]) for i in group), group))
    order = [i for group in found for i in group]
    for start in tqdm(range(0, len(order), size), desc="answers", unit="batch", mininterval=1.0):
        yield order[start : start + size]


def _described(pair: jsonl.Record, context: str, model: str) -> jsonl.Record:
    kept = {key: pair[key] for key in KEPT if key in pair}
    return {"model": model, "context": context} | kept | {"reference": pair["answer"]}


def sample(pairs: Sequence[jsonl.Record], most: int, account: Account) -> list[jsonl.Record]:
    """At most `most` pairs: those whose ids, which are hashes, come first; the rest is counted."""
    chosen = {pair["id"] for pair in sorted(pairs, key=lambda pair: pair["id"])[:most]}
    kept = [pair for pair in pairs if pair["id"] in chosen]
    account.keep(len(kept))
    if len(kept) < len(pairs):
        account.drop("not_sampled", len(pairs) - len(kept))
    return kept


def fitting(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    form: Format,
    pairs: Sequence[jsonl.Record],
    account: Account,
) -> list[jsonl.Record]:
    """The pairs that fit the model's context with their passage; the others are dropped and counted."""
    kept = []
    for pair in pairs:
        answers = [answer_ids(tokenizer, text) for text in (pair["answer"], *pair.get("options", ()))]
        prompt = prompt_ids(tokenizer, form, pair, pair["passage"] is not None)
        if len(prompt) + max(map(len, answers)) <= context(model):
            kept.append(pair)
    if lost := len(pairs) - len(kept):
        account.kept -= lost
        account.drop("too_long", lost)
    return kept


def figures(account: Account, answers: Sequence[jsonl.Record], seconds: float) -> dict[str, Any]:
    """What stands in metrics/baseline.json and metrics/evaluate.json.

    Raises:
        FolioError: a loss is no number, as a broken model gives it.
    """
    if not all(math.isfinite(loss) for row in answers for loss in row["token_losses"]):
        raise FolioError("the model finds an answer infinitely unlikely or gives no number: it is broken")
    cut, written = (sum(row[key] for row in answers) for key in ("cut_off", "tokens"))
    speed = {"seconds": round(seconds, 1), "tokens_per_second": round(written / seconds, 1)}
    return {"questions": account.as_dict(), "answers": len(answers), "cut_off": cut} | speed


@entrypoint
def main(config: DictConfig) -> None:
    """Write evaluation/<model>.jsonl."""
    from transformers import set_seed

    settings, form = build(config, "evaluate"), build(config, "format")
    account = Account("questions")
    test = sample(list(jsonl.read(TEST)), settings.maximum_questions, account)
    if not test:
        raise FolioError(f"{TEST} holds no question; raise tokenize.test_share above 0")
    again = Account("questions")
    trained = sample(list(jsonl.read(TRAINED)), settings.maximum_trained, again)
    source = formatted(form, build(config, "model"))
    model, tokenizer = load(source, settings.model, settings.bits, "evaluate.bits")
    test, trained = (
        fitting(model, tokenizer, form, pairs, tally) for pairs, tally in ((test, account), (trained, again))
    )
    if not test:
        raise FolioError(f"no held-out question fits the model's context of {context(model)} tokens")
    set_seed(settings.seed)
    start = time.perf_counter()
    asked = cells(test, trained)
    answers = ask(model, tokenizer, form, asked, settings)
    counted = figures(account, answers, time.perf_counter() - start) | {"trained": again.as_dict()}
    jsonl.write(ANSWERS / f"{settings.model}.jsonl", answers)
    write_json(METRICS[settings.model], counted)
    opened = len(asked) - len(test) - len(trained)
    held_out = f"{len(test)} held-out questions, {opened} of them also with their passage"
    print(f"evaluate: {settings.model} answered {held_out}, and {len(trained)} trained ones")


if __name__ == "__main__":
    main()
