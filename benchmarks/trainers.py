"""One trainer over given token rows, timed: python -m benchmarks.trainers JOB.json RESULT.json

`benchmarks.train` starts each in a process of its own. All of them train the same model with the same fresh
adapters, optimiser and learning rate, under autocast to bf16 where the device computes in it.
"""

import json
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments, set_seed

from stages import tokens, train
from stages.entry import CONF
from stages.language_model import load_model, load_tokenizer, pick_device, pick_dtype
from stages.option import build
from stages.packing import inputs
from stages.steps import Steps
from stages.trainer import Place, prepare

# What a label is where none is learnt.
IGNORED = -100
# Packed rows in each of trl's optimiser steps, one after another: attention over a packed row is dense
# without flash attention, and its work grows with the square of the row's length. folio-divided divides its
# steps among as many micro-batches, so that the two can be compared in memory.
PACKS = 4


@dataclass(frozen=True)
class Job:
    """What one process does; `words` are overrides of conf/."""

    name: str
    rows: str
    words: list[str]


@dataclass(frozen=True)
class Side:
    """A trainer that is ready, and how it is started."""

    trainer: Trainer
    start: Callable[[], Any]


class Plan:
    """What all trainers share: settings, rows, the rows of each step, the folder that they may write to."""

    def __init__(self, job: Job, folder: Path) -> None:
        with initialize_config_dir(CONF, version_base="1.3"):
            config = compose("config", job.words)
        self.settings, self.method, self.source = (build(config, key) for key in ("train", "method", "model"))
        self.rows = tokens.read(Path(job.rows))
        self.folder = folder
        self.steps = folio_steps(self.rows, self.settings)

    def model(self) -> Any:
        """The base model with fresh adapters; the seed makes them the same for everybody."""
        set_seed(self.settings.seed)
        return self.method.attach(load_model(self.source.folder(), self.source.dtype))

    def common(self) -> dict[str, Any]:
        """The settings in the words of transformers."""
        device = pick_device()
        return {
            "output_dir": str(self.folder), "num_train_epochs": 1, "lr_scheduler_type": "constant",
            "per_device_train_batch_size": self.settings.batch, "learning_rate": self.settings.learning_rate,
            "weight_decay": self.settings.weight_decay, "max_grad_norm": self.settings.gradient_norm,
            "bf16": str(pick_dtype(self.source.dtype, device)) == "torch.bfloat16",
            "gradient_checkpointing": False, "logging_steps": 1, "eval_strategy": "no", "save_strategy": "no",
            "seed": self.settings.seed, "use_cpu": device.type == "cpu", "disable_tqdm": True,
            "dataloader_pin_memory": device.type == "cuda", "remove_unused_columns": False,
            "report_to": "none",
        }  # fmt: skip


def folio_steps(rows: Sequence[tokens.Row], settings: Any) -> list[list[int]]:
    """The indices of the rows of each of Folio's steps, over all epochs; the others get the same."""
    steps = Steps(inputs(rows), settings.batch, settings.batch_tokens, settings.packing, settings.seed)
    found = []
    for epoch in range(math.ceil(settings.epochs)):
        steps.set_epoch(epoch)
        found += steps.steps()
    return found


def folio(plan: Plan, parts: int = 1) -> Side:
    """Folio's own trainer, without evaluation (but for one row before the clock starts) and checkpoints."""
    from transformers import EarlyStoppingCallback

    sides = {"train": plan.rows, "validation": plan.rows[:1]}
    place = Place(plan.folder, parts)
    trainer = prepare(plan.settings, plan.method, plan.source, sides, place)
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    trainer.args.load_best_model_at_end = False
    trainer.pop_callback(EarlyStoppingCallback)
    return Side(trainer, lambda: train.fit(trainer, plan.folder))


def quick(trainer: Trainer) -> Side:
    """One of the others, with what Folio does for itself: under autocast peft's own cast is wasted work."""
    from peft.helpers import disable_input_dtype_casting

    def start() -> None:
        with disable_input_dtype_casting(trainer.model):
            trainer.train()

    return Side(trainer, start)


def in_steps(kind: type[Trainer], steps: list[list[int]]) -> type[Trainer]:
    """The trainer `kind` with the rows of each step given."""

    class InSteps(kind):  # type: ignore[misc,valid-type]
        def get_train_dataloader(self) -> Any:
            from torch.utils.data import DataLoader

            return DataLoader(self.train_dataset, batch_sampler=steps, collate_fn=self.data_collator)

    return InSteps


