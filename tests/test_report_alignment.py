"""What the report tells of an alignment, and that it reads nothing of one without an objective."""

import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from stages.artifact import read_json, write_json, write_text
from stages.errors import FolioError
from stages.pictures import alignment as picture
from stages.report import ALIGNMENT, alignment, before_and_after, page
from stages.template import render
from tests.runs import write_run
from tests.test_report import PLANTED, Reader, facts

TALLY = {"in": 10, "kept": 7, "dropped": {"too_long": 3}}
ALIGNED: dict[str, Any] = {
    "train": 7, "validation": 3, "pairs": TALLY, "steps": 4, "best_step": 2,
    "aligned": {"loss": {"before": 0.5, "after": 0.25}, "margin": {"before": 0.0, "after": 1.5}},
}  # fmt: skip
KIND = {"n": 7, "reward": 0.75, "parts": {"squad_f1": 0.5}, "probes": {"empty": 0.0, "words": 12.5}}
PAIRS: dict[str, Any] = {
    "questions": {"in": 9, "kept": 7, "dropped": {"too_alike": 2}}, "answers": KIND | {"n": 36},
    "chosen": KIND, "rejected": {"n": 0}, "references": KIND | {"probes": {"empty": 0.0}},
}  # fmt: skip


def config(**own: Any) -> DictConfig:
    plain: dict[str, Any] = {
        "align": {"objectives": ["simpo"]}, "prefer": {"stages": []}, "pairs": {"models": []},
        "objective": {"name": "simpo"},
    }  # fmt: skip
    return OmegaConf.create(plain | own)


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)


def aligned(**own: Any) -> None:
    """The files of an alignment."""
    write_json(Path("metrics/align.json"), ALIGNED | own)
    for name, values in (
        ("train/loss", (0.5, 0.375)), ("validation/loss", (0.5, 0.25)),
        ("train/rewards/margins", (0.0, 1.0)), ("validation/logps/chosen", (-2.0, -1.0)),
        ("train/nll_loss", (1.0, 2.0)),
    ):  # fmt: skip
        rows = "".join(f"{step}\t{value}\n" for step, value in enumerate(values))
        write_text(ALIGNMENT / f"{name}.tsv", f"step\t{Path(name).name}\n{rows}")


def test_without_an_objective_nothing_is_read_and_the_page_says_nothing_of_it() -> None:
    aligned()
    write_text(Path("metrics/align.json"), "damaged")
    write_text(ALIGNMENT / "train/loss.tsv", "damaged")
    assert alignment(config(align={"objectives": []})) is None
    assert alignment(config(align={"objectives": []}, reinforce={"objectives": []})) is None
    for own in ({}, {"alignment": None}):
        assert not re.search("alignment", page(facts(**own)), re.IGNORECASE)
        assert "Aligned" not in render("summary.md", facts(**own))


def test_an_objective_without_its_files_is_an_error() -> None:
    with pytest.raises(FolioError, match=r"metrics/align\.json"):
        alignment(config())


def test_the_page_tells_what_was_learnt_from_and_how_it_went() -> None:
    aligned(mismatched={"in": 7, "kept": 6, "dropped": {"no_other_prompt": 1}})
    write_json(Path("metrics/prefer.json"), {"rows": {"in": 12, "kept": 10, "dropped": {"duplicate": 2}}})
    told = facts(alignment=alignment(config(prefer={"stages": ["simpo"]})))
    reader = Reader(page(told))
    for words in (
        "Training Alignment Yield",
        "After training, simpo learnt from 7 pairs in 4 steps; the adapter of step 2 was kept. "
        "The figures are of 3 pairs held out from that.",
        "loss 0.500 0.250 margin 0.000 1.500",
        "Rows of the preference file 10 12 duplicate 2",
        "Pairs that fit 7 10 too long 3",
        "Mismatched answers 6 7 no other prompt 1",
    ):
        assert words in reader.words, words
    drawn = [found.get("aria-label", "") for found in reader.of("svg")]
    assert [words for words in drawn if "alignment" in words] == [
        "loss over steps of alignment. train: 0.500 at step 0, 0.375 at step 1, lowest 0.375 at step 1; "
        "validation: 0.500 at step 0, 0.250 at step 1, lowest 0.250 at step 1",
        "reward of chosen less rejected over steps of alignment. "
        "train: 0.000 at step 0, 1.000 at step 1, lowest 0.000 at step 0",
        "chosen: log-probability of a token over steps of alignment. "
        "validation: -2.000 at step 0, -1.000 at step 1, lowest -2.000 at step 0",
    ]
    summary = render("summary.md", told)
    assert (
        "- Aligned by simpo: 7 pairs to learn from, 3 held out, 4 steps; on those held out loss 0.500 to "
        "0.250, margin 0.000 to 1.500.\n" in summary
    )


