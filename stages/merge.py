"""Base and what was learnt to one model: python -m stages.merge [override ...]"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import tokens
from stages.artifact import read_json, whole_folder, write_json, write_text
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.formatted import formatted
from stages.language_model import load_model, load_tokenizer
from stages.likelihood import completion_logits
from stages.option import build

MERGED = Path("models/merged")
VALIDATION = Path("data/tokens/validation.parquet")
TRAINED = Path("metrics/train.json")
METRICS = Path("metrics/merge.json")


def log_probs(model: Any, rows: Sequence[tokens.Row], pad: int) -> list[Any]:
    """The log-probabilities [completion length, vocabulary] of each row, one row at a time."""
    pairs = [(row.prompt, row.completion) for row in rows]
    return [completion_logits(model, [pair], pad)[0].log_softmax(-1) for pair in pairs]


def compare(before: Sequence[Any], after: Sequence[Any]) -> dict[str, float]:
    """How far two models' log-probabilities lie apart (nats), weighted by the first's probability.

    `difference` is the mean over tokens of sum p |log p - log q|, which bounds their divergence;
    `agreement` the share of tokens for which both find the same token likeliest.
    """
    import torch

    pairs = list(zip(before, after, strict=True))
    gaps = torch.cat([(p.exp() * (p - q).abs()).sum(-1) for p, q in pairs])
    same = torch.cat([p.argmax(-1) == q.argmax(-1) for p, q in pairs])
    return {
        "difference": round(float(gaps.mean()), 6),
        "agreement": round(float(same.float().mean()), 6),
        "tokens": len(gaps),
    }


def check(figures: dict[str, float], tolerance: float) -> None:
    """Refuse a merged model that answers differently.

    Raises:
        FolioError: the difference is above `merge.tolerance`, or no number.
    """
    if not figures["difference"] <= tolerance:
        raise FolioError(
            f"the merged model's log-probabilities differ from the tuned one's by "
            f"{figures['difference']:g} nats, more than merge.tolerance={tolerance:g}; "
            "the merge lost precision: set model.dtype=float32, or raise the tolerance knowingly"
        )


def alignment(adapter: Path) -> str:
    """The model card's sentence on preferences or rewards; nothing where the adapter has learnt from none."""
    state = adapter / "trainer_state.json"
    run = read_json(state).get("alignment") if state.is_file() else None
    if run is None:
        return ""
    start = "a fresh adapter in place of that one" if run["fresh"] else "that adapter"
    learnt = run.get("from") or f"{run['pairs']} preference pairs"
    return (
        f"\nThen aligned by {run['objective']}: {start} learnt from {learnt}, "
        f"learning rate {run['learning_rate']:g}.\n"
    )


def model_card(identity: str, config: DictConfig, rows: int, gate: dict[str, float]) -> str:
    """README.md of the merged model: what it was made from and how far it can be trusted."""
    method, train = config.method, config.train
    rank = f" of rank {method.r}" if "r" in method else ""
    return f"""---
base_model: {json.dumps(identity)}
library_name: transformers
pipeline_tag: text-generation
tags: [folio, {method.name}]
---

# A model tuned on documents

Base: `{identity}`. Tuned with Folio: {method.name}{rank}, learning rate
{train.learning_rate:g}, at most {train.epochs:g} epochs over {rows} question-answer pairs.
{alignment(Path(config.align.adapter))}
Merged weights against those that were trained, on {gate["tokens"]} held-out tokens: mean difference
{gate["difference"]:g} nats, same likeliest token for {gate["agreement"]:.1%}.

It knows the documents it was tuned on and little else; check its answers against the pages they
name. The licence of the base model and the rights in the documents apply.
"""


@entrypoint
def main(config: DictConfig) -> None:
    """Write models/merged/ and metrics/merge.json."""
    settings, method, form = (build(config, key) for key in ("merge", "method", "format"))
    source = formatted(form, build(config, "model"))
    rows = tokens.read(VALIDATION)[: settings.rows]
    tokenizer = load_tokenizer(source.folder())
    pad = tokenizer.pad_token_id
    tuned = method.load(source.folder(), source.dtype, Path(config.align.adapter))
    before = log_probs(tuned, rows, pad)
    with whole_folder(MERGED) as folder:
        merged = method.merge(tuned, source.dtype)
        merged.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
        del tuned, merged  # the model that is checked is the one that was written
        gate = compare(before, log_probs(load_model(folder, method.merged_dtype(source.dtype)), rows, pad))
        check(gate, settings.tolerance)
        card = model_card(source.identity, config, read_json(TRAINED)["rows"], gate)
        write_text(folder / "README.md", card)
    write_json(METRICS, gate)
    print(f"merge: differs from the tuned model by {gate['difference']:g} nats a token")


if __name__ == "__main__":
    main()
