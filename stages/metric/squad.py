"""SQuAD F1 and exact match against the reference answer."""

from collections.abc import Sequence

from stages.figure import Metric
from stages.jsonl import Record
from stages.option import setting


@setting
class Squad(Metric):
    """Word overlap after SQuAD's normalisation (Rajpurkar et al., 2016, arXiv:1606.05250, section 6)."""

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return f1 and exact, each 0 to 1, of every answer."""
        from torchmetrics.functional.text import squad

        scores = [squad(*_pair(row["answer"], row["reference"])) for row in answers]
        return [
            {"f1": float(score["f1"]) / 100, "exact": float(score["exact_match"]) / 100} for score in scores
        ]


def _pair(answer: str, reference: str) -> tuple[dict[str, str], dict[str, object]]:
    prediction = {"prediction_text": answer, "id": "0"}
    return prediction, {"answers": {"answer_start": [0], "text": [reference]}, "id": "0"}
