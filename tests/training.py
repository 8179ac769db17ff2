"""A folder in which the real train stage runs on the tiny model: few steps, full precision."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from stages import tokens
from stages.artifact import write_json
from stages.language_model import load_model, load_tokenizer
from stages.method.lora import Lora
from tests.imports import ROOT

PLAIN = (
    "train.questions=0", "train.batch=4", "train.epochs=3", "train.learning_rate=0.01", "train.patience=9",
    "method.dropout=0.1",
)  # fmt: skip


def row(n: int, tokenizer: Any) -> tokens.Row:
    # Three questions on a passage of twenty tokens.
    passage = [5 + (n // 3 * 7 + k * 11) % 200 for k in range(20)]
    answer = [20 + n % 5, 21, 22 + n % 3, 1]
    text = tokenizer.decode(answer[:-1])
    return tokens.Row(f"{n}", f"p{n // 3}", "open", text, [0, *passage, 3 + n % 200, 9 + n % 7], answer)


def prepared(folder: Path, model: Path, train: int = 32, validation: int = 6) -> list[str]:
    """Write token rows into `folder` and return the overrides that name the tiny model."""
    tokenizer = load_tokenizer(model)
    sides = {"train": range(train), "validation": range(300, 300 + validation)}
    for name, numbers in sides.items():
        rows = [row(n, tokenizer) for n in numbers]
        tokens.write(folder / f"data/tokens/{name}.parquet", rows)
    return ["model=folder", f"model.path={model}", "model.dtype=float32"]


def run(folder: Path, *words: str, launch: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    own = {"FOLIO_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *launch, "-m", "stages.train", *words],
        cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip


def history(folder: Path) -> list[dict[str, Any]]:
    state = json.loads((folder / "models/adapter/trainer_state.json").read_text(encoding="utf-8"))
    logged: list[dict[str, Any]] = state["log_history"]
    return logged


def written(folder: Path) -> dict[str, bytes]:
    """Every file that a run left, but for what tells of time."""
    left = [path for top in ("models", "plots/train", "metrics") for path in (folder / top).rglob("*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in left if path.is_file()}


def tuned(model: Path, folder: Path = Path(), r: int = 4) -> None:
    """Write models/adapter/, as a train stage that has learnt something leaves it."""
    import torch

    knobs: dict[str, Any] = {"r": r, "alpha": 8, "dropout": 0.1, "bias": "none", "modules_to_save": []}
    method = Lora(name="lora", target_modules="all-linear", **knobs)
    torch.manual_seed(3)
    adapted = method.attach(load_model(model, "float32"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.add_(0.05 * torch.randn_like(weight))
    adapter = folder / "models/adapter"
    adapter.mkdir(parents=True)
    method.save(adapted, adapter, "tiny")
    write_json(adapter / "trainer_state.json", {"log_history": []})


class StopAt(TrainerCallback):  # type: ignore[misc]
    """Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt
