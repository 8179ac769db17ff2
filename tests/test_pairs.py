import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf
from pydantic import ValidationError

from stages import jsonl, split
from stages.account import Account
from stages.compose import shape, validate
from stages.errors import FolioError
from stages.language_model import load_model, load_tokenizer
from stages.ledger import Ledger
from stages.pairs import Sampler, choose, divide, figures, pick, preference, questions, scored
from stages.prompt import prompt_ids
from stages.reward.length import Length
from stages.reward.squad_f1 import SquadF1
from stages.settings.pairs import Pairs
from tests.forms import CHAT
from tests.imports import ROOT

PLAIN: dict[str, Any] = {
    "models": ["tuned"], "rewards": ["squad_f1"], "context_share": 0.7, "maximum_questions": 99, "samples": 3,
    "batch": 2, "maximum_tokens": 6, "temperature": 1.5, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0,
    "margin": 0.25, "reference_chosen": False, "validation_share": 0.3, "watch": "", "code": "",
    "appraised": [], "seed": 0,
}  # fmt: skip
F1 = SquadF1(name="squad_f1", weight=1.0)


def settings(**changes: Any) -> Pairs:
    return Pairs(**PLAIN | changes)


def pair(number: int) -> dict[str, Any]:
    return {
        "id": f"{number:03}", "chunk": f"c{number // 2}", "passage": f"the team of {number // 2} reports",
        "question": f"What is {number}?", "answer": "the incident response team",
    }  # fmt: skip


def said(answer: str, reward: float, *, cut_off: bool = False) -> dict[str, Any]:
    return {"answer": answer, "reward": reward, "cut_off": cut_off}


# which questions


def test_a_sample_of_questions_is_stable_and_the_rest_is_counted() -> None:
    account = Account("questions")
    pairs = [pair(n) for n in range(20)]
    chosen = questions(pairs, settings(maximum_questions=7), account)
    assert len(chosen) == 7
    assert account.dropped == {"not_sampled": 13}
    ids = [row["id"] for row in chosen]
    assert ids == sorted(ids)
    again = questions(pairs[::-1], settings(maximum_questions=7), Account("questions"))
    assert [row["id"] for row in again] == ids[::-1]
    without = [row for row in pairs if row["id"] != ids[0]]
    assert set(ids[1:]) < {row["id"] for row in questions(without, settings(maximum_questions=7), account)}


def test_a_question_is_asked_as_it_was_trained() -> None:
    asked = questions([pair(n) for n in range(200)], settings(maximum_questions=200), Account("questions"))
    is_open = {row["id"]: split.position(row["id"], 0, "context") < 0.7 for row in asked}
    assert {row["id"]: row["context"] == "open" for row in asked} == is_open
    assert 0.6 < sum(is_open.values()) / 200 < 0.8


# what makes a pair


@pytest.mark.parametrize(
    ("answers", "changes", "found"),
    [
        ([said("red", 0.2), said("cat", 0.9), said("dog", 0.5)], {}, ("cat", "red")),
        ([said("red", 0.2), said("cat", 0.9), said("dog", 0.9)], {}, ("cat", "red")),  # the first of equals
        ([said("red", 0.2), said("cat", 0.44)], {}, "small_margin"),
        ([said("red", 0.2), said("cat", 0.45)], {}, ("cat", "red")),  # the margin itself is enough
        ([said("red cat", 0.2), said("The red cat.", 0.9)], {}, "too_alike"),
        ([said("red", 0.2), said("red", 0.2)], {}, "too_alike"),
        ([said("", 0.0), said("...", 0.0)], {}, "all_empty"),
        ([said("", 0.0), said("...", 0.0)], {"reference_chosen": True}, "all_empty"),
        # An empty answer is no example of a bad one.
        ([said("", 0.0), said("cat", 0.9)], {}, "too_alike"),
        ([said("", 0.0), said("cat", 0.9), said("dog", 0.5)], {}, ("cat", "dog")),
        # The end of what was cut off would be learnt.
        ([said("red", 0.2), said("cat", 0.9, cut_off=True), said("dog", 0.5)], {}, ("dog", "red")),
        ([said("red", 0.2, cut_off=True), said("cat", 0.9)], {}, ("cat", "red")),
        ([said("red", 0.2, cut_off=True), said("cat", 0.9, cut_off=True)], {}, "all_cut_off"),
        # The reference has 1.
        ([said("red", 0.2), said("cat", 0.9)], {"reference_chosen": True}, ("the reference", "red")),
        ([said("red", 0.2), said("cat", 1.0)], {"reference_chosen": True}, ("cat", "red")),
        ([said("red", 0.2, cut_off=True)], {"reference_chosen": True}, ("the reference", "red")),
        ([said("red", 0.8)], {"reference_chosen": True}, "small_margin"),
    ],
)
def test_the_best_and_the_worst_or_why_not(
    answers: list[dict[str, Any]], changes: dict[str, Any], found: tuple[str, str] | str
) -> None:
    choice = choose([*answers, said("the reference", 1.0)], settings(**changes))
    assert (choice if isinstance(choice, str) else tuple(row["answer"] for row in choice)) == found


