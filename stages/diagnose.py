"""Each answer's pattern: right, or how it fails: python -m stages.diagnose [override ...]"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import jsonl, language
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.option import build
from stages.overlap import (
    Overlap,
    contains,
    figures,
    loop_at_end,
    normalised,
    overlap,
    repeated_share,
    running_words,
    share_within,
    told,
)
from stages.settings.diagnose import Diagnose

MODELS = ("base", "tuned")
ANSWERS = Path("evaluation")
FAILURES = Path("evaluation/failures.jsonl")
METRICS = Path("metrics/diagnose.json")
# The first that fits an answer is its pattern; `describe` says when each does.
PATTERNS = ("empty", "looping", "right", "too_verbose", "partial", "unsupported", "wrong_concept")
GRAM = 4  # words of an n-gram that a loop repeats


@dataclass(frozen=True)
class Reading:
    """An answer beside its reference.

    `words` compares all words; `key` only those that the question does not say already: content words, or
    all, where the reference adds no content ("No."). A question often holds most of its reference ("Who
    handles incidents?", "The team handles incidents."), and an answer that repeats it has nearly every
    word and may be wrong.
    """

    answer: list[str]
    reference: list[str]
    words: Overlap
    key: Overlap
    claims: set[str]  # the answer's content words that the question does not hold
    figures_agree: bool  # the answer's figures are those of the reference, the question's aside


def read(row: jsonl.Record, hollow: Sequence[str] = ()) -> Reading:
    """Compare the words of an answer record, which names its `language`, with its reference.

    The words of `hollow` phrases claim nothing, as if the question had said them.
    """
    answer, reference = normalised(row["answer"]), normalised(row["reference"])
    asked, spoken = " ".join([row["question"], *hollow]), row["language"]
    claims, wanted = (told(row[key], spoken, beyond=asked) for key in ("answer", "reference"))
    key = overlap(sorted(claims), sorted(wanted)) if wanted else _beyond(normalised(asked), answer, reference)
    return Reading(
        answer, reference, overlap(answer, reference), key, claims, figures(claims) == figures(wanted)
    )


def _beyond(asked: list[str], answer: list[str], reference: list[str]) -> Overlap:
    said, wanted = ([word for word in words if word not in asked] for words in (answer, reference))
    # Where the question holds all of the reference, all of it counts.
    return overlap(said, wanted) if wanted else overlap(answer, reference)


def pattern(row: jsonl.Record, settings: Diagnose) -> str:
    """The first of these that fits an answer record, which names its `language`.

    - empty: no word, or only a phrase that announces an answer;
    - looping: it says the same over and over, more than its reference does;
    - right: the reference itself, or what the reference adds to the question, with the same figures, in
      words that agree with it (F1);
    - too_verbose: all that the reference adds to the question, or the reference itself, and much beside it;
    - partial: some of what the reference adds to the question;
    - unsupported: too few of its content words, or not all of its figures, stand in passage or question;
    - wrong_concept: words of the passage or the question, but not the answer. Where there is no passage,
      nothing tells this from unsupported.
    """
    found = read(row, settings.hollow)
    if not found.answer or found.answer in [normalised(phrase) for phrase in settings.hollow]:
        return "empty"
    if _loops(row, settings):
        return "looping"
    if _is_right(found, settings):
        return "right"
    if _is_too_verbose(found, settings):
        return "too_verbose"
    if found.key.f1 >= settings.partial_f1 or found.key.precision >= settings.partial_precision:
        return "partial"
    return "wrong_concept" if _is_supported(row, found, settings) else "unsupported"


def _loops(row: jsonl.Record, settings: Diagnose) -> bool:
    said, expected = running_words(row["answer"]), running_words(row["reference"])
    share = repeated_share(said, GRAM)
    if share > settings.repeated_share and share > repeated_share(expected, GRAM):
        return True
    length = loop_at_end(said, settings.loop_rounds)
    return length >= settings.loop_words and length > loop_at_end(expected, settings.loop_rounds)


def _is_right(found: Reading, settings: Diagnose) -> bool:
    if found.answer == found.reference:
        return True
    agree = found.words.f1 >= settings.right_f1 and found.key.f1 >= settings.right_key
    # "The captain." is right where the reference says in a whole sentence what the captain does.
    return found.figures_agree and (agree or found.key.f1 == 1)


def _is_too_verbose(found: Reading, settings: Diagnose) -> bool:
    # Of a long answer one word may be that of the reference by chance: then most of its others are not.
    recalled = min(found.key.recall / settings.verbose_key, found.words.recall / settings.verbose_recall) >= 1
    complete = recalled or contains(found.answer, found.reference)
    return complete and len(found.answer) > settings.verbose_length * len(found.reference)


def _is_supported(row: jsonl.Record, found: Reading, settings: Diagnose) -> bool:
    if row["passage"] is None:
        return True
    known = told(row["passage"], row["language"])
    return figures(found.claims) <= known and share_within(found.claims, known) >= settings.support


def diagnose(answers: Iterable[jsonl.Record], settings: Diagnose) -> list[jsonl.Record]:
    """Return id, model, context and pattern of each answer, in order.

    Function words are those of the language of its document's passages, or without such of its references,
    `settings.language` where these are too short to tell.
    """
    texts = [row | {"text": row["passage"] or row["reference"]} for row in answers]
    spoken = language.mark(texts, settings.language)
    keys = ("id", "model", "context")
    return [{key: row[key] for key in keys} | {"pattern": pattern(row, settings)} for row in spoken]


def tally(failures: Sequence[jsonl.Record]) -> dict[str, Any]:
    """For each context: the patterns of either model, and what base's became under tuned, commonest first.

    A question that one model alone answered is in no transition; `unpaired` counts those, if there are any.
    """
    found: dict[str, Any] = {}
    for context in dict.fromkeys(row["context"] for row in failures):
        sides = {
            model: {r["id"]: r["pattern"] for r in failures if (r["context"], r["model"]) == (context, model)}
            for model in MODELS
        }
        base, tuned = sides.values()
        both = [name for name in base if name in tuned]
        found[context] = {model: _counted(list(side.values())) for model, side in sides.items()}
        found[context]["transitions"] = _transitions([(base[name], tuned[name]) for name in both])
        if unpaired := len(base.keys() ^ tuned.keys()):
            found[context]["unpaired"] = unpaired
    return found


def _counted(patterns: Sequence[str]) -> dict[str, Any]:
    counts = Counter(patterns)
    return {"n": len(patterns), "counts": {name: counts[name] for name in PATTERNS if counts[name]}}


def _transitions(pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    order = sorted(Counter(pairs).items(), key=lambda item: (-item[1], *map(PATTERNS.index, item[0])))
    return [{"base": before, "tuned": after, "count": count} for (before, after), count in order]


def sentence(context: str, found: dict[str, Any]) -> str:
    """`diagnose: open: base 8 right, 3 partial of 11; tuned 11 right of 11`."""
    sides = []
    for model in MODELS:
        counts, n = found[model]["counts"], found[model]["n"]
        listed = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()) or "none"
        sides.append(f"{model} {listed} of {n}")
    return f"diagnose: {context}: {'; '.join(sides)}"


@entrypoint
def main(config: DictConfig) -> None:
    """Write evaluation/failures.jsonl and metrics/diagnose.json, and print a sentence for each context."""
    answers = [row for model in MODELS for row in jsonl.read(ANSWERS / f"{model}.jsonl")]
    failures = diagnose(answers, build(config, "diagnose"))
    found = tally(failures)
    jsonl.write(FAILURES, failures)
    write_json(METRICS, found)
    for context, sides in found.items():
        print(sentence(context, sides))


if __name__ == "__main__":
    main()
