from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.generator.local import Local
from stages.ledger import Ledger

SETTINGS: dict[str, Any] = {
    "name": "local", "prompt": {"text": "Write a question.\n\n"}, "samples": 2, "temperature": 1.0,
    "top_k": 20, "batch": 2, "maximum_tokens": 6, "sentence_words": (4, 45), "language": "en", "seed": 0,
    "watch": "w", "code": "c",
}  # fmt: skip
TEXTS = [
    "The pump must be cleaned every week. It is red. A guide shows how the pump is opened and closed.",
    "- The valve is closed before the pump is opened.\n- See the table for the sizes of all valves.",
    "Every operator wears gloves at all times! The manual at http://a.example explains which gloves to wear.",
]


def chunks(document: str = "a.pdf") -> list[dict[str, Any]]:
    return [
        {
            "id": f"{document}{n}",
            "document": document,
            "pages": [1, 1],
            "headings": ["2.1 Pumps"],
            "text": text,
        }
        for n, text in enumerate(TEXTS)
    ]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def local(folder: Path | None, **changes: Any) -> Local:
    def where() -> Path:
        assert folder is not None, "the model was loaded though the ledger knows every reply"
        return folder

    model = SimpleNamespace(identity="tiny", dtype="float32", folder=where)
    return Local(model=model, **SETTINGS | changes)


def test_whole_plain_sentences_alone_are_asked_about_and_located(tiny_model: Path, ledger: Ledger) -> None:
    candidates = list(local(tiny_model)(chunks(), ledger))
    asked = {pair["answer"] for pair in candidates}
    assert asked == {
        "The pump must be cleaned every week.",
        "A guide shows how the pump is opened and closed.",
        "The valve is closed before the pump is opened.",
        "Every operator wears gloves at all times!",
    }
    assert len(candidates) == 2 * len(asked)
    for pair in candidates:
        start, end = pair["evidence"]
        assert pair["chunk"]["text"][start:end] == pair["answer"]
        assert pair["topic"] == "Pumps"


def test_what_the_ledger_knows_is_not_asked_again(tiny_model: Path, ledger: Ledger) -> None:
    first = list(local(tiny_model)(chunks(), ledger))
    assert list(local(None)(chunks(), ledger)) == first


def test_a_run_killed_after_a_batch_ends_in_the_same_pairs(
    tiny_model: Path, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(local(tiny_model)(chunks(), ledger))
    put = Ledger.put

    def put_and_die(self: Ledger, replies: Any) -> None:
        put(self, replies)
        raise KeyboardInterrupt

    with Ledger(tmp_path / "other.sqlite") as other:
        monkeypatch.setattr(Ledger, "put", put_and_die)
        with pytest.raises(KeyboardInterrupt):
            list(local(tiny_model)(chunks(), other))
        assert len(other) == 2
        monkeypatch.setattr(Ledger, "put", put)
        assert list(local(tiny_model)(chunks(), other)) == whole


def test_another_document_leaves_the_old_pairs_as_they_are(tiny_model: Path, ledger: Ledger) -> None:
    old = list(local(tiny_model)(chunks(), ledger))
    calls = len(ledger)
    new = chunks("b.pdf")
    new[0]["text"] = "The hose is checked for leaks before each use."
    both = list(local(tiny_model)([*chunks(), *new], ledger))
    assert both[: len(old)] == old
    assert len(ledger) == calls + 1


@pytest.mark.parametrize("change", [{"seed": 1}, {"temperature": 0.5}, {"prompt": {"text": "Ask.\n\n"}}])
def test_another_setting_is_another_call(tiny_model: Path, ledger: Ledger, change: dict[str, Any]) -> None:
    list(local(tiny_model)(chunks(), ledger))
    before = len(ledger)
    list(local(tiny_model, **change)(chunks(), ledger))
    assert len(ledger) == 2 * before


def test_greedy_decoding_gives_one_question(tiny_model: Path, ledger: Ledger) -> None:
    greedy = local(tiny_model, temperature=0.0, samples=1)
    assert len(list(greedy(chunks(), ledger))) == 4


def test_a_plan_counts_the_calls_that_the_ledger_lacks(tiny_model: Path, ledger: Ledger) -> None:
    assert local(None).plan(chunks(), ledger) == {"calls": 4}  # the four whole, plain sentences
    list(local(tiny_model)(chunks(), ledger))
    assert local(None).plan(chunks(), ledger) == {"calls": 0}