def plain(plan: Plan) -> Side:
    """transformers.Trainer: rows padded on the right, the model's own loss on the completions."""
    rows = [
        {"input_ids": row.prompt + row.completion, "labels": [IGNORED] * len(row.prompt) + row.completion}
        for row in plan.rows
    ]
    tokenizer = load_tokenizer(plan.source.folder())
    tokenizer.padding_side = "right"
    trainer = in_steps(Trainer, plan.steps)(
        model=plan.model(),
        args=TrainingArguments(**plan.common()),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    return quick(trainer)


def marked(rows: Sequence[tokens.Row]) -> Any:
    """Rows as trl takes them when they are tokenised already: nothing is added to them."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "input_ids": row.prompt + row.completion,
                "completion_mask": [0] * len(row.prompt) + [1] * len(row.completion),
            }
            for row in rows
        ]
    )


def trl_padded(plan: Plan) -> Side:
    """trl's SFTTrainer as it comes, without gradient checkpointing."""
    from trl import SFTConfig, SFTTrainer

    trainer = in_steps(SFTTrainer, plan.steps)(
        model=plan.model(),
        args=SFTConfig(**plan.common(), max_length=None, completion_only_loss=True),
        train_dataset=marked(plan.rows),
        processing_class=load_tokenizer(plan.source.folder()),
    )
    return quick(trainer)


def trl_packed(plan: Plan) -> Side:
    """trl's SFTTrainer with its recommended packing, in each step about as many tokens as the others."""
    from trl import SFTConfig, SFTTrainer

    rows = marked(plan.rows)
    more = {
        "num_train_epochs": math.ceil(plan.settings.epochs), "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": PACKS,
    }  # fmt: skip
    length = packed_length(rows, PACKS * math.ceil(len(plan.rows) / plan.settings.batch))
    trainer = SFTTrainer(
        model=plan.model(),
        args=SFTConfig(
            **plan.common() | more,
            packing=True,
            packing_strategy="bfd",
            max_length=length,
            completion_only_loss=True,
        ),
        train_dataset=rows,
        processing_class=load_tokenizer(plan.source.folder()),
    )
    return quick(trainer)


def packed_length(rows: Any, packs: int) -> int:
    """The least length (tokens) with which trl packs all rows, uncut, into at most `packs`."""
    from trl import pack_dataset

    ids = rows.select_columns(["input_ids"])
    lengths = [len(row) for row in ids["input_ids"]]
    length = max(*lengths, math.ceil(sum(lengths) / packs))
    while len(pack_dataset(ids, length, "bfd")) > packs:
        length += max(1, length // 100)
    return length


CONTENDERS: dict[str, Callable[[Plan], Side]] = {
    "folio": folio,
    "folio-divided": partial(folio, parts=PACKS),
    "trl-padded": trl_padded,
    "trl-packed": trl_packed,
    "transformers": plain,
}


def peak_mib() -> float:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells includes the process that started this one
        found = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(found.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class Clock(TrainerCallback):  # type: ignore[misc]
    """Follows a run from its first batch to its last step."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.before = peak_mib()
        self.begun = 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        if not self.begun:
            self.begun, self.processor = time.perf_counter(), time.process_time()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.seconds = time.perf_counter() - self.begun
        self.processor_seconds = time.process_time() - self.processor


def measure(job: Job, folder: Path) -> dict[str, Any]:
    """Train as the job says; `folder` may be written to.

    Returns `examples_per_second`, `examples_per_processor_second`, `peak_mib`, `before_mib` (the peak when
    training begins), `steps`, `tokens_per_step` (padding not counted) and `losses` (nats, the mean over the
    target tokens of each step).
    """
    plan = Plan(job, folder)
    side = CONTENDERS[job.name](plan)
    clock = Clock()
    side.trainer.add_callback(clock)
    side.start()
    trained = [plan.rows[index] for step in plan.steps for index in step]
    state = side.trainer.state
    return {
        "batch": plan.settings.batch,
        "trainable": sum(p.numel() for p in side.trainer.model.parameters() if p.requires_grad),
        "examples_per_second": len(trained) / clock.seconds,
        "examples_per_processor_second": len(trained) / clock.processor_seconds,
        "peak_mib": peak_mib(),
        "before_mib": clock.before,
        "steps": state.global_step,
        "tokens_per_step": sum(len(row.prompt) + len(row.completion) for row in trained) / state.global_step,
        "losses": [entry["loss"] for entry in state.log_history if "loss" in entry],
    }


def run(job: Job, result: Path) -> None:
    """Measure in a scratch folder, where what a trainer writes is thrown away."""
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        result.write_text(json.dumps(measure(job, Path(place))), encoding="utf-8")
        os.chdir("/")


if __name__ == "__main__":
    run(Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), Path(sys.argv[2]).absolute())
