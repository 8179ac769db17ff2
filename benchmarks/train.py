"""Folio's trainer beside trl's SFTTrainer (padded and packed) and transformers.Trainer, in examples a second.

    python -m benchmarks.train [--rows xquad --xquad FILE.json [--passages 24]] [--pairs DIR] [--batch 8]
                               [--epochs 1] [--repeat 3] [--only NAME ...] [--model FOLDER] [--dtype auto]

The rows are those of DIR/train.parquet (data/tokens: the last run's own), or the first passages of a file in
SQuAD's format with all their questions. All train the same model with the same fresh LoRA adapters (r=8, all
linear layers), on the same rows in the same order in each step, and learn from the answers alone. trl-packed
alone fills its steps by itself, with about as many tokens: compare its examples a second, not its losses.
It computes a step in four micro-batches, and so does folio-divided; the others compute it at once.

Each contender runs in a process of its own, in turns. It is timed from the first batch to the last step,
without evaluation and checkpoints; memory is the peak of the process. The last line is JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from benchmarks.trainers import CONTENDERS, Job
from stages import cache, tokens
from stages.entry import CONF
from stages.errors import FolioError
from stages.language_model import load_tokenizer
from stages.option import build
from stages.prompt import answer_ids, prompt_ids

FIGURES = ("examples_per_second", "examples_per_processor_second", "peak_mib", "before_mib")
SETTINGS = (
    "train.questions=0", "train.save_steps=0", "train.accumulation=1", "train.scheduler=constant",
    "train.warmup_share=0", "train.weight_decay=0", "train.gradient_checkpointing=false", "train.log_steps=1",
    "method=lora",
    "method.r=8", "method.alpha=16", "method.dropout=0", "method.target_modules=all-linear",
)  # fmt: skip


def overrides(options: argparse.Namespace) -> list[str]:
    """The settings that everybody trains with, as overrides of conf/."""
    model = ["model=embedded"]
    if options.model:
        model = ["model=folder", f"model.path={options.model.resolve()}"]
    asked = [f"model.dtype={options.dtype}", f"train.batch={options.batch}", f"train.epochs={options.epochs}"]
    return [*SETTINGS, *model, *asked]


def questions(source: Path, passages: int) -> Iterator[tuple[str, int, str, str, str]]:
    """Id, passage's number, passage, question and first answer; a question without answers is left out.

    Raises:
        FolioError: the file is not in SQuAD's format.
    """
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
        paragraphs = [paragraph for article in document["data"] for paragraph in article["paragraphs"]]
        for number, paragraph in enumerate(paragraphs[:passages]):
            for question in paragraph["qas"]:
                for answer in question["answers"][:1]:
                    texts = paragraph["context"], question["question"], answer["text"]
                    yield question["id"], number, *texts
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolioError(f"{source} (--xquad) is no file in SQuAD's format: {error!r}") from error


def squad_rows(source: Path, passages: int, model: Path, form: Any) -> list[tokens.Row]:
    """The questions of the first passages as rows, each with its passage in the prompt."""
    tokenizer = load_tokenizer(model)
    return [
        tokens.Row(
            name, str(number), "open", answer,
            prompt_ids(tokenizer, form, {"question": question, "passage": passage}, True),
            answer_ids(tokenizer, answer),
        )
        for name, number, passage, question, answer in questions(source, passages)
    ]  # fmt: skip


def timed(job: Job, folder: Path) -> dict[str, Any]:
    """Run one trainer in a process of its own and return its figures."""
    work, result = folder / "job.json", folder / "result.json"
    work.write_text(json.dumps(asdict(job)), encoding="utf-8")
    place = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "FOLIO_CACHE": str(cache.folder())}
    command = [sys.executable, "-m", "benchmarks.trainers", str(work), str(result)]
    done = subprocess.run(
        command, env=os.environ | place, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        sys.exit(f"{job.name} failed: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return figures


def turns(names: Sequence[str], repeat: int, jobs: dict[str, Job], folder: Path) -> dict[str, Any]:
    """The median of each contender's figures over `repeat` turns, and the losses of its first."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for turn in range(repeat):
        # Another begins each turn, so that what else the machine does falls on all of them.
        for name in [*names[turn % len(names) :], *names[: turn % len(names)]]:
            runs[name].append(timed(jobs[name], folder))
            speed = runs[name][-1]["examples_per_second"]
            print(f"run {turn + 1}, {name}: {speed:.2f} examples/s", flush=True)
    return {
        name: {figure: round(statistics.median(run[figure] for run in found), 3) for figure in FIGURES}
        | {"runs": [round(run["examples_per_second"], 3) for run in found]}
        | {key: found[0][key] for key in ("steps", "tokens_per_step", "losses")}
        for name, found in runs.items()
    }


