"""Folio's metrics beside the libraries' own and beside one written by hand, on imperfect answers.

    python -m benchmarks.metrics --xquad FILE.json [--rows 200] [--only NAME ...]

Each of the first questions of a file in SQuAD's format gets an answer by its place: its sentence, half of the
reference, the next question's reference, the reference in other letters, or nothing.

squad: torchmetrics over all rows at once, and the definition by hand, row by row. bertscore: bert_score.score
over all rows at once, without the empty answers, at which it fails. rouge: torchmetrics over all rows at
once, and as it comes for the rows of ASCII alone, since it takes other letters for blanks. perplexity:
torchmetrics, from logits drawn for the references' words; its difference is a share of it. All others are
differences of figures from 0 to 1.
The last line is JSON; exit 1 where a difference is above 1e-6.
"""

import argparse
import json
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from benchmarks.train import questions
from stages.embedding import model_folder
from stages.entry import CONF
from stages.errors import FolioError
from stages.jsonl import Record
from stages.option import build

MOST = 1e-6
VOCABULARY = 50  # of the logits from which perplexity is computed

Differences = dict[str, float]


def answers(source: Path, most: int) -> list[Record]:
    """The first questions as answer records, each with an imperfect answer; the same file gives the same.

    Raises:
        FolioError: the file is not in SQuAD's format, or holds no question with an answer.
    """
    rows = list(islice(questions(source, sys.maxsize), most))
    if not rows:
        raise FolioError(f"{source} (--xquad) holds no question with an answer")
    found = []
    for place, (name, _, passage, _, reference) in enumerate(rows):
        following = rows[(place + 1) % len(rows)][4]
        said = imperfect(place, passage, reference, following)
        found.append({"id": name, "passage": passage, "reference": reference, "answer": said})
    return found


def imperfect(place: int, passage: str, reference: str, following: str) -> str:
    """An answer that shares much, some or nothing with the reference."""
    words = reference.split()
    sentences = re.split(r"(?<=[.!?])\s+", passage)
    return (
        next((sentence for sentence in sentences if reference in sentence), sentences[0]),
        " ".join(words[: (len(words) + 1) // 2]),
        following,
        f"The {reference.upper()}.",
        "",
    )[place % 5]


def squad(metric: Any, rows: Sequence[Record]) -> Differences:
    from torchmetrics.text import SQuAD

    library = SQuAD()
    library.update(
        [{"prediction_text": row["answer"], "id": str(at)} for at, row in enumerate(rows)],
        [
            {"answers": {"answer_start": [0], "text": [row["reference"]]}, "id": str(at)}
            for at, row in enumerate(rows)
        ],
    )
    whole = library.compute()
    ours, values = metric.summary(metric(rows)), metric(rows)
    hand = [by_hand(row["answer"], row["reference"]) for row in rows]
    return {
        "torchmetrics f1": abs(ours["f1"] - float(whole["f1"]) / 100),
        "torchmetrics exact": abs(ours["exact"] - float(whole["exact_match"]) / 100),
        "by hand f1": apart([value["f1"] for value in values], [f1 for f1, _ in hand]),
        "by hand exact": apart([value["exact"] for value in values], [exact for _, exact in hand]),
    }


def by_hand(answer: str, reference: str) -> tuple[float, float]:
    """F1 and exact match of the words that are left without case, punctuation and articles."""
    said, known = (
        re.sub(r"\b(a|an|the)\b", " ", re.sub(f"[{re.escape(string.punctuation)}]", "", text.lower())).split()
        for text in (answer, reference)
    )
    shared = (Counter(said) & Counter(known)).total()
    # 2PR / (P + R) with P = shared / said and R = shared / known
    f1 = 2 * shared / (len(said) + len(known)) if said and known else float(said == known)
    return f1, float(said == known)


def bertscore(metric: Any, rows: Sequence[Record]) -> Differences:
    from bert_score import score

    folder = model_folder(metric.package, "metric.bertscore.package")
    said = [row for row in rows if row["answer"]]
    texts = [[row[key] for row in said] for key in ("answer", "reference")]
    f1 = score(*texts, model_type=str(folder), num_layers=metric.layers, batch_size=metric.batch)[2]
    return {"bert_score": apart([value["bertscore"] for value in metric(said)], f1.tolist())}


def rouge(metric: Any, rows: Sequence[Record]) -> Differences:
    from torchmetrics.functional.text.rouge import rouge_score
    from torchmetrics.text.rouge import ROUGEScore

    from stages.metric.rouge import KEYS, TOKEN

    library = ROUGEScore(rouge_keys=KEYS, normalizer=str.lower, tokenizer=TOKEN.findall)
    library.update([row["answer"] for row in rows], [row["reference"] for row in rows])
    whole, ours = library.compute(), metric.summary(metric(rows))
    found = {f"torchmetrics {key}": abs(ours[key] - float(whole[f"{key}_fmeasure"])) for key in KEYS}
    plain = [row for row in rows if (row["answer"] + row["reference"]).isascii()]
    alone = [rouge_score(row["answer"], row["reference"], rouge_keys=KEYS) for row in plain]
    for key in KEYS:
        theirs = [float(score[f"{key}_fmeasure"]) for score in alone]
        found[f"torchmetrics as it comes {key}"] = apart([value[key] for value in metric(plain)], theirs)
    return found


def perplexity(metric: Any, rows: Sequence[Record]) -> Differences:
    import torch
    from torchmetrics.functional.text import perplexity as library

    torch.manual_seed(0)
    lengths = [len(row["reference"].split()) + 1 for row in rows]
    logits = torch.randn(len(rows), max(lengths), VOCABULARY, dtype=torch.float64)
    labels = torch.randint(VOCABULARY, logits.shape[:2])
    labels[torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None]] = -100
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    records = [{"token_losses": losses[at, :length].tolist()} for at, length in enumerate(lengths)]
    theirs = float(library(logits, labels, ignore_index=-100))
    return {"torchmetrics": abs(metric.summary(metric(records))["perplexity"] - theirs) / theirs}


COMPARED: dict[str, Callable[[Any, Sequence[Record]], Differences]] = {
    "squad": squad,
    "bertscore": bertscore,
    "rouge": rouge,
    "perplexity": perplexity,
}


def apart(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The largest difference of two rows of figures; of none 0."""
    return max((abs(a - b) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--xquad", type=Path, required=True, help="a file in SQuAD's format")
    parser.add_argument("--rows", type=int, default=200, help="questions")
    parser.add_argument("--only", nargs="+", choices=COMPARED, default=list(COMPARED))
    options = parser.parse_args()
    try:
        rows = answers(options.xquad, options.rows)
    except FolioError as error:
        sys.exit(f"folio: {error}")
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("config", [f"metric=[{','.join(options.only)}]"])
    differences = {}
    for name in options.only:
        differences[name] = COMPARED[name](build(config, f"metric.{name}"), rows)
        for other, difference in differences[name].items():
            print(f"{name:12}{other:38}{difference:.1e}", flush=True)
    largest = max(difference for found in differences.values() for difference in found.values())
    print(json.dumps({"rows": len(rows), "largest": largest, "differences": differences}))
    sys.exit(largest > MOST)


if __name__ == "__main__":
    main()
