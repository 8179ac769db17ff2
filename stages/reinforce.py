"""Rewards of a model's own answers to an aligned adapter: python -m stages.reinforce objective=grpo ..."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import cache, checkpoints, jsonl
from stages.account import Account
from stages.artifact import whole_folder, write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.formatted import formatted, new_tokens
from stages.language_model import load_model, load_tokenizer, pick_device, pick_dtype
from stages.method.lora import Lora
from stages.option import build
from stages.policy_prompts import Prompt, check_controls, sides
from stages.sampling_objective import SamplingObjective
from stages.settings.reinforce import Reinforce
from stages.train import curves_of, fit, reproducible, versions
from stages.trainer import Place, updates
from stages.worth import Reward

if TYPE_CHECKING:
    from stages.interval import Sample
    from stages.policy_reward import Scored
    from stages.policy_trainer import Policy

TRAINED = Path("data/trained.jsonl")
ADAPTER = Path("models/adapter")
ALIGNED = Path("models/aligned")
CURVES = Path("plots/align")
SPEED = Path("plots/align-speed")
METRICS = Path("metrics/align.json")
# Of which neither more nor less is better in itself.
NEUTRAL = ("kl", "probes/words", "probes/copy", "probes/repetition")


def prepare(
    objective: SamplingObjective,
    settings: Reinforce,
    parts: tuple[Any, Any, Sequence[Reward]],
    prompts: dict[str, list[Prompt]],
    place: Place,
) -> "Policy":
    """Load base and adapter, keep the reference beside it, set up trl's trainer.

    `parts` are the method, the source of the model and the rewards.

    Raises:
        FolioError: the method or the model is none that trl can train so.
    """
    from stages.policy_reward import Judge
    from stages.policy_trainer import TRAINERS
    from stages.progress import show

    method, source, rewards = parts
    trainer, configuration = TRAINERS[objective.name]
    model, dtype = start(settings, method, source)
    try:
        made = trainer(
            settings,
            rewards,
            prompts,
            load_tokenizer(source.folder()),
            dtype,
            model=model,
            reward_funcs=Judge(rewards, prompts["train"]),
            args=configuration(**arguments(settings, place.checkpoints, str(dtype)), **objective.knobs()),
            train_dataset=rows(prompts["train"]),
            eval_dataset=rows(prompts["validation"]),
            callbacks=callbacks(settings, place),
        )
    except ValueError as error:
        reason = " ".join(str(error).split())[:300]
        raise FolioError(f"objective={objective.name} cannot train this model: {reason}") from error
    show(made, settings.stage)
    return made


def rows(prompts: Sequence[Prompt]) -> Any:
    """The data set as trl takes it: token ids, and which prompt they are of."""
    from datasets import Dataset

    return Dataset.from_dict({"prompt": [one.ids for one in prompts], "row": list(range(len(prompts)))})


def start(settings: Reinforce, method: Any, source: Any) -> tuple[Any, Any]:
    """The model that learns from here, which is the reference too, and the dtype that it computes in.

    With `method=full` adapters learn on top of what was trained: the reference is the model without them.

    Raises:
        FolioError: the method learns biases of the base model itself, of which one copy alone is in memory,
            or no embedding would learn what the controls mean.
    """
    from transformers import set_seed

    if method.name != "full" and method.bias != "none":
        raise FolioError(
            f"method.bias={method.bias} changes the base model, which the reference needs as it was; "
            "set method.bias=none"
        )
    if method.name == "full" and settings.fresh and settings.controls:
        raise FolioError(
            "with method=full and reinforce.fresh=true nothing teaches the tokens of the controls, which "
            "begin alike; set reinforce.fresh=false, or method=lora"
        )
    set_seed(settings.seed)
    bits = method.quantization(source.dtype)
    attention = {"attn_implementation": settings.attention}
    base = load_model(source.folder(), method.dtype(source.dtype), **attention, **bits)
    dtype = pick_dtype(source.dtype, base.device)
    model = method.attach(base, new_tokens(source))
    if not settings.fresh:
        method.restore(model, ADAPTER)
    head = model.get_output_embeddings()
    if not hasattr(head, "bias"):  # trl 1.16 asks the layer that peft wraps around tied tokens for one
        head.bias = None
    return (on_top(model, settings) if method.name == "full" else model), dtype


def on_top(model: Any, settings: Reinforce) -> Any:
    """Fresh adapters on weights that have all been learnt, and now stay."""
    knobs: dict[str, Any] = {
        "name": "lora",
        "r": settings.rank,
        "alpha": 2 * settings.rank,
        "dropout": 0.0,
        "bias": "none",
    }
    places: dict[str, Any] = {"target_modules": "all-linear", "modules_to_save": ()}
    return Lora(**knobs, **places).attach(model.requires_grad_(requires_grad=False))


def arguments(settings: Reinforce, folder: Path, dtype: str) -> dict[str, Any]:
    """The settings in the words of transformers and trl.

    Raises:
        FolioError: the optimiser does not run on this device.
    """
    return {
        "output_dir": str(folder),
        "activation_checkpointing": settings.gradient_checkpointing,
        "bf16": dtype == "torch.bfloat16",
        "fp16": pick_device().type == "cuda" and dtype == "torch.float16",
        "max_steps": settings.steps,
        # The first step of a warm-up has no learning rate: a run of one step must have none.
        "warmup_steps": min(int(settings.warmup_share * settings.steps), settings.steps - 1),
        **updates(settings),
        **sampling(settings),
        "metric_for_best_model": "eval_reward",
        "greater_is_better": True,
    }


def sampling(settings: Reinforce) -> dict[str, Any]:
    """What answers are drawn, and how they are learnt from."""
    return {
        "per_device_eval_batch_size": settings.samples,
        "gradient_accumulation_steps": settings.answers() // settings.batch,
        "num_generations": settings.samples,
        "num_iterations": settings.iterations,
        "max_completion_length": settings.maximum_tokens,
        "mask_truncated_completions": not settings.learn_cut_off,
        "temperature": settings.temperature,
        "epsilon": settings.epsilon,
        "beta": settings.beta,
        # Else the model that drew an answer and the one that learns from it would differ by chance.
        "disable_dropout": True,
    }


def callbacks(settings: Reinforce, place: Place) -> list[Any]:
    """Curves, and checkpoints between evaluations, before each of which all is logged."""
    from stages.curves import Curves, TensorBoard
    from stages.pair_trainer import FullLog
    from stages.saving import Saving

    made = [Saving(settings.save_steps, 0), FullLog(), Curves(place.curves, place.speed)]
    return [*made, TensorBoard(place.tensorboard)] if place.tensorboard else made


def compared(trainer: "Policy", seed: int) -> dict[str, Any]:
    """Figures of the held-out questions with the adapter of the start and with the one that is kept.

    `difference` is the mean over questions of after less before, with its 95% interval.
    """
    from trl.trainer.utils import use_adapter

    from stages.policy_trainer import REFERENCE

    model = trainer.accelerator.unwrap_model(trainer.model)
    model.eval()
    with use_adapter(model, REFERENCE):
        before = trainer.answer()
    after = trainer.answer()
    found: dict[str, Any] = {"n": len(trainer.held)} | paired(before, after, seed)
    controls = sorted({prompt.name for prompt in trainer.held} - {""})
    for name in controls:
        at = [i for i, prompt in enumerate(trainer.held) if prompt.name == name]
        own = [([answers[i] for i in at], nats[at]) for answers, nats in (before, after)]
        found.setdefault("controls", {})[name] = {"n": len(at)} | paired(own[0], own[1], seed)
    return found


def paired(before: Any, after: Any, seed: int) -> dict[str, Any]:
    """Each figure of two lists of answers, with intervals, and the paired difference."""
    from stages.interval import difference, draw, interval
    from stages.score import rounded

    first, last = (draw(sample(*one), means, seed) for one in (before, after))
    sides = {"before": rounded(interval(first)), "after": rounded(interval(last))}
    gaps = rounded(difference(first, last, lower_is_better=("probes/empty",), neutral=NEUTRAL))
    return {
        name: {side: told[name] for side, told in sides.items()} | {"difference": gaps[name]} for name in gaps
    }


def sample(answers: "Sequence[Scored]", nats: Any) -> "Sample":
    """What the figures are made of, for every answer."""
    import numpy as np

    from stages.interval import Sample
    from stages.policy_reward import figures

    # Of one answer: an empty one has no words, no copy and no repetition.
    each = [figures([one]) | {"reward": one.signed, "nats": n, "tokens": t} for one, (n, t) in zip(
        answers, nats.tolist(), strict=True
    )]  # fmt: skip
    names = {name for one in each for name in one if not name.startswith("controls/")} | {*NEUTRAL[1:]}
    columns = {name: np.array([one.get(name, 0.0) for one in each]) for name in sorted(names)}
    return Sample(columns, [one.prompt.record["chunk"] for one in answers])


def means(sums: Any, count: Any) -> dict[str, Any]:
    """Figures from the sums of their columns: means over answers, some of them over those not empty."""
    import numpy as np

    said = np.maximum(count - sums["probes/empty"], 1)
    found = {"kl": sums["nats"] / sums["tokens"]}
    for name in sums:
        if name not in ("nats", "tokens"):
            found[name] = sums[name] / (said if name in NEUTRAL else count)
    return found


def save(trainer: "Policy", config: DictConfig, method: Any, identity: str, account: Account) -> None:
    """Write models/aligned/ with trainer_state.json beside the weights, and metrics/align.json."""
    from stages.policy_trainer import REFERENCE

    settings: Reinforce = trainer.settings
    found = compared(trainer, settings.seed)
    model = trainer.accelerator.unwrap_model(trainer.model)
    model.delete_adapter(REFERENCE)
    state = trainer.state
    records = {prompt.record["id"] for prompt in trainer.asked}
    learnt = f"rewards ({', '.join(settings.rewards)}) of its own answers to {len(records)} questions"
    run = {"objective": config.objective.name, "fresh": settings.fresh, "from": learnt}
    run["learning_rate"] = settings.learning_rate
    steps = {"steps": state.global_step, "best_step": state.best_global_step}
    with whole_folder(ALIGNED) as folder:
        # Adapters on top of weights that were all learnt are added to them.
        method.save(model.merge_and_unload() if method.name == "full" else model, folder, identity)
        history = reproducible(state.log_history)
        told = {"best_step": steps["best_step"], "log_history": history, "alignment": run}
        write_json(folder / "trainer_state.json", told)
    counts = {"questions": account.as_dict(), "train": len(trainer.asked), "validation": len(trainer.held)}
    write_json(METRICS, counts | steps | {"aligned": found})
    say(found)


def say(found: dict[str, Any]) -> None:
    """Print what became of the reward, and of what should not change much with it."""
    for name in ("reward", "kl", "probes/words", "probes/empty"):
        before, after, gap = (found[name][key] for key in ("before", "after", "difference"))
        known = gap["low"] is not None
        ends = f" [{gap['low']:+.3f}, {gap['high']:+.3f}]" if known else ""
        print(
            f"reinforce: {name} {before['value']:.3f} before, {after['value']:.3f} after, difference "
            f"{gap['value']:+.3f}{ends}, of {found['n']} held-out questions"
        )


@entrypoint
def main(config: DictConfig) -> None:
    """Write models/aligned/, plots/align/ and metrics/align.json."""
    settings, objective, method, form = (
        build(config, key) for key in ("reinforce", "objective", "method", "format")
    )
    source = formatted(form, build(config, "model"))
    check_controls(form, settings)
    if not isinstance(objective, SamplingObjective):
        raise FolioError(f"objective={objective.name} learns from no rewards; set objective=grpo or rloo")
    rewards = [build(config, f"reward.{name}") for name in settings.rewards]
    account = Account("questions")
    prompts = sides(load_tokenizer(source.folder()), form, list(jsonl.read(TRAINED)), settings, account)
    data = [TRAINED.read_bytes(), *([] if settings.fresh else cache.contents(ADAPTER))]
    # Weights of a reward that is a classifier stand outside of its settings.
    data += [reward.model.identity for reward in rewards if hasattr(reward, "model")]
    run = (
        source,
        source.identity,
        form,
        settings,
        objective,
        method,
        rewards,
        *data,
        *versions(),
        version("trl"),
    )
    with checkpoints.folder(*run) as folder:
        board = curves_of(folder, settings.stage) if config.tensorboard else None
        place = Place(folder, 1, board, CURVES, SPEED)
        trainer: Any = prepare(objective, settings, (method, source, rewards), prompts, place)
        fit(trainer, folder, settings.stage)
        save(trainer, config, method, source.identity, account)


if __name__ == "__main__":
    main()
