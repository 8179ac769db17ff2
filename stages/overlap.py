"""What an answer shares with a reference, a passage and itself: pure functions over words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stages.words import ARTICLES, PAIRED_OR_HIRAGANA, WORD, content_words, plain

DROPPED = ("P", "S")  # Unicode's punctuation and symbols
POSSESSIVE = re.compile(r"'s\b", re.IGNORECASE)  # "team's" is "team"; "it's" is "it"
ENUMERATOR = re.compile(r"^\s*\(?\d{1,2}[.)]\s", re.MULTILINE)  # the number of an item is no figure


@dataclass(frozen=True)
class Overlap:
    """Precision of an answer, recall of a reference, and F1, their harmonic mean: each 0 to 1."""

    precision: float
    recall: float
    f1: float


def normalised(text: str) -> list[str]:
    """The words of a text as SQuAD compares them, in order: folded, without punctuation and articles.

    The rule of SQuAD's evaluation script (Rajpurkar et al., 2016, arXiv:1606.05250, section 6), with every
    script's punctuation as in MLQA (Lewis et al., 2020, arXiv:1910.07475): the same on ASCII. Where a script
    has no blanks between words, and in Korean, each pair of neighbouring characters is a word.
    """
    bare = "".join(letter for letter in plain(text) if unicodedata.category(letter)[0] not in DROPPED)
    found: list[str] = []
    for part in bare.split():
        end = 0
        for run in PAIRED_OR_HIRAGANA.finditer(part):
            found += [part[end : run.start()]] if run.start() > end else []
            found += [run[0][at : at + 2] for at in range(max(1, len(run[0]) - 1))]
            end = run.end()
        found += [part[end:]] if end < len(part) else []
    return [word for word in found if word not in ARTICLES]


def overlap(answer: Sequence[str], reference: Sequence[str]) -> Overlap:
    """How far two lists of words agree, whatever their order; a repeated word counts as often as it stands.

    Two empty lists agree, an empty one agrees with no other, as in SQuAD 2.0's script.
    """
    if not answer or not reference:
        same = float(not answer and not reference)
        return Overlap(same, same, same)
    shared = (Counter(answer) & Counter(reference)).total()
    precision, recall = shared / len(answer), shared / len(reference)
    return Overlap(precision, recall, 2 * shared / (len(answer) + len(reference)))


def contains(words: Sequence[str], part: Sequence[str]) -> bool:
    """Whether the words of `part` stand in `words` one after the other; an empty part stands nowhere."""
    size = len(part)
    return size > 0 and any(list(words[at : at + size]) == list(part) for at in range(len(words) - size + 1))


def running_words(text: str) -> list[str]:
    """Every word of a text in order, articles included, cut at all punctuation: what a loop is made of."""
    folded = plain(text)
    blank = PAIRED_OR_HIRAGANA.sub(lambda run: f" {' '.join(run[0])} ", folded)
    return [part for word in WORD.findall(blank) for part in re.split(r"[-/]", word)]


def repeated_share(words: Sequence[str], size: int) -> float:
    """The share of n-grams of `size` words that stood before: 1 - distinct / all; 0 for fewer words.

    rep-n of Welleck et al. (2020), Neural Text Generation with Unlikelihood Training, arXiv:1908.04319.
    """
    grams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def loop_at_end(words: Sequence[str], rounds: int) -> int:
    """How many words the text ends in that are one unit said over and over, `rounds` times or more; else 0.

    The last round may be cut short, as a limit of tokens cuts it.
    """
    longest = 0
    for size in range(1, len(words) // rounds + 1):
        at = len(words) - size
        while at > 0 and words[at - 1] == words[at - 1 + size]:
            at -= 1
        length = len(words) - at
        longest = max(longest, length if length >= rounds * size else 0)
    return longest


def share_within(words: set[str], known: set[str]) -> float:
    """The share of `words` that are `known`; 1 where there are none: nothing is claimed."""
    return len(words & known) / len(words) if words else 1.0


def figures(words: set[str]) -> set[str]:
    """Those of the words that hold a digit."""
    return {word for word in words if any(map(str.isdigit, word))}


def told(text: str, language: str, *, beyond: str = "") -> set[str]:
    """The content words of a text that `beyond`, such as the question, does not say already."""
    bare = (ENUMERATOR.sub("", part.replace("’", "'")) for part in (text, beyond))
    whole, said = (content_words(POSSESSIVE.sub("", part), language) for part in bare)
    return whole - said
