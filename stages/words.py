"""The words of a text in any script: which carry meaning, how many there are, and patterns of them."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

FUNCTION_WORDS = frozenset(
    "a about all an and any are as at be been being by can could did do does for from had has have "
    "how if in into is it its may might more most must no not of on one or other shall should so "
    "than that the their then there to two was were what when where which who whom whose why will "
    "with would you your".split()
)
ARTICLES = frozenset({"a", "an", "the"})  # as SQuAD leaves them out
# Vowel signs and other marks that Python counts as no part of a word: Hebrew, Arabic, Indic, Burmese, Khmer.
MARKS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u0900-\u0963\u0966-\u0dff\u102b-\u103e\u17b4-\u17d3"
)
# No sign is in both halves: else a long word that fits nothing is tried in exponentially many ways.
LETTER = f"(?:[^\\W_{MARKS}]|[{MARKS}])"
WORD = re.compile(f"{LETTER}+(?:['’/-]{LETTER}+)*")

HIRAGANA = "\u3041-\u309f"
# Katakana and Han; Thai, Lao, Tibetan, Burmese and Khmer: written without blanks between words.
DENSE = "\u30a0-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
SPARSE = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
# Korean has blanks, but its particles cling to the words.
PAIRED = re.compile(f"[{DENSE}]+|[{SPARSE}]+|[\uac00-\ud7a3]+")
PAIRED_OR_HIRAGANA = re.compile(f"{PAIRED.pattern}|[{HIRAGANA}]+")
RUN = re.compile(f"(?P<dense>[{DENSE}{HIRAGANA}]+)|(?P<sparse>[{SPARSE}]+)|[^\\s{DENSE}{HIRAGANA}{SPARSE}]+")
# Characters of an average word.
DENSE_WORD, SPARSE_WORD = 2, 4
ELIDING = frozenset({"ca", "fr", "it"})  # l'eau, dell'acqua
# "sont-ils", "a-t-il", "est-ce": the pronoun is no part of the verb.
ENCLITIC = re.compile(r"(?<=\w)-(?:t-)?(?:ils?|elles?|on|je|tu|nous|vous|ce)(?![\w-])")

LONGEST_PATTERN, MOST_PATTERNS = 2_000, 200
SEARCHED = 2_000  # characters of a text in which a user's expressions are looked for: they may take long
QUESTION_MARKS = ("?", "？", "؟", "፧")
TOKEN_BYTES = 4  # bytes of UTF-8 in a token, for estimates alone


def plain(text: str) -> str:
    """The text in compatibility form (NFKC), folded, without soft hyphens."""
    return unicodedata.normalize("NFKC", text.replace("\xad", "")).casefold()


def content_words(text: str, language: str) -> set[str]:
    """The words that carry meaning, folded and cut to a stem of five letters; words with a digit stay whole.

    Where a script has no blanks between words, and in Korean, each pair of neighbouring characters
    counts as a word, without hiragana, which is mostly grammar. `language` is an ISO 639-1 code; it
    decides which words are left out as function words.
    """
    return set(content_terms(text, language))


def content_terms(text: str, language: str) -> list[str]:
    """The same words, each as often as it stands in the text."""
    functions = _function_words(language)
    return [_stem(word) for word in _words(plain(text), language) if word not in functions]


def count(text: str) -> int:
    """The number of words between blanks; two characters of Chinese or Japanese, or four of Thai, are one."""
    total = 0
    for run in RUN.finditer(text):
        size = sum(map(str.isalnum, run[0]))
        if run["dense"]:
            total += -(-size // DENSE_WORD)
        elif run["sparse"]:
            total += -(-len(run[0]) // SPARSE_WORD)
        else:
            total += size > 0
    return total


def patterns(key: str, lists: Mapping[str, Sequence[str]]) -> dict[str, re.Pattern[str]]:
    """One pattern of whole words for each language: any of its regular expressions, in either case.

    Raises:
        ValueError: names the key and the expression that is none, is too long, fits an empty text, or
            does not go with the others.
    """
    return {language: _pattern(f"{key}.{language}", parts) for language, parts in lists.items() if parts}


def _pattern(key: str, parts: Sequence[str]) -> re.Pattern[str]:
    if len(parts) > MOST_PATTERNS:
        raise ValueError(f"{key} has {len(parts)} expressions; {MOST_PATTERNS} are the most")
    for part in parts:
        brief = part if len(part) <= 60 else f"{part[:57]}..."
        if len(part) > LONGEST_PATTERN:
            raise ValueError(f"{key}: {brief!r} has more than {LONGEST_PATTERN} characters; split it")
        try:
            fits_nothing = re.compile(part).match("")
            re.compile(f"(?:{part})")  # (?i) may stand at the beginning alone
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{key}: {brief!r} is no regular expression: {error}") from error
        if fits_nothing:
            raise ValueError(f"{key}: {brief!r} fits an empty text; make it name a word")
    whole = "|".join(f"(?:{part})" for part in parts)
    # \b fails beside the marks of Indic scripts and "¿"; what may not stand there is a letter.
    try:
        return re.compile(rf"(?<!\w)(?:{whole})(?!\w)", re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{key}: its expressions do not go into one list: {error}; name no group twice"
        ) from error


def _words(text: str, language: str) -> Iterator[str]:
    for run in PAIRED.findall(text):
        # A lone character is a word of its own.
        yield from (run[at : at + 2] for at in range(max(1, len(run) - 1)))
    text = PAIRED_OR_HIRAGANA.sub(" ", text)
    for word in WORD.findall(ENCLITIC.sub(" ", text) if language == "fr" else text):
        yield from (re.split("['’]", word) if language in ELIDING else [word])


def _stem(word: str) -> str:
    if any(map(str.isdigit, word)):
        return word
    return word[:5].rstrip("s") or word


@cache
def _function_words(language: str) -> frozenset[str]:
    if language == "en":  # the list of stopwords-iso holds words of content: "system", "work", "shows"
        return FUNCTION_WORDS
    import stopwordsiso

    if not stopwordsiso.has_lang(language):
        return frozenset()
    return frozenset(map(plain, stopwordsiso.stopwords(language)))
