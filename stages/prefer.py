"""A file of preferences to usable pairs, split by prompt: python -m stages.prefer [override ...]"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import jsonl, split
from stages.account import Account
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.option import build
from stages.settings.prefer import Prefer

PREFERENCES = Path("data/preferences")
METRICS = Path("metrics/prefer.json")
PROMPTS = ("conversations", "prompt", "messages")
# ShareGPT's names beside those of chat templates.
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
Messages = list[dict[str, str]]


class UnusableError(Exception):
    """A row that nothing can be learnt from; its message is the reason in the account."""


def read(source: Path, megabytes: float) -> Iterator[Any]:
    """Yield each row of a JSON list or of JSON lines; for a line that is no JSON, an `UnusableError`.

    Raises:
        FolioError: the file is missing, too large, no UTF-8 or a list that is no JSON.
    """
    text = _text(source, megabytes)
    if text.lstrip()[:1] == "[":
        try:
            yield from json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FolioError(f"prefer.file={source} begins as a JSON list and is none: {error}") from error
        return
    for line in filter(str.strip, text.split("\n")):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            yield UnusableError("no_json")


def _text(source: Path, megabytes: float) -> str:
    try:
        if source.stat().st_size > megabytes * 1e6:
            raise FolioError(f"prefer.file={source} has more than prefer.megabytes={megabytes:g}")
        return source.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FolioError(
            f"prefer.file={source} cannot be read: {error.strerror}; name another file"
        ) from error
    except UnicodeDecodeError as error:
        raise FolioError(f"prefer.file={source} is no UTF-8: {error}") from error


def usable(rows: Iterable[Any], characters: int, account: Account) -> Iterator[jsonl.Record]:
    """Yield the pairs that can be learnt from; every other row is counted with its reason."""
    seen: set[str] = set()
    for row in rows:
        try:
            pair = pair_of(row, characters)
        except UnusableError as error:
            account.drop(str(error))
            continue
        if pair["id"] in seen:
            account.drop("duplicate")
            continue
        seen.add(pair["id"])
        account.keep()
        yield pair


def pair_of(row: Any, characters: int) -> jsonl.Record:
    """A row as a record of data/preferences/: prompt and answers may be texts, messages or ShareGPT's turns.

    Raises:
        UnusableError: the reason why it is none.
    """
    if isinstance(row, UnusableError):
        raise row
    if not isinstance(row, dict):
        raise UnusableError("wrong_type")
    messages = prompt_of(row)
    chosen, rejected = (answer_of(_field(row, side), messages) for side in ("chosen", "rejected"))
    if chosen == rejected:
        raise UnusableError("chosen_equals_rejected")
    length = sum(len(message["content"]) for message in messages) + max(len(chosen), len(rejected))
    if length > characters:
        raise UnusableError("too_long")
    question = next(message["content"] for message in messages if message["role"] == "user")
    return {
        "id": _digest([messages, chosen, rejected]),
        # Conversations that begin alike stay on one side, however they are spelt or go on.
        "group": _digest(" ".join(question.casefold().split())),
        "messages": messages,
        "chosen": chosen,
        "rejected": rejected,
        "source": "file",
        "scores": None,
    }


def prompt_of(row: dict[str, Any]) -> Messages:
    """The conversation up to the answer, which a user's turn must end; blank system prompts are left out."""
    key = next((key for key in PROMPTS if key in row), None)
    if key is not None:
        value = row[key]
    elif isinstance(row.get("chosen"), list):
        value = row["chosen"][:-1]  # the prompt stands before the answer alone
    else:
        raise UnusableError("missing_field")
    turns = [{"role": "user", "content": value}] if isinstance(value, str) else value
    if not isinstance(turns, list):
        raise UnusableError("wrong_type")
    if row.get("system") is not None:  # as LLaMA-Factory keeps it
        turns = [{"role": "system", "content": row["system"]}, *turns]
    messages = [_message(turn) for turn in turns]
    messages = [message for message in messages if message["role"] != "system" or message["content"].strip()]
    if not messages or messages[-1]["role"] != "user":
        raise UnusableError("no_question")
    if not all(message["content"].strip() for message in messages):
        raise UnusableError("empty_prompt")
    return messages


def answer_of(value: Any, messages: Messages) -> str:
    """The text of an answer, without white space around it; a list of messages may repeat the prompt."""
    if isinstance(value, list):
        if not value:
            raise UnusableError("empty_answer")
        before = [message for message in map(_message, value[:-1]) if message["content"].strip()]
        if before and before not in (messages, messages[-len(before) :]):
            raise UnusableError("answers_another_prompt")
        value = value[-1]
    if isinstance(value, dict):
        message = _message(value)
        if message["role"] != "assistant":
            raise UnusableError("wrong_role")
        value = message["content"]
    if not isinstance(value, str):
        raise UnusableError("wrong_type")
    if not value.strip():
        raise UnusableError("empty_answer")
    return _unicode(value.strip())


def _field(row: dict[str, Any], key: str) -> Any:
    if row.get(key) is None:
        raise UnusableError("missing_field")
    return row[key]


def _message(turn: Any) -> dict[str, str]:
    if not isinstance(turn, dict):
        raise UnusableError("wrong_type")
    names = ("from", "value") if "from" in turn else ("role", "content")
    role, content = (_field(turn, name) for name in names)
    if not isinstance(role, str) or not isinstance(content, str):
        raise UnusableError("wrong_type")
    if role not in ROLES:
        raise UnusableError("wrong_role")
    return {"role": ROLES[role], "content": _unicode(content)}


def _unicode(text: str) -> str:
    """Refuse half of a surrogate pair, which JSON can write and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnusableError("no_unicode") from error
    return text


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def divide(pairs: Iterable[jsonl.Record], settings: Prefer) -> dict[str, list[jsonl.Record]]:
    """Put each pair on its prompt's side.

    Raises:
        FolioError: a side stays empty.
    """
    keyed = ((pair["group"], pair) for pair in pairs)
    sides = split.preferences(keyed, settings.seed, settings.validation_share)
    if empty := [name for name, side in sides.items() if not side]:
        raise FolioError(
            f"no preference pair fell to {empty[0]}; add pairs to {settings.file}, or change "
            "prefer.validation_share or prefer.seed"
        )
    return sides


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/preferences/ and metrics/prefer.json."""
    settings, account = build(config, "prefer"), Account("rows")
    rows = read(Path(settings.file), settings.megabytes)
    pairs = list(usable(rows, settings.characters, account))
    account.require(settings.keep_share, "prefer.keep_share")
    sides = divide(pairs, settings)
    for name, side in sides.items():
        jsonl.write(PREFERENCES / f"{name}.jsonl", side)
    counts = {name: len(side) for name, side in sides.items()}
    groups = {"groups": len({pair["group"] for pair in pairs})}
    write_json(METRICS, counts | groups | {"rows": account.as_dict()})
    print(f"prefer: {counts['train']} pairs to train, {counts['validation']} to validate")
    if account.dropped:
        print(f"prefer: {account.dropped.total()} of {account.total} rows are left out: {account.reasons()}")


if __name__ == "__main__":
    main()
