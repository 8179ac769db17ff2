"""Answers a second of the evaluate stage beside one question at a time, and whether they agree.

    python -m benchmarks.evaluate [--questions data/test.jsonl | --xquad FILE.json] [--most 32] [--batch 16]
                                  [--dtype float32]

Both answer the same questions, with the passage and without, greedily, with the embedded model. The stage
also measures the loss of each reference; the other does not. Memory is the most that the stage held, as a
share of the loaded model and the keys and values of its largest batch. The last line is JSON.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from benchmarks.train import questions
from benchmarks.trainers import peak_mib
from stages import jsonl
from stages.entry import CONF
from stages.errors import FolioError
from stages.evaluate import Cell, ask, cells
from stages.language_model import load_model, load_tokenizer, stop_tokens
from stages.option import build
from stages.prompt import prompt_ids
from stages.tree_attention import register


def one_at_a_time(model: Any, tokenizer: Any, form: Any, asked: list[Cell], most: int) -> list[str]:
    """Each question by transformers' own generate, alone."""
    import torch

    answers = []
    for pair, context in asked:
        ids = prompt_ids(tokenizer, form, pair, context == "open")
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


def squad_pairs(source: Path, most: int) -> list[jsonl.Record]:
    """The first questions of a file in SQuAD's format, as records of data/test.jsonl."""
    found = itertools.islice(questions(source, most), most)
    return [
        {"id": name, "chunk": str(number), "document": source.name, "pages": [1, 1], "passage": passage,
         "question": question, "answer": answer}
        for name, number, passage, question, answer in found
    ]  # fmt: skip


def batch_mib(model: Any, tokenizer: Any, form: Any, asked: list[Cell], settings: Any) -> float:
    """Keys and values of the longest batch, prompts and answers, as the stage fills its batches at most."""
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    prompts = [prompt_ids(tokenizer, form, p, c == "open") for p, c in asked]
    longest = sorted(map(len, prompts))[-settings.batch :]
    columns = len(longest) * (longest[-1] + settings.maximum_tokens)
    each = 2 * config.num_hidden_layers * config.num_key_value_heads * size * model.dtype.itemsize
    return float(columns * each / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--questions", type=Path, default=Path("data/test.jsonl"))
    parser.add_argument("--xquad", type=Path, help="a file in SQuAD's format, in place of --questions")
    parser.add_argument("--batch", type=int, default=0, help="answers at once; 0: as conf/ has it")
    parser.add_argument("--most", type=int, default=32, help="questions")
    parser.add_argument("--dtype", default="float32", help="bfloat16 rounds, so that some answers differ")
    options = parser.parse_args()
    with initialize_config_dir(CONF, version_base="1.3"):
        batch = [f"evaluate.batch={options.batch}"] if options.batch else []
        config = compose("config", [f"model.dtype={options.dtype}", "evaluate.model=base", *batch])
    settings, source, form = (build(config, key) for key in ("evaluate", "model", "format"))
    tokenizer = load_tokenizer(source.folder())
    model = load_model(source.folder(), source.dtype, attn_implementation=register())
    pairs = squad_pairs(options.xquad, options.most) if options.xquad else [*jsonl.read(options.questions)]
    asked = cells(pairs[: options.most], [])
    one_at_a_time(model, tokenizer, form, asked[:1], 1)  # weights are read from their file on first use
    loaded = peak_mib()
    start = time.perf_counter()
    together = [row["answer"] for row in ask(model, tokenizer, form, asked, settings)]
    middle, peak = time.perf_counter(), peak_mib()
    alone = one_at_a_time(model, tokenizer, form, asked, settings.maximum_tokens)
    seconds = middle - start, time.perf_counter() - middle
    same = sum(a == b for a, b in zip(together, alone, strict=True))
    figures = {
        "answers": len(asked),
        "per_second": round(len(asked) / seconds[0], 2),
        "one_at_a_time": round(len(asked) / seconds[1], 2),
        "ratio": round(seconds[1] / seconds[0], 2),
        "same_answers": same,
        "peak_mib": round(peak),
        "loaded_mib": round(loaded),
        "peak_against_model_and_batch": round(
            peak / (loaded + batch_mib(model, tokenizer, form, asked, settings)), 3
        ),
    }
    print(json.dumps(figures | {"batch": settings.batch, "dtype": options.dtype}))


if __name__ == "__main__":
    try:
        main()
    except FolioError as error:
        sys.exit(f"folio: {error}")
