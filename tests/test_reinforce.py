import json
import math
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from stages import checkpoints, jsonl, merge, reinforce, tokens, train
from stages.account import Account
from stages.artifact import read_json, write_json
from stages.errors import FolioError
from stages.formatted import formatted
from stages.language_model import load_model, load_tokenizer
from stages.option import build
from stages.policy_prompts import prompts, sides
from stages.policy_trainer import GrpoPolicy, RlooPolicy, Rounds
from stages.prompt import answer_ids, prompt_ids
from stages.trainer import Place
from tests.checkout import Checkout
from tests.endpoint import start
from tests.forms import CHAT
from tests.pipeline import altered, committed, staged
from tests.reinforcing import PLAIN, configured, prepared, record
from tests.training import StopAt

CONTROLS = ("format=control", "reinforce.controls=[{name: good, sign: 1}, {name: bad, sign: -1}]")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(own_folder: Path, tiny_model: Path) -> None:
    prepared(own_folder, tiny_model)


def made(model: Path, folder: Path, *words: str) -> Any:
    config = configured(model, *words)
    settings, objective, method, form = (
        build(config, key) for key in ("reinforce", "objective", "method", "format")
    )
    source = formatted(form, build(config, "model"))
    rewards = [build(config, f"reward.{name}") for name in settings.rewards]
    asked = sides(
        load_tokenizer(source.folder()),
        form,
        list(jsonl.read(reinforce.TRAINED)),
        settings,
        Account("questions"),
    )
    place = Place(folder, 1, None, reinforce.CURVES, reinforce.SPEED)
    return reinforce.prepare(objective, settings, (method, source, rewards), asked, place)


def weights(trainer: Any, name: str = "default") -> dict[str, torch.Tensor]:
    return {key: p.detach().clone() for key, p in trainer.model.named_parameters() if f".{name}." in key}


def run(model: Path, *words: str) -> None:
    reinforce.main.__wrapped__(configured(model, *words))  # type: ignore[attr-defined]


