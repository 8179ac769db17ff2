"""Why a generated pair cannot be trusted: form, dangling words, foreign words, an echoed answer."""

import re
from collections.abc import Callable

from stages.jsonl import Record
from stages.settings.generate import Generate

OPENING = re.compile(r"(?:what|which|who|whom|whose|when|where|why|how|in what|for what)\b", re.IGNORECASE)
# Words that point outside the question.
DANGLING = re.compile(
    r"\b(?:this|these|those|it|they|them|he|she|passage|sentence|paragraph|text|following|above)\b",
    re.IGNORECASE,
)
FUNCTION_WORDS = frozenset(
    "a about all an and any are as at be been being by can could did do does for from had has have "
    "how if in into is it its may might more most must no not of on one or other shall should so "
    "than that the their then there to two was were what when where which who whom whose why will "
    "with would you your".split()
)
WORD = re.compile(r"[^\W_]+(?:['’/-][^\W_]+)*")
QUESTION_WORDS = range(4, 26)


def content_words(text: str) -> set[str]:
    """The words that carry meaning, folded and cut to a stem of five letters."""
    words = (word.casefold() for word in WORD.findall(text))
    return {word[:5].rstrip("s") for word in words if word not in FUNCTION_WORDS}


def _malformed(pair: Record, _: Generate) -> bool:
    question = pair["question"]
    shaped = question.endswith("?") and OPENING.match(question) and "\n" not in question
    return not shaped or len(question.split()) not in QUESTION_WORDS


def _dangling(pair: Record, _: Generate) -> bool:
    return bool(DANGLING.search(pair["question"]))


def _empty(pair: Record, _: Generate) -> bool:
    return len(content_words(pair["question"])) < 2


def _source(pair: Record) -> str:
    """The words of the passage that the answer rests on; a local model's answer is those words."""
    start, end = pair["evidence"]
    return str(pair["chunk"]["text"][start:end])


def _foreign(pair: Record, settings: Generate) -> bool:
    known = content_words(pair["answer"]) | content_words(_source(pair)) | content_words(pair["topic"])
    return len(content_words(pair["question"]) - known) > settings.foreign_words


def _off_topic(pair: Record, _: Generate) -> bool:
    told = content_words(pair["answer"]) | content_words(_source(pair))
    return not content_words(pair["question"]) & told


def _echo(pair: Record, settings: Generate) -> bool:
    answer = content_words(pair["answer"])
    left = answer - content_words(pair["question"])
    # A sentence has to tell three words more than its question; "two weeks" has not so many.
    least = 3 if pair["answer"] == _source(pair) else min(3, len(answer))
    return len(left) < max(least, settings.answer_share * len(answer))


def _unlikely(pair: Record, settings: Generate) -> bool:
    return bool(pair["score"] < settings.minimum_score)


# In this order, so that a pair's reason is the plainest one.
CHECKS: dict[str, Callable[[Record, Generate], bool]] = {
    "malformed": _malformed,
    "dangling": _dangling,
    "empty": _empty,
    "foreign_words": _foreign,
    "off_topic": _off_topic,
    "echoes_answer": _echo,
    "unlikely": _unlikely,
}


def reason_against(pair: Record, settings: Generate) -> str | None:
    """The first check that the pair fails, or None when it stands."""
    return next((name for name, fails in CHECKS.items() if fails(pair, settings)), None)