def apart(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The largest difference of two runs' losses in a step, as a share of theirs."""
    return max(abs(a - b) / b for a, b in zip(ours, theirs, strict=True))


def compared(figures: dict[str, Any]) -> dict[str, Any]:
    """Folio's speed and memory as shares of the others' best, and how far its losses are from theirs."""
    ours = figures.get("folio")
    others = {name: one for name, one in figures.items() if not name.startswith("folio")}
    if not (ours and others):
        return {}
    ratios = {key: ours[key] / max(one[key] for one in others.values()) for key in FIGURES[:2]}
    same_steps = [name for name in others if name != "trl-packed"]
    losses = {name: round(apart(ours["losses"], figures[name]["losses"]), 6) for name in same_steps}
    return {
        "folio_against_best": {key: round(ratio, 3) for key, ratio in ratios.items()},
        "peak_mib_against_best": memory(figures),
        "largest_loss_difference": losses,
    }


def memory(figures: dict[str, Any]) -> dict[str, float]:
    """Folio's peak as a share of the best other's that computes its steps in as many micro-batches."""
    alike = {"folio": ("trl-padded", "transformers"), "folio-divided": ("trl-packed",)}
    best = {
        name: min((figures[other]["peak_mib"] for other in others if other in figures), default=0)
        for name, others in alike.items()
        if name in figures
    }
    return {name: round(figures[name]["peak_mib"] / least, 3) for name, least in best.items() if least}


def table(figures: dict[str, Any]) -> None:
    print(
        f"{'':14}{'examples/s':>11}{'/processor s':>14}{'peak MiB':>10}{'before':>8}{'steps':>7}{'loss':>8}"
    )
    for name, one in figures.items():
        speed, processor, peak, before = (one[key] for key in FIGURES)
        loss = statistics.fmean(one["losses"])
        print(f"{name:14}{speed:11.2f}{processor:14.2f}{peak:10.0f}{before:8.0f}{one['steps']:7}{loss:8.3f}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", choices=("pairs", "xquad"), default="pairs")
    parser.add_argument("--xquad", type=Path, help="a file in SQuAD's format, for --rows xquad")
    parser.add_argument("--passages", type=int, default=24, help="how many of its passages")
    parser.add_argument("--pairs", type=Path, default=Path("data/tokens"), help="the folder of train.parquet")
    parser.add_argument("--batch", type=int, default=8, help="rows in each step")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--model", type=Path, help="a model's folder in place of the embedded one")
    parser.add_argument(
        "--dtype", default="auto", help="float32 shows how far losses differ by more than rounding"
    )
    options = parser.parse_args()
    if options.rows == "xquad" and not options.xquad:
        parser.error("--rows xquad needs --xquad FILE.json")
    return options


def main() -> None:
    options = arguments()
    words = overrides(options)
    with initialize_config_dir(CONF, version_base="1.3"):
        # De-quantised here on first use: no contender's memory is to hold that.
        config = compose("config", words)
        model = build(config, "model").folder()
    if options.rows == "xquad":
        rows = squad_rows(options.xquad, options.passages, model, build(config, "format"))
    else:
        rows = tokens.read(options.pairs / "train.parquet")
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "train.parquet"
        tokens.write(file, rows)
        jobs = {name: Job(name, str(file), words) for name in options.only}
        figures = turns(options.only, options.repeat, jobs, Path(place))
    table(figures)
    comparison = compared(figures)
    print("trl-packed fills its steps by itself: compare its examples/s, not its losses")
    libraries = ("torch", "transformers", "trl", "peft")
    facts = {
        "rows": options.rows,
        "examples": len(rows),
        "passages": len({row.passage for row in rows}),
        "tokens": sum(len(row.prompt) + len(row.completion) for row in rows),
        "target_tokens": sum(len(row.completion) for row in rows),
        "batch": options.batch,
        "epochs": options.epochs,
        "repeat": options.repeat,
        "dtype": options.dtype,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),  # above the cores, other work took its part
        "versions": {name: version(name) for name in libraries},
    }
    print(json.dumps(facts | {"contenders": figures} | comparison))


if __name__ == "__main__":
    try:
        main()
    except FolioError as error:
        sys.exit(f"folio: {error}")