def test_pairs_of_the_models_own_answers_stand_with_their_rewards_and_probes() -> None:
    aligned()
    write_json(Path("metrics/pairs.json"), PAIRS)
    found = alignment(config(pairs={"models": ["tuned"]}))
    words = Reader(page(facts(alignment=found))).words
    assert "held out from that; training has seen these questions." in words
    assert "Figure Answers (36) Chosen (7) References (7) reward 0.750 0.750 0.750 squad f1 0.500" in words
    assert "words 12.5 12.5 –" in words
    assert "Questions answered 7 9 too alike 2" in words


def test_what_learns_from_rewards_has_intervals_and_curves_of_its_own() -> None:
    one = {"value": 0.5, "low": 0.25, "high": 0.75}
    gap = {"value": 0.125, "low": None, "high": None}
    figure = {"reward": {"before": one, "after": one, "difference": gap}}
    own = {"n": 3} | figure | {"controls": {"[good] ": {"n": 2} | figure}}
    aligned(aligned=own, questions=TALLY)
    for name in ("train/reward", "validation/controls/[bad] ", "train/probes/copy", "train/entropy"):
        write_text(ALIGNMENT / f"{name}.tsv", f"step\t{Path(name).name}\n1\t0.5\n")
    found = alignment(config(align={"objectives": []}, reinforce={"objectives": ["grpo"]}))
    assert found is not None
    names = [one["name"] for one in found["pictures"]]
    assert names[3:] == ["reward", "controls/[bad] ", "probes/copy"]
    words = Reader(page(facts(alignment=found))).words
    assert "reward 0.500 [0.250, 0.750] 0.500 [0.250, 0.750] +0.125" in words
    assert "[good] : reward 0.500" in words
    assert "learnt from 7 questions" in words


def test_a_loss_that_rose_is_said_to_have_risen() -> None:
    told = "The loss of the held-out pairs was lower before the first step"
    aligned()
    assert told not in Reader(page(facts(alignment=alignment(config())))).words
    aligned(aligned={"loss": {"before": 0.25, "after": 0.5}})
    assert told in Reader(page(facts(alignment=alignment(config())))).words


def test_a_damaged_curve_names_the_stage_that_makes_it() -> None:
    aligned()
    write_text(ALIGNMENT / "train/loss.tsv", "step\tother\n1\t2\n")
    with pytest.raises(FolioError, match=r"train/loss\.tsv is no training curve .*dvc repro --force align"):
        alignment(config())


def test_a_script_in_the_figures_of_an_alignment_is_text() -> None:
    aligned(
        pairs={"in": 2, "kept": 1, "dropped": {PLANTED: 1}},
        aligned={"loss": {"before": 0, "after": 1}, PLANTED: {"before": 0, "after": 1}},
    )
    found = alignment(config(objective={"name": PLANTED}))
    assert found is not None
    found["pictures"].append({"name": PLANTED, "picture": picture(PLANTED, {"train": ([1.0], [2.0])})})
    text = page(facts(alignment=found))
    assert PLANTED not in text
    assert PLANTED in Reader(text).text


def test_equal_files_give_equal_pictures() -> None:
    aligned()
    assert read_json(Path("metrics/align.json")) == ALIGNED
    assert alignment(config()) == alignment(config())
    assert before_and_after({"n": 3}) == []
