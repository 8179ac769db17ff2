import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from stages import checkpoints, memory, merge, tokens, train, trainer
from stages.errors import FolioError
from stages.method.lora import Lora
from stages.option import build
from stages.preflight import Checked
from stages.settings.train import Train
from tests.imports import ROOT
from tests.training import StopAt

pytestmark = pytest.mark.usefixtures("own_folder")
SETTINGS: dict[str, Any] = {
    "launch": "python", "epochs": 3, "steps": 0, "learning_rate": 0.01, "scheduler": "linear",
    "minimum_share": 0.1, "warmup_share": 0.1, "optimiser": "adamw", "weight_decay": 0.0,
    "gradient_norm": 1.0,
    "neftune_noise": 0.0, "batch": 4, "batch_tokens": 0, "accumulation": 1, "halve_batch": True,
    "check_memory": True,
    "packing": "prefix", "attention": "sdpa", "gradient_checkpointing": False, "torch_compile": False,
    "log_steps": 1, "evaluate_steps": 0, "save_steps": 0, "save_limit": 2, "patience": 3, "threshold": 0.0,
    "questions": 0, "answer_tokens": 8, "metrics": [], "bad_share": 0.0, "seed": 0,
}  # fmt: skip
METHODS = sorted(path.stem for path in (ROOT / "conf/method").glob("*.yaml"))
LORA: dict[str, Any] = {
    "r": 4,
    "alpha": 8,
    "dropout": 0.1,
    "target_modules": "all-linear",
    "bias": "none",
    "modules_to_save": [],
}


def rows(count: int) -> list[tokens.Row]:
    return [
        tokens.Row(f"{n}", f"p{n}", "open", "text", [3, 4, 5 + n % 7], [20, 21, 22, 2]) for n in range(count)
    ]


CHECKED = Checked({"train": rows(16)}, {"rows": 16})


@pytest.fixture
def source(tiny_model: Path) -> SimpleNamespace:
    return SimpleNamespace(folder=lambda: tiny_model, identity="tiny", dtype="float32")


def prepare(source: Any, method: Any, folder: Path, **changes: Any) -> Any:
    sides = {"train": rows(16), "validation": rows(6)}
    settings = Train(**SETTINGS | changes)
    return trainer.prepare(settings, method, source, sides, trainer.Place(folder, settings.accumulation))


