"""The real train stage on two CPU processes: what one process learns."""

from pathlib import Path

import pytest
import yaml

from tests.imports import ROOT
from tests.training import PLAIN, history, prepared, run

TWO = (
    "-m",
    "accelerate.commands.launch",
    "--config_file",
    str(ROOT / "launch/ddp.yaml"),
    "--main_process_port=0",
)
CALM = (*PLAIN, "method.dropout=0")


def test_two_processes_learn_what_one_learns_at_the_same_global_batch(
    tmp_path: Path, tiny_model: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    # 29 rows: the last step of an epoch has one row for two devices of two micro-batches each.
    named = prepared(one, tiny_model, train=29)
    assert prepared(two, tiny_model, train=29) == named
    alone = run(one, *named, *CALM)
    assert alone.returncode == 0, alone.stderr
    both = run(two, *named, *CALM, "train.batch=1", "train.accumulation=2", launch=TWO)
    assert both.returncode == 0, both.stderr
    assert both.stdout.count("train: validation loss") == 1
    curves = [history(folder) for folder in (one, two)]
    for name in ("loss", "eval_loss"):
        ours, theirs = ([entry[name] for entry in curve if name in entry] for curve in curves)
        assert len(ours) == (24 if name == "loss" else 4)
        assert theirs == pytest.approx(ours, abs=1e-3)
    assert (two / "models/adapter/adapter_model.safetensors").is_file()
    assert not list((two / "cache/checkpoints").glob("*/checkpoint-*"))


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_the_launch_files_are_what_accelerate_reads(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    path = ROOT / "launch" / f"{name}.yaml"
    config = load_config_from_file(str(path))
    assert config.num_processes == 2
    assert config.to_dict().keys() >= yaml.safe_load(path.read_text(encoding="utf-8")).keys()
