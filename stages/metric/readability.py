"""How hard the answers are to read, by the common indices."""

from collections.abc import Sequence
from typing import Any, ClassVar

from stages.errors import FolioError
from stages.figure import Metric
from stages.jsonl import Record
from stages.option import setting

# Without Coleman-Liau, of which textstat 0.7.13 has 0.058 where the formula has 0.0588.
FIGURES = ("flesch_reading_ease", "flesch_kincaid_grade", "gunning_fog", "automated_readability_index")


@setting
class Readability(Metric):
    """Indices of sentence and word length, by textstat; whether more is better depends on the reader.

    Flesch reading ease (Flesch, 1948: 0 hard to 100 easy), and grades of US schools: Flesch-Kincaid
    (Kincaid et al., 1975), Gunning fog (1952) and the automated readability index (Smith and Senter,
    1967; its characters include punctuation). They were made for passages of 100 words and more: of one
    short answer they say little, their mean over many answers a little more. Only Flesch reading ease has
    constants for languages other than English.
    """

    neutral: ClassVar[tuple[str, ...]] = FIGURES

    language: str

    def check(self) -> None:
        """The library and its list of English syllables must be there.

        Raises:
            FolioError: one of them is missing.
        """
        self._indices()

    def __call__(self, answers: Sequence[Record]) -> list[dict[str, float]]:
        """Return four indices of every answer; of one without a letter nothing.

        Raises:
            FolioError: textstat is not installed, has no list of English syllables, or not the language.
        """
        indices = self._indices()
        return [
            {name: float(getattr(indices, name)(row["answer"])) for name in FIGURES}
            if any(map(str.isalpha, row["answer"]))
            else {}
            for row in answers
        ]

    def _indices(self) -> Any:
        try:
            import nltk
            from textstat.textstat import textstatistics
        except ImportError as error:
            raise FolioError(
                "metric.readability needs textstat, which Folio leaves out because it brings pyphen "
                "(GPL, LGPL or MPL): `pip install -e '.[readability]'`"
            ) from error
        indices = textstatistics()  # of one's own: the library's is shared, language and all
        indices.set_lang(self.language)
        try:
            if self.language == "en":
                nltk.data.find("corpora/cmudict")  # else textstat would fetch it unasked
            indices.syllable_count("word")
        except LookupError as error:
            raise FolioError(
                f"metric.readability has no syllables for {self.language}; for English run "
                "`python -m nltk.downloader cmudict`, which needs the network"
            ) from error
        return indices
