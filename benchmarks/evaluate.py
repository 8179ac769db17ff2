"""Answers a second of the evaluate stage beside one question at a time, and whether they agree.

    python -m benchmarks.evaluate [--questions data/test.jsonl] [--most 32] [--dtype float32]

Both answer the same questions, with the passage and without, greedily, with the embedded model. The stage
also measures the loss of each reference; the other does not. The last line is JSON.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from stages import jsonl
from stages.entry import CONF
from stages.evaluate import Cell, ask, cells
from stages.language_model import load_model, load_tokenizer, stop_tokens
from stages.option import build
from stages.prompt import prompt_ids


def one_at_a_time(model: Any, tokenizer: Any, asked: list[Cell], most: int) -> list[str]:
    """Each question by transformers' own generate, alone."""
    import torch

    answers = []
    for pair, context in asked:
        ids = prompt_ids(tokenizer, pair["question"], pair["passage"] if context == "open" else None)
        with torch.inference_mode():
            said = model.generate(
                torch.tensor([ids], device=model.device),
                max_new_tokens=most,
                do_sample=False,
                eos_token_id=stop_tokens(model, tokenizer),
                pad_token_id=tokenizer.pad_token_id,
            )
        answers.append(tokenizer.decode(said[0, len(ids) :], skip_special_tokens=True).strip())
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--questions", type=Path, default=Path("data/test.jsonl"))
    parser.add_argument("--most", type=int, default=32, help="questions")
    parser.add_argument("--dtype", default="float32", help="bfloat16 rounds, so that some answers differ")
    options = parser.parse_args()
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("config", [f"model.dtype={options.dtype}", "evaluate.model=base"])
    settings, source = build(config, "evaluate"), build(config, "model")
    model, tokenizer = load_model(source.folder(), source.dtype), load_tokenizer(source.folder())
    asked = cells(list(jsonl.read(options.questions))[: options.most], [])
    start = time.perf_counter()
    together = [row["answer"] for row in ask(model, tokenizer, asked, settings)]
    middle = time.perf_counter()
    alone = one_at_a_time(model, tokenizer, asked, settings.maximum_tokens)
    seconds = middle - start, time.perf_counter() - middle
    same = sum(a == b for a, b in zip(together, alone, strict=True))
    figures = {
        "answers": len(asked),
        "per_second": round(len(asked) / seconds[0], 2),
        "one_at_a_time": round(len(asked) / seconds[1], 2),
        "ratio": round(seconds[1] / seconds[0], 2),
        "same_answers": same,
    }
    print(json.dumps(figures | {"batch": settings.batch, "dtype": options.dtype}))


if __name__ == "__main__":
    main()
