import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from stages.generator import local as module
from stages.generator.local import Local, common_words
from stages.ledger import Ledger

SETTINGS: dict[str, Any] = {
    "name": "local", "prompt": {"en": "Ask.\n\n", "de": "Frage.\n\n"}, "recast": True, "samples": 2,
    "temperature": 1.0, "top_k": 20, "batch": 2, "maximum_tokens": 6, "sentence_words": (4, 45), "seed": 0,
    "watch": "w", "code": "c",
}  # fmt: skip
MUST = "The pump must be cleaned every week."
SHOWS = "A guide shows in detail how pumps are opened."  # has no form that can be recast
BEFORE = "The crew must close the valve before the pump is opened."
GLOVES = "Gloves of the right size come with each pump!"
ROW = "SOP | Standard Operating Procedure"
TEXTS = [
    f"{MUST} It is red. {SHOWS}",
    f"- {BEFORE}\n- See the table for the sizes of all valves.",
    f"{GLOVES} The manual at http://a.example explains which gloves to wear.\n{ROW}",
    "Pump | 3\nPump | 4",
]
RECAST, WRITTEN = (MUST, BEFORE, ROW), (SHOWS, GLOVES)
KEYS = ["chunk", "kind", "question", "answer", "quote", "evidence", "score"]


def chunks(document: str = "a.pdf", language: str = "en") -> list[dict[str, Any]]:
    place = {"document": document, "pages": [1, 1], "headings": ["2.1 Pumps"], "language": language}
    return [{"id": f"{document}{n}", "text": text} | place for n, text in enumerate(TEXTS)]


def local(folder: Path | None, **changes: Any) -> Local:
    def where() -> Path:
        assert folder is not None, "the model was loaded though the ledger knows every reply"
        return folder

    model = SimpleNamespace(identity="tiny", dtype="float32", folder=where)
    return Local(model=model, **SETTINGS | changes)


def test_candidates_have_the_form_and_know_their_place(tiny_model: Path, ledger: Ledger) -> None:
    candidates = list(local(tiny_model)(chunks(), ledger))
    asked = [pair for pair in candidates if pair["question"]]
    assert {pair["quote"] for pair in asked} == {*RECAST, *WRITTEN}
    for pair in asked:
        assert list(pair) == KEYS
        start, end = pair["evidence"]
        assert pair["chunk"]["text"][start:end] == pair["quote"]
        assert pair["kind"] in ("fact", "list", "definition", "reason", "number")
        assert pair["score"] < 0
    places = [(pair["chunk"]["id"], pair["evidence"]) for pair in asked]
    assert places == sorted(places)


def test_what_can_be_recast_is_and_the_model_writes_about_the_rest(tiny_model: Path, ledger: Ledger) -> None:
    candidates = list(local(tiny_model)(chunks(), ledger))
    questions = {quote: [p["question"] for p in candidates if p["quote"] == quote] for quote in RECAST}
    assert questions[MUST] == ["How often must the pump be cleaned?", "What must be cleaned every week?"]
    assert questions[BEFORE] == [
        "When must the crew close the valve?",
        "What must the crew do before the pump is opened?",
        "Who must close the valve before the pump is opened?",
    ]
    assert [sum(p["quote"] == quote for p in candidates) for quote in WRITTEN] == [2, 2]
    kinds = [p["kind"] for p in candidates if p["quote"] in (MUST, ROW)]
    assert kinds == ["number", "fact", "definition"]


def test_of_a_row_of_acronyms_the_long_form_is_the_answer(tiny_model: Path, ledger: Ledger) -> None:
    candidates = list(local(tiny_model)(chunks(), ledger))
    (pair,) = [pair for pair in candidates if pair["quote"] == ROW]
    assert pair["question"] == "What does SOP stand for?"
    assert pair["answer"] == "Standard Operating Procedure"
    start, end = pair["evidence"]
    assert pair["answer"] in pair["chunk"]["text"][start:end]


def test_a_heading_that_is_a_question_is_answered_by_what_stands_below_it(
    tiny_model: Path, ledger: Ledger
) -> None:
    asked = chunks()
    for chunk in asked[:2]:
        chunk["headings"] = ["Frequent questions", "8. How is a pump looked after?"]
    found = [p for p in local(tiny_model)(asked, ledger) if p["question"] == "How is a pump looked after?"]
    # It is asked once, of the section's first chunk, whose first sentences are the answer.
    assert [(pair["chunk"]["id"], pair["kind"], pair["answer"]) for pair in found] == [
        ("a.pdf0", "reason", asked[0]["text"])
    ]


def test_recasting_can_be_turned_off(tiny_model: Path, ledger: Ledger) -> None:
    candidates = [pair for pair in local(tiny_model, recast=False)(chunks(), ledger) if pair["question"]]
    assert [sum(p["quote"] == quote for p in candidates) for quote in (*RECAST, *WRITTEN)] == [2] * 5


def test_only_english_is_recast(tiny_model: Path, ledger: Ledger) -> None:
    candidates = list(local(tiny_model)(chunks(language="de"), ledger))
    assert sum(pair["quote"] == MUST for pair in candidates) == 2
    assert {pair["kind"] for pair in candidates if pair["question"]} == {"fact"}


