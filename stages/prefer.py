"""A file of preferences to usable pairs, split by prompt: python -m stages.prefer [override ...]"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import jsonl, split
from stages.account import Account
from stages.artifact import write_json
from stages.conversation import answer_of, prompt_of
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.fingerprint import alike, fingerprint, opening
from stages.option import build
from stages.settings.prefer import Prefer
from stages.unusable import UnusableError, field
from stages.wording import Format, RefusedError

PREFERENCES = Path("data/preferences")
TEST = Path("data/test.jsonl")
TRAINED = Path("data/trained.jsonl")
METRICS = Path("metrics/prefer.json")


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


def usable(
    rows: Iterable[Any], form: Format, characters: int, account: Account, tested: Collection[str] = ()
) -> Iterator[jsonl.Record]:
    """Yield the pairs that can be learnt from, worded; every other row is counted with its reason.

    A pair on one of the `tested` groups, whose questions are held out, is counted as `held_out`.
    """
    seen: set[str] = set()
    for row in rows:
        try:
            pair = worded(pair_of(row, characters), form)
        except UnusableError as error:
            account.drop(str(error))
            continue
        except RefusedError:
            account.drop("refused_by_the_format")
            continue
        if pair["id"] in seen:
            account.drop("duplicate")
            continue
        if is_alone(pair) and fingerprint([pair["messages"], pair["rejected"], pair["chosen"]]) in seen:
            account.drop("labelled_both_ways")  # the first such row stands
            continue
        seen.add(pair["id"])
        if pair["group"] in tested:
            account.drop("held_out")
            continue
        account.keep()
        yield pair


def is_alone(record: jsonl.Record) -> bool:
    """Whether a record has one answer, without one to compare it with."""
    return record["chosen"] is None or record["rejected"] is None


def joined(records: Iterable[jsonl.Record]) -> Iterator[jsonl.Record]:
    """Yield pairs, and those of the desirable with the undesirable answers to a prompt, one to one.

    Answers that are left over follow alone.
    """
    alone: dict[str, tuple[list[jsonl.Record], list[jsonl.Record]]] = {}
    for record in records:
        if is_alone(record):
            sides = alone.setdefault(fingerprint(record["messages"]), ([], []))
            sides[record["chosen"] is None].append(record)
        else:
            yield record
    for good, bad in (both for sides in alone.values() for both in zip_longest(*sides)):
        if good and bad:
            name = fingerprint([good["messages"], good["chosen"], bad["rejected"]])
            yield good | {"id": name, "rejected": bad["rejected"]}
        else:
            yield good or bad


def pair_of(row: Any, characters: int) -> jsonl.Record:
    """A row as a record of data/preferences/: prompt and answers may be texts, messages or ShareGPT's turns.

    A row with a `completion` and a `label` has one answer: chosen where it is true, else rejected; the
    other is None.

    Raises:
        UnusableError: the reason why it is none.
    """
    if isinstance(row, UnusableError):
        raise row
    if not isinstance(row, dict):
        raise UnusableError("wrong_type")
    messages = prompt_of(row)
    chosen, rejected = _answers(row, messages)
    if chosen == rejected:
        raise UnusableError("chosen_equals_rejected")
    longest = max(len(chosen or ""), len(rejected or ""))
    if sum(len(message["content"]) for message in messages) + longest > characters:
        raise UnusableError("too_long")
    question = next(message["content"] for message in messages if message["role"] == "user")
    return {
        "id": fingerprint([messages, chosen, rejected]),
        # Conversations that begin alike stay on one side, however they are spelt or go on.
        "group": alike(question),
        "messages": messages,
        "question": messages[-1]["content"],  # as rewards see it, whatever the format makes of it
        "chosen": chosen,
        "rejected": rejected,
        "source": "file",
        "scores": None,
    }


def worded(pair: jsonl.Record, form: Format) -> jsonl.Record:
    """The pair with its last question as the format words one that has no passage of its own."""
    *history, last = pair["messages"]
    turns = form.turns({"history": history, "question": last["content"]}, with_passage=False)
    return pair | {"messages": turns}


def _answers(row: dict[str, Any], messages: list[dict[str, str]]) -> tuple[str | None, str | None]:
    if "label" not in row or "chosen" in row:
        chosen, rejected = (answer_of(field(row, side), messages) for side in ("chosen", "rejected"))
        return chosen, rejected
    label, answer = field(row, "label"), answer_of(field(row, "completion"), messages)
    if not isinstance(label, bool):
        raise UnusableError("wrong_type")
    return (answer, None) if label else (None, answer)


def divide(
    pairs: Sequence[jsonl.Record], settings: Prefer, learnt: Collection[str] = ()
) -> dict[str, list[jsonl.Record]]:
    """Put each pair on its prompt's side; on one whose answer training has learnt nothing is validated.

    The share is of all groups, as far as those that are not `learnt` reach.

    Raises:
        FolioError: a side stays empty.
    """
    groups = {pair["group"] for pair in pairs}
    fresh = groups.difference(learnt)
    share = settings.validation_share * len(groups) / len(fresh) if fresh else 0.0
    apart = split.preferences(((pair["group"], pair) for pair in pairs), settings.seed, share)
    seen = [pair for pair in apart["validation"] if pair["group"] not in fresh]
    sides = {
        "train": [*apart["train"], *seen],
        "validation": [pair for pair in apart["validation"] if pair["group"] in fresh],
    }
    if empty := [name for name, side in sides.items() if not side]:
        raise FolioError(
            f"no preference pair fell to {empty[0]}; add pairs to {settings.file}, or change "
            "prefer.validation_share or prefer.seed"
        )
    return sides


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/preferences/ and metrics/prefer.json."""
    settings, form, account = build(config, "prefer"), build(config, "format"), Account("rows")
    rows = read(Path(settings.file), settings.megabytes)
    tested = {alike(opening(record)) for record in jsonl.read(TEST)}
    pairs = list(joined(usable(rows, form, settings.characters, account, tested)))
    account.require(settings.keep_share, "prefer.keep_share")
    learnt = {alike(opening(record)) for record in jsonl.read(TRAINED)}
    sides = divide(pairs, settings, learnt)
    for name, side in sides.items():
        jsonl.write(PREFERENCES / f"{name}.jsonl", side)
    counts = {name: len(side) for name, side in sides.items()}
    alone = sum(map(is_alone, pairs))
    groups = {"groups": len({pair["group"] for pair in pairs}), "unpaired": alone}
    write_json(METRICS, counts | groups | {"rows": account.as_dict()})
    print(f"prefer: {counts['train']} pairs to train, {counts['validation']} to validate")
    if alone:
        print(f"prefer: {alone} of these are one answer alone, from which objective=kto can learn")
    if account.dropped:
        print(f"prefer: {account.dropped.total()} of {account.total} rows are left out: {account.reasons()}")


if __name__ == "__main__":
    main()