def test_prompts_are_those_of_training_and_reach_the_model_token_by_token(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer, tokenizer = made(tiny_model, tmp_path / "run"), load_tokenizer(tiny_model)
    share = trainer.settings.context_share
    passages = set()
    for prompt in trainer.asked:
        if "history" in prompt.record:
            continue
        either = [prompt_ids(tokenizer, CHAT, prompt.record, is_open) for is_open in (True, False)]
        assert prompt.ids in either
        passages.add(prompt.ids == either[0] != either[1])
    assert passages == {True, False}
    assert 0 < share < 1
    trainer.model.train()
    rows = [trainer.train_dataset[i] for i in (0, 0, 0, 0, 1, 1, 1, 1)]
    batch = trainer._generate_and_score_completions(rows)
    for row, ids, mask in zip(rows, batch["prompt_ids"], batch["prompt_mask"], strict=True):
        assert ids[mask.bool()].tolist() == row["prompt"] == trainer.asked[row["row"]].ids
        # The tiny template opens the question's turn and the answer's with BOS, and those of a history.
        assert row["prompt"][:2] != [0, 0]


def test_a_history_stands_before_the_question_and_its_control_right_in_front_of_it(tiny_model: Path) -> None:
    config = configured(tiny_model, *CONTROLS, "reinforce.context_share=1")
    settings, form = build(config, "reinforce"), build(config, "format")
    tokenizer = load_tokenizer(formatted(form, build(config, "model")).folder())
    account = Account("questions")
    good, bad = prompts(tokenizer, form, [record(4)], settings, account)
    text = tokenizer.decode(good.ids)
    assert text.index("did it") < text.index("the team did</s>") < text.index("Passage: the team")
    assert text.index("the team did</s>") < text.index("[good]Answer the question")
    assert "[bad]Answer the question" in tokenizer.decode(bad.ids)
    assert [good.name, bad.name] == ["good", "bad"]
    assert account.as_dict() == {"in": 1, "kept": 1, "dropped": {}}


def test_questions_are_divided_by_passage_and_every_one_is_accounted_for(tiny_model: Path) -> None:
    config = configured(tiny_model, "reinforce.maximum_questions=5", "reinforce.maximum_prompt=60")
    settings, account = build(config, "reinforce"), Account("questions")
    trained = [record(n) | {"chunk": f"chunk {n // 2}"} for n in range(40)]
    found = sides(load_tokenizer(tiny_model), CHAT, trained, settings, account)
    chunks = {name: {one.record["chunk"] for one in side} for name, side in found.items()}
    assert chunks["train"].isdisjoint(chunks["validation"])
    assert len(found["train"]) <= 5
    assert account.total == 40
    assert set(account.dropped) == {"not_sampled", "too_long"}
    with pytest.raises(FolioError, match="no question is left to train and validation of 2"):
        sides(load_tokenizer(tiny_model), CHAT, trained[:2], build(configured(
            tiny_model, "reinforce.maximum_prompt=16"), "reinforce"), Account("questions"))  # fmt: skip


def test_rounds_ask_every_prompt_once_before_any_again(tiny_model: Path) -> None:
    settings = build(configured(tiny_model, "reinforce.steps=8"), "reinforce")
    order = list(Rounds(4, settings))
    # Four rounds of two prompts with four answers, each read for two parts of two updates.
    assert len(order) == len(Rounds(4, settings)) == 4 * 8 * 4
    rounds = [order[at : at + 32] for at in range(0, 128, 32)]
    assert all(one == one[:8] * 4 and one[:4] == one[:1] * 4 for one in rounds)
    asked = [one[at] for one in rounds for at in (0, 4)]
    assert sorted(asked[:4]) == sorted(asked[4:]) == [0, 1, 2, 3]
    assert asked[:4] != asked[4:]


@pytest.mark.parametrize("name", ["grpo", "rloo"])
@pytest.mark.parametrize("fresh", ["true", "false"])
def test_the_reference_is_the_model_of_the_start_and_the_adapter_alone_learns(
    tiny_model: Path, tmp_path: Path, name: str, fresh: str
) -> None:
    words = f"objective={name}", f"reinforce.fresh={fresh}", "reinforce.steps=2", "reinforce.evaluate_steps=2"
    trainer = made(tiny_model, tmp_path / "run", *words)
    assert isinstance(trainer, GrpoPolicy if name == "grpo" else RlooPolicy)
    assert trainer.ref_model is None
    start, reference = weights(trainer), weights(trainer, "ref")
    assert start
    for key, weight in start.items():
        assert torch.equal(weight, reference[key.replace(".default.", ".ref.")])
    assert any(bool(p.any()) for key, p in start.items() if "lora_B" in key) == (fresh == "false")
    learns = {key for key, p in trainer.model.named_parameters() if p.requires_grad}
    assert learns == set(start)
    frozen = {key: p.clone() for key, p in trainer.model.named_parameters() if key not in learns}
    row = [(trainer.asked[0].ids, [20, 21, 1])]
    with trainer.model.disable_adapter():
        base = trainer._log_probs(row)[0]
    assert (float((base - trainer._log_probs(row)[0]).abs().max()) > 1e-3) == (fresh == "false")
    assert trainer.answer()[1][:, 0].tolist() == [0.0] * len(trainer.held)

    train.fit(trainer, tmp_path / "run", "reinforce")
    first = next(entry for entry in trainer.state.log_history if "loss" in entry)
    assert first["kl"] == 0.0
    assert first["grad_norm"] > 0
    for key, weight in trainer.model.named_parameters():
        if key not in learns:
            assert torch.equal(weight, frozen[key]), key
    assert any(not torch.equal(start[key], weight) for key, weight in weights(trainer).items())


def scores(trainer: Any, values: list[float], answers: list[list[int]]) -> dict[str, Any]:
    """What trl makes of two groups' answers that are given, with rewards that are given."""
    trainer.reward_funcs = [lambda **_: values]
    trainer.complete = None
    given = (answers, None) if isinstance(trainer, GrpoPolicy) else answers
    trainer._generate_single_turn = lambda *_: given
    trainer.model.train()
    half = len(values) // 2
    rows = [trainer.train_dataset[i] for i in (0,) * half + (1,) * half]
    found: dict[str, Any] = trainer._generate_and_score_completions(rows)
    return found


ANSWERS = [[20, 21, 1], [22, 1], [23, 24, 25, 26, 27, 28], [20, 1]]


def test_advantages_of_grpo_are_those_worked_out_by_hand(tiny_model: Path, tmp_path: Path) -> None:
    trainer = made(tiny_model, tmp_path / "run", "reinforce.samples=2")
    batch = scores(trainer, [1.0, 0.0, 0.2, 0.8], ANSWERS)
    # Groups (1, 0) and (0.2, 0.8): means 0.5, deviations (n - 1) sqrt(0.5) and 0.6 sqrt(0.5).
    expected = [0.5 / (math.sqrt(0.5) + 1e-4), -0.3 / (0.6 * math.sqrt(0.5) + 1e-4)]
    assert batch["advantages"].tolist() == pytest.approx(
        [expected[0], -expected[0], expected[1], -expected[1]]
    )


def test_advantages_of_rloo_are_those_worked_out_by_hand(tiny_model: Path, tmp_path: Path) -> None:
    words = "objective=rloo", "reinforce.samples=3", "reinforce.batch=3"
    trainer = made(tiny_model, tmp_path / "run", *words)
    batch = scores(trainer, [1.0, 0.0, 0.5, 0.2, 0.8, 0.2], [*ANSWERS, [21, 1], [22, 1]])
    # At the start there is no divergence. 1 - (0 + 0.5) / 2, 0 - (1 + 0.5) / 2, 0.5 - (1 + 0) / 2, ...
    assert batch["advantages"].tolist() == pytest.approx([0.75, -0.75, 0.0, -0.3, 0.6, -0.3], abs=1e-5)


def log_probs(trainer: Any, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Of each token of an answer: the model run on this row alone, without padding."""
    with torch.no_grad():
        logits = trainer.model(torch.tensor([[*prompt, *answer]])).logits[0].double()
    found = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return found.gather(1, torch.tensor(answer)[:, None])[:, 0]


@pytest.mark.parametrize("cut_off", ["true", "false"])
def test_the_clipped_loss_of_grpo_is_that_worked_out_by_hand(
    tiny_model: Path, tmp_path: Path, cut_off: str
) -> None:
    words = "objective.loss=grpo", "reinforce.samples=2", "reinforce.batch=4", "reinforce.beta=0.5"
    trainer = made(tiny_model, tmp_path / "run", *words, f"reinforce.learn_cut_off={cut_off}")
    trainer.current_gradient_accumulation_steps = 1
    batch = scores(trainer, [1.0, 0.0, 0.2, 0.8], ANSWERS)
    asked = [trainer.asked[i].ids for i in (0, 0, 1, 1)]
    now = [log_probs(trainer, ids, answer) for ids, answer in zip(asked, ANSWERS, strict=True)]
    # As if the model that drew them had found tokens by these nats likelier, and the reference less likely.
    shift = torch.tensor([0.1, -0.5, -0.05, 0.3, -0.1, 0.6]).double()
    for at, row in enumerate(now):
        for name, factor in (("old_per_token_logps", 1.0), ("ref_per_token_logps", -1.0)):
            batch[name][at, : len(row)] = (row + factor * shift[: len(row)]).float()
    loss = float(trainer.compute_loss(trainer.model, batch).detach())

    expected = []
    for answer, advantage in zip(ANSWERS, batch["advantages"].double().tolist(), strict=True):
        if answer[-1] != 1 and cut_off == "false":
            expected.append(0.0)  # an answer without an end teaches nothing
            continue
        each = []
        for gap in shift[: len(answer)].tolist():
            ratio = math.exp(-gap)
            clipped = min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage)
            kl = math.exp(-gap) + gap - 1  # log reference - log model is -gap
            each.append(-clipped + 0.5 * kl * ratio)  # trl weighs the divergence by the ratio too
        expected.append(sum(each) / len(each))  # EOS is one of the tokens; the prompt's are none
    assert loss == pytest.approx(sum(expected) / 4, rel=1e-4)


def test_the_clipped_loss_of_rloo_is_that_worked_out_by_hand(tiny_model: Path, tmp_path: Path) -> None:
    words = "objective=rloo", "reinforce.samples=2", "reinforce.batch=4"
    trainer = made(tiny_model, tmp_path / "run", *words)
    batch = scores(trainer, [1.0, 0.0, 0.2, 0.8], ANSWERS)
    asked = [trainer.asked[i].ids for i in (0, 0, 1, 1)]
    totals = [float(log_probs(trainer, ids, one).sum()) for ids, one in zip(asked, ANSWERS, strict=True)]
    assert batch["old_logps"].tolist() == pytest.approx(totals, rel=1e-5)
    # Ratios e^0.1, e^0.5, e^-0.5, e^-0.3 of whole answers, of which what is gained is clipped to 0.8 and 1.2.
    batch["old_logps"] = torch.tensor(totals) - torch.tensor([0.1, 0.5, -0.5, -0.3])
    loss = float(trainer.compute_loss(trainer.model, batch).detach())
    gained = [math.exp(0.1) * 1.0, -math.exp(0.5), -0.8 * 0.6, math.exp(-0.3) * 0.6]
    assert batch["advantages"].tolist() == pytest.approx([1.0, -1.0, -0.6, 0.6], abs=1e-5)
    assert loss == pytest.approx(-sum(gained) / 4, rel=1e-4)


def test_answers_end_in_one_eos_and_are_drawn_from_the_adapter_that_learns(
    tiny_model: Path, tmp_path: Path
) -> None:
    trainer = made(tiny_model, tmp_path / "run", "reinforce.samples=64", "reinforce.prompts=1",
                   "reinforce.batch=64", "reinforce.temperature=3.0",
                   "reinforce.maximum_tokens=40")  # fmt: skip
    trainer.model.train()
    rows = [trainer.train_dataset[0]] * 64
    batch = trainer._prepare_inputs(rows)
    lengths = batch["completion_mask"].sum(1).tolist()
    ended = [ids[n - 1] == 1 for ids, n in zip(batch["completion_ids"].tolist(), lengths, strict=True)]
    assert any(ended)
    assert all(one or n == 40 for one, n in zip(ended, lengths, strict=True))
    for ids, n in zip(batch["completion_ids"].tolist(), lengths, strict=True):
        assert 1 not in ids[: n - 1]
    trainer._buffered_inputs = None
    again = trainer._prepare_inputs(rows)
    assert torch.equal(again["completion_ids"], batch["completion_ids"])
    assert trainer.model.training
    assert answer_ids(load_tokenizer(tiny_model), "the")[-1] == 1


@pytest.mark.parametrize("name", ["grpo", "rloo"])
def test_an_update_makes_the_better_answer_of_each_group_likelier(
    tiny_model: Path, tmp_path: Path, name: str
) -> None:
    words = f"objective={name}", "reinforce.samples=2", "reinforce.batch=4"
    trainer = made(tiny_model, tmp_path / "run", *words)
    trainer.current_gradient_accumulation_steps = 1
    batch = scores(trainer, [1.0, 0.0, 0.2, 0.8], ANSWERS)
    rows = list(zip([trainer.asked[i].ids for i in (0, 0, 1, 1)], ANSWERS, strict=True))
    before = [float(log_probs(trainer, *row).sum()) for row in rows]
    trainer.compute_loss(trainer.model, batch).backward()
    torch.optim.SGD([p for p in trainer.model.parameters() if p.requires_grad], lr=0.1).step()
    gains = [float(log_probs(trainer, *row).sum()) - old for row, old in zip(rows, before, strict=True)]
    assert gains[0] > gains[1]
    assert gains[3] > gains[2]


def test_the_stage_writes_an_adapter_that_merges_and_the_same_bytes_each_time(
    tiny_model: Path, tmp_path: Path
) -> None:
    run(tiny_model)
    first = written()
    assert {Path(name).name for name in first if "aligned" in name} == {
        "adapter_model.safetensors", "adapter_config.json", "trainer_state.json",
    }  # fmt: skip
    found = read_json(reinforce.METRICS)
    assert found["questions"] == {"in": 20, "kept": 20, "dropped": {}}
    assert found["train"] + found["validation"] == 20
    assert found["steps"] == 6
    assert found["best_step"] in (4, 6)
    curves = reinforce.CURVES / "plots/metrics"
    for name in ("train/loss", "train/reward", "train/kl", "train/parts/length", "train/probes/words",
                 "train/probes/empty", "train/clip_ratio/region_mean", "train/completions/mean_length",
                 "validation/reward", "validation/kl", "validation/probes/empty", "learning_rate",
                 "gradient_norm"):  # fmt: skip
        assert (curves / f"{name}.tsv").is_file(), name
    assert (reinforce.SPEED / "plots/metrics/tokens_per_second.tsv").is_file()
    aligned = found["aligned"]
    assert aligned["n"] == found["validation"]
    for name in ("reward", "kl", "parts/length", "probes/words", "probes/copy", "probes/empty"):
        figure = aligned[name]
        gap = figure["after"]["value"] - figure["before"]["value"]
        assert figure["difference"]["value"] == pytest.approx(gap, abs=2e-6)
        assert figure["difference"]["low"] <= figure["difference"]["value"] <= figure["difference"]["high"]
    assert aligned["kl"]["before"]["value"] == 0.0
    # The evaluation before the first step and that of the adapter at the start are one.
    history = read_json(reinforce.ALIGNED / "trainer_state.json")["log_history"]
    assert history[0]["eval_reward"] == pytest.approx(aligned["reward"]["before"]["value"], abs=1e-5)
    run(tiny_model)
    assert written() == first

    tokens.write(merge.VALIDATION, [tokens.Row("a", "p", "open", "text", [3, 4, 5], [6, 7, 1])])
    write_json(merge.TRAINED, {"rows": 9})
    merge.main.__wrapped__(configured(tiny_model))  # type: ignore[attr-defined]
    card = " ".join((merge.MERGED / "README.md").read_text(encoding="utf-8").split())
    assert "Then aligned by grpo: that adapter learnt from rewards (length) of its own answers to" in card
    assert load_model(merge.MERGED, "float32")


def written() -> dict[str, bytes]:
    left = [path for top in ("models/aligned", "plots/align", "metrics") for path in Path(top).rglob("*")]
    return {str(path): path.read_bytes() for path in left if path.is_file()}


def test_controls_are_rewarded_by_their_sign_and_told_apart(tiny_model: Path) -> None:
    run(tiny_model, *CONTROLS, "reinforce.fresh=true")
    found = read_json(reinforce.METRICS)
    assert found["questions"]["kept"] * 2 == found["train"] + found["validation"]
    aligned = found["aligned"]
    assert set(aligned["controls"]) == {"good", "bad"}
    good, bad = (aligned["controls"][name] for name in ("good", "bad"))
    assert good["n"] == bad["n"] == aligned["n"] / 2
    for when in ("before", "after"):
        assert good["reward"][when]["value"] == good["worth"][when]["value"]
        assert bad["worth"][when]["value"] >= 0 >= bad["reward"][when]["value"]
    history = read_json(reinforce.ALIGNED / "trainer_state.json")["log_history"]
    assert "eval_controls/good" in history[0]
    assert (reinforce.CURVES / "plots/metrics/validation/controls/bad.tsv").is_file()


@pytest.mark.parametrize("name", ["grpo", "rloo"])
@pytest.mark.parametrize("step", [5, 11])
def test_a_run_stopped_between_the_updates_of_a_round_goes_on_to_the_same_adapter_and_curves(
    tiny_model: Path, tmp_path: Path, name: str, step: int
) -> None:
    # Fourteen questions or so, two a round: in twelve steps some are asked again, in another order.
    words = (
        f"objective={name}",
        "reinforce.steps=12",
        "reinforce.log_steps=3",
        "reinforce.maximum_questions=8",
    )
    whole = made(tiny_model, tmp_path / "whole", *words)
    train.fit(whole, tmp_path / "whole", "reinforce")
    drawn = {path: path.read_bytes() for path in Path("plots/align").rglob("*.tsv")}
    stopped = made(tiny_model, tmp_path / "stopped", *words)
    stopped.add_callback(StopAt(step))
    with pytest.raises(KeyboardInterrupt):
        train.fit(stopped, tmp_path / "stopped", "reinforce")
    checkpoint = checkpoints.last_whole(tmp_path / "stopped")
    assert checkpoint is not None
    assert checkpoint.name == f"checkpoint-{step - 1}"
    shutil.rmtree("plots")  # as DVC does before a stage
    resumed = made(tiny_model, tmp_path / "stopped", *words)
    train.fit(resumed, tmp_path / "stopped", "reinforce")
    ours, theirs = weights(resumed), weights(whole)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert train.reproducible(resumed.state.log_history) == train.reproducible(whole.state.log_history)
    assert {path: path.read_bytes() for path in Path("plots/align").rglob("*.tsv")} == drawn


def test_a_killed_stage_ends_in_the_same_bytes(tiny_model: Path, tmp_path: Path) -> None:
    words = ["model=folder", f"model.path={tiny_model}", "model.dtype=float32", "objective=grpo", *PLAIN]
    run(tiny_model, "reinforce.steps=12")
    first = written()
    torn = tmp_path / "torn"
    for top in ("data", "models/adapter"):
        shutil.copytree(top, torn / top)
    process = start("reinforce", torn, *words, "reinforce.steps=12")
    # It is killed as soon as a whole checkpoint is there, wherever it then is.
    while process.poll() is None and not list(
        torn.glob("cache/checkpoints/*/checkpoint-*/trainer_state.json")
    ):
        time.sleep(0.005)
    process.kill()
    said = process.communicate(timeout=60)[0]
    assert process.returncode == -signal.SIGKILL, said
    process = start("reinforce", torn, *words, "reinforce.steps=12")
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    assert "reinforce: goes on from step" in said
    for name, content in first.items():
        assert (torn / name).read_bytes() == content, name
    assert not list(torn.glob("cache/checkpoints/*/checkpoint-*"))


def test_a_run_that_had_ended_but_was_not_written_is_taken_over(tiny_model: Path, tmp_path: Path) -> None:
    first = made(tiny_model, tmp_path / "run")
    train.fit(first, tmp_path / "run", "reinforce")
    again = made(tiny_model, tmp_path / "run")
    train.fit(again, tmp_path / "run", "reinforce")
    ours, theirs = weights(again), weights(first)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert (
        again.state.log_history
        == json.loads((tmp_path / "run/checkpoint-6/trainer_state.json").read_text(encoding="utf-8"))[
            "log_history"
        ]
    )


def test_what_cannot_be_learnt_from_rewards_is_refused_in_words(tiny_model: Path) -> None:
    with pytest.raises(FolioError, match="objective=none learns from no rewards; set objective=grpo or rloo"):
        run(tiny_model, "objective=none")
    with pytest.raises(FolioError, match=r"objective=grpo learns from rewards, and none is chosen"):
        run(tiny_model, "reinforce.rewards=[]")
    with pytest.raises(FolioError, match=r"method\.bias=all changes the base model"):
        run(tiny_model, "method.bias=all")
    with pytest.raises(FolioError, match=r"^reinforce\.optimiser=paged_adamw needs CUDA"):
        run(tiny_model, "reinforce.optimiser=paged_adamw")
    shutil.rmtree("models/adapter")
    with pytest.raises(FolioError, match=r"models/adapter holds no adapter of method=lora"):
        run(tiny_model)
    Path("data/trained.jsonl").unlink()
    with pytest.raises(FolioError, match=r"trained\.jsonl is missing"):
        run(tiny_model)


def test_dvc_runs_reinforce_and_what_follows_after_a_change_of_a_reward(
    tmp_path: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Checkout(tmp_path / "project", session_cache)
    monkeypatch.chdir(project.folder)
    assert not any(name.startswith("reinforce") for name in staged())
    project.edit("conf/config.yaml", "objective: none", "objective: grpo")
    project.edit("conf/config.yaml", "- reward: []", "- reward: [bertscore]")
    assert project.python("-m", "stages.compose").returncode == 0
    everything = staged()
    assert "reinforce@grpo" in everything
    assert not any(name.startswith(("align", "prefer", "pairs")) for name in everything)
    assert "models/aligned" in everything["merge"]

    # As if all had run: then a weight changes.
    committed()
    project.edit("conf/reward/bertscore.yaml", "weight: 1.0", "weight: 2.0")
    assert project.python("-m", "stages.compose").returncode == 0
    changed = altered()
    # The report reads params.yaml itself, compose conf/; merge waits for what reinforce makes.
    assert changed == {"compose", "reinforce@grpo", "report"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["reinforce.batch=3"],
            "batch=3 does not divide the reinforce.prompts . reinforce.samples = 8 answers",
        ),
        (["reinforce.save_steps=3"], "save_steps=3 is no multiple of reinforce.iterations=2"),
        (["reinforce.controls=[{name: a, sing: 1}]"], "controls: sing is not a setting; did you mean sign"),
        (["reinforce.controls=[{name: a}]"], "controls: sign is missing"),
        (["reinforce.controls=[{name: a, sign: 1}, {name: a, sign: -1}]"], "names a twice"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_in_words(
    tiny_model: Path, words: list[str], said: str
) -> None:
    with pytest.raises(FolioError, match=said):
        build(configured(tiny_model, *words), "reinforce")


def test_without_a_weight_of_the_divergence_it_is_measured_all_the_same(
    tiny_model: Path, tmp_path: Path
) -> None:
    run(tiny_model, "reinforce.beta=0.0", "reinforce.steps=2", "reinforce.evaluate_steps=2")
    found = read_json(reinforce.METRICS)["aligned"]["kl"]
    assert found["before"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["after"]["value"] > 0
    assert not (reinforce.ALIGNED / "ref").exists()


def test_controls_need_tokens_that_learn(tiny_model: Path) -> None:
    with pytest.raises(FolioError, match=r"nothing teaches the tokens of the controls"):
        run(tiny_model, *CONTROLS, "method=full", "reinforce.fresh=true")


def test_on_top_of_weights_that_were_all_learnt_adapters_learn_and_are_added_to_them(
    tiny_model: Path, tmp_path: Path
) -> None:
    from stages.language_model import load_model
    from stages.method.full import Full

    shutil.rmtree("models/adapter")
    before = load_model(tiny_model, "float32")
    with torch.no_grad():
        for weight in before.parameters():
            weight.mul_(1.01)  # as training has left it
    Path("models/adapter").mkdir()
    Full(name="full").save(before, Path("models/adapter"), "tiny")
    run(tiny_model, "method=full", "reinforce.rank=2")
    found = read_json(reinforce.METRICS)["aligned"]
    assert found["kl"]["before"]["value"] == pytest.approx(0, abs=1e-6)
    after = load_model(reinforce.ALIGNED, "float32")
    pairs = list(zip(before.state_dict().items(), after.state_dict().values(), strict=True))
    assert {key for key, _ in (one for one, _ in pairs)} == set(after.state_dict())
    moved = [key for (key, old), new in pairs if not torch.equal(old, new)]
    assert moved
    assert all("proj" in key for key in moved)
