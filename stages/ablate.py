"""What alignment added to training: base, trained and aligned model side by side: python -m stages.ablate"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import jsonl
from stages.account import Account
from stages.artifact import write_json
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.evaluate import TEST, ask, cells, fitting, sample
from stages.figure import Metric
from stages.formatted import formatted
from stages.language_model import load_tokenizer, pick_device
from stages.option import build
from stages.score import cell, values

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER = Path("models/adapter")
ANSWERS = Path("evaluation")
METRICS = Path("metrics/ablate.json")
# Each step of the chain: from which model to which.
STEPS = (("base", "trained"), ("trained", "aligned"), ("base", "aligned"))
# Of the answers that evaluate wrote, the tuned model's are those of the aligned one.
FILES = {"base": "base", "trained": "trained", "aligned": "tuned"}


def trained(method: Any, source: Any) -> "PreTrainedModel":
    """The model as train has left it, without its alignment; merged it answers faster."""
    from stages.tree_attention import register

    model: PreTrainedModel = method.merge(
        method.load(source.folder(), source.dtype, ADAPTER), source.dtype
    ).eval()
    if pick_device().type == "cpu":  # prompts are read as trees, as those of the other two were
        model.set_attn_implementation(register())
    return model


def ablate(
    metrics: Mapping[str, Metric], answers: Mapping[str, Sequence[jsonl.Record]], seed: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures by metric, context and step, with 95% intervals; `difference` is later less earlier model.

    Args:
        metrics: what is measured, by name.
        answers: of the models `base`, `trained` and `aligned`, to the same questions.
        seed: of the draws of passages.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name, metric in metrics.items():
        rows = {model: values(metric, said) for model, said in answers.items()}
        contexts = dict.fromkeys(row["context"] for row in rows["base"] if row["context"] != "trained")
        found[name] = {
            context: {
                f"{before} to {after}": _step(metric, rows, (before, after), context, seed)
                for before, after in STEPS
            }
            for context in contexts
        }
    return found


def _step(
    metric: Metric,
    rows: Mapping[str, Sequence[jsonl.Record]],
    step: tuple[str, str],
    context: str,
    seed: int,
) -> dict[str, Any]:
    before, after = ([row for row in rows[model] if row["context"] == context] for model in step)
    figures = cell(metric, before, after, seed)
    names = dict(zip(("base", "tuned"), step, strict=True))
    return {names.get(key, key): value for key, value in figures.items()}


def check(answers: Mapping[str, Sequence[jsonl.Record]]) -> None:
    """Refuse answers to different questions.

    Raises:
        FolioError: names the file that is about others.
    """
    asked = {model: {(row["id"], row["context"]) for row in rows} for model, rows in answers.items()}
    for model, questions in asked.items():
        if questions != asked["trained"]:
            raise FolioError(f"{ANSWERS / FILES[model]}.jsonl is about other questions; run `dvc repro`")


def sentences(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """A line for each figure and context of what training and what alignment changed."""
    lines = []
    for name, contexts in found.items():
        for context, steps in contexts.items():
            for figure in steps["base to aligned"].get("difference", {}):
                parts = []
                for before, after in STEPS[:2]:
                    gap = steps[f"{before} to {after}"]["difference"][figure]
                    ends = "" if gap["low"] is None else f" [{gap['low']:+.3f}, {gap['high']:+.3f}]"
                    parts.append(f"{after} {gap['value']:+.3f}{ends}")
                n = steps["base to aligned"]["n"]
                lines.append(f"ablate: {name} {figure}, {context}, n {n}: {', '.join(parts)}")
    return lines


@entrypoint
def main(config: DictConfig) -> None:
    """Write evaluation/trained.jsonl and metrics/ablate.json."""
    from transformers import set_seed

    asking, method, form = (build(config, key) for key in ("evaluate", "method", "format"))
    source = formatted(form, build(config, "model"))
    seed = build(config, "ablate").seed
    account = Account("questions")
    test = sample(list(jsonl.read(TEST)), asking.maximum_questions, account)
    tokenizer, model = load_tokenizer(source.folder()), trained(method, source)
    test = fitting(model, tokenizer, form, test, account)
    set_seed(asking.seed)
    said = ask(model, tokenizer, form, cells(test, []), asking)
    jsonl.write(ANSWERS / "trained.jsonl", [row | {"model": "trained"} for row in said])
    answers = {
        model: [row for row in jsonl.read(ANSWERS / f"{file}.jsonl") if row["context"] != "trained"]
        for model, file in FILES.items()
    }
    check(answers)
    found = ablate({name: build(config, f"metric.{name}") for name in config.metric}, answers, seed)
    write_json(METRICS, {"questions": account.as_dict()} | found)
    print("\n".join(sentences(found)))


if __name__ == "__main__":
    main()
