"""A trainer as the settings describe it: steps, packing, precision, schedule, callbacks."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages import memory, tokens
from stages.errors import FolioError
from stages.formatted import new_tokens
from stages.language_model import load_model, load_tokenizer, pick_device, pick_dtype
from stages.settings.train import Learning, Run, Train, Updates

if TYPE_CHECKING:
    import torch
    from transformers import TrainerCallback, TrainingArguments

    from stages.memory import Estimate
    from stages.packing import Packing
    from stages.quiz import Quiz
    from stages.sft import SftTrainer
    from stages.steps import Steps

CURVES = Path("plots/train")
SPEED = Path("plots/speed")
Rows = dict[str, list[tokens.Row]]
# Processes that an accelerate launch line starts; torch's own names.
DEVICES = int(os.environ.get("WORLD_SIZE", "1"))
OPTIMISERS = {
    "adamw": "adamw_torch",
    "paged_adamw": "paged_adamw_32bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
}


def arguments(settings: Run, count: int, parts: int, folder: Path, dtype: str) -> "TrainingArguments":
    """The settings in the trainer's words, for epochs of `count` steps, each of `parts` on every device.

    Raises:
        FolioError: the optimiser does not run on this device.
    """
    from transformers import TrainingArguments

    device = pick_device().type
    return TrainingArguments(
        output_dir=str(folder),
        gradient_accumulation_steps=parts,
        neftune_noise_alpha=settings.neftune_noise or None,
        activation_checkpointing=settings.gradient_checkpointing,
        torch_compile=settings.torch_compile,
        fp16=device == "cuda" and dtype == "torch.float16",  # scales the loss: fp16 would round it to nothing
        ddp_backend="gloo" if device == "cpu" and DEVICES > 1 else None,
        ddp_find_unused_parameters=False,
        **learning(settings, count),
    )


def learning(settings: Learning, count: int) -> dict[str, Any]:
    """What a run over given rows says to its trainer, for epochs of `count` steps.

    Raises:
        FolioError: the optimiser does not run on this device.
    """
    return {
        "per_device_eval_batch_size": settings.batch,
        **updates(settings),
        **schedule(settings, count),
    }


def updates(settings: Updates) -> dict[str, Any]:
    """What any run says to its trainer.

    Raises:
        FolioError: the optimiser does not run on this device.
    """
    device = pick_device().type
    if device != "cuda" and settings.optimiser != "adamw":
        raise FolioError(f"{settings.stage}.optimiser={settings.optimiser} needs CUDA; set it to adamw")
    minimum = {"min_lr_rate": settings.minimum_share}
    return {
        "per_device_train_batch_size": settings.batch,
        "optim": OPTIMISERS[settings.optimiser],
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.gradient_norm,
        "logging_steps": settings.log_steps,
        "seed": settings.seed,
        "use_cpu": device == "cpu",
        "dataloader_pin_memory": device == "cuda",
        "remove_unused_columns": False,
        "report_to": "none",
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.scheduler,
        "lr_scheduler_kwargs": minimum if settings.scheduler == "cosine_with_min_lr" else None,
        **watch(settings),
    }


def schedule(settings: Learning, count: int) -> dict[str, Any]:
    """How long the run is, and its warm-up, for epochs of `count` steps."""
    total = settings.steps or math.ceil(settings.epochs * count)
    return {
        "num_train_epochs": settings.epochs,
        "max_steps": settings.steps or -1,
        # The first step of a warm-up has no learning rate: a run of one step must have none.
        "warmup_steps": min(math.ceil(settings.warmup_share * total), total - 1),
    }


def watch(settings: Updates) -> dict[str, Any]:
    """When to evaluate and save: before the first step, and then by steps or epochs; the best is kept."""
    interval = "steps" if settings.evaluate_steps else "epoch"
    every = settings.evaluate_steps or 1  # not read where epochs count
    return {
        "eval_strategy": interval,
        "eval_steps": every,
        "eval_on_start": True,
        "save_strategy": interval,
        "save_steps": every,
        "save_total_limit": settings.save_limit,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
        "restore_callback_states_from_checkpoint": True,
    }


@dataclass(frozen=True)
class Place:
    """Where a run keeps checkpoints, curves and, if wanted, TensorBoard's files; how it divides its steps."""

    checkpoints: Path
    parts: int
    tensorboard: Path | None = None
    curves: Path = CURVES
    speed: Path = SPEED


