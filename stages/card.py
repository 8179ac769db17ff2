"""The card of a tuned model: data, recipe, figures with intervals, limits and the licence of its base."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.conclusion import CONTEXTS, conclude, digits, forgot, general, leaks, named, outcome
from stages.printable import printable
from stages.template import render

LONGEST_VALUE = 120
# Contexts whose questions were held out: what the front matter reports.
HELD_OUT = ("open", "closed")


def write(facts: Mapping[str, Any]) -> str:
    """The text of README.md.

    Args:
        facts: as `stages.publish.gather` returns them: title, base, licence, documents, rows, recipe,
            scores, main, retained, audited, forgetting, dtypes.
    """
    judged = (facts["scores"], facts["main"], facts["retained"], facts["audited"], facts["forgetting"])
    told = {
        "conclusion": conclude(*judged),
        "table": table(facts["scores"]),
        "general": general(facts["retained"]),
        "forgot": forgot(facts["retained"], facts["forgetting"]),
        "leaks": leaks(facts["audited"]),
    }
    return f"---\n{front(facts)}\n---\n\n{render('card.md', {**facts, **told})}"


def front(facts: Mapping[str, Any]) -> str:
    """The front matter, as YAML that the hub reads: nothing in it is markup, whatever it says."""
    from huggingface_hub import ModelCardData

    base = facts["base"]
    data = ModelCardData(
        base_model=base.get("id"),
        base_model_relation="finetune" if base.get("id") else None,
        datasets=facts["datasets"] or None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["folio", *facts["tags"]],
        model_name=facts["title"],
        eval_results=list(results(facts["scores"])) or None,
        **facts["licence"],
    )
    return data.to_yaml()


def results(scores: Mapping[str, Any]) -> Iterator[Any]:
    """The tuned model's figures on held-out questions, for `model-index`."""
    from huggingface_hub import EvalResult

    for metric, contexts in scores.items():
        for context in (name for name in HELD_OUT if name in contexts):
            cell = contexts[context]
            for figure, found in cell.get("tuned", {}).items():
                if outcome(cell, figure) != "neutral":
                    yield EvalResult(
                        task_type="text-generation",
                        dataset_type="folio",
                        dataset_config=context,  # the hub puts results of equal sets together
                        dataset_name=f"held-out questions, {CONTEXTS[context]}",
                        metric_type=printable(figure, LONGEST_VALUE),
                        metric_name=printable(named(metric, figure), LONGEST_VALUE),
                        metric_value=found["value"],
                    )


def table(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row of texts per context and figure: base, tuned and their difference with 95% intervals, and n.

    Figures of which neither side is better, and those that are 0 under both models, are left out.
    """
    return [
        {
            "figure": printable(named(metric, figure), LONGEST_VALUE),
            "by": printable(cell.get("by", ""), LONGEST_VALUE),
            "context": CONTEXTS[context],
            "n": cell["n"],
            "tells": outcome(cell, figure) in ("better", "worse"),
            **{side: ranged(cell[side][figure]) for side in ("base", "tuned", "difference")},
        }
        for context in CONTEXTS
        for metric, contexts in scores.items()
        for cell in [contexts.get(context, {})]
        for figure in cell.get("difference", {})
        if outcome(cell, figure) != "neutral"
        and any(cell[side][figure]["value"] for side in ("base", "tuned"))
    ]


def ranged(found: Mapping[str, Any]) -> str:
    """`0.761 [0.650, 0.870]`; the value alone where there is no interval."""
    if found["low"] is None:
        return digits(found["value"])
    return f"{digits(found['value'])} [{digits(found['low'])}, {digits(found['high'])}]"


def recipe(config: Mapping[str, Any], groups: Sequence[str]) -> list[tuple[str, str]]:
    """The settings of the groups that are numbers, words or lists of them, each by its key."""
    rows = []
    for group in groups:
        for key, value in (config.get(group) or {}).items():
            is_told = isinstance(value, (bool, int, float, str)) or (
                isinstance(value, list) and all(isinstance(one, (int, float, str)) for one in value)
            )
            if is_told and not key.startswith("_") and key not in LEFT_OUT:
                rows.append((f"{group}.{key}", printable(_told(value), LONGEST_VALUE)))
    return rows


# What says nothing about the result: how a run was watched and kept, and where things are on a machine.
LEFT_OUT = (
    *("launch", "log_steps", "save_steps", "save_limit", "check_memory", "halve_batch", "torch_compile"),
    *("adapter", "stages", "objectives", "template", "file", "path", "watch", "code", "megabytes"),
)


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_told, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
