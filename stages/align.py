"""Preference pairs to an aligned adapter: python -m stages.align objective=simpo [override ...]"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import cache, checkpoints, jsonl
from stages.account import Account
from stages.artifact import whole_folder, write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.formatted import formatted
from stages.language_model import load_tokenizer
from stages.option import build
from stages.pairing import Pair, encode, lay_out, mismatch
from stages.preference import Objective
from stages.settings.align import Align
from stages.train import check, curves_of, learn, losses, reproducible, versions
from stages.trainer import Place, arguments, attached, callbacks, choose_packing, fitting

if TYPE_CHECKING:
    import torch

    from stages.likelihood import Labelled
    from stages.packing import Packing
    from stages.pair_trainer import PairTrainer

PREFERENCES = Path("data/preferences")
ADAPTER = Path("models/adapter")
ALIGNED = Path("models/aligned")
CURVES = Path("plots/align")
SPEED = Path("plots/align-speed")
METRICS = Path("metrics/align.json")
Sides = Mapping[str, list[Pair]]
# What metrics/align.json tells of the validation pairs, and the trainer's name for it.
TOLD = {"loss": "eval_loss", "accuracy": "eval_rewards/accuracies", "margin": "eval_rewards/margins"}


def prepare(
    objective: Objective, settings: Align, method: Any, source: Any, sides: Sides, place: Place
) -> "PairTrainer":
    """Load base and adapter, take the reference's log-probabilities where they count, set up the trainer."""
    from stages.likelihood import Labelled
    from stages.packing import inputs
    from stages.pair_trainer import FullLog, PairTrainer, referenced
    from stages.progress import show
    from stages.steps import Steps

    model, dtype = start(settings, method, source)
    labelled = Labelled(model)
    packing, layout = layout_of(settings, (model, labelled, dtype), source, sides)
    steps = Steps(inputs(sides["train"]), settings.batch * settings.accumulation, 0, packing, settings.seed)
    parts, needs = fitting(settings, model, steps, (list(sides["train"]), layout), dtype, place.parts)
    if objective.needs_reference:
        given = model, labelled, layout
        sides = {name: referenced(*given, side, settings.batch, dtype) for name, side in sides.items()}
    trainer = PairTrainer(
        objective,
        model=model,
        args=arguments(settings, steps.count(), parts, place.checkpoints, str(dtype)),
        compute_dtype=dtype,
        labelled=labelled,
        steps=steps,
        layout=layout,
        needs=needs,
        train_dataset=sides["train"],
        eval_dataset=sides["validation"],
        callbacks=[*callbacks(settings, steps, place), FullLog()],
    )
    show(trainer, settings.stage)
    return trainer


def start(settings: Align, method: Any, source: Any) -> "tuple[Any, torch.dtype]":
    """The model that learns from here, which is the reference too, and the dtype that it computes in."""
    from transformers import set_seed

    set_seed(settings.seed)
    model, dtype = attached(settings, method, source)
    if not settings.fresh:
        method.restore(model, ADAPTER)
    return model, dtype


def layout_of(
    settings: Align, computing: "tuple[Any, Labelled, torch.dtype]", source: Any, sides: Sides
) -> "tuple[Packing, Callable[..., Any]]":
    """The packing that the model can do, and what lays pairs out in it."""
    from stages.likelihood import pair_cost

    model, labelled, dtype = computing
    answers = {name: [row for pair in side for row in pair.answers()] for name, side in sides.items()}
    packing = choose_packing(settings, model, labelled, answers, dtype)
    pad = load_tokenizer(source.folder()).pad_token_id
    return packing, partial(lay_out, pad=pad, pair_cost=pair_cost(model), packing=packing)


def read(tokenizer: Any, objective: Objective, settings: Align, account: Account) -> dict[str, list[Pair]]:
    """The pairs of both sides as token rows that the objective can learn from.

    Raises:
        FolioError: too few fit, or a side stays empty.
    """
    names, most = ("train", "validation"), settings.maximum_tokens
    records = {name: jsonl.read(PREFERENCES / f"{name}.jsonl") for name in names}
    sides = {
        name: encode(tokenizer, rows, most, account, objective.needs_both) for name, rows in records.items()
    }
    if alone := account.dropped["unpaired"]:
        told = f"{alone} of {account.total} rows have one answer alone, from which"
        print(f"align: {told} objective={objective.name} cannot learn; objective=kto can")
    account.require(settings.keep_share, "align.keep_share")
    if empty := [name for name in names if not sides[name]]:
        raise FolioError(
            f"no preference pair is left to {' and '.join(empty)} (dropped: {account.reasons()}); "
            "raise align.maximum_tokens or add pairs"
        )
    return sides


