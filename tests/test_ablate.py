"""Three models on the same questions: what training added, and what alignment added to that."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stages.ablate import ablate, check, sentences
from stages.errors import FolioError
from stages.metric.squad import Squad
from stages.settings.ablate import Ablate

METRICS = {"squad": Squad(name="squad")}  # type: ignore[call-arg]


def answers(model: str, said: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": str(n),
            "model": model,
            "context": "closed",
            "chunk": f"c{n}",
            "answer": text,
            "reference": "a b",
        }
        for n, text in enumerate(said)
    ]


def test_each_step_is_measured_on_the_same_questions_with_an_interval() -> None:
    # F1 with "x y": nothing 0, one word of one 2/3, both 1.
    said = {"base": ["z", "z", "x"], "trained": ["x", "z", "x y"], "aligned": ["x y", "x y", "x y"]}
    rows = {model: answers(model, texts) for model, texts in said.items()}
    for side in rows.values():
        for row in side:
            row["reference"] = "x y"
    steps = ablate(METRICS, rows, 0)["squad"]["closed"]
    assert list(steps) == ["base to trained", "trained to aligned", "base to aligned"]
    assert steps["base to trained"]["base"]["f1"]["value"] == pytest.approx(2 / 9, abs=1e-6)
    assert steps["base to trained"]["difference"]["f1"]["value"] == pytest.approx(5 / 9 - 2 / 9, abs=1e-6)
    assert steps["trained to aligned"]["difference"]["f1"]["value"] == pytest.approx(1 - 5 / 9, abs=1e-6)
    gap = steps["base to aligned"]["difference"]["f1"]
    assert gap["low"] <= gap["value"] <= gap["high"]
    assert steps["base to aligned"]["n"] == 3
    told = sentences({"squad": {"closed": steps}})
    assert any(line.startswith("ablate: squad f1, closed, n 3: trained +0.333 [") for line in told)


def test_answers_to_other_questions_are_refused_by_the_name_of_their_file(tmp_path: Path) -> None:
    rows = {model: answers(model, ["x", "y"]) for model in ("base", "trained", "aligned")}
    check(rows)
    rows["aligned"] = rows["aligned"][:1]
    with pytest.raises(
        FolioError, match=r"evaluation/tuned\.jsonl is about other questions; run `dvc repro`"
    ):
        check(rows)


def test_models_that_are_measured_in_other_bits_are_not_set_beside_it() -> None:
    settings: dict[str, Any] = {"models": ["trained"], "bits": 16, "seed": 0}
    assert not Ablate(**settings | {"models": [], "bits": 4}).models
    with pytest.raises(ValidationError, match=r"evaluate\.bits=4 the other two: set evaluate\.bits=16"):
        Ablate(**settings | {"bits": 4})
    with pytest.raises(ValidationError):
        Ablate(**settings | {"models": ["base"]})
