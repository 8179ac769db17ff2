import json
import re
import statistics
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig

from stages import jsonl
from stages.compose import compose
from stages.crossvalidate import Fold, run_name, spread, summary, told
from stages.split import fold_of
from stages.template import render
from tests.checkout import Checkout
from tests.imports import ROOT

F1 = ("squad f1", "with the passage")
LOSS = ("validation loss per target token", "validation rows")
FOLDS = [
    Fold(0, "x,fold=0", {LOSS: (2.0, 1.0), F1: (0.1, 0.4)}, validation=3, held_out=10, asked=8),
    Fold(1, "x,fold=1", {LOSS: (2.0, 1.5), F1: (0.3, 0.5)}, validation=4, held_out=12, asked=8),
    Fold(3, "x,fold=3", {LOSS: (2.0, 0.5), F1: (0.2, 0.9)}, validation=5, held_out=7, asked=7),
]


def test_mean_and_spread_by_hand() -> None:
    # Deviations from 5: -3 -1 -1 -1 0 0 2 4, squares sum to 32, over n - 1 = 7.
    mean, deviation = spread([2, 4, 4, 4, 5, 5, 7, 9])
    assert mean == 5
    assert deviation == pytest.approx((32 / 7) ** 0.5)
    assert spread([3.5]) == (3.5, None)


def test_the_difference_is_taken_fold_by_fold() -> None:
    loss, f1 = summary(FOLDS)
    # Tuned - base: 0.3, 0.2, 0.7; mean 0.4, squares of the deviations 0.01 + 0.04 + 0.09 over 2.
    assert f1["spreads"][2] == (pytest.approx(0.4), pytest.approx(0.07**0.5))
    assert f1["spreads"][0] == (pytest.approx(0.2), pytest.approx(0.1))
    # The base does not vary; the difference varies as the tuned does: deviations 0, 0.5, -0.5.
    assert loss["spreads"] == [(2.0, 0.0), (1.0, 0.5), (-1.0, 0.5)]
    assert [row["folds"] for row in (loss, f1)] == [3, 3]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=9))
def test_the_mean_difference_is_the_difference_of_the_means(pairs: list[tuple[float, float]]) -> None:
    folds = [Fold(n, "", {F1: pair}, 1, 1, 1) for n, pair in enumerate(pairs)]
    ((base, _), (tuned, _), (difference, _)) = summary(folds)[0]["spreads"]
    assert difference == pytest.approx(tuned - base, abs=1e-12)
    assert base == pytest.approx(statistics.mean(pair[0] for pair in pairs))


def test_the_table_says_what_it_is_over_and_what_its_spread_is_not() -> None:
    facts = {"count": 4, "folds": FOLDS, "failed": {2: "dvc <b>`failed`"}, "rows": summary(FOLDS)}
    text = render("folds.md", facts)
    assert "# Cross-validation: 3 of 4 folds\n" in text
    assert "| squad f1 | with the passage | 0.200 | 0.100 | 0.600 | 0.265 | 0.400 | 0.265 | 3 |\n" in text
    assert "| 1 | 4 | 12 | 8 | `x,fold=1` |\n" in text
    assert "| total | | 29 | 23 | |\n" in text
    assert "not a confidence interval of independent runs" in text.replace("\n", " ")
    assert "Fold 2 failed and is in no figure: dvc \\<b\\>\\`failed\\`\n" in text


def test_a_single_fold_has_no_spread() -> None:
    text = render("folds.md", {"count": 2, "folds": FOLDS[:1], "failed": {}, "rows": summary(FOLDS[:1])})
    assert "| 0.100 | - | 0.400 | - | 0.300 | - | 1 |" in text


def test_each_reason_is_told_once() -> None:
    assert told({0: "full", 1: "lost", 4: "full"}, 5) == "3 of 5 folds failed: fold 0, 4: full; fold 1: lost"


def test_other_settings_typed_or_in_conf_are_another_run() -> None:
    config = compose(ROOT / "conf")
    other = config.copy()
    other.train.epochs = 7
    names = {
        run_name(overrides, settings)
        for overrides in ([], ["method.r=8"], ["method.r=4"])
        for settings in (config, other)
    }
    assert len(names) == 6
    assert run_name([], config) == run_name([], config)


# Answers without a model: what is tested here is what becomes of them.
ANSWERS = """
import json, pathlib
pairs = [json.loads(line) for line in pathlib.Path("data/test.jsonl").read_text().splitlines()]
for model, loss in (("base", 2.0), ("tuned", 1.0)):
    rows = [
        {"id": p["id"], "chunk": p["chunk"], "model": model, "context": c, "reference": p["answer"],
         "answer": "a", "token_losses": [loss]}
        for c in ("open", "closed") for p in pairs
    ]
    path = pathlib.Path(f"evaluation/{model}.jsonl")
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\\n" for row in rows))
pathlib.Path("data/leaks.jsonl").write_text("")
account = {"questions": {"in": len(pairs), "kept": len(pairs), "dropped": {}}}
pathlib.Path("metrics/evaluate.json").write_text(json.dumps(account))
"""
COUNT = 3
EMPTY = 1


