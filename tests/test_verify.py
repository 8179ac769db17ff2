import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from stages import cache, jsonl
from stages.compose import compose
from stages.coverage import LARGE, sections
from stages.errors import FolioError
from stages.filter.choice import Choice
from stages.filter.length import Length
from stages.filter.likelihood import Likelihood
from stages.jsonl import Record
from stages.ledger import Ledger
from stages.verdict import Verdict
from stages.verify import Filter, as_record, build_filters, checked, figures, joined, sift
from tests.checkout import Checkout
from tests.imports import ROOT

BOATS = "The captain inspects the lifeboats every four weeks and signs the log."
WATCH = "Night watches begin at ten in winter, because the sun sets early."
ALARM = "Before a drill, the crew must test the alarm in the engine room."
HULL = "The hull is painted each spring because rust eats the plates."
FIREWALL = "A firewall is a device that controls traffic between two networks."
SHIP = " ".join((BOATS, WATCH, ALARM))


def chunk(name: str = "c1", text: str = SHIP, document: str = "ship.pdf", *headings: str) -> Record:
    place = {"id": name, "document": document, "pages": [3, 4], "headings": list(headings) or ["1 Ship"]}
    return place | {"text": text, "language": "en"}


def candidate(question: str, answer: str = BOATS, **changes: Any) -> Record:
    """A line of data/candidates.jsonl; its evidence is the place of its answer in SHIP."""
    start = SHIP.find(answer)
    place = {"quote": answer, "evidence": [start, start + len(answer)] if answer and start >= 0 else None}
    told = {"chunk": "c1", "kind": "fact", "question": question, "answer": answer}
    return told | place | {"score": -0.5, "generator": "writer==1"} | changes


def nothing(reason: str, name: str = "c2") -> Record:
    empty = {"kind": "", "question": "", "answer": "", "quote": "", "evidence": None, "score": None}
    return {"chunk": name} | empty | {"generator": "writer==1", "reason": reason}


GOOD = candidate("Who inspects the lifeboats every four weeks?")
CHUNKS = [chunk(), chunk("c2", FIREWALL, "net.pdf")]


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return compose(ROOT / "conf")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Ledger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite") as made:
        yield made


# checked


def test_a_sound_line_is_taken_as_it_is_and_what_is_no_part_of_one_left_out() -> None:
    (found,) = checked([GOOD | {"filter": "form", "note": "mine"}])
    assert found == GOOD | {"reason": None}


@pytest.mark.parametrize(
    "changes", [{"score": None}, {"score": -1}, {"evidence": None}, {"reason": None}], ids=str
)
def test_what_may_be_unknown(changes: Record) -> None:
    assert next(checked([GOOD | changes]))["question"] == GOOD["question"]


@pytest.mark.parametrize(
    "changes", [{"question": ""}, {"question": " \n"}, {"answer": ""}, {"answer": "\t"}], ids=str
)
def test_a_pair_that_is_none_has_a_reason(changes: Record) -> None:
    assert next(checked([GOOD | changes]))["reason"] == "empty"
    assert next(checked([GOOD | changes | {"reason": "refused"}]))["reason"] == "refused"


@pytest.mark.parametrize("key", list(GOOD))
def test_a_missing_key_is_named_with_its_line(key: str) -> None:
    broken = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(FolioError) as caught:
        list(checked([GOOD, broken]))
    remedy = "mend it or run `dvc repro generate`"
    assert str(caught.value) == f"data/candidates.jsonl, line 2: {key} is missing; {remedy}"


@pytest.mark.parametrize(
    "changes",
    [
        {"chunk": ["c1"]},
        {"question": None},
        {"question": "Who \ud800?"},
        {"answer": 4},
        {"evidence": [0]},
        {"evidence": [0, 1, 2]},
        {"evidence": [-1, 4]},
        {"evidence": ["0", "4"]},
        {"evidence": [0.5, 4.0]},
        {"evidence": "04"},
        {"score": "high"},
        {"score": float("nan")},
        {"score": True},
        {"generator": None},
        {"reason": 5},
    ],
    ids=ascii,
)
def test_a_wrong_value_is_named_with_its_line(changes: Record) -> None:
    with pytest.raises(
        FolioError, match=rf"^data/candidates\.jsonl, line 1: {next(iter(changes))}[.\d]* is wrong: "
    ) as caught:
        list(checked([GOOD | changes]))
    assert "\n" not in str(caught.value)