def replied(*answers: str) -> list[dict[str, Any]]:
    return [{"answer": answer, "cut_off": False} for answer in answers]


def test_every_answer_and_the_reference_are_scored() -> None:
    asked = [pair(0) | {"context": "open"}, pair(1) | {"context": "closed"}]
    found = scored(asked, [replied("incident team", ""), replied("The team", "it")], [F1])
    # Two of two and two of three words; one of one and one of three.
    totals = [[row["reward"] for row in several] for several in found]
    assert totals[0] == [pytest.approx(0.8), 0, 1]
    assert totals[1] == [pytest.approx(0.5), 0, 1]
    assert found[0][2]["answer"] == pair(0)["answer"]
    assert found[0][0]["parts"] == {"squad_f1": pytest.approx(0.8)}


def test_a_preference_holds_the_prompt_as_the_model_was_asked() -> None:
    chosen, rejected = said("The team.", 0.9), said("red", 0.1)
    is_open = preference(CHAT, pair(0) | {"context": "open"}, chosen, rejected)
    closed = preference(CHAT, pair(1) | {"context": "closed"}, chosen, rejected)
    assert set(is_open) == {"id", "group", "messages", "question", "chosen", "rejected", "source", "scores"}
    asked = "Answer the question from the passage.\n\nPassage: the team of 0 reports\n\nQuestion: What is 0?"
    assert is_open["question"] == "What is 0?"
    assert is_open["messages"] == [{"role": "user", "content": asked}]
    assert closed["messages"] == [{"role": "user", "content": "What is 1?"}]
    assert (is_open["chosen"], is_open["rejected"], is_open["source"]) == ("The team.", "red", "pairs")
    assert is_open["scores"] == {"chosen": 0.9, "rejected": 0.1}
    # One passage, one group: never on both sides.
    assert is_open["group"] == closed["group"]
    assert is_open["group"] != preference(CHAT, pair(2) | {"context": "open"}, chosen, rejected)["group"]


def test_what_goes_in_is_kept_or_dropped_with_its_reason() -> None:
    asked = [pair(n) | {"context": "open"} for n in range(4)]
    drawn = [replied("team", "red"), replied("red", "Red."), replied("", " "), replied("team", "team red")]
    account = Account("questions")
    found, means = pick(CHAT, asked, scored(asked, drawn, [F1]), settings(), account)
    # F1 of "team" is 0.5, of "team red" 0.4: too near.
    dropped = {"too_alike": 1, "all_empty": 1, "small_margin": 1}
    assert account.as_dict() == {"in": 4, "kept": 1, "dropped": dropped}
    assert [(row["id"], record["chosen"], record["rejected"]) for row, record in found] == [
        ("000", "team", "red")
    ]
    assert means["chosen"]["reward"] == 0.5
    assert means["rejected"]["reward"] == 0
    assert means["references"]["reward"] == 1
    assert means["answers"]["n"] == 8
    assert means["answers"]["reward"] == pytest.approx((0.5 + 0.5 + 0.4) / 8)
    assert means["answers"]["probes"]["empty"] == 0.25
    assert means["answers"]["parts"] == {"squad_f1": means["answers"]["reward"]}


def test_without_answers_there_are_no_means() -> None:
    assert figures([]) == {"n": 0}


# division


