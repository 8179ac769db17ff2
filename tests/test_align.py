import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from transformers import AutoModelForCausalLM

from stages import align, checkpoints, jsonl, memory, merge, tokens, train
from stages.account import Account
from stages.artifact import read_json, write_json
from stages.errors import FolioError
from stages.language_model import load_model, load_tokenizer
from stages.likelihood import Labelled, label_losses
from stages.option import build
from stages.packing import Packing, pack
from stages.pair_trainer import log_probs
from stages.pairing import Pair, encode, lay_out
from stages.trainer import Place
from tests.checkout import Checkout
from tests.imports import ROOT
from tests.pipeline import altered, committed, staged
from tests.training import StopAt, tuned

pytestmark = pytest.mark.usefixtures("own_folder")
PLAIN = [
    "align.batch=4", "align.accumulation=1", "align.epochs=3", "align.learning_rate=0.01", "align.patience=9",
    "align.save_steps=0", "method.r=4", "method.dropout=0.1",
]  # fmt: skip
WORDS = "the incident response team handles reports what did organization".split()


def record(n: int) -> dict[str, Any]:
    """Two pairs on a question; the chosen answer begins with a word that no rejected one has."""
    asked = f"{WORDS[n // 2 % 5]} {WORDS[n // 10 % 5]} {n // 2}"
    answers = f"team {WORDS[n % 4]}", f"did {WORDS[n % 3]} the incident"
    messages = [{"role": "user", "content": asked}]
    return {"id": f"{n}", "group": asked, "messages": messages, "chosen": answers[0], "rejected": answers[1]}


@pytest.fixture
def pairs(tiny_model: Path) -> list[Pair]:
    return encode(load_tokenizer(tiny_model), map(record, range(22)), 200, Account("pairs"))


def configured(model: Path, *words: str) -> DictConfig:
    own = ["model=folder", f"model.path={model}", "model.dtype=float32", *PLAIN]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", [*own, *words])


def prepared(config: DictConfig, pairs: list[Pair], folder: Path) -> Any:
    settings, objective, method, source = (
        build(config, key) for key in ("align", "objective", "method", "model")
    )
    place = Place(folder, settings.accumulation, None, align.CURVES, align.SPEED)
    sides = {"train": pairs[:16], "validation": pairs[16:]}
    if objective.needs_mismatched:
        sides = align.with_mismatched(sides, 200, Account("mismatched"))
    return align.prepare(objective, settings, method, source, sides, place)


def stirred(made: Any) -> None:
    """The adapter as after some learning: under the reference itself rounding alone orders rewards."""
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in (p for p in made.model.parameters() if p.requires_grad):
            weight.add_(0.05 * torch.randn_like(weight))


def logged(made: Any, *names: str) -> list[dict[str, float]]:
    return [entry for entry in made.state.log_history if set(names) <= set(entry)]


