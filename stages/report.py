"""Did tuning help? Every figure, curve and answer of a run on one page: python -m stages.report"""

import base64
import csv
import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from markupsafe import Markup
from omegaconf import DictConfig, OmegaConf

from stages import jsonl, pictures
from stages.artifact import read_json, write_text
from stages.conclusion import CONTEXTS, conclude, digits, forgot, general, leading, leaks, named, outcome
from stages.contrast import changes, drawn, examples, order, paired, patterns, shown, transitions
from stages.entry import SECONDS, entrypoint
from stages.errors import FolioError
from stages.fertility import table as table_of
from stages.option import build, called
from stages.printable import label, printable
from stages.settings.report import Report
from stages.template import TEMPLATES, render

METRICS = Path("metrics")
ANSWERS = Path("evaluation")
LEAKS = Path("data/leaks.jsonl")
CURVES = Path("plots/train/plots/metrics")
ALIGNMENT = Path("plots/align/plots/metrics")
REPORT = Path("report")
STAGES = ("tokenize", "train", "merge", "baseline", "evaluate", "audit", "diagnose", "retain")
# Those that read documents, and ask about them.
READING = ("chunk", "generate", "verify")
# Libraries on which a run's figures depend.
LIBRARIES = ("folio", "torch", "transformers", "peft", "trl", "tokenizers", "numpy", "bitsandbytes", "dvc")
# The contexts in a word or two, for a picture's axis.
SHORT = {"open": "with passage", "closed": "without passage", "trained": "trained, without"}
MOST_PICTURES = 6
# Curves of an alignment; behind them whatever its rewards, probes and control prefixes are called.
ALIGNED = {
    "loss": "loss",
    "rewards/margins": "reward of chosen less rejected",
    "rewards/accuracies": "share of pairs in the right order",
    "logps/chosen": "chosen: log-probability of a token",
    "logps/rejected": "rejected: log-probability of a token",
    "reward": "reward",
    "kl": "KL from the model of the start, nats",
}
NAMED = ("parts", "probes", "controls")
MOST_CURVES = 18
MOST_LEAKS = 50  # listed; all stand in data/leaks.jsonl
MOST_TRANSITIONS = 10  # of each context
MOST_REASONS = 12
MOST_UNREAD = 20


# Figures


