"""The tuned model's answers, scored by rewards, to preference pairs: python -m stages.pairs [override ...]"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache as once
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import cache, jsonl, split
from stages.account import Account
from stages.artifact import write_json
from stages.decode import Decoder
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.formatted import formatted
from stages.language_model import load_tokenizer, stop_tokens
from stages.ledger import Ledger
from stages.option import build
from stages.overlap import normalised
from stages.probes import probes
from stages.prompt import prompt_ids
from stages.settings.pairs import Pairs
from stages.wording import Format
from stages.worth import Reward, is_empty, worth

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TRAINED = Path("data/trained.jsonl")
ADAPTER = Path("models/adapter")
PREFERENCES = Path("data/preferences")
METRICS = Path("metrics/pairs.json")
# Raised when the way of sampling changes, so that the ledger's older answers no longer count.
FORM = 1
# What a model said: its text, and whether it was cut off before its end.
Reply = dict[str, Any]


def questions(trained: Sequence[jsonl.Record], settings: Pairs, account: Account) -> list[jsonl.Record]:
    """At most `maximum_questions` pairs, those whose ids hash lowest; the rest is counted.

    Each is asked with its passage or without, as `context` says: with the seed and the share of tokenize
    as it was trained.
    """
    order = sorted(trained, key=lambda pair: (split.position(pair["id"], settings.seed, "pairs"), pair["id"]))
    chosen = {pair["id"] for pair in order[: settings.maximum_questions]}
    kept = [pair for pair in trained if pair["id"] in chosen]
    if len(kept) < len(trained):
        account.drop("not_sampled", len(trained) - len(kept))
    share = settings.context_share
    return [
        pair | {"context": "open" if split.is_open(pair, settings.seed, share) else "closed"} for pair in kept
    ]


class Sampler:
    """Draws `samples` answers to each prompt, a batch at a time, and keeps them in the ledger.

    `load` gives the model, which is loaded where the ledger lacks an answer; `seal` is the digest of all
    that makes it. A batch is stored whole, so a run that was killed draws the rest as it would have.
    """

    def __init__(
        self,
        load: "Callable[[], PreTrainedModel]",
        tokenizer: "PreTrainedTokenizerBase",
        settings: Pairs,
        seal: str,
    ) -> None:
        self._load = once(load)
        self._decoder = once(lambda: Decoder(self._load(), tokenizer.pad_token_id))
        self._tokenizer, self._settings, self._seal = tokenizer, settings, seal

    def __call__(self, prompts: Sequence[list[int]], ledger: Ledger) -> list[list[Reply]]:
        """Return the answers to every prompt, in the order in which they were drawn."""
        keys = [self._key(prompt) for prompt in prompts]
        known = ledger.get(keys)
        missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
        for batch in self._batches(missing):
            fresh = dict(zip(batch, self._draw([missing[key] for key in batch], batch), strict=True))
            ledger.put(fresh)
            known.update(fresh)
        return [known[key] for key in keys]

    def _key(self, prompt: list[int]) -> str:
        settings = self._settings
        most = settings.samples, settings.maximum_tokens, settings.seed
        return cache.digest("pairs", FORM, self._seal, *most, settings.sampling(), prompt)

    def _batches(self, missing: dict[str, list[int]]) -> Iterator[list[str]]:
        """Keys of prompts of similar length; the longest first: too large a batch fails at once."""
        from tqdm import tqdm

        order = sorted(missing, key=lambda key: (-len(missing[key]), key))
        size = self._settings.batch
        for start in tqdm(range(0, len(order), size), desc="answers", unit="batch", disable=not order):
            yield order[start : start + size]

    def _draw(self, prompts: list[list[int]], keys: list[str]) -> list[list[Reply]]:
        import torch

        decoder, settings = self._decoder(), self._settings
        # The batch's own content seeds it: what ran before it, such as the loading of an adapter that
        # draws random numbers too, leaves no trace.
        torch.manual_seed(int(cache.digest(*keys)[:15], 16))
        rows = decoder.complete(
            prompts, self._stop, settings.maximum_tokens, settings.samples, **settings.sampling()
        )
        return [
            [{"answer": self._text(reply.ids), "cut_off": reply.stop is None} for reply in row]
            for row in rows
        ]

    def _text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    @property
    def _stop(self) -> list[int]:
        return stop_tokens(self._load(), self._tokenizer)


def scored(
    asked: Sequence[jsonl.Record], drawn: Sequence[Sequence[Reply]], rewards: Sequence[Reward]
) -> list[list[jsonl.Record]]:
    """Of every question the answers with their worth: `reward` and `parts`; the last is the reference."""
    rows = [
        {"answer": said["answer"], "cut_off": said["cut_off"], "reference": pair["answer"]}
        | {key: pair[key] for key in ("id", "question", "passage")}
        for pair, several in zip(asked, drawn, strict=True)
        for said in [*several, {"answer": pair["answer"], "cut_off": False}]
    ]
    values = worth(rewards, rows)
    known = (
        row | {"reward": value.total, "parts": value.parts} for row, value in zip(rows, values, strict=True)
    )
    return [[next(known) for _ in range(len(several) + 1)] for several in drawn]


def choose(answers: Sequence[jsonl.Record], settings: Pairs) -> tuple[jsonl.Record, jsonl.Record] | str:
    """The best and the worst of a question's answers, the last of which is its reference; or why not.

    An empty answer is neither, and what was cut off is never the best: its end would be learnt. The
    reference may be the best alone, and where `reference_chosen` says so. Of equals the first drawn is taken.
    """
    said = [row for row in answers[:-1] if not is_empty(row["answer"])]
    ended = [row for row in said if not row["cut_off"]]
    ended += answers[-1:] if settings.reference_chosen else []
    if not said:
        return "all_empty"
    if not ended:
        return "all_cut_off"
    chosen = max(ended, key=lambda row: row["reward"])
    rejected = min(said, key=lambda row: row["reward"])
    if normalised(chosen["answer"]) == normalised(rejected["answer"]):
        return "too_alike"
    if round(chosen["reward"] - rejected["reward"], 6) < settings.margin:
        return "small_margin"
    return chosen, rejected


def preference(
    form: Format, pair: jsonl.Record, chosen: jsonl.Record, rejected: jsonl.Record
) -> jsonl.Record:
    """A line of data/preferences/: the prompt, its two answers and what they are worth.

    `group`, a digest of what decided the question's side, is what never stands on both sides.
    """
    messages = form.turns(pair, pair["context"] == "open")
    place = {"id": pair["id"], "group": cache.digest(split.key(pair)), "messages": messages}
    place["question"] = pair["question"]  # without its passage, as rewards see it
    texts = {"chosen": chosen["answer"], "rejected": rejected["answer"], "source": "pairs"}
    return place | texts | {"scores": {"chosen": chosen["reward"], "rejected": rejected["reward"]}}


def divide(
    found: Sequence[tuple[jsonl.Record, jsonl.Record]], settings: Pairs, account: Account
) -> dict[str, list[jsonl.Record]]:
    """Preferences, each with the pair that it is of, by the side of its passage.

    Raises:
        FolioError: a side stays empty.
    """
    keyed = ((split.key(pair), record) for pair, record in found)
    sides = split.preferences(keyed, settings.seed, settings.validation_share)
    if not all(sides.values()):
        counts = " and ".join(f"{len(rows)} for {name}" for name, rows in sides.items())
        raise FolioError(
            f"{account.total} questions gave {counts}; dropped: {account.reasons()}; lower pairs.margin, "
            "raise pairs.samples or pairs.maximum_questions, or change pairs.validation_share"
        )
    return sides


def figures(answers: Sequence[jsonl.Record]) -> dict[str, Any]:
    """Mean worth of some answers, the mean of each of its parts, and the probes, which count for nothing."""
    if not answers:
        return {"n": 0}
    parts = {name: round(fmean(row["parts"][name] for row in answers), 6) for name in answers[0]["parts"]}
    mean = round(fmean(row["reward"] for row in answers), 6)
    cut = round(fmean(row["cut_off"] for row in answers), 6)
    return {"n": len(answers), "reward": mean, "parts": parts, "probes": probes(answers) | {"cut_off": cut}}


def pick(
    form: Format,
    asked: Sequence[jsonl.Record],
    answers: Sequence[Sequence[jsonl.Record]],
    settings: Pairs,
    account: Account,
) -> tuple[list[tuple[jsonl.Record, jsonl.Record]], dict[str, Any]]:
    """The preferences, each behind its question, and the figures of all answers and of either kind."""
    found, best, worst = [], [], []
    for pair, several in zip(asked, answers, strict=True):
        choice = choose(several, settings)
        if isinstance(choice, str):
            account.drop(choice)
            continue
        account.keep()
        found.append((pair, preference(form, pair, *choice)))
        best.append(choice[0])
        worst.append(choice[1])
    kinds = {
        "answers": [row for several in answers for row in several[:-1]],
        "chosen": best,
        "rejected": worst,
    }
    kinds["references"] = [several[-1] for several in answers]
    return found, {name: figures(rows) for name, rows in kinds.items()}


def replies(
    form: Format, asked: Sequence[jsonl.Record], settings: Pairs, method: Any, source: Any
) -> list[list[Reply]]:
    """The tuned model's answers to every question: from the ledger, or drawn now and kept there."""
    tokenizer = load_tokenizer(source.folder())
    prompts = [prompt_ids(tokenizer, form, pair, pair["context"] == "open") for pair in asked]

    def load() -> "PreTrainedModel":  # merged it answers faster, and as it will once it is merged for good
        tuned: PreTrainedModel = method.merge(
            method.load(source.folder(), source.dtype, ADAPTER), source.dtype
        )
        return tuned

    seal = cache.digest(source.identity, source.dtype, method.name, *cache.contents(ADAPTER))
    with Ledger(cache.folder() / "ledger.sqlite") as ledger:
        found = Sampler(load, tokenizer, settings, seal)(prompts, ledger)
        print(f"pairs: {ledger.stored} questions newly answered, {settings.samples} times each")
    return found


@entrypoint
def main(config: DictConfig) -> None:
    """Write data/preferences/{train,validation}.jsonl and metrics/pairs.json."""
    settings, method, form = (build(config, key) for key in ("pairs", "method", "format"))
    source = formatted(form, build(config, "model"))
    rewards = [build(config, f"reward.{name}") for name in settings.rewards]
    if not rewards:
        raise FolioError("no reward is chosen to score answers by: set reward=[bertscore,squad_f1]")
    account = Account("questions")
    asked = questions(list(jsonl.read(TRAINED)), settings, account)
    answers = scored(asked, replies(form, asked, settings, method, source), rewards)
    found, means = pick(form, asked, answers, settings, account)
    sides = divide(found, settings, account)
    for name, rows in sides.items():
        jsonl.write(PREFERENCES / f"{name}.jsonl", rows)
    counts = {name: len(rows) for name, rows in sides.items()}
    write_json(METRICS, {"questions": account.as_dict()} | counts | means)
    print(f"pairs: {account.kept} of {account.total} questions gave a pair; others: {account.reasons()}")


if __name__ == "__main__":
    main()