# joined


def test_pairs_stand_in_the_chunks_order_and_in_a_chunk_the_likeliest_first() -> None:
    lines = [
        candidate("B?", score=-0.5),
        candidate("D?", chunk="c2", score=-0.9),
        candidate("A?", score=-0.1),
        candidate("C?", score=-0.5),
    ]
    found = joined(checked(lines), CHUNKS)
    assert [pair["question"] for pair in found] == ["A?", "B?", "C?", "D?"]
    assert [pair["chunk"] for pair in found] == [CHUNKS[0]] * 3 + [CHUNKS[1]]


def test_the_id_is_of_chunk_question_and_answer() -> None:
    def name(line: Record) -> str:
        return str(joined(checked([line]), CHUNKS)[0]["id"])

    first = name(GOOD)
    assert first == cache.digest("c1", GOOD["question"], GOOD["answer"])[:16]
    assert first == name(GOOD | {"score": -0.9, "kind": "list", "evidence": None})
    others = [candidate("When?"), GOOD | {"chunk": "c2"}, GOOD | {"answer": WATCH}]
    assert len({first, *map(name, others)}) == 4


def test_equal_pairs_have_different_ids_and_the_likeliest_the_plain_one() -> None:
    twice = [GOOD | {"score": -0.9}, GOOD | {"score": -0.2}, GOOD]
    found = joined(checked(twice), CHUNKS)
    (alone,) = joined(checked([GOOD]), CHUNKS)
    assert [pair["score"] for pair in found] == [-0.2, -0.5, -0.9]
    assert found[0]["id"] == alone["id"]
    assert len({pair["id"] for pair in found}) == 3


def test_a_chunk_of_another_run_is_named() -> None:
    lost = GOOD | {"chunk": "c9"}
    with pytest.raises(FolioError) as caught:
        joined(checked([GOOD, lost]), CHUNKS)
    assert str(caught.value) == (
        "data/candidates.jsonl names the chunk c9, which data/chunks.jsonl lacks; run `dvc repro generate`"
    )


# sift


def length() -> Length:
    return Length(name="length", question_words=(2, 25), answer_words=(1, 80))


def likelihood() -> Likelihood:
    return Likelihood(name="likelihood", minimum=-1.0)


def choice(room: int = 3) -> Choice:
    return Choice(name="choice", pairs_per_chunk=room, shares={"fact": 1.0})


def balanced(accounts: dict[str, Any], kept: list[Record], rejected: list[Record]) -> None:
    """What a filter keeps goes into the next one, and each rejected pair is counted where it fell."""
    listed = list(accounts.values())
    assert listed[0].total == len(kept) + len(rejected)
    assert [account.kept for account in listed[:-1]] == [account.total for account in listed[1:]]
    assert listed[-1].kept == len(kept)
    for name, account in accounts.items():
        reasons = [pair["reason"] for pair in rejected if pair["filter"] == name]
        assert dict(account.dropped) == {reason: reasons.count(reason) for reason in reasons}


def test_each_filter_gets_what_the_ones_before_left(ledger: Ledger) -> None:
    lines = [
        GOOD,
        candidate("When do night watches begin?", WATCH, score=-0.2),
        candidate("Short?", score=-9.0),
        candidate("Who is very unlikely?", score=-2.0),
        nothing("refused"),
    ]
    filters: dict[str, Filter] = {"length": length(), "likelihood": likelihood(), "choice": choice(1)}
    kept, rejected, accounts = sift(joined(checked(lines), CHUNKS), filters, ledger)
    balanced(accounts, kept, rejected)
    assert [pair["question"] for pair in kept] == ["When do night watches begin?"]
    assert kept[0]["scores"] == {"likelihood": -0.2}
    assert {name: account.as_dict() for name, account in accounts.items()} == {
        "generate": {"in": 5, "kept": 4, "dropped": {"refused": 1}},
        "length": {"in": 4, "kept": 3, "dropped": {"question_too_short": 1}},
        "likelihood": {"in": 3, "kept": 2, "dropped": {"unlikely": 1}},
        "choice": {"in": 2, "kept": 1, "dropped": {"chunk_full": 1}},
    }
    found = {pair["reason"]: (pair["filter"], pair["figure"], pair["scores"]) for pair in rejected}
    assert found == {
        "refused": ("generate", None, {}),
        "question_too_short": ("length", 1.0, {}),
        "unlikely": ("likelihood", -2.0, {}),
        "chunk_full": ("choice", None, {"likelihood": -0.5}),
    }


