"""Preference pairs to a classifier of better and worse answers: python -m stages.appraise [override ...]"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import cache, checkpoints, jsonl
from stages.account import Account
from stages.artifact import whole_folder, write_json
from stages.embedding import model_folder
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.metric.classifier import MARK, REWARD, encode, longest
from stages.option import build
from stages.overlap import running_words
from stages.settings.appraise import Appraise
from stages.train import check, curves_of, fit, losses, reproducible, versions
from stages.trainer import Place, callbacks, learning
from stages.worth import is_empty

if TYPE_CHECKING:
    from stages.critic_trainer import CriticTrainer, Pair

PREFERENCES = Path("data/preferences")
CURVES = Path("plots/appraise")
SPEED = Path("plots/appraise-speed")
METRICS = Path("metrics/appraise.json")
Sides = dict[str, list["Pair"]]


def load(folder: Path, settings: Appraise) -> tuple[Any, Any]:
    """The base's tokenizer, and the base with a head of two labels, in fp32; the head is drawn by the seed.

    A base that has a head of two labels goes on learning with it.

    Raises:
        FolioError: it cannot be loaded, or is no model to classify by.
    """
    from safetensors import SafetensorError
    from transformers import set_seed
    from transformers.utils import logging

    set_seed(settings.seed)
    logging.disable_progress_bar()
    told = logging.get_verbosity()
    logging.set_verbosity_error()  # that the head is new is no news
    try:
        tokenizer, model, missing = _loaded(folder)
    except (OSError, ValueError, SafetensorError) as error:
        raise FolioError(f"the base in {folder} (appraise.base) cannot be loaded: {error}") from error
    finally:
        logging.set_verbosity(told)
    _whole(model, missing, folder)
    return _fitted(tokenizer, model, settings), model


def _loaded(folder: Path) -> tuple[Any, Any, list[str]]:
    """Tokenizer and model, and which of its weights the folder lacks."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from stages.critic_trainer import LABELS

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    labels = {"id2label": LABELS, "label2id": {name: at for at, name in LABELS.items()}}
    knobs = {"problem_type": "single_label_classification", "ignore_mismatched_sizes": True} | labels | local
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right", truncation_side="right", **local)
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **knobs
    )
    return tokenizer, model, list(report["missing_keys"])


def _whole(model: Any, missing: Sequence[str], folder: Path) -> None:
    """Only the head, and a pooler that stands before it, may be new."""
    body = f"{model.base_model_prefix}."
    if lost := sorted(key for key in missing if key.startswith(body) and "pooler" not in key):
        raise FolioError(
            f"the base in {folder} (appraise.base) lacks weights of a {type(model).__name__}: "
            f"{', '.join(lost[:3])}; name another"
        )