def prepare(settings: Train, method: Any, source: Any, rows: Rows, place: Place) -> "SftTrainer":
    """Load the base model, attach what learns and set up the trainer."""
    from transformers import set_seed

    from stages.likelihood import Labelled, pair_cost
    from stages.packing import inputs, pack
    from stages.progress import show
    from stages.sft import SftTrainer
    from stages.steps import Steps

    set_seed(settings.seed)
    tokenizer = load_tokenizer(source.folder())
    model, dtype = attached(settings, method, source)
    labelled = Labelled(model)
    packing = choose_packing(settings, model, labelled, rows, dtype)
    size = settings.accumulation * DEVICES
    batch = settings.batch * size, settings.batch_tokens * size
    steps = Steps(inputs(rows["train"]), *batch, packing, settings.seed)
    layout = partial(pack, pad=tokenizer.pad_token_id, pair_cost=pair_cost(model), packing=packing)
    parts, needs = fitting(settings, model, steps, (rows["train"], layout), dtype, place.parts)
    trainer = SftTrainer(
        model=model,
        args=arguments(settings, steps.count(), parts, place.checkpoints, str(dtype)),
        compute_dtype=dtype,
        labelled=labelled,
        steps=steps,
        layout=layout,
        needs=needs,
        quiz=quiz(settings, rows["validation"], tokenizer),
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        callbacks=callbacks(settings, steps, place),
    )
    show(trainer, settings.stage)
    return trainer


def attached(settings: Run, method: Any, source: Any) -> "tuple[Any, torch.dtype]":
    """The base model with what learns attached to it, and the dtype that it computes in."""
    attention = {"attn_implementation": attention_of(settings)}
    bits = method.quantization(source.dtype)
    base = load_model(source.folder(), method.dtype(source.dtype), **attention, **bits)
    return method.attach(base, new_tokens(source)), pick_dtype(source.dtype, base.device)


def attention_of(settings: Run) -> str:
    """The attention that is asked for; on a CPU sdpa goes through trees row by row."""
    from stages.tree_attention import register

    trees = settings.packing != "none" and settings.attention == "sdpa" and pick_device().type == "cpu"
    return register() if trees else settings.attention


def quiz(settings: Train, rows: list[tokens.Row], tokenizer: Any) -> "Quiz | None":
    """Questions that the model answers at each evaluation, where any are wanted."""
    from stages.quiz import Quiz

    most = settings.questions
    if not most:
        return None
    return Quiz(rows, tokenizer, settings.metrics, most, max(settings.batch, most), settings.answer_tokens)


def fitting(
    settings: Run,
    model: Any,
    steps: "Steps",
    data: tuple[list[tokens.Row], Callable[..., Any]],
    dtype: "torch.dtype",
    parts: int,
) -> "tuple[int, Estimate]":
    """Into how many micro-batches a step must be divided to fit, `parts` or more, and what it then takes.

    Raises:
        FolioError: it does not fit, and may not be divided further.
    """
    rows, layout = data
    while True:
        steps.divide(parts, DEVICES, 0)
        # The longest rows together, as good as always, are the micro-batch that takes most.
        largest = max(
            steps, key=lambda part: sum(len(rows[i].prompt) + len(rows[i].completion) for i in part)
        )
        laid = layout([rows[i] for i in largest])
        trees, width = laid["input_ids"].shape
        batch = memory.Batch(trees, width, len(laid["labels"]))
        step = memory.Step(dtype, OPTIMISERS[settings.optimiser], settings.gradient_checkpointing, parts)
        needs, free = memory.estimate(model, batch, step), memory.available(model.device)
        if free is None or needs.further <= free or not settings.check_memory:
            return parts, needs
        if not may_divide(settings, parts):
            memory.check(needs, free, settings.stage)
        parts *= 2
        divided = f"each step is divided into {parts} parts"
        print(f"{settings.stage}: {memory.sentence(needs)}, more than is free; {divided}")


def may_divide(settings: Run, parts: int) -> bool:
    """Whether a step may be divided among more micro-batches than `parts`.

    Devices that divide their steps differently would wait for each other for ever.
    """
    return settings.halve_batch and parts < settings.batch * settings.accumulation and DEVICES == 1


def choose_packing(settings: Run, model: Any, labelled: Any, rows: Rows, dtype: "torch.dtype") -> "Packing":
    """The layout of rows that is asked for, or `none`, said aloud, where the model cannot do it."""
    from stages.likelihood import obstacle

    if settings.packing == "none":
        return "none"
    reason = (
        "NEFTune's noise is a row's own"
        if settings.neftune_noise
        else obstacle(model, labelled, [row for side in rows.values() for row in side], dtype)
    )
    if reason:
        print(f"{settings.stage}: rows are padded, not packed: {reason}")
    return "none" if reason else settings.packing


def callbacks(settings: Learning, steps: "Steps", place: Place) -> list["TrainerCallback"]:
    """Early stopping, checkpoints between evaluations and curves."""
    from transformers import EarlyStoppingCallback

    from stages.curves import Curves, TensorBoard
    from stages.saving import Saving

    made = [EarlyStoppingCallback(settings.patience, settings.threshold), Curves(place.curves, place.speed)]
    if settings.save_steps:
        made.append(Saving(settings.save_steps, 0 if settings.evaluate_steps else steps.count()))
    if place.tensorboard:
        made.append(TensorBoard(place.tensorboard))
    return made