def with_mismatched(sides: Sides, most: int, account: Account) -> dict[str, list[Pair]]:
    """The pairs of both sides, each with its prompt and the answers to another one of its side.

    Raises:
        FolioError: the prompts are too few or too long for that.
    """
    found = {name: mismatch(side, most, account) for name, side in sides.items()}
    if not account.kept:
        raise FolioError(
            f"no prompt can be read with the answers to another one, as objective=kto needs it (dropped: "
            f"{account.reasons()}); raise align.maximum_tokens, add pairs, or choose another objective"
        )
    return found


def figures(trainer: "PairTrainer") -> dict[str, dict[str, float]]:
    """Loss, accuracy and margin on the validation pairs before the first step and at the best one.

    Answers without counterpart have no accuracy, and those of one kind no margin.
    """
    entries = {entry["step"]: entry for entry in trainer.state.log_history if "eval_loss" in entry}
    before, after = entries[0], entries[trainer.state.best_global_step]
    return {name: {"before": before[key], "after": after[key]} for name, key in TOLD.items() if key in before}


def save(
    trainer: "PairTrainer", config: DictConfig, method: Any, identity: str, accounts: Sequence[Account]
) -> None:
    """Write models/aligned/ with trainer_state.json beside the weights, and metrics/align.json."""
    counts = {"train": len(trainer.train_dataset), "validation": len(trainer.eval_dataset)}
    settings = config.align
    run = {
        "objective": config.objective.name,
        "fresh": settings.fresh,
        "pairs": counts["train"],
        "learning_rate": settings.learning_rate,
    }
    with whole_folder(ALIGNED) as folder:
        method.save(trainer.accelerator.unwrap_model(trainer.model), folder, identity)
        history = reproducible(trainer.state.log_history)
        told = {"best_step": trainer.state.best_global_step, "log_history": history, "alignment": run}
        write_json(folder / "trainer_state.json", told)
    found = figures(trainer)
    steps = {"steps": trainer.state.global_step, "best_step": trainer.state.best_global_step}
    tallies = {account.unit: account.as_dict() for account in accounts}
    write_json(METRICS, counts | tallies | steps | {"aligned": found})
    n = counts["validation"]
    for name, pair in found.items():
        print(
            f"align: {name} {pair['before']:.3f} before, {pair['after']:.3f} after, of {n} validation pairs"
        )


@entrypoint
def main(config: DictConfig) -> None:
    """Write models/aligned/, plots/align/ and metrics/align.json."""
    settings, objective, method, form = (
        build(config, key) for key in ("align", "objective", "method", "format")
    )
    source = formatted(form, build(config, "model"))
    if not isinstance(objective, Objective):
        raise FolioError("objective=none aligns nothing; choose one of conf/objective, such as simpo")
    accounts = [Account("pairs")]
    sides = read(load_tokenizer(source.folder()), objective, settings, accounts[0])
    if objective.needs_mismatched:
        accounts.append(Account("mismatched"))
        sides = with_mismatched(sides, settings.maximum_tokens, accounts[1])
    read_from = [PREFERENCES] if settings.fresh else [PREFERENCES, ADAPTER]
    data = [part for place in read_from for part in cache.contents(place)]
    run = (source, source.identity, settings, objective, method, *data, *versions())
    with checkpoints.folder(*run) as folder:
        board = curves_of(folder, settings.stage) if config.tensorboard else None
        place = Place(folder, settings.accumulation, board, CURVES, SPEED)
        trainer: Any = learn(settings, method, source, sides, place, partial(prepare, objective))
        check(losses(trainer.state.log_history), settings.stage)
        save(trainer, config, method, source.identity, accounts)


if __name__ == "__main__":
    main()