def found_pairs(count: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    rows = [pair(n) | {"context": "open"} for n in range(count)]
    return [(row, preference(CHAT, row, said("team", 1.0), said("red", 0.0))) for row in rows]


def test_no_passage_stands_on_both_sides_and_new_ones_move_none() -> None:
    few, many = (divide(found_pairs(n), settings(), Account("questions")) for n in (60, 120))
    assert sum(map(len, few.values())) == 60
    groups = [{row["group"] for row in side} for side in few.values()]
    assert not groups[0] & groups[1]
    assert 0.1 < len(few["validation"]) / 60 < 0.5
    for name, side in few.items():
        assert [row for row in many[name] if int(row["id"]) < 60] == side


def test_an_empty_side_is_an_error_with_counts_reasons_and_remedy() -> None:
    account = Account("questions", kept=2)
    account.drop("small_margin", 7)
    with pytest.raises(FolioError, match=r"9 questions gave .* 7 small_margin; lower pairs\.margin"):
        divide(found_pairs(2), settings(), account)


# sampling


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> tuple[Any, Any]:
    return load_model(tiny_model, "float32"), load_tokenizer(tiny_model)


@pytest.fixture(scope="module")
def prompts(loaded: tuple[Any, Any]) -> list[list[int]]:
    rows = [pair(n) for n in range(7)]
    return [
        prompt_ids(loaded[1], CHAT, row | {"passage": row["passage"] * (n % 3 + 1)}, True)
        for n, row in enumerate(rows)
    ]


def never() -> Any:
    raise AssertionError("no model is needed: the ledger knows all")


Draw = Callable[..., list[list[dict[str, Any]]]]


@pytest.fixture
def draw(loaded: tuple[Any, Any], prompts: list[list[int]]) -> Draw:
    def drawn(ledger: Ledger, seal: str = "s", load: Any = None, **changes: Any) -> Any:
        sampler = Sampler(load or (lambda: loaded[0]), loaded[1], settings(**changes), seal)
        return sampler(prompts, ledger)

    return drawn


def test_so_many_answers_are_drawn_and_they_differ(draw: Draw, ledger: Ledger) -> None:
    found = draw(ledger)
    assert [len(several) for several in found] == [3] * 7
    assert len({row["answer"] for several in found for row in several}) > 7
    assert all(set(row) == {"answer", "cut_off"} for several in found for row in several)
    assert ledger.stored == 7


def test_the_same_again_in_another_ledger_and_without_a_model_in_the_same(
    draw: Draw, ledger: Ledger, tmp_path: Path
) -> None:
    found = draw(ledger)
    assert draw(ledger, load=never) == found
    with Ledger(tmp_path / "other.sqlite") as other:
        assert draw(other) == found


class Stopped(Ledger):
    """A ledger whose process is stopped once it holds a batch or more."""

    def put(self, replies: Mapping[str, Any]) -> None:
        if self.stored:
            raise KeyboardInterrupt
        super().put(replies)


def test_a_run_that_was_stopped_pays_for_the_rest_alone_and_draws_the_same(
    draw: Draw, loaded: tuple[Any, Any], ledger: Ledger, tmp_path: Path
) -> None:
    import torch

    def load() -> Any:  # adapters draw random numbers while they are loaded, in each process anew
        torch.rand(3)
        return loaded[0]

    whole = draw(ledger, load=load)
    with Stopped(tmp_path / "stopped.sqlite") as stopped, pytest.raises(KeyboardInterrupt):
        draw(stopped, load=load)
    with Ledger(tmp_path / "stopped.sqlite") as again:
        assert len(again) == 2
        assert draw(again, load=load) == whole
        assert again.stored == 5


@pytest.mark.parametrize("changes", [{"seed": 1}, {"temperature": 1.4}, {"samples": 2}, {"seal": "t"}])
def test_what_decides_the_answers_decides_the_key(
    draw: Draw, ledger: Ledger, changes: dict[str, Any]
) -> None:
    before = draw(ledger)
    assert draw(ledger, **changes) != before
    assert ledger.stored == 14


# settings


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rewards": []}, r"none is chosen: set reward=\["),
        ({"samples": 1}, r"pairs\.samples=1 leaves nothing to compare"),
        ({"temperature": 0.0}, r"pairs\.temperature=0 gives the same answer pairs\.samples=3 times"),
        ({"samples": 1, "reference_chosen": True, "temperature": 0.0, "top_k": 5}, r"pairs: temperature=0"),
        ({"margin": 0.0}, r"margin"),
        ({"models": ["tuned", "tuned"]}, r"models"),
        (
            {"appraised": ["reward"], "watch": "models/reward"},
            r"learns from these very pairs: set pairs\.rewards",
        ),
        (
            {"appraised": ["reward"], "rewards": ["classifier"], "watch": "stages/reward"},
            r"would wait for models/reward",
        ),
    ],
)
def test_what_cannot_give_pairs_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        settings(**changes)


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra_compose("config", list(overrides))