def test_a_chunk_without_a_candidate_says_why(tiny_model: Path, ledger: Ledger) -> None:
    mixed = [*chunks()[2:], *chunks("b.pdf", "fi")]
    silent = [pair for pair in local(tiny_model)(mixed, ledger) if "reason" in pair]
    reasons = [(pair["chunk"]["id"], pair["reason"]) for pair in silent]
    assert reasons == [
        ("a.pdf3", "no_sentence"),
        *((f"b.pdf{n}", "language_without_prompt") for n in range(4)),
    ]
    assert {key: silent[0][key] for key in KEYS[1:]} == {
        "kind": "", "question": "", "answer": "", "quote": "", "evidence": None, "score": None,
    }  # fmt: skip


def test_coverage_adds_up() -> None:
    figures = local(None).coverage(chunks())["sentences"]
    assert figures["in"] == figures["kept"] + sum(figures["dropped"].values()) == 10
    assert figures["kept"] == len(RECAST) + len(WRITTEN)
    assert (
        figures["dropped"] == {"table_row": 2, "too_short": 1, "leaning": 2, "link": 1} or figures["dropped"]
    )


def test_what_the_ledger_knows_is_not_asked_again(tiny_model: Path, ledger: Ledger) -> None:
    first = list(local(tiny_model)(chunks(), ledger))
    assert list(local(None)(chunks(), ledger)) == json.loads(json.dumps(first))


def lines(candidates: Any) -> bytes:
    return "\n".join(json.dumps(pair) for pair in candidates).encode()


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_a_run_killed_after_a_batch_ends_in_the_same_bytes(
    tiny_model: Path, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    whole = lines(local(tiny_model, batch=1)(chunks(), ledger))
    put, left = Ledger.put, [batches]

    def put_and_die(self: Ledger, replies: Any) -> None:
        put(self, replies)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with Ledger(tmp_path / "other.sqlite") as other:
        monkeypatch.setattr(Ledger, "put", put_and_die)
        with pytest.raises(KeyboardInterrupt):
            list(local(tiny_model, batch=1)(chunks(), other))
        assert len(other) == batches
        monkeypatch.setattr(Ledger, "put", put)
        assert lines(local(tiny_model, batch=1)(chunks(), other)) == whole


def test_another_document_leaves_the_old_pairs_as_they_are(tiny_model: Path, ledger: Ledger) -> None:
    old = lines(local(tiny_model)(chunks(), ledger))
    calls = len(ledger)
    new = chunks("b.pdf")
    new[0]["text"] = "The hose must be dry."
    assert lines(local(tiny_model)([*chunks(), *new], ledger)).startswith(old)
    assert len(ledger) == calls + 1


@pytest.mark.parametrize(
    ("change", "written", "recast"),
    [
        ({"seed": 1}, 2, 0),
        ({"temperature": 0.5}, 2, 0),
        ({"top_k": 5}, 2, 0),
        ({"maximum_tokens": 5}, 2, 0),
        ({"samples": 3}, 2, 0),
        ({"recast": False}, 0, 3),
        ({"batch": 8}, 0, 0),
        ({"prompt": {"en": "Ask!\n\n"}}, 2, 3),
        ({"prompt": {"en": "Ask.\n\n", "fr": "Demande.\n\n"}}, 0, 0),
    ],
)
def test_a_setting_is_part_of_the_calls_that_it_changes(
    tiny_model: Path, ledger: Ledger, change: dict[str, Any], written: int, recast: int
) -> None:
    list(local(tiny_model)(chunks(), ledger))
    assert local(None, **change).plan(chunks(), ledger)["calls"] == written + recast


def test_another_raised_form_asks_all_again(
    ledger: Ledger, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(local(tiny_model)(chunks(), ledger))
    monkeypatch.setattr(module, "FORM", module.FORM + 1)
    assert local(None).plan(chunks(), ledger)["calls"] == 5


def test_a_plan_counts_the_calls_that_the_ledger_lacks(tiny_model: Path, ledger: Ledger) -> None:
    plan = local(None).plan([*chunks(), *chunks("b.pdf")], ledger)
    assert plan["calls"] == 5  # the same call once
    frame = "Topic: Pumps\nSentence: \nQuestion:"
    least = sum(len(frame + sentence) for sentence in (*RECAST, *WRITTEN)) // 4
    assert least < plan["prompt_tokens"] < 2 * least
    assert plan["reply_tokens"] == len(WRITTEN) * 2 * 6
    list(local(tiny_model)(chunks(), ledger))
    assert set(local(None).plan(chunks(), ledger).values()) == {0}


def test_greedy_decoding_gives_one_question(tiny_model: Path, ledger: Ledger, tmp_path: Path) -> None:
    greedy = local(tiny_model, temperature=0.0, samples=1)
    first = list(greedy(chunks(), ledger))
    assert [sum(pair["quote"] == quote for pair in first) for quote in WRITTEN] == [1, 1]
    with Ledger(tmp_path / "other.sqlite") as other:
        assert lines(local(tiny_model, temperature=0.0, samples=1, batch=3)(chunks(), other)) == lines(first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "greedy"),
        ({"sentence_words": (9, 4)}, "the shorter comes first"),
        ({"batch": 0}, "batch"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        local(None, **change)


def test_common_words_are_no_names() -> None:
    texts = [
        "The pump of Boeing is old. Cleaning helps. Valves by Acme are new.",
        "Acme Valve Works sells pumps. NIST asks.",
    ]
    found = common_words(texts)
    assert {"the", "pump", "cleaning", "valves", "pumps"} <= found
    assert not {"boeing", "acme", "nist", "valve"} & found
