"""Token rows to an adapter: python -m stages.train [override ...]"""

import gc
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import checkpoints, memory, preflight, tokens
from stages.artifact import whole_folder, write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.formatted import formatted
from stages.language_model import generation_stops, load_tokenizer, pick_device
from stages.option import build
from stages.settings.train import Run
from stages.trainer import Place, Rows, may_divide, prepare

if TYPE_CHECKING:
    from stages.sft import SftTrainer

TOKENS = Path("data/tokens")
ADAPTER = Path("models/adapter")
METRICS = Path("metrics/train.json")


def learn(settings: Run, method: Any, source: Any, rows: Any, place: Place, make: Any = None) -> "SftTrainer":
    """Train, from the last checkpoint where there is one, with less at once where memory ends.

    `make` sets up the trainer from the other arguments: `prepare`, where none is given.

    A step that is divided among more micro-batches learns from the same rows, so the run stays the
    same but for rounding.

    Raises:
        FolioError: the device has too little memory even so.
    """
    import torch

    build_trainer: Any = make or prepare
    while True:
        trainer: SftTrainer = build_trainer(settings, method, source, rows, place)
        try:
            fit(trainer, place.checkpoints, settings.stage)
        except torch.OutOfMemoryError as error:
            parts = trainer.args.gradient_accumulation_steps
            if not may_divide(settings, parts):
                needs, helps = memory.sentence(trainer.needs), memory.remedy(settings.stage)
                raise FolioError(f"the device ran out of memory ({needs}); {helps}") from error
        else:
            return trainer
        place = replace(place, parts=2 * parts)
        print(f"{settings.stage}: out of memory; goes on with each step in {place.parts} parts")
        del trainer
        gc.collect()
        torch.cuda.empty_cache()


def fit(trainer: "SftTrainer", folder: Path, stage: str = "train") -> None:
    """Train to the end, for `stage`, from the last whole checkpoint in `folder` where there is one."""
    from peft.helpers import disable_input_dtype_casting

    # The first process removes what is torn before the others look.
    with trainer.accelerator.main_process_first():
        checkpoint = checkpoints.last_whole(folder)
    if checkpoint and trainer.is_world_process_zero():
        print(f"{stage}: goes on from step {checkpoint.name.split('-')[1]} of a run that was stopped")
    if checkpoint and checkpoints.has_stopped(checkpoint):
        trainer.take(checkpoint)
        return
    # A resumed run has had its first evaluation; another would count against its patience.
    trainer.args.eval_on_start = checkpoint is None
    # Autocast chooses the adapters' precision; a cast of each input to fp32 would double the work.
    with disable_input_dtype_casting(trainer.model):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def losses(history: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Validation loss (nats per target token) before the first step, and the lowest after one."""
    validation = [(entry["step"], entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    before = next((loss for step, loss in validation if step == 0), math.nan)
    return {"before": before, "after": min((loss for step, loss in validation if step), default=math.nan)}


def check(loss: dict[str, float], stage: str) -> None:
    """Refuse a model that diverged; `stage` holds the settings that made it.

    Raises:
        FolioError: a validation loss is no finite number.
    """
    if not all(math.isfinite(value) for value in loss.values()):
        raise FolioError(f"the validation loss is no number any more; lower {stage}.learning_rate")


def reproducible(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log without seconds and throughput, which differ between equal runs; keys in order.

    What is no finite number, as fp16's first gradients may be, is None: JSON has no word for it.
    """
    # The mean training loss covers what came after a resume alone.
    volatile = ("_runtime", "_per_second", "total_flos", "train_loss")
    kept = [{key: entry[key] for key in sorted(entry) if not key.endswith(volatile)} for entry in history]
    return [{key: value if math.isfinite(value) else None for key, value in entry.items()} for entry in kept]


def save(trainer: "SftTrainer", method: Any, checked: preflight.Checked, identity: str) -> None:
    """Write models/adapter/ with trainer_state.json beside the weights, and metrics/train.json.

    Every process takes part, since a sharded model is put together by all; the first one writes.
    """
    state = trainer.accelerator.get_state_dict(trainer.model) if trainer.is_fsdp_enabled else None
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    history = reproducible(trainer.state.log_history)
    with whole_folder(ADAPTER) as folder:
        method.save(model, folder, identity, state)
        told = {"best_step": trainer.state.best_global_step, "log_history": history}
        write_json(folder / "trainer_state.json", told)
    trainable, total = method.parameters(model)
    figures = {"rows": len(checked.rows["train"]), "parameters": total, "trainable": trainable}
    loss = losses(history)
    run = {"steps": trainer.state.global_step, "loss": loss, "preflight": checked.figures}
    write_json(METRICS, figures | run)
    print(f"train: validation loss {loss['before']:.3f} before, {loss['after']:.3f} after")


@entrypoint
def main(config: DictConfig) -> None:
    """Write models/adapter/, plots/train/ and metrics/train.json."""
    settings, method, form = (build(config, key) for key in ("train", "method", "format"))
    source = formatted(form, build(config, "model"))
    rows = {side: tokens.read(TOKENS / f"{side}.parquet") for side in ("train", "validation")}
    data = [(TOKENS / f"{side}.parquet").read_bytes() for side in rows]
    run = (source, source.identity, settings, method, *data, *versions())
    checked = inspect(rows, source, settings.bad_share)
    with checkpoints.folder(*run) as folder:
        board = curves_of(folder, settings.stage) if config.tensorboard else None
        place = Place(folder, settings.accumulation, board)
        trainer = learn(settings, method, source, checked.rows, place)
        check(losses(trainer.state.log_history), settings.stage)
        save(trainer, method, checked, source.identity)
        trainer.accelerator.wait_for_everyone()


def inspect(rows: Rows, source: Any, bad_share: float) -> preflight.Checked:
    """Check rows, tokenizer and model against each other before weights are loaded.

    Raises:
        FolioError: they do not fit, or too many rows are bad.
    """
    from transformers import AutoConfig

    folder = source.folder()
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    checked = preflight.check(rows, load_tokenizer(folder), config, bad_share, generation_stops(folder))
    for note in checked.figures["notes"]:
        print(f"train: {note}")
    if left_out := checked.figures["rows"] - checked.figures["kept"]:
        print(f"train: {left_out} of {checked.figures['rows']} rows are left out")
    return checked


def curves_of(checkpoints: Path, stage: str) -> Path:
    """Where TensorBoard finds the curves of a run; said, since it is outside of the project.

    Raises:
        FolioError: it is not installed.
    """
    from stages.curves import TensorBoard

    TensorBoard.check()
    folder = checkpoints.parent.parent / "tensorboard" / checkpoints.name[:12]
    print(f"{stage}: curves for `tensorboard --logdir {folder}`")
    return folder


def versions() -> list[str]:
    """What else determines a run: Folio's code, the libraries that compute and the device."""
    from importlib.metadata import version

    code = sorted(Path(__file__).parent.rglob("*.py"))
    libraries = ("accelerate", "bitsandbytes", "peft", "torch", "transformers")
    numbers = [f"{name}=={version(name)}" for name in libraries]
    return [*(path.read_text(encoding="utf-8") for path in code), *numbers, str(pick_device())]


if __name__ == "__main__":
    main()