def weights(made: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in made.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("packing", ["prefix", "rows", "none"])
def test_the_log_probabilities_of_pairs_are_those_of_each_answer_alone(
    tiny_model: Path, pairs: list[Pair], packing: Packing
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    labelled = Labelled(model)
    batch = lay_out(pairs[:6], 1, 0.0, packing)
    with torch.no_grad():
        found = log_probs(label_losses(model, labelled, batch, torch.float32), batch["lengths"])
        alone = [
            -label_losses(model, labelled, pack([row], 1, 0.0, "none"), torch.float32).sum()
            for pair in pairs[:6]
            for row in pair.answers()
        ]
    assert found.flatten().tolist() == pytest.approx([float(one) for one in alone], rel=1e-5)


def test_a_shared_prompt_is_read_once(pairs: list[Pair]) -> None:
    tree, apart = (lay_out(pairs[:8], 1, 0.0, packing)["input_ids"].numel() for packing in ("prefix", "rows"))
    assert tree < apart


def test_pairs_that_do_not_fit_are_counted_and_both_answers_end_in_eos(tiny_model: Path) -> None:
    tokenizer, account = load_tokenizer(tiny_model), Account("pairs")
    long = record(0) | {"rejected": "the incident " * 40}
    kept = encode(tokenizer, [record(0), long], 60, account)
    assert account.as_dict() == {"in": 2, "kept": 1, "dropped": {"too_long": 1}}
    chosen, rejected = kept[0].answers()
    assert tokenizer.decode(chosen.completion) == "team the</s>"
    assert tokenizer.decode(rejected.completion) == "did the the incident</s>"
    assert chosen.prompt == rejected.prompt
    assert tokenizer.decode(chosen.prompt).count("<s>assistant") == 1


def test_a_prompt_that_the_chat_template_refuses_is_counted(tiny_model: Path) -> None:
    tokenizer, account = load_tokenizer(tiny_model), Account("pairs")
    tokenizer.chat_template = "{{ raise_exception('no system prompt') }}"
    assert encode(tokenizer, [record(0)], 60, account) == []
    assert account.dropped == {"refused_by_the_chat_template": 1}


@pytest.mark.parametrize("name", ["simpo", "cpo_simpo"])
def test_in_every_logged_row_rewards_are_beta_times_the_mean_log_probability_of_a_token(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, name: str
) -> None:
    tuned(tiny_model)
    made = prepared(configured(tiny_model, f"objective={name}", "align.log_steps=2"), pairs, tmp_path / "run")
    train.fit(made, tmp_path / "run")
    rows = [(prefix, entry) for prefix in ("", "eval_") for entry in logged(made, f"{prefix}rewards/chosen")]
    # Twelve steps, logged by twos, and four evaluations.
    assert len(rows) == 6 + 4
    for prefix, entry in rows:
        for side in ("chosen", "rejected"):
            assert entry[f"{prefix}rewards/{side}"] == pytest.approx(
                2.0 * entry[f"{prefix}logps/{side}"], rel=1e-6
            )
        gap = entry[f"{prefix}rewards/chosen"] - entry[f"{prefix}rewards/rejected"]
        assert entry[f"{prefix}rewards/margins"] == pytest.approx(gap, rel=1e-5, abs=1e-6)
        assert entry[f"{prefix}nll_loss"] == -entry[f"{prefix}logps/chosen"]
        assert 0 <= entry[f"{prefix}rewards/accuracies"] <= 1
    for plot in (
        "train/rewards/margins",
        "validation/rewards/accuracies",
        "validation/loss",
        "learning_rate",
    ):
        assert (tmp_path / f"plots/align/plots/metrics/{plot}.tsv").is_file()
    assert not (tmp_path / "plots/train").exists()


OTHERS = ("none", "grpo", "rloo")  # which learn from no pairs
OBJECTIVES = sorted(path.stem for path in (ROOT / "conf/objective").glob("*.yaml") if path.stem not in OTHERS)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_under_every_objective_loss_falls_margins_grow_and_the_adapter_alone_learns(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, name: str
) -> None:
    tuned(tiny_model)
    made = prepared(configured(tiny_model, f"objective={name}"), pairs, tmp_path / "run")
    assert all("lora_" in key for key in weights(made))
    frozen = {key: p.clone() for key, p in made.model.named_parameters() if not p.requires_grad}
    train.fit(made, tmp_path / "run")
    told = align.figures(made)
    assert told["loss"]["after"] < told["loss"]["before"]
    assert told["margin"]["after"] > told["margin"]["before"]
    assert told["accuracy"]["after"] > 0.8
    for key, weight in made.model.named_parameters():
        if not weight.requires_grad:
            assert weight.grad is None
            assert torch.equal(weight, frozen[key])


def test_the_reference_is_the_tuned_model_and_is_not_learnt(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    tuned(tiny_model)
    made = prepared(configured(tiny_model, "objective=dpo"), pairs, tmp_path / "run")
    before = made.validation_figures()
    # Policy and reference are one at the start: no answer is preferred, and the loss is ln 2.
    assert before["eval_loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert before["eval_rewards/chosen"] == pytest.approx(0.0, abs=1e-4)
    with made.model.disable_adapter():
        base = made.validation_figures()
    assert abs(base["eval_rewards/chosen"]) > 1e-3
    fresh = prepared(configured(tiny_model, "objective=dpo", "align.fresh=true"), pairs, tmp_path / "fresh")
    assert fresh.validation_figures()["eval_logps/chosen"] == pytest.approx(
        base["eval_logps/chosen"], abs=1e-5
    )


@pytest.mark.parametrize("name", ["cpo_simpo", "kto"])
def test_micro_batches_hold_whole_pairs_and_change_nothing(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, name: str
) -> None:
    tuned(tiny_model)
    found = []
    for batch, accumulation in ((10, 1), (2, 5)):
        # Sixteen pairs: a step of ten, and one of six, which leaves some of five micro-batches nothing.
        words = [
            "align.epochs=1",
            "method.dropout=0",
            f"align.batch={batch}",
            f"align.accumulation={accumulation}",
        ]
        made = prepared(configured(tiny_model, f"objective={name}", *words), pairs, tmp_path / f"{batch}")
        stirred(made)
        train.fit(made, tmp_path / f"{batch}")
        entries = logged(made, "loss") + logged(made, "eval_loss")
        assert len(entries) == 4
        found.append(
            [value for entry in entries for key, value in sorted(entry.items()) if "per_sec" not in key]
        )
    assert found[0] == pytest.approx(found[1], rel=2e-3, abs=1e-5)


def test_the_logged_loss_is_the_mean_over_pairs(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    tuned(tiny_model)
    words = ["align.steps=1", "align.batch=16", "align.learning_rate=1e-9", "method.dropout=0"]
    made = prepared(configured(tiny_model, "objective=simpo", *words), pairs, tmp_path / "run")
    made.eval_dataset, made._validation_order = pairs[:16], list(range(16))
    expected = made.validation_figures()
    train.fit(made, tmp_path / "run")
    entry = logged(made, "loss")[0]
    for name in ("loss", "rewards/chosen", "rewards/margins", "rewards/accuracies", "nll_loss"):
        assert entry[name] == pytest.approx(expected[f"eval_{name}"], rel=1e-4), name


def test_what_both_stages_may_say_names_the_settings_of_this_one(
    tiny_model: Path,
    pairs: list[Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tuned(tiny_model)
    monkeypatch.setattr(memory, "available", lambda _: 1)
    words = ["objective=simpo", "align.neftune_noise=5", "align.halve_batch=false"]
    with pytest.raises(FolioError, match=r"halve align\.batch and double align\.accumulation"):
        prepared(configured(tiny_model, *words), pairs, tmp_path / "run")
    assert "align: rows are padded, not packed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["dpo", "kto"])
def test_a_run_stopped_between_checkpoints_goes_on_to_the_same_adapter_and_curves(
    tiny_model: Path, pairs: list[Pair], tmp_path: Path, name: str
) -> None:
    tuned(tiny_model)
    # Checkpoints at 3, 4 (an epoch's end), 6, ...; logged by twos and at checkpoints, so none loses a figure.
    words = f"objective={name}", "align.log_steps=2", "align.save_steps=3"
    whole = prepared(configured(tiny_model, *words), pairs, tmp_path / "whole")
    train.fit(whole, tmp_path / "whole")
    drawn = {path: path.read_bytes() for path in Path("plots/align").rglob("*.tsv")}
    assert len(drawn) > 15

    stopped = prepared(configured(tiny_model, *words), pairs, tmp_path / "stopped")
    stopped.add_callback(StopAt(5))
    with pytest.raises(KeyboardInterrupt):
        train.fit(stopped, tmp_path / "stopped")
    checkpoint = checkpoints.last_whole(tmp_path / "stopped")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-4"

    resumed = prepared(configured(tiny_model, *words), pairs, tmp_path / "stopped")
    train.fit(resumed, tmp_path / "stopped")
    ours, theirs = weights(resumed), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert train.reproducible(resumed.state.log_history) == train.reproducible(whole.state.log_history)
    assert {path: path.read_bytes() for path in Path("plots/align").rglob("*.tsv")} == drawn


def write_pairs(train_count: int = 16, validation_count: int = 6) -> None:
    jsonl.write(align.PREFERENCES / "train.jsonl", map(record, range(train_count)))
    numbers = range(train_count, train_count + validation_count)
    jsonl.write(align.PREFERENCES / "validation.jsonl", map(record, numbers))


def test_the_stage_writes_an_adapter_that_merges_and_says_what_it_was_aligned_by(
    tiny_model: Path, tmp_path: Path
) -> None:
    tuned(tiny_model)
    write_pairs()
    # The recipe, at the size of a test.
    config = configured(tiny_model, "experiment=preference_simpo")
    assert (config.objective.name, config.objective.beta, config.objective.gamma) == ("cpo_simpo", 2.5, 0.5)
    align.main.__wrapped__(config)  # type: ignore[attr-defined]
    first = {path.name: path.read_bytes() for path in align.ALIGNED.iterdir()}
    assert set(first) == {"adapter_model.safetensors", "adapter_config.json", "trainer_state.json"}
    figures = read_json(align.METRICS)
    assert (figures["train"], figures["validation"]) == (16, 6)
    assert figures["pairs"] == {"in": 22, "kept": 22, "dropped": {}}
    assert figures["aligned"]["loss"]["after"] < figures["aligned"]["loss"]["before"]

    align.main.__wrapped__(config)  # type: ignore[attr-defined]
    assert {path.name: path.read_bytes() for path in align.ALIGNED.iterdir()} == first

    rows = [tokens.Row("a", "p", "open", "text", [3, 4, 5], [6, 7, 1])]
    tokens.write(merge.VALIDATION, rows)
    write_json(merge.TRAINED, {"rows": 9})
    merge.main.__wrapped__(config)  # type: ignore[attr-defined]
    card = " ".join((merge.MERGED / "README.md").read_text(encoding="utf-8").split())
    assert (
        "Then aligned by cpo_simpo: that adapter learnt from 16 preference pairs, learning rate 0.01." in card
    )
    method = build(config, "method")
    aligned = merge.log_probs(method.load(tiny_model, "float32", align.ALIGNED), rows, 1)
    written = merge.log_probs(load_model(merge.MERGED, "float32"), rows, 1)
    before = merge.log_probs(method.load(tiny_model, "float32", align.ADAPTER), rows, 1)
    assert merge.compare(aligned, written)["difference"] < 1e-4
    assert merge.compare(before, written)["difference"] > 1e-2


def test_what_cannot_be_aligned_is_refused_in_words(tiny_model: Path) -> None:
    run: Any = partial(lambda *words: align.main.__wrapped__(configured(tiny_model, *words)))  # type: ignore[attr-defined]
    with pytest.raises(FolioError, match="objective=none aligns nothing"):
        run()
    with pytest.raises(FolioError, match=r"train\.jsonl is missing"):
        run("objective=simpo")
    write_pairs()
    with pytest.raises(FolioError, match=r"kept 0 of 22 pairs, less than align.keep_share=0.5.*22 too_long"):
        run("objective=simpo", "align.maximum_tokens=16")
    with pytest.raises(FolioError, match=r"models/adapter holds no adapter of method=lora.*dvc repro train"):
        run("objective=simpo")
    tuned(tiny_model, r=2)
    with pytest.raises(
        FolioError, match=r"models/adapter holds no adapter of method=lora with these settings"
    ):
        run("objective=simpo")
    write_pairs(22, 0)
    with pytest.raises(FolioError, match="no preference pair is left to validation"):
        run("objective=simpo")


def test_a_setting_that_the_train_stage_has_too_is_named_as_align_s(tiny_model: Path) -> None:
    tuned(tiny_model)
    write_pairs()
    config = configured(tiny_model, "objective=simpo", "align.optimiser=paged_adamw")
    with pytest.raises(FolioError, match=r"^align\.optimiser=paged_adamw needs CUDA"):
        align.main.__wrapped__(config)  # type: ignore[attr-defined]


def test_a_fully_tuned_model_goes_on_learning(tiny_model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    own = [word for word in PLAIN if not word.startswith("method.")]
    named = [
        "method=full",
        "model=folder",
        f"model.path={tiny_model}",
        "model.dtype=float32",
        "objective=dpo",
    ]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", [*own, *named, "align.learning_rate=0.001"])
    learnt = load_model(tiny_model, "float32")
    with torch.no_grad():
        learnt.model.norm.weight.mul_(1.5)
    align.ADAPTER.mkdir(parents=True)
    build(config, "method").save(learnt, align.ADAPTER, "tiny")
    made = prepared(config, pairs, tmp_path / "run")
    assert torch.equal(made.model.model.norm.weight, learnt.model.norm.weight)
    train.fit(made, tmp_path / "run")
    told = align.figures(made)
    assert told["loss"]["after"] < told["loss"]["before"] == pytest.approx(math.log(2), abs=1e-5)


def test_dvc_runs_align_and_what_follows_after_a_change_of_align_and_nothing_of_it_without_an_objective(
    tmp_path: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Checkout(tmp_path / "project", session_cache)
    monkeypatch.chdir(made.folder)
    everything = staged()
    assert not any(name.startswith(("align", "prefer")) for name in everything)
    assert "models/adapter" in everything["merge"]

    made.edit("conf/config.yaml", "objective: none", "objective: dpo")
    assert made.python("-m", "stages.compose").returncode == 0
    everything = staged()
    assert {"align@dpo", "prefer@dpo"} < set(everything)
    assert "models/adapter" in everything["align@dpo"]
    assert "models/aligned" in everything["merge"]
    assert "models/adapter" not in everything["merge"]

    # As if all had run: then a setting changes.
    committed()
    made.edit("conf/config.yaml", "learning_rate: 5.0e-6", "learning_rate: 1.0e-5")
    assert made.python("-m", "stages.compose").returncode == 0
    changed = altered()
    # The report reads params.yaml itself, compose conf/; merge waits for what align makes.
    assert changed == {"compose", "align@dpo", "report"}
