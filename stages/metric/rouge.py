"""ROUGE against the reference answer."""

import re
from collections.abc import Sequence

from stages.figure import Metric
from stages.jsonl import Record
from stages.option import setting
from stages.words import DENSE, HIRAGANA, LETTER

KEYS = ("rouge1", "rouge2", "rougeL")
ALONE = f"[{DENSE}{HIRAGANA}]"
TOKEN = re.compile(f"{ALONE}|(?:(?!{ALONE}){LETTER})+")


@setting
class Rouge(Metric):
    """F-measures of shared words, pairs of words and longest common subsequence (Lin, 2004, ACL W04-1013).

    Words are runs of letters and digits in lower case, not stemmed; of ASCII text those of Google's
    rouge-score. Letters of every script count, and each Chinese or Japanese character is a word.
    """

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return rouge1, rouge2 and rougeL, each 0 to 1, of every answer; 0 where a text has no words."""
        from torchmetrics.functional.text.rouge import rouge_score

        form = {"normalizer": str.lower, "tokenizer": TOKEN.findall, "rouge_keys": KEYS}
        scores = [rouge_score(row["answer"], row["reference"], **form) for row in answers]
        return [{key: float(score[f"{key}_fmeasure"]) for key in KEYS} for score in scores]
