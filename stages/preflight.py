"""What is checked before a model is trained: rows that teach what they should, and a model that they fit."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from stages.errors import FolioError
from stages.language_model import listed
from stages.tokens import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Sides = Mapping[str, Sequence[Row]]

# Why a row is left out of training, in words.
FAULTS = {
    "no_target": "hold no token to learn",
    "answer_cut": "do not end in a stop token, so that their answer was cut",
    "stop_inside": "hold a stop token inside their answer",
    "bos_inside": "hold BOS where the chat template puts none",
    "differs": "decode to another text than their reference answer",
}
AGAIN = "run `dvc repro --force --single-item tokenize`"
SHOWN, BEFORE = 60, 20  # characters of an example, and how many of them stand before the first difference
BATCH = 4096  # rows decoded at once


class Checked(NamedTuple):
    """The rows that may be trained on, by side, and the figures for metrics/train.json."""

    rows: dict[str, list[Row]]
    figures: dict[str, Any]


@dataclass(frozen=True)
class _Marks:
    """The tokens that mark where something begins or ends."""

    bos: int | None
    first: bool  # each row begins with BOS
    turns: bool  # BOS also marks turns, so that a prompt may hold several
    stops: frozenset[int]


def check(
    rows: Sides,
    tokenizer: "PreTrainedTokenizerBase",
    config: Any,
    bad_share: float,
    stops: Iterable[int] = (),
) -> Checked:
    """Refuse what cannot be trained on; leave out single bad rows and count them by fault.

    Args:
        rows: by side: train and validation.
        tokenizer: the model's.
        config: the model's configuration; a text model's may be nested in it.
        bad_share: share of the rows that may be left out, else the run stops.
        stops: further stop tokens of the model, those of its generation config.

    Raises:
        FolioError: a side is empty, a passage is on both, rows and model do not fit each other, or more
            than `bad_share` of the rows are bad.
    """
    text = config.get_text_config()
    declared = {*stops, *(i for part in (config, text) for i in listed(getattr(part, "eos_token_id", None)))}
    _check_sides(rows)
    prompt, notes = _check_template(tokenizer)
    notes += _check_vocabulary(rows, tokenizer, text.vocab_size)
    if tokenizer.eos_token_id not in declared:
        notes.append(
            f"the tokenizer's EOS {_shown(tokenizer.eos_token)}, which ends each answer, is not "
            "declared as a stop token of the model: software other than Folio may not stop at it"
        )
    _check_lengths(rows, getattr(text, "max_position_embeddings", None))
    marks = _marks(tokenizer, prompt, _second_prompt(tokenizer) or prompt, declared)
    _check_bos(rows, marks)
    return _sift(rows, tokenizer, marks, bad_share, notes)


def _check_sides(rows: Sides) -> None:
    for name, side in rows.items():
        if not side:
            raise FolioError(
                f"0 of {_total(rows)} rows are on the {name} side; add documents, or change "
                "tokenize.validation_share or tokenize.seed"
            )
    owner: dict[str, str] = {}
    for name, side in rows.items():
        for passage in {row.passage for row in side}:
            owner.setdefault(passage, name)
    leaks = [row for name, side in rows.items() for row in side if owner[row.passage] != name]
    if leaks:
        raise FolioError(
            f"{len(leaks)} of {_total(rows)} rows are on passages of another side "
            f"(row {_shown(leaks[0].id)}, passage {_shown(leaks[0].passage)}), which would flatter "
            f"the validation loss; {AGAIN}"
        )


def _check_template(tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], list[str]]:
    """The ids of a prompt that says next to nothing, and what is odd about the template."""
    from jinja2 import TemplateError

    user, answer = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
    try:
        prompt = _render(tokenizer, [user], add_generation_prompt=True)
        whole = _render(tokenizer, [user, answer])
    except (TemplateError, TypeError, ValueError) as error:
        raise FolioError(
            f"the chat template cannot render a question and its answer ({_shown(str(error))}); "
            "choose an instruct model, or mend its chat template"
        ) from error
    notes = []
    if not whole.startswith(prompt):
        notes.append(
            "the chat template writes a prompt that is no beginning of the whole conversation; training and "
            "evaluation both use the prompt"
        )
    elif not (end := whole[len(prompt) :].lstrip().removeprefix("y")).startswith(str(tokenizer.eos_token)):
        eos = _shown(str(tokenizer.eos_token))
        notes.append(f"the chat template ends an answer in {_shown(end)}, the rows end it in {eos}")
    ids: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return ids, notes


def _second_prompt(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The ids of the prompt of a second question; none where the template takes no second one."""
    from jinja2 import TemplateError

    user, answer = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
    try:
        text = _render(tokenizer, [user, answer, user], add_generation_prompt=True)
    except (TemplateError, TypeError, ValueError):
        return []
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _render(tokenizer: "PreTrainedTokenizerBase", turns: list[dict[str, str]], **options: Any) -> str:
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, enable_thinking=False, **options)
    return text


