"""Which language a document is written in, and a text, with how sure that is."""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from stages.jsonl import Record

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNKNOWN = "und"  # ISO 639-2: undetermined
NO_LANGUAGE = "zxx"  # ISO 639-2: no linguistic content, such as code and tables of figures
# Of a document so many pieces of so many characters are read, spread evenly over it.
PIECES, PIECE = 24, 400
LONGEST = 20_000  # characters of a text that are read
LEAST_BYTES = 60  # of a document's letters in UTF-8: about 12 words of English, 20 Chinese characters
SURE = 0.6  # probability of a document's language, at least


def mark(chunks: Iterable[Record], default: str) -> list[Record]:
    """Give each chunk the `language` of its document, as ISO 639-1, in the chunks' order.

    All chunks of a document get one code, found from pieces spread evenly over the document. It is
    `default` where the document has less than 60 bytes of letters (12 words or so), or where the
    likeliest language has a probability below 0.6, as names, code and tables of figures have.
    """
    listed = list(chunks)
    texts: dict[str, list[str]] = {}
    for chunk in listed:
        texts.setdefault(chunk["document"], []).append(chunk["text"])
    codes = {document: _of_document("\n".join(parts), default) for document, parts in texts.items()}
    return [chunk | {"language": codes[chunk["document"]]} for chunk in listed]


def language_of(text: str) -> tuple[str, float]:
    """The likeliest language as ISO 639-1 and its probability; ("und", 0) for a text without one.

    Of a long text the first 20,000 characters count. Norwegian is "no", in either of its forms.
    """
    if not any(letter.isalpha() for letter in text[:LONGEST]):
        return UNKNOWN, 0.0
    code, probability = _identifier().classify(text[:LONGEST])
    return (UNKNOWN, 0.0) if code == NO_LANGUAGE else (code, probability)


def letter_bytes(text: str) -> int:
    """How much there is to tell a language by: the bytes of the text's letters in UTF-8."""
    letters = "".join(letter for letter in text if letter.isalpha())
    return len(letters.encode("utf-8"))


def _of_document(text: str, default: str) -> str:
    step = max(PIECE, len(text) // PIECES)
    sample = "\n".join(text[at : at + PIECE] for at in range(0, len(text), step)[:PIECES])
    if letter_bytes(sample) < LEAST_BYTES:
        return default
    code, probability = language_of(sample)
    return code if probability >= SURE else default


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    # Only what has an ISO 639-1 code: else Wu and Cantonese take from Chinese, Nigerian Pidgin from English.
    codes = [code for code in identifier.labels if len(code) == 2 and code != "nn"]
    identifier.set_languages([*codes, NO_LANGUAGE])
    return identifier