def _fitted(tokenizer: Any, model: Any, settings: Appraise) -> Any:
    """The tokenizer, cut off where this run cuts, so that the reward will; with a padding token."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    setattr(model.config, MARK, True)
    tokenizer.model_max_length = min(settings.maximum_tokens, longest(model, tokenizer))
    return tokenizer


def encoded(record: jsonl.Record, tokenizer: Any) -> "Pair | str":
    """A record of data/preferences/ as a pair, or why it is none.

    The question is the user's last turn, without a passage where the record says which part that is. A text
    that is longer than the model reads is cut off at its end, as the reward does.
    """
    from stages.critic_trainer import Pair

    question = record.get("question") or record["messages"][-1]["content"]
    texts = record["chosen"], record["rejected"]
    if None in texts:
        return "unpaired"  # nothing says of how good an answer the other one would be
    if any(map(is_empty, texts)):
        return "empty_answer"  # no reward is asked about such a one
    answers = [{"question": question, "answer": text} for text in texts]
    most = tokenizer.model_max_length
    whole = encode(tokenizer, answers, True)["input_ids"]
    read = encode(tokenizer, answers, True, most)
    chosen, rejected = ({name: column[i] for name, column in read.items()} for i in range(2))
    if chosen == rejected:
        return "alike_as_far_as_read"
    words = len(running_words(texts[0])), len(running_words(texts[1]))
    return Pair(record["group"], (chosen, rejected), words, sum(len(ids) > most for ids in whole))


def read(tokenizer: Any, settings: Appraise, account: Account) -> Sides:
    """The pairs of both sides; every other is counted with its reason.

    Raises:
        FolioError: too few can be used, or a side stays empty.
    """
    sides: Sides = {"train": [], "validation": []}
    for name, side in sides.items():
        for record in jsonl.read(PREFERENCES / f"{name}.jsonl"):
            pair = encoded(record, tokenizer)
            if isinstance(pair, str):
                account.drop(pair)
            else:
                account.keep()
                side.append(pair)
    account.require(settings.keep_share, "appraise.keep_share")
    if empty := [name for name, side in sides.items() if not side]:
        raise FolioError(
            f"no preference pair is left to {' and '.join(empty)} (dropped: {account.reasons()}); "
            "raise appraise.maximum_tokens or add pairs"
        )
    return sides


def prepare(settings: Appraise, model: Any, tokenizer: Any, sides: Sides, place: Place) -> "CriticTrainer":
    """Set up the trainer."""
    from transformers import TrainingArguments

    from stages.critic_trainer import CriticTrainer
    from stages.progress import show
    from stages.steps import Steps

    size = settings.batch * settings.accumulation
    steps = Steps([pair.ids() for pair in sides["train"]], size, 0, "none", settings.seed)
    arguments = TrainingArguments(
        output_dir=str(place.checkpoints),
        gradient_accumulation_steps=place.parts,
        **learning(settings, steps.count()),
    )
    trainer = CriticTrainer(
        tokenizer,
        model=model,
        args=arguments,
        steps=steps,
        train_dataset=sides["train"],
        eval_dataset=sides["validation"],
        callbacks=callbacks(settings, steps, place),
    )
    show(trainer, settings.stage)
    return trainer


def held_out(before: Any, after: Any, sides: Sides, seed: int) -> dict[str, Any]:
    """What probabilities before and after training, [pairs, 2] each, say of the validation pairs."""
    import numpy as np

    from stages.discernment import against_length, figures, verdict

    groups = [pair.group for pair in sides["validation"]]
    words = {name: np.array([pair.words for pair in side], dtype=float) for name, side in sides.items()}
    found = {"before": figures(before, groups, seed), "after": figures(after, groups, seed)}
    length = against_length(after, words, groups, seed)
    counts = {"n": len(groups), "groups": len(set(groups))}
    return counts | found | {"length": length, "verdict": verdict(found["after"], length)}


def save(trainer: "CriticTrainer", tokenizer: Any) -> None:
    """Write models/reward/ with trainer_state.json beside the weights."""
    # What the last call asked for would stand in tokenizer.json.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with whole_folder(REWARD) as folder:
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        history = reproducible(trainer.state.log_history)
        write_json(
            folder / "trainer_state.json",
            {"best_step": trainer.state.best_global_step, "log_history": history},
        )


def tell(trainer: "CriticTrainer", account: Account, sides: Sides, found: dict[str, Any]) -> None:
    """Write metrics/appraise.json, and say what matters of it."""
    cut = {name: sum(pair.cut for pair in side) for name, side in sides.items()}
    counts = {name: len(side) for name, side in sides.items()}
    run = {"steps": trainer.state.global_step, "best_step": trainer.state.best_global_step}
    loss = losses(trainer.state.log_history)
    write_json(METRICS, {"pairs": account.as_dict()} | counts | {"cut": cut} | run | {"loss": loss} | found)
    answers = 2 * sum(counts.values())
    print(f"appraise: {sum(cut.values())} of {answers} answers are cut off, as the reward will cut them")
    for name, value in found["after"].items():
        print(f"appraise: {name} {found['before'][name]['value']:.3f} before, {_words(value)} after")
    print(f"appraise: of {found['n']} held-out pairs it is {found['verdict']}")


def _words(value: dict[str, Any]) -> str:
    ends = "" if value["low"] is None else f" [{value['low']:.3f}, {value['high']:.3f}]"
    return f"{value['value']:.3f}{ends}"


@entrypoint
def main(config: DictConfig) -> None:
    """Write models/reward/, plots/appraise/ and metrics/appraise.json."""
    settings, account = build(config, "appraise"), Account("pairs")
    folder = settings.base.folder() if settings.base else model_folder(settings.package, "appraise.package")
    tokenizer, model = load(folder, settings)
    sides = read(tokenizer, settings, account)
    data = [part for place in (PREFERENCES, folder) for part in cache.contents(place)]
    with checkpoints.folder(settings, *data, *versions()) as kept:
        from stages.critic_trainer import probabilities

        board = curves_of(kept, settings.stage) if config.tensorboard else None
        place = Place(kept, settings.accumulation, board, CURVES, SPEED)
        trainer = prepare(settings, model, tokenizer, sides, place)
        before = probabilities(trainer.validation_logits())
        fit(trainer, kept, settings.stage)
        check(losses(trainer.state.log_history), settings.stage)
        after = probabilities(trainer.validation_logits())
        save(trainer, tokenizer)
        tell(trainer, account, sides, held_out(before, after, sides, settings.seed))


if __name__ == "__main__":
    main()