def weights(trainer: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


def test_a_run_stopped_between_checkpoints_goes_on_to_the_same_adapter_and_curves(
    source: Any, tmp_path: Path
) -> None:
    method = Lora(name="lora", **LORA)
    whole = prepare(source, method, tmp_path / "whole", patience=1)
    train.fit(whole, tmp_path / "whole")
    curves = (tmp_path / "plots/train/plots/metrics/train/loss.tsv").read_text(encoding="utf-8")

    history = train.reproducible(whole.state.log_history)

    stopped = prepare(source, method, tmp_path / "stopped", patience=1)
    stopped.add_callback(StopAt(6))  # four steps an epoch: the last checkpoint is of step 4
    with pytest.raises(KeyboardInterrupt):
        train.fit(stopped, tmp_path / "stopped")
    checkpoint = checkpoints.last_whole(tmp_path / "stopped")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-4"

    resumed = prepare(source, method, tmp_path / "stopped", patience=1)
    train.fit(resumed, tmp_path / "stopped")
    ours, theirs = weights(resumed), weights(whole)
    assert train.reproducible(resumed.state.log_history) == history
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (tmp_path / "plots/train/plots/metrics/train/loss.tsv").read_text(encoding="utf-8") == curves


@pytest.mark.parametrize("name", METHODS)
def test_the_validation_loss_falls_under_every_method_and_what_is_saved_merges(
    source: Any, tmp_path: Path, tiny_model: Path, name: str
) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        method = build(compose("config", [f"method={name}"]), "method")
    made = prepare(source, method, tmp_path / "run")
    assert name == "full" or all("lora_" in key for key in weights(made))
    train.fit(made, tmp_path / "run")
    loss = train.losses(made.state.log_history)
    assert loss["after"] < 0.97 * loss["before"]
    train.save(made, method, CHECKED, "tiny")
    tuned = method.load(tiny_model, "float32", tmp_path / "models/adapter")
    before = merge.log_probs(tuned, rows(6), 2)
    merged = method.merge(tuned, "float32")
    merge.check(merge.compare(before, merge.log_probs(merged, rows(6), 2)), tolerance=0.01)


def test_accumulated_batches_have_the_gradient_of_one_large_batch(source: Any, tmp_path: Path) -> None:
    calm = LORA | {"dropout": 0.0}
    ends = []
    for batch, accumulation in ((8, 1), (2, 4)):
        made = prepare(
            source, Lora(name="lora", **calm), tmp_path / f"{batch}",
            epochs=1, batch=batch, accumulation=accumulation,
        )  # fmt: skip
        train.fit(made, tmp_path / "run")
        ends.append(train.losses(made.state.log_history)["after"])
    assert ends[0] == pytest.approx(ends[1], rel=1e-4)


def test_the_adapter_is_written_with_its_state_and_without_seconds(source: Any, tmp_path: Path) -> None:
    made = prepare(source, Lora(name="lora", **LORA), tmp_path / "run", epochs=1)
    train.fit(made, tmp_path / "run")
    train.save(made, Lora(name="lora", **LORA), CHECKED, "tiny")
    state = (tmp_path / "models/adapter/trainer_state.json").read_text(encoding="utf-8")
    assert '"eval_loss"' in state
    assert "runtime" not in state
    assert (tmp_path / "models/adapter/adapter_model.safetensors").is_file()
    config = (tmp_path / "models/adapter/adapter_config.json").read_text(encoding="utf-8")
    assert '"tiny"' in config
    assert str(tmp_path) not in config


def test_losses_are_taken_before_the_first_step_and_at_the_best_one() -> None:
    history = [
        {"step": 0, "eval_loss": 3.0}, {"step": 4, "loss": 2.0}, {"step": 4, "eval_loss": 1.5},
        {"step": 8, "eval_loss": 1.75},
    ]  # fmt: skip
    assert train.losses(history) == {"before": 3.0, "after": 1.5}


@pytest.mark.parametrize(("count", "warmup"), [(1, 0), (2, 1), (4, 2), (100, 30)])
def test_the_warm_up_is_its_share_of_all_steps_and_never_the_whole_run(
    tmp_path: Path, count: int, warmup: int
) -> None:
    # One epoch of one step; three epochs of 2, 4 and 100 steps, of which a tenth, rounded up, is 1, 2 and 30.
    epochs = 1 if count == 1 else 3
    made = trainer.arguments(Train(**SETTINGS | {"epochs": epochs}), count, 1, tmp_path, "torch.float32")
    assert made.warmup_steps == warmup


def logged(made: Any, name: str) -> list[float]:
    return [entry[name] for entry in made.state.log_history if name in entry]


class Scarce(torch.nn.Module):
    """Memory for so many tokens at once."""

    def __init__(self, model: Any, tokens_at_once: int) -> None:
        super().__init__()
        model.register_forward_pre_hook(self._check, with_kwargs=True)
        self.limit = tokens_at_once

    def _check(self, _: Any, arguments: Any, named: dict[str, Any]) -> None:
        if torch.is_grad_enabled() and named["input_ids"].numel() > self.limit:
            raise torch.OutOfMemoryError


def scarce(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    build = trainer.prepare

    def prepare(*arguments: Any) -> Any:
        made = build(*arguments)
        Scarce(made.model, limit)
        return made

    monkeypatch.setattr(train, "prepare", prepare)


def learn(source: Any, folder: Path, **changes: Any) -> Any:
    folder.mkdir()
    method = Lora(name="lora", **LORA | {"dropout": 0.0})
    sides = {"train": rows(16), "validation": rows(6)}
    settings = Train(**SETTINGS | changes)
    place = trainer.Place(folder, settings.accumulation)
    return train.learn(settings, method, source, sides, place)


def test_out_of_memory_it_goes_on_with_half_the_batch_and_learns_the_same(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plenty = learn(source, tmp_path / "plenty", packing="none")
    scarce(monkeypatch, limit=12)  # two rows of six tokens; a step has four
    little = learn(source, tmp_path / "little", packing="none")
    assert "out of memory; goes on with each step in 2 parts" in capsys.readouterr().out
    assert logged(little, "loss") == pytest.approx(logged(plenty, "loss"), rel=1e-4)
    assert logged(little, "eval_loss") == pytest.approx(logged(plenty, "eval_loss"), rel=1e-4)


@pytest.mark.parametrize("changes", [{"halve_batch": False}, {"batch": 1}])
def test_where_nothing_is_left_to_halve_it_says_what_would_help(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    scarce(monkeypatch, limit=5)
    wanted = "out of memory.*halve train.batch and double train.accumulation.*gradient_checkpointing.*qlora"
    with pytest.raises(FolioError, match=wanted):
        learn(source, tmp_path / "run", **changes)


def test_where_the_estimate_is_above_what_is_free_the_step_is_divided_beforehand(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plenty = learn(source, tmp_path / "plenty", packing="none", steps=3)
    needs = plenty.needs.further
    monkeypatch.setattr(memory, "available", lambda _: needs - 1)
    little = learn(source, tmp_path / "little", packing="none", steps=3)
    assert little.args.gradient_accumulation_steps == 2
    assert "each step is divided into 2 parts" in capsys.readouterr().out
    assert little.needs.further < needs
    assert logged(little, "loss") == pytest.approx(logged(plenty, "loss"), rel=1e-4)
    with pytest.raises(FolioError, match=r"takes about .* GiB .* are free; halve train.batch"):
        learn(source, tmp_path / "none", packing="none", halve_batch=False)
    learn(source, tmp_path / "all the same", packing="none", halve_batch=False, check_memory=False)


def test_evaluation_and_checkpoints_by_steps(source: Any, tmp_path: Path) -> None:
    made = learn(source, tmp_path / "run", steps=7, evaluate_steps=3, save_steps=2, save_limit=9)
    assert [entry["step"] for entry in made.state.log_history if "eval_loss" in entry] == [0, 3, 6, 7]
    assert made.state.global_step == 7
    names = sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*"))
    # At each second step, at each evaluation and at the end.
    assert names == [f"checkpoint-{step}" for step in (2, 3, 4, 6, 7)]


@pytest.mark.parametrize(
    "changes",
    [
        {"packing": "none"}, {"packing": "rows"}, {"neftune_noise": 5.0}, {"batch_tokens": 30},
        {"attention": "eager"}, {"gradient_checkpointing": True}, {"scheduler": "cosine_with_min_lr"},
        {"scheduler": "constant"}, {"accumulation": 3, "batch": 2},
    ],
    ids=str,
)  # fmt: skip
def test_the_loss_falls_under_each_setting(source: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    made = learn(source, tmp_path / "run", **changes)
    loss = train.losses(made.state.log_history)
    assert loss["after"] < 0.97 * loss["before"]


@pytest.mark.parametrize("changes", [{"packing": "rows"}, {"packing": "none"}, {"attention": "eager"}])
def test_validation_loss_does_not_depend_on_the_layout(
    source: Any, tmp_path: Path, changes: dict[str, Any]
) -> None:
    before = [
        logged(learn(source, tmp_path / name, steps=1, **more), "eval_loss")[0]
        for name, more in (("tree", {}), ("other", changes))
    ]
    assert before[0] == pytest.approx(before[1], abs=1e-5)


def test_the_least_learning_rate_is_its_share(source: Any, tmp_path: Path) -> None:
    rates = {}
    for scheduler in ("cosine", "cosine_with_min_lr", "constant"):
        made = learn(source, tmp_path / scheduler, scheduler=scheduler, warmup_share=0.0)
        rates[scheduler] = logged(made, "learning_rate")
    # The twelfth of twelve steps stands at 11/12 of half a cosine: (1 + cos(pi 11/12)) / 2 = 0.017037.
    assert rates["cosine"][-1] == pytest.approx(0.01 * 0.017037, rel=1e-3)
    assert rates["cosine_with_min_lr"][-1] == pytest.approx(0.01 * (0.1 + 0.9 * 0.017037), rel=1e-3)
    assert set(rates["constant"]) == {0.01}


def test_early_stopping_obeys_its_threshold_and_the_best_is_kept(source: Any, tmp_path: Path) -> None:
    made = learn(source, tmp_path / "run", patience=1, threshold=50.0)
    # The second evaluation is not better than the first by fifty nats: it stops there, after two epochs.
    assert made.state.global_step == 8


def test_a_run_killed_after_it_stopped_early_takes_its_best_checkpoint(source: Any, tmp_path: Path) -> None:
    method = Lora(name="lora", **LORA)
    first = prepare(source, method, tmp_path / "run", patience=1, threshold=50.0)
    train.fit(first, tmp_path / "run")
    curves = tmp_path / "plots/train/plots/metrics/validation/loss.tsv"
    drawn = curves.read_bytes()
    shutil.rmtree(tmp_path / "plots")  # as DVC does before a stage
    again = prepare(source, method, tmp_path / "run", patience=1, threshold=50.0)
    train.fit(again, tmp_path / "run")
    assert curves.read_bytes() == drawn
    ours, theirs = weights(again), weights(first)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    history = train.reproducible(first.state.log_history)
    assert [e for e in train.reproducible(again.state.log_history) if len(e) > 2] == [
        e for e in history if len(e) > 2
    ]


def test_a_gradient_that_is_no_number_is_written_as_none() -> None:
    history = [{"step": 1, "loss": 2.0, "grad_norm": float("inf"), "tokens_per_second": 9.0}]
    assert train.reproducible(history) == [{"grad_norm": None, "loss": 2.0, "step": 1}]


def test_an_optimiser_of_another_device_is_refused_in_words(source: Any, tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"train.optimiser=paged_adamw needs CUDA; set it to adamw"):
        learn(source, tmp_path / "run", optimiser="paged_adamw")