@pytest.mark.parametrize(("overrides", "stages"), [((), []), (("experiment=pairs",), ["pairs@tuned"])])
def test_the_recipe_makes_the_stage_and_the_default_run_none(
    tmp_path: Path, overrides: tuple[str, ...], stages: list[str]
) -> None:
    Repo.init(str(tmp_path), no_scm=True).close()
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    chosen, pipeline = composed(*overrides), (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert (shape(chosen, pipeline) == shape(composed(), pipeline)) == (not stages)
    OmegaConf.save(chosen, tmp_path / "params.yaml", resolve=True)
    with Repo(str(tmp_path)) as repo:
        assert [stage.name for stage in repo.index.stages if stage.name.startswith("pairs")] == stages


def test_answers_without_a_reward_are_refused_before_any_work() -> None:
    with pytest.raises(FolioError, match=r"pairs\.models=\[tuned\] asks for answers .* none is chosen"):
        validate(composed("pairs.models=[tuned]"))


# main()


def tuned(folder: Path, model: Path) -> list[str]:
    """An adapter of the tiny model that says something else than its base; the words that name both."""
    import torch

    from stages.method.lora import Lora

    torch.manual_seed(1)
    lora = Lora(
        name="lora", r=4, alpha=8.0, dropout=0.0, bias="none", target_modules="all-linear", modules_to_save=()
    )
    adapted = lora.attach(load_model(model, "float32"))
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    (folder / "models/adapter").mkdir(parents=True)
    lora.save(adapted, folder / "models/adapter", "tiny")
    return ["model=folder", f"model.path={model}", "model.dtype=float32", "method.r=4", "method.alpha=8"]


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    own = {"FOLIO_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "stages.pairs", *words],
        cwd=folder, env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip


def written(folder: Path) -> dict[str, bytes]:
    files = [folder / f"data/preferences/{name}.jsonl" for name in ("train", "validation")]
    return {file.name: file.read_bytes() for file in [*files, folder / "metrics/pairs.json"]}


def test_the_stage_writes_the_same_files_again(tmp_path: Path, tiny_model: Path) -> None:
    jsonl.write(tmp_path / "data/trained.jsonl", [pair(n) for n in range(14)])
    words = [
        *tuned(tmp_path, tiny_model), "reward=[squad_f1,length]", "pairs.models=[tuned]", "pairs.samples=2",
        "pairs.batch=8", "pairs.maximum_tokens=5", "pairs.maximum_questions=12",
        "pairs.reference_chosen=true", "pairs.validation_share=0.3",
    ]  # fmt: skip
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "12 questions newly answered, 2 times each" in done.stdout
    first = written(tmp_path)
    found = json.loads(first["pairs.json"])
    account = found["questions"]
    assert account["in"] == 14 == account["kept"] + sum(account["dropped"].values())
    assert account["dropped"]["not_sampled"] == 2
    assert found["train"] + found["validation"] == account["kept"] == found["chosen"]["n"] > 0
    assert found["chosen"]["reward"] > found["rejected"]["reward"]
    rows = [
        json.loads(line) for name in ("train", "validation") for line in first[f"{name}.jsonl"].splitlines()
    ]
    assert {row["chosen"] for row in rows} == {"the incident response team"}
    assert all(row["scores"]["chosen"] - row["scores"]["rejected"] >= 0.2 for row in rows)

    (tmp_path / "cache/ledger.sqlite").unlink()
    assert run(tmp_path, *words).returncode == 0
    assert written(tmp_path) == first


def test_rewards_that_disagree_add_up() -> None:
    # The longer answer has the better F1; the penalty for its length makes it the worse one.
    long, short = "the incident response team of the ship", "response"
    asked = [pair(0) | {"context": "open"}]
    band = Length(name="length", weight=2.0, words=(1, 2), fall=5)
    alone = choose(scored(asked, [replied(long, short)], [F1])[0], settings(margin=0.1))
    both = choose(scored(asked, [replied(long, short)], [F1, band])[0], settings(margin=0.1))
    assert [row["answer"] for row in alone] == [long, short]
    assert [row["answer"] for row in both] == [short, long]