def test_kept_and_rejected_stand_in_the_order_of_the_passages(ledger: Ledger) -> None:
    lines = [
        candidate("What is it? Nobody knows.", FIREWALL, chunk="c2", score=-0.1),
        candidate("Which is last?", ALARM, score=-0.1),
        candidate("Which is in the middle?", WATCH, score=-0.3),
        candidate("Which is first?", BOATS, score=-0.9),
    ]
    kept, _, _ = sift(joined(checked(lines), CHUNKS), {"length": length()}, ledger)
    assert [pair["answer"] for pair in kept] == [BOATS, WATCH, ALARM, FIREWALL]
    unlikely = [line | {"score": -5.0} for line in lines]
    _, rejected, _ = sift(joined(checked(unlikely), CHUNKS), {"likelihood": likelihood()}, ledger)
    assert [pair["answer"] for pair in rejected] == [BOATS, WATCH, ALARM, FIREWALL]


class Places:
    """A filter that locates every pair and lets pass those with a question mark."""

    def __call__(self, pairs: Any, ledger: Ledger) -> list[Verdict]:
        return [Verdict(None if pair["question"][-1] == "?" else "stray", 0.5, (2, 9)) for pair in pairs]


def test_a_span_that_a_filter_located_is_stored_also_with_a_reject(ledger: Ledger) -> None:
    kept, rejected, _ = sift(
        joined(checked([GOOD, candidate("Stray.")]), CHUNKS), {"places": Places()}, ledger
    )
    assert [pair["evidence"] for pair in (*kept, *rejected)] == [[2, 9], [2, 9]]
    assert (kept[0]["scores"], rejected[0]["scores"], rejected[0]["figure"]) == ({"places": 0.5}, {}, 0.5)


def test_nothing_in_nothing_out(ledger: Ledger) -> None:
    kept, rejected, accounts = sift([], {"length": length(), "choice": choice()}, ledger)
    assert (kept, rejected) == ([], [])
    assert [account.total for account in accounts.values()] == [0, 0, 0]


LINES = st.lists(
    st.builds(
        lambda question, answer, score, name, kind: candidate(
            question, answer, score=score, chunk=name, kind=kind
        ),
        st.sampled_from(["Who inspects?", "When do watches begin?", "Short?", ""]),
        st.sampled_from([BOATS, WATCH, ALARM, ""]),
        st.sampled_from([-0.1, -0.5, -2.0, None]),
        st.sampled_from(["c1", "c2"]),
        st.sampled_from(["fact", "list"]),
    ),
    max_size=10,
)


@hypothesis_settings(derandomize=True, deadline=None)
@given(LINES, st.integers(1, 2))
def test_whatever_comes_each_candidate_is_kept_or_rejected_once(lines: list[Record], room: int) -> None:
    filters: dict[str, Filter] = {"likelihood": likelihood(), "choice": choice(room), "length": length()}
    none: Any = None
    kept, rejected, accounts = sift(joined(checked(lines), CHUNKS), filters, none)
    balanced(accounts, kept, rejected)
    ids = [pair["id"] for pair in kept + rejected]
    assert len(ids) == len(set(ids)) == len(lines)
    again = sift(joined(checked(lines), CHUNKS), filters, none)
    assert again[:2] == (kept, rejected)
    assert all(pair["place"] == ["c1", "c2"].index(pair["chunk"]["id"]) for pair in kept)


# Records

KEYS = [
    "id",
    "chunk",
    "document",
    "pages",
    "passage",
    "question",
    "answer",
    "evidence",
    "kind",
    "scores",
    "generator",
]


def test_a_record_leads_back_to_its_page(ledger: Ledger) -> None:
    kept, _, _ = sift(joined(checked([GOOD]), CHUNKS), {"likelihood": likelihood()}, ledger)
    record = as_record(kept[0])
    assert list(record) == KEYS
    assert record | {"id": ""} == {
        "id": "",
        "chunk": "c1",
        "document": "ship.pdf",
        "pages": [3, 4],
        "passage": SHIP,
        "question": GOOD["question"],
        "answer": BOATS,
        "evidence": [0, len(BOATS)],
        "kind": "fact",
        "scores": {"likelihood": -0.5},
        "generator": "writer==1",
    }


