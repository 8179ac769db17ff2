from typing import Any

import pytest
from pydantic import ValidationError

from stages.policy_prompts import Prompt
from stages.policy_reward import figures, scored
from stages.reward.length import Length
from stages.reward.squad_f1 import SquadF1
from stages.settings.reinforce import Control
from tests.reinforcing import record

GOOD, BAD = Control(name="good", sign=1), Control(name="bad", sign=-1)
FEW: Any = {"words": [1, 3], "fall": 4}
REWARDS = [SquadF1(name="squad_f1", weight=1.0), Length(name="length", weight=0.5, **FEW)]


def prompt(control: Control | None) -> Prompt:
    return Prompt([1], record(1) | {"answer": "team one", "passage": None}, control)


def test_a_control_turns_the_sign_and_saying_nothing_never_pays() -> None:
    answers = ["team one", "team one", "team one", "ships", "ships", " ", " ", " "]
    controls = [None, GOOD, BAD, GOOD, BAD, None, GOOD, BAD]
    found = scored(REWARDS, [prompt(one) for one in controls], answers)
    # 1 + 0.5 for the reference itself, 0.5 for one wrong word; nothing has the least of its sign.
    assert [one.signed for one in found] == [1.5, 1.5, -1.5, 0.5, -0.5, 0.0, 0.0, -1.5]


def test_figures_are_told_without_a_sign_and_for_each_control() -> None:
    found = figures(scored(REWARDS, [prompt(GOOD), prompt(BAD)], ["team one", "ships"]))
    assert found["worth"] == 1.0
    assert (found["controls/good"], found["controls/bad"]) == (1.5, 0.5)
    assert (found["parts/squad_f1"], found["parts/length"]) == (0.5, 1.0)
    assert (found["probes/words"], found["probes/copy"], found["probes/empty"]) == (1.5, 0.0, 0.0)


def test_a_control_has_a_sign_and_a_name() -> None:
    with pytest.raises(ValidationError):
        Control(name="a", sign=0)  # type: ignore[arg-type]
