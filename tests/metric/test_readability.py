import sys
from pathlib import Path

import pytest

from stages.errors import FolioError
from stages.metric.readability import FIGURES, Readability

READABILITY = Readability(name="readability", language="en")
TEXT = "The captain opens the valve. The water runs out of the hold."
# As the CMU dictionary writes them; a syllable is a sound with a digit.
SOUNDS = """\
THE 1 DH AH0
CAPTAIN 1 K AE1 P T AH0 N
OPENS 1 OW1 P AH0 N Z
VALVE 1 V AE1 L V
WATER 1 W AO1 T ER0
RUNS 1 R AH1 N Z
OUT 1 AW1 T
OF 1 AH1 V
HOLD 1 HH OW1 L D
WORD 1 W ER1 D
"""


@pytest.fixture
def syllables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nltk = pytest.importorskip("nltk")
    pytest.importorskip("textstat")
    (tmp_path / "corpora/cmudict").mkdir(parents=True)
    (tmp_path / "corpora/cmudict/cmudict").write_text(SOUNDS, encoding="utf-8")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])


@pytest.mark.usefixtures("syllables")
def test_the_indices_of_two_sentences() -> None:
    empty, figure, value = READABILITY([{"answer": text} for text in ("", "42?", TEXT)])
    assert empty == figure == {}
    # 12 words, 2 sentences, 15 syllables, 47 letters and 2 full stops; no word has three syllables.
    assert value == pytest.approx(
        {
            "flesch_reading_ease": 206.835 - 1.015 * 12 / 2 - 84.6 * 15 / 12,
            "flesch_kincaid_grade": 0.39 * 12 / 2 + 11.8 * 15 / 12 - 15.59,
            "gunning_fog": 0.4 * 12 / 2,
            "automated_readability_index": 4.71 * 49 / 12 + 0.5 * 12 / 2 - 21.43,
        },
        abs=1e-9,
    )
    assert set(value) == set(READABILITY.neutral) == set(FIGURES)


@pytest.mark.usefixtures("syllables")
def test_a_language_without_syllables_is_refused() -> None:
    with pytest.raises(FolioError, match="no syllables for xx"):
        Readability(name="readability", language="xx").check()


def test_without_the_list_of_syllables_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("textstat")
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.raises(FolioError, match=r"no syllables for en.*nltk\.downloader cmudict"):
        READABILITY.check()


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("textstat", "textstat.textstat"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(FolioError, match=r"pip install -e '\.\[readability\]'"):
        READABILITY.check()