def test_a_rejected_record_tells_the_filter_its_reason_and_its_figure(ledger: Ledger) -> None:
    _, rejected, _ = sift(joined(checked([nothing("budget")]), CHUNKS), {"length": length()}, ledger)
    record = as_record(rejected[0])
    assert list(record) == [*KEYS, "quote", "filter", "reason", "score"]
    assert (record["filter"], record["reason"], record["score"]) == ("generate", "budget", None)
    assert (record["question"], record["evidence"], record["document"]) == ("", None, "net.pdf")


# Figures


def test_a_section_is_a_heading_of_a_document_and_large_from_100_words() -> None:
    half = "word " * (LARGE // 2)
    chunks = [
        chunk("1", half, "a.pdf", "Part 1", "Pumps"), chunk("2", half, "a.pdf", "Part 1", "Pumps"),
        chunk("3", half + "word " * 49, "a.pdf", "Part 2"),
        chunk("4", half * 2, "b.pdf", "Part 1", "Pumps"),
        chunk("5", "船" * 100, "c.pdf", "Chinese counts by the letter"),
    ]  # fmt: skip
    assert sections(chunks, set()) == {"large": 3, "covered": 0}
    assert sections(chunks, {"2", "3"}) == {"large": 3, "covered": 1}
    assert sections(iter(chunks), {"1", "2", "4", "5"}) == {"large": 3, "covered": 3}
    assert sections([], set()) == {"large": 0, "covered": 0}


def test_the_figures_worked_out_by_hand(ledger: Ledger) -> None:
    chunks = [*CHUNKS, chunk("c3", "word " * 120, "net.pdf", "2 Rules")]
    lines = [
        GOOD,
        candidate("When do night watches begin?", WATCH, kind="number"),
        candidate("What should be done?", "A word.", chunk="c3", kind="fact"),
        nothing("refused"),
    ]
    kept, _, accounts = sift(joined(checked(lines), chunks), {"length": length()}, ledger)
    assert figures(chunks, kept, accounts) == {
        "filters": {
            "generate": {"in": 4, "kept": 3, "dropped": {"refused": 1}},
            "length": {"in": 3, "kept": 3, "dropped": {}},
        },
        "chunks": 3,
        "chunks_with_pairs": 2,
        "sections": {"large": 1, "covered": 1},
        "kinds": {"fact": 2, "number": 1},
    }


# The filters that are chosen


def test_filters_run_in_the_order_of_verify_filters(config: DictConfig) -> None:
    assert list(build_filters(config)) == list(config.filter)
    fewer = OmegaConf.merge(config, {"verify": {"filters": ["choice", "form"]}})
    assert isinstance(fewer, DictConfig)
    assert list(build_filters(fewer)) == ["choice", "form"]


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (
            ["form", "lenght"],
            r"^verify\.filters names lenght, which is not chosen: .*; did you mean length\?$",
        ),
        (["form", "form"], r"^verify\.filters names form twice$"),
        ([], r"^verify\.filters=\[\]: list should have at least 1 item"),
        (["form", 5], r"^verify\.filters\.1=5: input should be a valid string$"),
    ],
)
def test_a_wrong_list_of_filters_is_one_sentence(config: DictConfig, names: list[Any], fault: str) -> None:
    with pytest.raises(FolioError, match=fault):
        build_filters(OmegaConf.merge(config, {"verify": {"filters": names}}))  # type: ignore[arg-type]


def test_no_filter_at_all_is_one_sentence(config: DictConfig) -> None:
    bare = OmegaConf.create({key: config[key] for key in config if key != "filter"})
    with pytest.raises(FolioError, match=r"^no filter is chosen: "):
        build_filters(bare)


# The filters of conf/, on pairs made by hand

