"""What answers are worth to the model that learns: rewards, with the sign of their control, and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from stages.jsonl import Record
from stages.policy_prompts import Prompt
from stages.probes import probes
from stages.worth import Reward, Worth, is_empty, worth


@dataclass(frozen=True)
class Scored:
    """An answer with its worth, and what the model is rewarded with for it."""

    prompt: Prompt
    row: Record  # answer, reference, question, passage
    worth: Worth
    signed: float


def scored(rewards: Sequence[Reward], prompts: Sequence[Prompt], answers: Sequence[str]) -> list[Scored]:
    """Score an answer to each prompt."""
    rows = [_row(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    found = worth(rewards, rows)
    return [
        Scored(prompt, row, value, signed(rewards, prompt, row["answer"], value))
        for prompt, row, value in zip(prompts, rows, found, strict=True)
    ]


def _row(prompt: Prompt, answer: str) -> Record:
    record = prompt.record
    # Rewards and probes that look for a passage find an empty one.
    passage = record["passage"] or ""
    own = {"id": record["id"], "question": record["question"], "passage": passage}
    return own | {"answer": answer.strip(), "reference": record["answer"]}


def signed(rewards: Sequence[Reward], prompt: Prompt, answer: str, value: Worth) -> float:
    """The worth times the control's sign; for an empty answer the least that there is under that sign.

    Else saying nothing would be the best answer where rewards count against the model.
    """
    if prompt.control is None or prompt.control.sign > 0:
        return value.total
    if is_empty(answer):
        return -sum(reward.weight for reward in rewards if reward.weight > 0)
    return -value.total


def figures(answers: Sequence[Scored]) -> dict[str, float]:
    """Means over the answers: `worth`, its parts, the probes, and the worth under each control.

    `worth` is without a sign: under [bad] it should fall.
    """
    found = {"worth": fmean(one.worth.total for one in answers)}
    for name in answers[0].worth.parts:
        found[f"parts/{name}"] = fmean(one.worth.parts[name] for one in answers)
    found |= {f"probes/{name}": value for name, value in probes([one.row for one in answers]).items()}
    for name in sorted({one.prompt.name for one in answers} - {""}):
        found[f"controls/{name}"] = fmean(one.worth.total for one in answers if one.prompt.name == name)
    return {name: round(value, 6) for name, value in found.items()}


class Judge:
    """The reward function that trl's trainers call; `prompts` are those that rows of the data set name."""

    def __init__(self, rewards: Sequence[Reward], prompts: Sequence[Prompt]) -> None:
        self._rewards, self._prompts = rewards, prompts

    def __call__(
        self, completions: Sequence[str], row: Sequence[int], log_metric: Any, **_: Any
    ) -> list[float]:
        """The signed worth of each completion of the prompt with the number in `row`; logs figures of all."""
        found = scored(self._rewards, [self._prompts[i] for i in row], completions)
        for name, value in figures(found).items():
            log_metric(name, value)
        return [one.signed for one in found]