def _check_vocabulary(rows: Sides, tokenizer: "PreTrainedTokenizerBase", size: int) -> list[str]:
    """Refuse ids that the model has no embedding for; say which ones only odd texts would bring."""
    for name, token in (("EOS", tokenizer.eos_token_id), ("padding", tokenizer.pad_token_id)):
        if token is None or not 0 <= token < size:
            raise FolioError(
                f"the tokenizer's {name} token is {token}, where the model has ids from 0 to {size - 1}; "
                "choose a model whose tokenizer belongs to it"
            )
    outside = [row for row in _all(rows) if not 0 <= _least(row) <= _greatest(row) < size]
    if outside:
        raise FolioError(
            f"{len(outside)} of {_total(rows)} rows hold ids outside the model's vocabulary of {size} (row "
            f"{_shown(outside[0].id)}: {_least(outside[0])} to {_greatest(outside[0])}); the tokenizer is of "
            f"another model: check model, then {AGAIN}"
        )
    if len(tokenizer) <= size:
        return []
    # Added tokens come from a text only where it spells them out: some models publish more than they embed.
    surplus = {token for token in tokenizer.get_vocab().values() if token >= size}
    if surplus - set(tokenizer.added_tokens_decoder):
        raise FolioError(
            f"the tokenizer has {len(tokenizer)} tokens, the model's vocabulary {size}; choose a model whose "
            "tokenizer belongs to it"
        )
    return [
        f"the tokenizer has {len(surplus)} added tokens that the model has no embedding for; no row holds one"
    ]


def _check_lengths(rows: Sides, positions: int | None) -> None:
    if positions is None:
        return
    long = [row for row in _all(rows) if _length(row) > positions]
    if long:
        raise FolioError(
            f"{len(long)} of {_total(rows)} rows are longer than the model's {positions} positions (row "
            f"{_shown(long[0].id)}: {_length(long[0])} tokens); set tokenize.maximum_tokens={positions} or "
            "lower"
        )


def _marks(
    tokenizer: "PreTrainedTokenizerBase", prompt: list[int], again: list[int], declared: set[int]
) -> _Marks:
    bos = tokenizer.bos_token_id
    first = bos is not None and bos in (prompt[:1] + tokenizer("x")["input_ids"][:1])
    return _Marks(bos, first, bos in again[1:], frozenset({tokenizer.eos_token_id, *declared}))


def _check_bos(rows: Sides, marks: _Marks) -> None:
    if marks.bos is None:
        return
    double = [row for row in _all(rows) if _head(row) == [marks.bos] * 2]
    if double:
        raise FolioError(
            f"{len(double)} of {_total(rows)} rows begin with two BOS (row {_shown(double[0].id)}); mend the "
            f"model's chat template, then {AGAIN}"
        )
    bare = [row for row in _all(rows) if _head(row)[:1] != [marks.bos]] if marks.first else []
    if bare:
        raise FolioError(
            f"{len(bare)} of {_total(rows)} rows do not begin with the BOS that the model expects (row "
            f"{_shown(bare[0].id)}); let the model's chat template begin with bos_token, then {AGAIN}"
        )