GOODS = [
    GOOD,
    candidate("When do night watches begin in winter?", WATCH),
    candidate("Why is the hull painted each spring?", HULL, kind="reason", chunk="c3"),
    candidate("What must the crew test before a drill?", ALARM),
    candidate("What is a firewall?", FIREWALL, kind="definition", chunk="c2"),
]
BOAT = "Who inspects the lifeboats?"
ELSEWHERE = {"quote": BOATS, "evidence": None}
BADS = [
    ("generate", "nothing_to_ask", nothing("nothing_to_ask")),
    ("generate", "empty", GOOD | {"question": " "}),
    ("form", "malformed", candidate("Who inspects the lifeboats")),
    ("form", "malformed", candidate("Inspects the captain the lifeboats?")),
    ("form", "other_language", candidate("What is the purpose of the lifeboats on the ship?", chunk="c5")),
    ("length", "question_too_short", candidate("Who inspects?")),
    ("length", "question_too_long", candidate("Who " + "inspects " * 24 + "lifeboats?")),
    ("length", "answer_too_long", candidate(BOAT, "The captain " * 51)),
    ("evidence", "evidence_missing", candidate(BOAT, "Captain", quote="No such words.", evidence=None)),
    ("evidence", "unsupported_number", candidate(BOAT, "Captain of 73", **ELSEWHERE)),
    ("evidence", "unsupported", candidate(BOAT, "The pilots of balloons", **ELSEWHERE)),
    ("standalone", "dangling", candidate("Who inspects these lifeboats?")),
    ("standalone", "vague", candidate("Who inspects all of the?")),
    ("fit", "foreign_words", candidate("Who repairs the lifeboats?")),
    ("fit", "other_order", candidate("What do the lifeboats inspect?")),
    ("fit", "wrong_opening", candidate("Why must the crew test the alarm?", ALARM)),
    ("likelihood", "unlikely", candidate(BOAT, score=-5.0)),
    ("choice", "same_answer", candidate("Who inspects the lifeboats and signs the log?", score=-0.9)),
    (
        "duplicates",
        "repeated_question",
        candidate("What is a firewall?", FIREWALL, chunk="c4", kind="definition"),
    ),
]


def test_good_pairs_stand_and_each_bad_one_falls_where_it_should(config: DictConfig, ledger: Ledger) -> None:
    italian = chunk("c5") | {"language": "it"}
    chunks = [*CHUNKS, chunk("c3", HULL), chunk("c4", FIREWALL), italian]
    bads = [line | {"generator": f"{number}"} for number, (_, _, line) in enumerate(BADS)]
    kept, rejected, accounts = sift(joined(checked([*bads, *GOODS]), chunks), build_filters(config), ledger)
    balanced(accounts, kept, rejected)
    assert {pair["question"] for pair in kept} == {pair["question"] for pair in GOODS}
    fallen = {pair["generator"]: (pair["filter"], pair["reason"]) for pair in rejected}
    assert [fallen[bad["generator"]] for bad in bads] == [(name, reason) for name, reason, _ in BADS]
    assert len(rejected) == len(BADS)


def test_every_kept_pair_has_the_evidence_that_its_answer_is(config: DictConfig, ledger: Ledger) -> None:
    # An endpoint knows no place: the filter finds it.
    lines = [line | {"evidence": None, "score": None} for line in GOODS]
    kept, _, _ = sift(joined(checked(lines), [*CHUNKS, chunk("c3", HULL)]), build_filters(config), ledger)
    assert [pair["chunk"]["text"][slice(*pair["evidence"])] for pair in kept] == [
        pair["answer"] for pair in kept
    ]
    assert len(kept) == len(GOODS)
    assert all(pair["scores"]["evidence"] == 1 for pair in kept)


# The command


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cache"))


@pytest.fixture
def project(made: Checkout) -> Checkout:
    for path in ("data/qa.jsonl", "data/rejected.jsonl", "data/candidates.jsonl", "metrics/verify.json"):
        (made.folder / path).unlink(missing_ok=True)
    jsonl.write(made.folder / "data/chunks.jsonl", [chunk("c1"), chunk("c2", FIREWALL, "net.pdf")])
    return made


def verify(project: Checkout, lines: list[Record] | None, *words: str) -> "subprocess.CompletedProcess[str]":
    if lines is not None:
        jsonl.write(project.folder / "data/candidates.jsonl", lines)
    return project.python("-m", "stages.verify", *words)


