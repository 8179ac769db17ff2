"""Trained questions as prompts to draw answers to: with passage or without, behind each control."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages import split
from stages.account import Account
from stages.errors import FolioError
from stages.jsonl import Record
from stages.prompt import prompt_ids
from stages.settings.reinforce import Control, Reinforce
from stages.wording import Format, RefusedError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prompt:
    """A question as it is asked: its token ids, the record that it is of, and the control before it."""

    ids: list[int]
    record: Record
    control: Control | None

    @property
    def name(self) -> str:
        """The control's name; empty without one."""
        return self.control.name if self.control else ""


def sides(
    tokenizer: "PreTrainedTokenizerBase",
    form: Format,
    trained: Sequence[Record],
    settings: Reinforce,
    account: Account,
) -> dict[str, list[Prompt]]:
    """Prompts to train on and to validate by; no passage (`chunk`) is on both sides.

    Raises:
        FolioError: a side stays empty.
    """
    keyed = ((split.key(record), record) for record in trained)
    divided = split.preferences(keyed, settings.seed, settings.validation_share)
    most = {"train": settings.maximum_questions, "validation": settings.validation_questions}
    found = {}
    for name, records in divided.items():
        chosen = _sample(records, most[name], settings.seed, account)
        found[name] = prompts(tokenizer, form, chosen, settings, account)
    if empty := [name for name, side in found.items() if not side]:
        raise FolioError(
            f"no question is left to {' and '.join(empty)} of {len(trained)} (dropped: {account.reasons()}); "
            "change reinforce.validation_share or reinforce.seed, or raise reinforce.maximum_prompt"
        )
    return found


def _sample(records: Sequence[Record], most: int, seed: int, account: Account) -> list[Record]:
    """At most `most` records, those whose ids hash lowest; the rest is counted."""
    order = sorted(records, key=lambda one: (split.position(one["id"], seed, "reinforce"), one["id"]))
    if order[most:]:
        account.drop("not_sampled", len(order[most:]))
    return order[:most]


def prompts(
    tokenizer: "PreTrainedTokenizerBase",
    form: Format,
    records: Iterable[Record],
    settings: Reinforce,
    account: Account,
) -> list[Prompt]:
    """Every question once behind each control, or once as it is; one that is too long is counted."""
    found: list[Prompt] = []
    for record in records:
        controls: list[Control | None] = [*settings.controls] or [None]
        try:
            own = [Prompt(prompt_of(tokenizer, form, record, settings, one), record, one) for one in controls]
        except RefusedError:
            account.drop("refused_by_the_format")
            continue
        if max(len(prompt.ids) for prompt in own) > settings.maximum_prompt:
            account.drop("too_long")
            continue
        account.keep()
        found += own
    return found


def prompt_of(
    tokenizer: "PreTrainedTokenizerBase",
    form: Format,
    record: Record,
    settings: Reinforce,
    control: Control | None,
) -> list[int]:
    """Token ids of a record's prompt, as in training, behind its control."""
    own = {"control": control.name} if control else {}
    is_open = split.is_open(record, settings.seed, settings.context_share)
    return prompt_ids(tokenizer, form, record | own, is_open)


def check_controls(form: Format, settings: Reinforce) -> None:
    """Refuse controls where the format has none: every question would be asked alike.

    Raises:
        FolioError: says which format has some.
    """
    if settings.controls and not hasattr(form, "controls"):
        raise FolioError(
            f"reinforce.controls names {settings.controls[0].name}, and format={form.name} has no controls; "
            "set format=control"
        )
