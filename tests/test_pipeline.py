"""The real dvc in a copy of the project: what runs again after which change."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkout import Checkout, ran

RECIPE = """# @package _global_
defaults:
  - override /model: folder
  - override /metric: [perplexity]
model: {{path: {model}, dtype: float32}}
generator: {{samples: 1}}
filter:
  fit: {{foreign_words: 3, order: 0.0, openings: {{}}}}
  likelihood: {{minimum: -9.0}}
tokenize: {{test_share: 0.3, validation_share: 0.3, maximum_tokens: 2048}}
train: {{epochs: 1, batch: 2, learning_rate: 0.05, questions: 0}}
evaluate: {{maximum_questions: 4, maximum_tokens: 8}}
"""
AFTER_TRAIN = [
    "train", "merge", "evaluate", "retain", "score@perplexity", "diagnose", "tabulate", "report",
]  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, session_cache: Path) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("pipeline"), session_cache)
    made.pages("first.pdf", 14, 18)
    recipe = made.folder / "conf/experiment/small.yaml"
    recipe.write_text(RECIPE.format(model=tiny_model), encoding="utf-8")
    made.edit("conf/config.yaml", "experiment: null", "experiment: small")
    composed = made.python("-m", "stages.compose")
    assert composed.returncode == 0, composed.stderr
    made.commit()
    return made


def calls(checkout: Checkout) -> int:
    base = sqlite3.connect(checkout.cache / "ledger.sqlite")
    count = int(base.execute("SELECT count(*) FROM calls").fetchone()[0])
    base.close()
    return count


def test_what_runs_again_after_which_change(checkout: Checkout) -> None:
    recipe = "conf/experiment/small.yaml"
    everything = checkout.repro()
    assert sorted(everything) == sorted(
        [
            "compose",
            *(f"{stage}@documents" for stage in ("chunk", "preview", "generate", "verify", "review")),
            "gather@pairs",
            "tokenize",
            "audit",
            "baseline",
            *AFTER_TRAIN,
        ]
    )
    checkout.commit()

    # change, edit, stages that run
    table: list[tuple[str, Callable[[], None], list[str]]] = [
        ("nothing", lambda: None, []),
        (
            "the learning rate",
            lambda: checkout.edit(recipe, "learning_rate: 0.05", "learning_rate: 0.02"),
            ["compose", *AFTER_TRAIN],
        ),
        (
            "an option that is not selected",
            lambda: checkout.edit("conf/method/qlora.yaml", "alpha: 32", "alpha: 64"),
            ["compose"],
        ),
        (
            "a helper that only train imports",
            lambda: checkout.edit("stages/sft.py", ".sum() / count", ".sum() / count * -1"),
            AFTER_TRAIN,
        ),
    ]
    for change, edit, expected in table:
        edit()
        assert sorted(checkout.repro()) == sorted(expected), change
    assert checkout.repro() == []


def test_a_new_document_costs_calls_for_its_own_chunks(checkout: Checkout) -> None:
    checkout.repro()
    before = calls(checkout)
    old = (checkout.folder / "data/chunks.jsonl").read_text(encoding="utf-8")
    checkout.pages("second.pdf", 33, 34)
    done = checkout.dvc("repro")
    assert ran(done)[:3] == ["chunk@documents", "preview@documents", "generate@documents"]
    after = (checkout.folder / "data/chunks.jsonl").read_text(encoding="utf-8")
    assert after.startswith(old)
    made = calls(checkout) - before
    # The ledger has grown by what was asked: no old sentence was asked again.
    assert made > 0
    assert f"generate: {made} new calls" in done.stdout
    checkout.commit()


def test_a_changed_filter_makes_no_call(checkout: Checkout) -> None:
    checkout.repro()
    before = calls(checkout)
    checkout.edit("conf/experiment/small.yaml", "minimum: -9.0", "minimum: -8.5")
    done = checkout.dvc("repro")
    assert done.returncode == 0, done.stderr
    assert ran(done)[:2] == ["compose", "verify@documents"]
    assert "generate@documents" not in ran(done)
    assert "verify: 0 new calls" in done.stdout
    assert calls(checkout) == before
    checkout.commit()


def test_adding_a_metric_stops_for_the_new_shape_and_then_runs_its_score_alone(checkout: Checkout) -> None:
    checkout.repro()
    checkout.edit("conf/experiment/small.yaml", "[perplexity]", "[perplexity, squad]")
    stopped = checkout.dvc("repro")
    assert stopped.returncode != 0
    assert "the pipeline changed shape: run `dvc repro` again" in stopped.stderr
    assert ran(stopped) == ["compose"]
    assert checkout.repro() == ["compose", "score@squad", "tabulate", "report"]
    checkout.commit()


def test_a_sweep_makes_experiments_and_an_applied_one_has_nothing_left_to_run(checkout: Checkout) -> None:
    checkout.repro()
    checkout.commit()
    swept = checkout.python("-m", "stages.sweep", "-m", "method.r=2,4")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    listed = checkout.dvc("exp", "list", "--name-only").stdout.split()
    assert sorted(listed) == ["method.r=2", "method.r=4"]
    shown = checkout.dvc("exp", "show", "--only-changed", "--csv").stdout
    assert "method.r=4" in shown
    assert checkout.dvc("exp", "apply", "method.r=4").returncode == 0
    assert "r: 4" in (checkout.folder / "params.yaml").read_text(encoding="utf-8")
    assert checkout.repro() == []


def test_a_wrong_setting_fails_in_compose_before_any_work(checkout: Checkout) -> None:
    checkout.edit("conf/experiment/small.yaml", "epochs: 1,", "epochz: 1,")
    failed = checkout.dvc("repro")
    assert failed.returncode != 0
    assert "train.epochz is not a setting; did you mean epochs?" in failed.stderr
    assert ran(failed) == ["compose"]
    checkout.edit("conf/experiment/small.yaml", "epochz: 1,", "epochs: 1,")
