"""What tuning forgot: perplexity on general text before and after: python -m stages.retain"""

import gc
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import jsonl
from stages.account import Account
from stages.artifact import write_json
from stages.contenders import load
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.formatted import formatted
from stages.language_model import load_tokenizer, saved_context
from stages.metric.perplexity import Perplexity
from stages.option import build
from stages.score import cell, values
from stages.settings.retain import Retain

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOSSES = Path("evaluation/retain.jsonl")
METRICS = Path("metrics/retain.json")
MODELS = ("base", "tuned")
KEPT = ("id", "title", "model", "nats", "tokens")


def read(source: Path) -> list[jsonl.Record]:
    """Return the general texts of a file: JSON lines with an id of its own and a text each.

    Raises:
        FolioError: the file is missing or empty, or a line is no such record; the line is named.
    """
    if not source.is_file():
        raise FolioError(f"retain.texts={source} is no file; name one of JSON lines with id and text")
    texts: list[jsonl.Record] = []
    seen: set[str] = set()
    for number, record in enumerate(jsonl.read(source), start=1):
        if problem := _problem(record, seen):
            raise FolioError(f"{source}, line {number} {problem}")
        seen.add(record["id"])
        texts.append(record)
    if not texts:
        raise FolioError(f"{source} holds no text; name another file as retain.texts")
    return texts


def _problem(record: jsonl.Record, seen: set[str]) -> str | None:
    for key in ("id", "text"):
        if not isinstance(record.get(key), str) or not record[key].strip():
            return f"has no {key}; each line needs an id and a text, both words"
    if record["id"] in seen:
        return f"has the id of an earlier line, {record['id']!r}; give it another"
    try:
        jsonl.line(record).encode()
    except ValueError:  # half of a surrogate pair, or NaN
        return "holds what is no text in UTF-8; mend its escapes"
    return None


def encode(
    tokenizer: "PreTrainedTokenizerBase", texts: Sequence[jsonl.Record], most: int, account: Account
) -> tuple[list[jsonl.Record], list[list[int]], int]:
    """Return the texts that can be scored, the ids of each, at most `most`, and how many tokens were cut off.

    BOS is there only where the tokenizer itself puts one. A text of a single token predicts nothing: it is
    dropped and counted.
    """
    kept, rows, truncated = [], [], 0
    for text in texts:
        # Longer than the model reads is no cause for a warning: it is cut right below.
        ids = tokenizer(text["text"], verbose=False)["input_ids"]
        if len(ids) < 2:
            account.drop("too_short")
            continue
        account.keep()
        kept.append(text)
        rows.append(ids[:most])
        truncated += max(len(ids) - most, 0)
    return kept, rows, truncated


def losses(model: "PreTrainedModel", rows: Sequence[list[int]], pad: int, batch: int) -> list[list[float]]:
    """Return the loss (nats) of every token of each row but its first, which nothing predicts."""
    import torch
    from tqdm import tqdm

    from stages.likelihood import completion_logits

    # Rows of like length pad each other little; too large a batch fails at once, not at the end.
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    found: dict[int, list[float]] = {}
    for start in tqdm(range(0, len(order), batch), desc="texts", unit="batch", mininterval=1.0):
        part = order[start : start + batch]
        logits = completion_logits(model, [(rows[i][:1], rows[i][1:]) for i in part], pad)
        for i, scores in zip(part, logits, strict=True):
            labels = torch.tensor(rows[i][1:], device=scores.device)
            found[i] = torch.nn.functional.cross_entropy(scores, labels, reduction="none").tolist()
    return [found[i] for i in range(len(rows))]


def in_turn(
    load_one: Callable[[str], "PreTrainedModel"], rows: Sequence[list[int]], pad: int, batch: int
) -> dict[str, list[list[float]]]:
    """Return the losses under base and tuned; the first is freed before the second is loaded.

    Raises:
        FolioError: a loss is no number, as a broken model gives it.
    """
    found = {}
    for name in MODELS:
        found[name] = losses(load_one(name), rows, pad, batch)
        _free()
        if not all(math.isfinite(loss) for row in found[name] for loss in row):
            raise FolioError(
                f"the {name} model finds a text infinitely unlikely or gives no number: it is broken"
            )
    return found


def _free() -> None:
    """Give back what nothing refers to any more: a model's parts refer to each other."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def figures(
    texts: Sequence[jsonl.Record], found: dict[str, list[list[float]]], seed: int
) -> tuple[list[jsonl.Record], dict[str, Any]]:
    """Return a row per text and model, and the cell of perplexity: intervals are drawn over texts."""
    metric = Perplexity(name="perplexity")  # type: ignore[call-arg]  # mypy does not see through `setting`
    rows: dict[str, list[jsonl.Record]] = {}
    for name, many in found.items():
        answers = [
            {"id": text["id"], "model": name, "context": "general", "chunk": text["id"], "token_losses": row}
            for text, row in zip(texts, many, strict=True)
        ]
        rows[name] = values(metric, answers)
    whole = cell(metric, rows["base"], rows["tuned"], seed)
    titles = {text["id"]: str(text.get("title", "")) for text in texts}
    listed = [row | {"title": titles[row["id"]]} for name in MODELS for row in rows[name]]
    return [_rounded({key: row[key] for key in KEPT}) for row in listed], whole


def _rounded(row: jsonl.Record) -> jsonl.Record:
    return row | {"nats": round(row["nats"], 4), "tokens": int(row["tokens"])}


def sentence(found: dict[str, Any]) -> str:
    """`perplexity on 80 general texts 18.20 -> 18.90 (+0.70 [0.30, 1.10])`."""
    before, after, gap = (found[side]["perplexity"] for side in (*MODELS, "difference"))
    sure = "" if gap["low"] is None else f" [{gap['low']:.2f}, {gap['high']:.2f}]"
    change = f"{before['value']:.2f} -> {after['value']:.2f} ({gap['value']:+.2f}{sure})"
    return f"perplexity on {found['n']} general texts {change}"


@entrypoint
def main(config: DictConfig) -> None:
    """Write evaluation/retain.jsonl and metrics/retain.json."""
    settings, form, account = build(config, "retain"), build(config, "format"), Account("texts")
    source = formatted(form, build(config, "model"))
    texts = read(Path(settings.texts))
    folder = source.folder()
    tokenizer, most = load_tokenizer(folder), int(min(settings.maximum_tokens, saved_context(folder)))
    kept, rows, truncated = encode(tokenizer, texts, most, account)
    if not kept:
        raise FolioError(
            f"{settings.texts} holds no text of two tokens or more; name another as retain.texts"
        )
    found = in_turn(partial(_load, source, settings), rows, tokenizer.pad_token_id, settings.batch)
    listed, whole = figures(kept, found, settings.seed)
    counts = {"tokens": sum(len(row) - 1 for row in rows), "truncated": truncated, "texts": account.as_dict()}
    jsonl.write(LOSSES, listed)
    write_json(METRICS, whole | counts)
    print(f"retain: {sentence(whole)}")


def _load(source: Any, settings: Retain, name: str) -> "PreTrainedModel":
    return load(source, name, settings.bits, "retain.bits")[0]


if __name__ == "__main__":
    main()
