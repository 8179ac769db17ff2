"""Token rows to a LoRA adapter: python -m stages.train [override ...]"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import checkpoints, tokens
from stages.artifact import whole_folder, write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.language_model import load_model, load_tokenizer, pick_device, pick_dtype
from stages.option import build
from stages.settings.train import Train

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

TOKENS = Path("data/tokens")
ADAPTER = Path("models/adapter")
METRICS = Path("metrics/train.json")
CURVES = Path("plots/train")


def arguments(settings: Train, rows: int, folder: Path, fp16: bool) -> "TrainingArguments":
    """The settings in the trainer's words; evaluation before the first step and each epoch."""
    from transformers import TrainingArguments

    steps = math.ceil(settings.epochs * math.ceil(math.ceil(rows / settings.batch) / settings.accumulation))
    # The first step of a warm-up has no learning rate: a run of one step must have none.
    warmup = min(math.ceil(settings.warmup_share * steps), steps - 1)
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch,
        per_device_eval_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.gradient_norm,
        activation_checkpointing=settings.gradient_checkpointing,
        train_sampling_strategy="group_by_length",
        logging_steps=settings.log_steps,
        eval_strategy="epoch",
        eval_on_start=True,
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        fp16=fp16,  # scales the loss, which fp16 would round to nothing
        seed=settings.seed,
        use_cpu=pick_device().type == "cpu",
        dataloader_pin_memory=pick_device().type == "cuda",
        remove_unused_columns=False,
        report_to="none",
    )


def fit(trainer: "Trainer", checkpoint: Path | None) -> None:
    """Train, from `checkpoint` when there is one.

    Raises:
        FolioError: the device has too little memory.
    """
    import torch
    from peft.helpers import disable_input_dtype_casting

    if checkpoint:
        print(f"train: goes on from step {checkpoint.name.split('-')[1]} of a run that was stopped")
    try:
        # A resumed run has had its first evaluation; another would count against its patience.
        trainer.args.eval_on_start = checkpoint is None
        # Autocast chooses the adapters' precision; a cast of each input to fp32 would double the work.
        with disable_input_dtype_casting(trainer.model):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        raise FolioError(
            "the device ran out of memory; halve train.batch and double train.accumulation, "
            "set train.gradient_checkpointing=true, or method=qlora"
        ) from error


def losses(history: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Validation loss (nats per target token) before the first step, and the lowest after one."""
    validation = [(entry["step"], entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    before = next((loss for step, loss in validation if step == 0), math.nan)
    return {"before": before, "after": min((loss for step, loss in validation if step), default=math.nan)}


def check(loss: dict[str, float]) -> None:
    """Refuse a model that diverged.

    Raises:
        FolioError: a validation loss is no finite number.
    """
    if not all(math.isfinite(value) for value in loss.values()):
        raise FolioError("the validation loss is no number any more; lower train.learning_rate")


def reproducible(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log without seconds and throughput, which differ between equal runs."""
    # The mean training loss covers what came after a resume alone.
    volatile = ("_runtime", "_per_second", "total_flos", "train_loss")
    return [{key: value for key, value in entry.items() if not key.endswith(volatile)} for entry in history]


def save(trainer: "Trainer", rows: int, identity: str) -> None:
    """Write models/adapter/ with trainer_state.json beside the weights, and metrics/train.json."""
    trainable, total = trainer.model.get_nb_trainable_parameters()
    history = reproducible(trainer.state.log_history)
    # peft would name the base by its place in this machine's cache.
    config = trainer.model.peft_config["default"]
    config.base_model_name_or_path = identity
    # A set's order changes from process to process, and with it the bytes that are written.
    config.target_modules = sorted(config.target_modules)
    with whole_folder(ADAPTER) as folder:
        trainer.model.save_pretrained(str(folder), save_embedding_layers=False)
        state = {"best_step": trainer.state.best_global_step, "log_history": history}
        text = json.dumps(state, indent=2) + "\n"
        (folder / "trainer_state.json").write_text(text, encoding="utf-8")
    figures = {"rows": rows, "parameters": total, "trainable": trainable}
    write_json(METRICS, figures | {"steps": trainer.state.global_step, "loss": losses(history)})


@entrypoint
def main(config: DictConfig) -> None:
    """Write models/adapter/, plots/train/ and metrics/train.json."""
    settings, method, source = (build(config, key) for key in ("train", "method", "model"))
    rows = {side: tokens.read(TOKENS / f"{side}.parquet") for side in ("train", "validation")}
    data = [(TOKENS / f"{side}.parquet").read_bytes() for side in rows]
    run = (source, source.identity, settings, method, *data, *versions())
    with checkpoints.folder(*run) as folder:
        trainer = prepare(settings, method, source, rows, folder)
        fit(trainer, checkpoints.last_whole(folder))
        check(losses(trainer.state.log_history))
        save(trainer, len(rows["train"]), source.identity)
    loss = losses(trainer.state.log_history)
    print(f"train: validation loss {loss['before']:.3f} before, {loss['after']:.3f} after")


def prepare(
    settings: Train, method: Any, source: Any, rows: dict[str, list[tokens.Row]], folder: Path
) -> "Trainer":
    """Load the base model, attach the method's adapters and set up the trainer."""
    from transformers import EarlyStoppingCallback, set_seed

    from stages.curves import Curves
    from stages.sft import SftTrainer, collate, examples

    set_seed(settings.seed)
    base = load_model(source.folder(), source.dtype, **method.quantization(source.dtype))
    dtype = pick_dtype(source.dtype, base.device)
    fp16 = base.device.type == "cuda" and str(dtype) == "torch.float16"
    pad = load_tokenizer(source.folder()).pad_token_id
    return SftTrainer(
        model=method.attach(base),
        compute_dtype=dtype,
        args=arguments(settings, len(rows["train"]), folder, fp16),
        train_dataset=examples(rows["train"]),
        eval_dataset=examples(rows["validation"]),
        data_collator=lambda batch: collate(batch, pad),
        callbacks=[EarlyStoppingCallback(settings.patience), Curves(CURVES)],
    )


def versions() -> list[str]:
    """What else determines a run: Folio's code, the libraries that compute and the device."""
    from importlib.metadata import version

    code = sorted(Path(__file__).parent.rglob("*.py"))
    libraries = ("accelerate", "bitsandbytes", "peft", "torch", "transformers")
    numbers = [f"{name}=={version(name)}" for name in libraries]
    return [*(path.read_text(encoding="utf-8") for path in code), *numbers, str(pick_device())]


if __name__ == "__main__":
    main()