def test_the_command_writes_pairs_rejects_and_figures(project: Checkout) -> None:
    lines = [GOOD, GOODS[-1], candidate("Who repairs the lifeboats?"), nothing("refused")]
    done = verify(project, lines)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "verify: 0 new calls\nverify: 2 pairs kept of 4; dropped: 1 refused, 1 foreign_words\n"
    )
    pairs = list(jsonl.read(project.folder / "data/qa.jsonl"))
    rejected = list(jsonl.read(project.folder / "data/rejected.jsonl"))
    told = json.loads((project.folder / "metrics/verify.json").read_text(encoding="utf-8"))
    assert [pair["question"] for pair in pairs] == [GOOD["question"], "What is a firewall?"]
    assert set(pairs[0]["scores"]) >= {"evidence", "likelihood"}
    assert [(pair["filter"], pair["reason"]) for pair in rejected] == [
        ("fit", "foreign_words"),
        ("generate", "refused"),
    ]
    assert told["pairs"] == {"in": 4, "kept": 2, "dropped": {"refused": 1, "foreign_words": 1}}
    assert (told["chunks"], told["chunks_with_pairs"], told["kinds"]) == (2, 2, {"definition": 1, "fact": 1})


def test_the_review_reads_what_the_command_writes(project: Checkout) -> None:
    assert verify(project, [GOOD, candidate("Short?")], "verify.filters=[length]").returncode == 0
    asked = {"chunks": {"in": 2, "kept": 1, "dropped": {"refused": 1}}, "candidates": 2}
    (project.folder / "metrics/generate.json").write_text(json.dumps(asked), encoding="utf-8")
    done = project.python("-m", "stages.review")
    assert done.returncode == 0, done.stderr
    page = (project.folder / "report/pairs.html").read_text(encoding="utf-8")
    assert f"<mark>{BOATS}</mark>" in page


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.splitlines()
    return sentence


def write_raw(text: str) -> Callable[[Checkout], None]:
    return lambda project: (
        (project.folder / "data/candidates.jsonl").write_text(text, encoding="utf-8") and None
    )


@pytest.mark.parametrize(
    ("damage", "words", "sentence"),
    [
        (lambda _: None, [], "data/candidates.jsonl is missing; run `dvc repro`"),
        (write_raw("{}\n"), [], "data/candidates.jsonl, line 1: chunk is missing; mend it or run "),
        (write_raw(json.dumps(GOOD | {"chunk": "c9"})), [], "data/candidates.jsonl names the chunk c9, "),
        (write_raw(""), [], "kept 0 of 0 candidate pairs, less than verify.keep_share=0.02 asks; "),
        (write_raw("{}\n"), ["verify.filters=[form,fitt]"], "verify.filters names fitt, which is not "),
        (write_raw("{}\n"), ["filter=[]"], "no filter is chosen: "),
    ],
)
def test_the_command_fails_in_one_sentence(
    project: Checkout, damage: Callable[[Checkout], None], words: list[str], sentence: str
) -> None:
    damage(project)
    assert refused(verify(project, None, *words)).startswith(f"folio: {sentence}")
    assert not (project.folder / "data/qa.jsonl").exists()


def test_where_all_are_rejected_the_rejects_can_be_read(project: Checkout) -> None:
    done = verify(project, [candidate("Short?"), nothing("refused")], "verify.filters=[length]")
    assert refused(done) == (
        "folio: kept 0 of 2 candidate pairs, less than verify.keep_share=0.02 asks; "
        "dropped: 1 refused, 1 question_too_short"
    )
    assert len(list(jsonl.read(project.folder / "data/rejected.jsonl"))) == 2
    assert not (project.folder / "data/qa.jsonl").exists()
    assert not (project.folder / "metrics/verify.json").exists()


def test_a_missing_chunks_file_is_named(project: Checkout) -> None:
    (project.folder / "data/chunks.jsonl").unlink()
    assert refused(verify(project, [GOOD])) == "folio: data/chunks.jsonl is missing; run `dvc repro`"


def test_no_language_model_is_loaded() -> None:
    import sys

    lines = "import sys, stages.verify; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", lines], cwd=ROOT, check=True)


def test_the_files_stand_where_dvc_expects_them() -> None:
    from stages import generate
    from stages import verify as stage

    assert generate.CANDIDATES == stage.CANDIDATES == Path("data/candidates.jsonl")