def _sift(
    rows: Sides,
    tokenizer: "PreTrainedTokenizerBase",
    marks: _Marks,
    bad_share: float,
    notes: list[str],
) -> Checked:
    """Leave out the rows with a fault, unless they are too many."""
    kept: dict[str, list[Row]] = {}
    found: list[tuple[str, Row, str]] = []
    for name, side in rows.items():
        verdicts = list(zip(side, _verdicts(side, tokenizer, marks), strict=True))
        kept[name] = [row for row, (fault, _) in verdicts if not fault]
        found += [(fault, row, text) for row, (fault, text) in verdicts if fault]
    counts = Counter(fault for fault, _, _ in found)
    empty = [name for name, side in kept.items() if not side]
    if empty or len(found) > bad_share * _total(rows):
        why = (
            f"which leaves no row to {empty[0]}"
            if empty
            else f"more than train.bad_share={bad_share:g} allows"
        )
        raise FolioError(_complaint(found, counts, _total(rows), why))
    figures = {"rows": _total(rows), "kept": _total(kept)} | {fault: counts[fault] for fault in FAULTS}
    return Checked(kept, figures | {"notes": notes})


def _verdicts(
    rows: Sequence[Row], tokenizer: "PreTrainedTokenizerBase", marks: _Marks
) -> Iterator[tuple[str, str]]:
    """The fault of each row, or an empty string, with what its labels decode to."""
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        bodies = [row.completion[:-1] for row in part]
        texts = tokenizer.batch_decode(bodies, clean_up_tokenization_spaces=False)
        for row, body, text in zip(part, bodies, texts, strict=True):
            differs = text != row.answer and _plain(text) != _plain(row.answer)
            yield _fault(row, body, marks) or ("differs" if differs else ""), text


def _fault(row: Row, body: list[int], marks: _Marks) -> str:
    """What is wrong with a row's tokens; `body` is its completion without the last one."""
    if all(token in marks.stops for token in row.completion):
        return "no_target"
    if row.completion[-1] not in marks.stops:
        return "answer_cut"
    if not marks.stops.isdisjoint(body):
        return "stop_inside"
    # A document may spell the token out.
    if marks.bos is not None and (marks.bos in body or (not marks.turns and marks.bos in row.prompt[1:])):
        return "bos_inside"
    return ""


def _complaint(found: list[tuple[str, Row, str]], counts: Counter[str], total: int, why: str) -> str:
    worst, count = counts.most_common(1)[0]
    row, text = next((row, text) for fault, row, text in found if fault == worst)
    others = ", ".join(f"{n} {fault}" for fault, n in counts.most_common()[1:])
    example = f"row {_shown(row.id)}"
    if worst == "differs":
        example += f": {_contrast(_plain(text), _plain(row.answer))}"
    return (
        f"{len(found)} of {total} rows cannot be trained on, {why}: {count} {FAULTS[worst]} ({example})"
        f"{f'; besides {others}' if others else ''}; {AGAIN}, or raise train.bad_share to leave them out"
    )


def _contrast(text: str, answer: str) -> str:
    """Both texts from shortly before where they part, escaped and cut."""
    same = next((i for i, (a, b) in enumerate(zip(text, answer, strict=False)) if a != b), None)
    start = max((min(len(text), len(answer)) if same is None else same) - BEFORE, 0)
    return f"{_shown(text[start:])} for {_shown(answer[start:])}"


def _plain(text: str) -> str:
    """A text whose characters are spelt and spaced in one way."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).split())


def _shown(text: str) -> str:
    """A text as it may stand in a message: escaped, on one line, `SHOWN` characters at most."""
    return ascii(text[:SHOWN]) + ("..." if len(text) > SHOWN else "")


def _all(rows: Sides) -> Iterator[Row]:
    return (row for side in rows.values() for row in side)


def _total(rows: Sides) -> int:
    return sum(map(len, rows.values()))


def _length(row: Row) -> int:
    return len(row.prompt) + len(row.completion)


def _head(row: Row) -> list[int]:
    return (row.prompt[:2] + row.completion[:2])[:2]


def _least(row: Row) -> int:
    return min(min(row.prompt, default=0), min(row.completion, default=0))


def _greatest(row: Row) -> int:
    return max(max(row.prompt, default=0), max(row.completion, default=0))