def table(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per context and figure: base, tuned, their difference with intervals, and the n behind them."""
    rows = []
    for metric, contexts in scores.items():
        for context, found in contexts.items():
            left_out = {"not_measured": found.get("not_measured", 0)}
            counts = {"n": found["n"], "passages": found["passages"]} | left_out
            for figure, gap in found.get("difference", {}).items():
                sides = {model: found[model][figure] for model in ("base", "tuned")}
                ranges = {f"{model}_range": (one["low"], one["high"]) for model, one in sides.items()}
                values = {model: one["value"] for model, one in sides.items()}
                row = {"figure": named(metric, figure), "context": CONTEXTS[context], "difference": gap}
                row["by"] = printable(found.get("by", ""), 120)
                kind = {"outcome": outcome(found, figure), "clean": clean(found, figure)}
                rows.append(row | counts | values | ranges | kind)
    return sorted(rows, key=lambda row: list(CONTEXTS.values()).index(row["context"]))


def clean(cell: Mapping[str, Any], figure: str) -> dict[str, Any] | None:
    """The difference without the questions that leaked and their n; None where none leaked."""
    without = cell.get("clean")
    if without is None or figure not in without.get("difference", {}):
        return None
    return {"n": without["n"], "difference": without["difference"][figure]}


def settling(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How the difference of each figure moves as questions are added: a row per context and figure."""
    return [
        {
            "figure": named(metric, figure),
            "context": CONTEXTS[context],
            "steps": [
                {"n": one["n"]} | one["difference"][figure]
                for one in cell.get("settling", [])
                if figure in one.get("difference", {})
            ],
        }
        for context in CONTEXTS
        for metric, contexts in scores.items()
        for cell in [contexts.get(context, {})]
        for figure in cell.get("difference", {})
    ]


def drawings(scores: Mapping[str, Any], main: str) -> list[dict[str, Any]]:
    """A picture of each figure over the contexts, the main one first and neutral ones last; at most a few."""
    names = [
        (metric, figure)
        for metric, contexts in scores.items()
        for figure in next((cell["difference"] for cell in contexts.values() if "difference" in cell), {})
    ]
    tells = {pair: outcome(scores[pair[0]].get(leading(scores), {}), pair[1]) != "neutral" for pair in names}
    names.sort(key=lambda pair: (".".join(pair) != main, not tells[pair]))
    found = []
    for metric, figure in names[:MOST_PICTURES]:
        cells = {context: scores[metric].get(context, {}) for context in CONTEXTS}
        rows = [
            {"place": SHORT[context], "base": cell["base"][figure], "tuned": cell["tuned"][figure]}
            for context, cell in cells.items()
            if figure in cell.get("difference", {})
        ]
        name = printable(named(metric, figure), 60)
        found.append({"name": name, "picture": pictures.intervals(name, rows)})
    return found


def is_higher_better(scores: Mapping[str, Any], main: str) -> bool:
    """Whether more of the main figure is better, as its metric says."""
    metric, _, figure = main.partition(".")
    cells = scores.get(metric, {}).values()
    return all(figure not in cell.get("lower_is_better", ()) for cell in cells)


# Training


def curve(name: str, folder: Path = CURVES, stage: str = "train") -> pictures.Curve | None:
    """Steps and values of a training curve, without what is no number; None where it was not written."""
    source = folder / f"{name}.tsv"
    if not source.is_file():
        return None
    with source.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    try:
        points = [(float(row["step"]), float(row[Path(name).name])) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise FolioError(
            f"{source} is no training curve ({error}); run `dvc repro --force {stage}`"
        ) from error
    points = [point for point in points if all(map(math.isfinite, point))]
    return ([step for step, _ in points], [value for _, value in points]) if points else None


def curves() -> dict[str, Any]:
    """The picture of the training, and its course in words."""
    found = {name: curve(f"{name}/loss") for name in ("train", "validation")}
    losses = {name: one for name, one in found.items() if one}
    if not losses:
        return {"picture": None, "courses": {}}
    picture = pictures.training(losses, curve("learning_rate"))
    return {"picture": picture, "courses": {name: pictures.course(*one) for name, one in losses.items()}}


# Alignment


def alignment(config: DictConfig) -> dict[str, Any] | None:
    """What was learnt of preferences or rewards after training; without an objective None, and nothing read.

    Raises:
        FolioError: a file of it is missing or damaged.
    """
    by_preferences = list(OmegaConf.select(config, "align.objectives") or [])
    if not (by_preferences or OmegaConf.select(config, "reinforce.objectives")):
        return None
    found = read_json(METRICS / "align.json")
    tallies = [(f"{label(key).capitalize()} that fit", found.get(key)) for key in ("pairs", "questions")]
    tallies.append(("Mismatched answers", found.get("mismatched")))
    drawn = None
    if by_preferences and config.prefer.stages:
        tallies.insert(0, ("Rows of the preference file", read_json(METRICS / "prefer.json")["rows"]))
    elif by_preferences and config.pairs.models:
        pairs = read_json(METRICS / "pairs.json")
        tallies.insert(0, ("Questions answered", pairs["questions"]))
        drawn = kinds(pairs)
    return {
        "objective": config.objective.name,
        "counts": {key: found[key] for key in ("train", "validation", "steps", "best_step")},
        "unit": "pair" if by_preferences else "question",
        "rows": before_and_after(found["aligned"]),
        "worse": by_preferences and found["aligned"]["loss"]["after"] > found["aligned"]["loss"]["before"],
        "pictures": alignment_curves(),
        "accounts": [counted(title, tally) for title, tally in tallies if tally],
        "drawn": drawn,
        "seen": not (by_preferences and config.prefer.stages),  # else they are of a file
    }


def before_and_after(aligned: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each figure before the first step and with the adapter that was kept, with intervals where known."""
    parts = {"": aligned} | {f"{name}: ": one for name, one in aligned.get("controls", {}).items()}
    plain = {"low": None, "high": None}
    return [
        {"figure": printable(f"{start}{label(name)}", 60), "difference": one.get("difference")}
        | {side: one[side] if isinstance(one[side], dict) else {"value": one[side]} | plain
           for side in ("before", "after")}
        for start, part in parts.items()
        for name, one in part.items()
        if isinstance(one, dict) and "before" in one
    ]  # fmt: skip


def alignment_curves() -> list[dict[str, Any]]:
    """A picture of each figure's course, of what was learnt from and of what was held out."""
    sides = {side: ALIGNMENT / side for side in ("train", "validation")}
    own = {
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in sides.values()
        for group in NAMED
        for path in (folder / group).glob("*.tsv")
    }
    found = []
    for name in (*ALIGNED, *sorted(own)):
        both = {side: curve(name, folder, "align") for side, folder in sides.items()}
        if known := {side: one for side, one in both.items() if one}:
            title = ALIGNED.get(name) or label(name)
            found.append({"name": title, "picture": pictures.alignment(title, known)})
    return found[:MOST_CURVES]


def kinds(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Mean reward, its parts and the probes of the drawn answers, of either kind and of the references."""
    names = [name for name in ("answers", "chosen", "rejected", "references") if pairs[name]["n"]]
    flat = {
        name: {"reward": pairs[name]["reward"]} | pairs[name]["parts"] | pairs[name]["probes"]
        for name in names
    }
    figures = list(dict.fromkeys(figure for one in flat.values() for figure in one))
    return {
        "columns": [{"name": name, "n": pairs[name]["n"]} for name in names],
        "rows": [
            {"figure": printable(label(figure), 60), "values": [flat[name].get(figure) for name in names]}
            for figure in figures
        ],
    }


def tokenizers(model: str) -> list[dict[str, Any]]:
    """Fertility of the model's own tokenizer and of another, where this run has trained one."""
    source = METRICS / "create.json"
    if model != "scratch" or not source.is_file():
        return []
    return [row | {"tokenizer": printable(row["tokenizer"], 200)} for row in table_of(read_json(source))]


# Yield


def counted(title: str, account: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table of yields: what went in, what was kept and why the rest was dropped."""
    reasons = [(label(name), n) for name, n in account["dropped"].items()]
    counts = {"title": title, "in": account["in"], "kept": account["kept"]}
    return counts | {"dropped": reasons[:MOST_REASONS], "left": len(reasons[MOST_REASONS:])}


def accounts(stages: Mapping[str, Any], sources: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What went into each step up to the token rows, what was kept and why the rest was dropped."""
    steps = [
        ("Files", "chunk", "files"),
        ("Pages", "chunk", "pages"),
        ("Letters and digits", "chunk", "characters"),
        ("Chunks", "chunk", "chunks"),
        ("Chunks asked about", "generate", "chunks"),
        ("Sentences asked about", "generate", "sentences"),
        ("Candidates verified", "verify", "pairs"),
        *((f"Rows of {label(name)}", name, "rows") for name in sources),
        ("Rows that fit", "tokenize", "rows"),
    ]
    told = {**stages, **sources}
    found = []
    for title, stage, key in steps:
        account = told.get(stage, {}).get(key)
        if isinstance(account, dict) and "in" in account:
            found.append(counted(title, account))
    return found


def unread(failed: Mapping[str, str]) -> dict[str, Any]:
    """Why the first few of the files that could not be read could not."""
    named_here = [printable(why, 300) for why in list(failed.values())[:MOST_UNREAD]]
    return {"named": named_here, "left": max(0, len(failed) - MOST_UNREAD)}


# Answers


def answers(settings: Report, scores: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The answers side by side, and those of each failure pattern."""
    base, tuned = (jsonl.read(ANSWERS / f"{model}.jsonl") for model in ("base", "tuned"))
    known = patterns(jsonl.read(ANSWERS / "failures.jsonl"))
    metric, _, figure = settings.main.partition(".")
    values = jsonl.read(ANSWERS / f"scores/{metric}.jsonl") if metric in scores else iter(())
    moved = changes(values, figure, is_higher_better(scores, settings.main))
    rows = paired(base, tuned)
    chosen = drawn(rows, settings.answers)
    place = list(CONTEXTS).index
    chosen.sort(
        key=lambda row: (place(row["context"]), row["document"], row["pages"] or [row["line"]], row["id"])
    )
    described = [
        shown(row)
        | {"change": moved.get(row["key"], "")}
        | {f"{model}_pattern": label(known.get((model, row["key"]))) for model in ("base", "tuned")}
        for row in chosen
    ]
    return {
        "answers": described,
        "answers_left_out": len(rows) - len(chosen),
        "examples": examples(rows, known, names, settings.examples),
        "samples": side_by_side(rows, settings.examples),
    }


def side_by_side(rows: Sequence[jsonl.Record], most: int) -> list[dict[str, Any]]:
    """Up to `most` held-out questions, drawn by hash, with both models' answers, open-book if any are."""
    opened = [row for row in rows if row["context"] == "open"]
    few = drawn(opened or [row for row in rows if row["context"] == "closed"], most)
    return [shown(row) | {model: printable(row[model], 600) for model in ("base", "tuned")} for row in few]


def failures(diagnosed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per context how many answers of each model have each pattern, and what base's became under tuned."""
    names = order(diagnosed)
    return [
        {
            "key": context,
            "context": CONTEXTS[context],
            "n": {model: diagnosed[context][model]["n"] for model in ("base", "tuned")},
            "rows": [
                {"pattern": label(name)}
                | {model: diagnosed[context][model]["counts"].get(name, 0) for model in ("base", "tuned")}
                for name in names
            ],
            "moved": transitions(diagnosed[context]["transitions"], MOST_TRANSITIONS),
        }
        for context in CONTEXTS
        if context in diagnosed
    ]


def leaked(records: Sequence[jsonl.Record]) -> list[dict[str, Any]]:
    """The first questions that training saw, each with its reasons and the closest trained one."""
    return [
        {
            "question": printable(row["question"], 400),
            "reasons": [label(reason) for reason in row["reasons"]],
            "closest": printable((row.get("closest") or {}).get("question"), 400),
            "similarity": (row.get("closest") or {}).get("similarity"),
        }
        for row in records[:MOST_LEAKS]
    ]


# The run


def versions() -> dict[str, str]:
    """Of Python and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def costs() -> list[dict[str, Any]]:
    """Wall seconds of the stages that DVC has run here, the dearest first."""
    notes = [read_json(path) for path in sorted(SECONDS.glob("*.json"))]
    return sorted(notes, key=lambda note: (-note["seconds"], note["stage"]))


def gather(
    settings: Report, metrics: Sequence[str], reading: Sequence[str] = READING, others: Sequence[str] = ()
) -> dict[str, Any]:
    """Everything that the templates show of the files of earlier stages.

    Args:
        settings: of the report.
        metrics: names of those that were chosen.
        reading: the stages that read documents, where there are such.
        others: sources beside the documents, which the stages that read these have counted.

    Raises:
        FolioError: a file is missing or damaged.
    """
    stages = {stage: read_json(METRICS / f"{stage}.json") for stage in (*reading, *STAGES)}
    sources = {name: read_json(METRICS / "gather" / f"{name}.json") for name in others}
    first = settings.main.partition(".")[0]
    ordered = sorted(metrics, key=lambda name: name != first)  # the main one leads every table
    scores = {name: read_json(METRICS / "score" / f"{name}.json") for name in ordered}
    retained, audited = stages["retain"], stages["audit"]
    seen = list(jsonl.read(LEAKS))
    return stages | answers(settings, scores, order(stages["diagnose"])) | {
        "conclusion": conclude(scores, settings.main, retained, audited, settings.forgetting),
        "table": table(scores),
        "settling": settling(scores),
        "drawings": drawings(scores, settings.main),
        "curves": curves(),
        "accounts": accounts(stages, sources),
        "documents": bool(reading),
        "unread": unread(stages["chunk"]["failed"] if reading else {}),
        "failures": failures(stages["diagnose"]),
        "forgetting": {"told": general(retained), "forgot": forgot(retained, settings.forgetting)},
        "leakage": {"told": leaks(audited), "rows": leaked(seen), "left": max(0, len(seen) - MOST_LEAKS)},
        "contexts": SHORT,
        "main": settings.main.replace(".", " "),
        "versions": versions(),
        "costs": costs(),
    }  # fmt: skip


def page(facts: dict[str, Any]) -> str:
    """The page; of scripts it runs the one whose hash stands in its policy, and it loads nothing."""
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own = {"script": Markup(script), "script_hash": f"sha256-{digest}"}  # noqa: S704 - Folio's own file
    return render("report.html", facts | own | {"digits": digits, "sentence": sentence})


def sentence(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]


@entrypoint
def main(config: DictConfig) -> None:
    """Write report/index.html and report/summary.md, and print the summary."""
    others = [name for name in config.source if config.source[name].name != "pairs"]
    reading = READING if config.gather.documents else ()
    facts = gather(build(config, "report"), list(config.metric), reading, others)
    facts["model"] = printable(called(config.model), 200)
    facts["method"] = config.method.name
    facts["alignment"] = alignment(config)
    facts["fertility"] = tokenizers(config.model.name)
    facts["settings"] = OmegaConf.to_yaml(config, resolve=True)
    write_text(REPORT / "index.html", page(facts))
    summary = render("summary.md", facts)
    write_text(REPORT / "summary.md", summary)
    print(summary)


if __name__ == "__main__":
    main()