def pairs() -> list[jsonl.Record]:
    """Pairs on passages of all folds but one."""
    texts = [f"The officer of watch {n} reports to the captain at dawn." for n in range(40)]
    kept = [text for text in texts if fold_of(text, 0, COUNT) != EMPTY]
    return [
        {"id": f"{n:04}", "chunk": f"c{n}", "document": "a.pdf", "pages": [1, 1], "passage": text,
         "question": f"Who reports {n}?", "answer": "The officer.", "source": "pairs"}
        for n, text in enumerate(kept)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, session_cache: Path) -> Checkout:
    """The project from its pairs on: tokenize, train and score are real, and so is dvc."""
    made = Checkout(tmp_path_factory.mktemp("crossvalidate"), session_cache)
    made.environment["OMP_NUM_THREADS"] = "1"  # more would wait for each other longer than they compute
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    kept = {name: pipeline["stages"][name] for name in ("compose", "tokenize", "train", "score")}
    kept["answers"] = {
        "cmd": "python answers.py", "deps": ["data/test.jsonl", "models/adapter"],
        "outs": ["evaluation/base.jsonl", "evaluation/tuned.jsonl", "data/leaks.jsonl"],
        "metrics": [{"metrics/evaluate.json": {"cache": False}}],
    }  # fmt: skip
    (made.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": kept}), encoding="utf-8")
    (made.folder / "answers.py").write_text(ANSWERS, encoding="utf-8")
    jsonl.write(made.folder / "data/sources/pairs.jsonl", pairs())
    made.edit("conf/config.yaml", "model: embedded", "model: folder")
    made.edit("conf/config.yaml", "metric: [perplexity, squad, bertscore, length]", "metric: [perplexity]")
    made.edit(
        "conf/config.yaml",
        "validation_share: 0.1 # of the passages; their",
        "validation_share: 0.3 # of the passages; their",
    )
    made.edit("conf/config.yaml", "epochs: 3", "epochs: 1")
    made.edit("conf/model/folder.yaml", "path: models/base", f"path: {tiny_model}")
    made.edit("conf/model/folder.yaml", "dtype: auto", "dtype: float32")
    assert made.python("-m", "stages.compose").returncode == 0
    made.git("add", "--force", "data/sources/pairs.jsonl")
    made.commit()
    return made


def names(checkout: Checkout) -> list[str]:
    return checkout.dvc("exp", "list", "--name-only").stdout.split()


def test_a_fold_that_fails_is_told_and_the_others_make_the_table(checkout: Checkout) -> None:
    done = checkout.python("-m", "stages.crossvalidate", f"tokenize.folds={COUNT}", "train.batch=4")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.fullmatch(
        r"folio: 1 of 3 folds failed: fold 1: dvc exp run failed: folio: no pair fell to test \(.*\); "
        r"add documents, or lower tokenize\.folds, or change tokenize\.seed\n",
        done.stderr,
    )
    made = sorted(names(checkout))
    assert len(made) == 2
    assert made[0].startswith(f"tokenize.folds={COUNT},train.batch=4-")
    assert [name.rpartition(",")[2] for name in made] == ["fold=0", "fold=2"]
    assert len({name.rpartition(",")[0] for name in made}) == 1

    text = (checkout.folder / "report/folds.md").read_text(encoding="utf-8")
    assert text in done.stdout
    assert "# Cross-validation: 2 of 3 folds" in text
    # Perplexity of losses 2 and 1: e^2 and e, and so in every fold.
    same = "| 7.389 | 0.000 | 2.718 | 0.000 | -4.671 | 0.000 | 2 |"
    assert f"| perplexity | with the passage {same}" in text
    assert f"| perplexity | without the passage {same}" in text
    # Every passage that there is lies in one of the two finished folds.
    count = len(pairs())
    assert f"| total | | {count} | {count} | |" in text
    assert "Fold 1 failed and is in no figure: dvc exp run failed: folio: no pair fell to test" in text

    # The loss in the table is that of the experiments.
    losses = [figures(checkout, name, "metrics/train.json")["loss"] for name in made]
    means = [statistics.mean(loss[key] for loss in losses) for key in ("before", "after")]
    row = next(line for line in text.splitlines() if line.startswith("| validation loss"))
    assert [float(cell) for cell in row.split("|")[3:6:2]] == pytest.approx(means, abs=5e-4)


def figures(checkout: Checkout, name: str, file: str) -> Any:
    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=checkout.folder, capture_output=True, text=True, check=True
        )
        return done.stdout

    references = git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    return json.loads(git("show", f"{next(r for r in references if r.endswith(name))}:{file}"))


def test_a_fold_is_an_experiment_like_others_and_a_sweep_may_go_through_them(checkout: Checkout) -> None:
    shared = ("experiment=kfold", f"tokenize.folds={COUNT}", "train.batch=4")
    swept = checkout.python("-m", "stages.sweep", "-m", *shared, "tokenize.fold=range(1)")
    assert swept.returncode == 0, swept.stdout + swept.stderr
    assert ",".join([*shared, "tokenize.fold=0"]) in names(checkout)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["tokenize.fold=1"], "tokenize.fold is what a cross-validation goes through; leave it out"),
        (["tokenize.folds=0"], "tokenize.folds=0 makes no folds; choose 2 or more"),
        (["tokenize.folds=1"], "tokenize.folds=1 would hold out everything"),
        (["experiment=quick"], "the chosen recipe makes no folds; add tokenize.folds=5"),
        (["train.batch=0"], "train.batch=0: input should be greater than or equal to 1"),
    ],
)
def test_what_cannot_be_fails_in_words_before_any_fold(
    checkout: Checkout, overrides: list[str], sentence: str
) -> None:
    done = checkout.python("-m", "stages.crossvalidate", *overrides)
    assert done.returncode == 1
    assert done.stderr.startswith(f"folio: {sentence}")
    assert done.stdout == ""


def test_the_recipe_makes_five_folds(config: DictConfig) -> None:
    assert (config.tokenize.folds, config.tokenize.fold) == (5, 0)


@pytest.fixture
def config() -> DictConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return hydra_compose("config", ["experiment=kfold"])
