import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import repeats as module
from stages.repeats import COMPARED, RIVALS, SIZE, Repeat, find, jaccard, near_repeats, signature
from tests.imports import ROOT

STEADY = settings(derandomize=True, deadline=None)

LETTERS = "alpha beta gamma delta eps zeta eta theta iota kappa la mu nu xi omi pi".split()
ALONE = LETTERS[:14]  # 10 shingles of 5 words


def text(*words: str) -> str:
    return " ".join(words)


def repeats(texts: Sequence[str], similarity: float = 0.95) -> dict[int, Repeat]:
    return find(b"".join(map(signature, texts)), texts.__getitem__, similarity)


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (ALONE, ALONE, 1.0),
        (ALONE, ALONE[:-1], 9 / 10),  # one shingle of ten is lost
        (ALONE, LETTERS[1:15], 9 / 11),  # one lost, another new
        (ALONE, [*ALONE[:7], "other", *ALONE[8:]], 5 / 15),  # five lost, five new
        (ALONE, [word.upper() for word in ALONE], 0.0),
    ],
)
def test_jaccard_by_hand(left: list[str], right: list[str], expected: float) -> None:
    assert jaccard(shingles(text(*left)), shingles(text(*right))) == expected


@pytest.mark.parametrize(("similarity", "found"), [(0.89, {1: Repeat(0, "near")}), (0.91, {}), (1.0, {})])
def test_a_near_repeat_is_at_least_as_similar_as_asked(similarity: float, found: dict[int, Repeat]) -> None:
    assert repeats([text(*ALONE), text(*ALONE[:-1])], similarity) == found


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text.replace(" ", "\n", 3),
        lambda text: text.replace(" ", ", ", 1) + ".",
        lambda text: f"– “{text}” *",
    ],
)
def test_case_blanks_and_punctuation_make_no_difference(change: Callable[[str], str]) -> None:
    texts = [text(*ALONE), change(text(*ALONE))]
    assert repeats(texts) == {1: Repeat(0, "near")}
    assert repeats(texts, 1.0) == {}


@pytest.mark.parametrize(
    ("left", "right"),
    [("101.4", "101.5"), ("101.4", "1014"), ("5 1.7", "1.7 5"), ("<2", "2"), ("-3", "3"), ("5", "")],
)
def test_a_chunk_with_other_figures_is_no_repeat(left: str, right: str) -> None:
    prose = [f"{word}s" for word in LETTERS * 9]  # Jaccard far above 0.8 but for the figures
    texts = [text("Table 3", *prose, figures, *reversed(prose)) for figures in (left, right)]
    assert repeats(texts, 0.8) == {}


def test_one_changed_word_keeps_a_passage_of_up_to_198_words() -> None:
    words = [f"{one}{two}" for one in LETTERS for two in LETTERS]
    for length, found in ((198, {}), (200, {1: Repeat(0, "near")})):
        changed = [*words[:100], "not", *words[101:length]]
        # 194 shingles: 189 of 199 are shared; 196: 191 of 201, which is just above 0.95.
        assert repeats([text(*words[:length]), text(*changed)]) == found


def test_a_short_text_has_exact_copies_only() -> None:
    assert repeats(["one two", "One two", "one two", "", ""], 0.8) == {
        2: Repeat(0, "exact"),
        4: Repeat(3, "exact"),
    }


def test_what_is_repeated_stays_itself() -> None:
    first, near, other = text(*ALONE), text(*ALONE[:-1]), text(*reversed(ALONE))
    assert repeats([first, near, other, near, first, other], 0.85) == {
        1: Repeat(0, "near"),
        3: Repeat(0, "near"),  # an exact copy of one that went
        4: Repeat(0, "exact"),
        5: Repeat(2, "exact"),
    }


def test_the_order_decides_which_of_a_chain_stay() -> None:
    a, b, c = (text(*LETTERS[at : at + 14]) for at in range(3))  # a:b and b:c are 9/11, a:c is 8/12
    assert repeats([a, b, c], 0.8) == {1: Repeat(0, "near")}
    assert repeats([b, a, c], 0.8) == {1: Repeat(0, "near"), 2: Repeat(0, "near")}


@pytest.mark.parametrize("texts", [[], ["one"]])
def test_nothing_repeats_itself(texts: list[str]) -> None:
    assert repeats(texts) == {}


WORDS = st.lists(st.sampled_from([*LETTERS, "3", "4.5"]), max_size=12).map(lambda words: text(*words))
TEXTS = st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=12).flatmap(
    lambda pool: st.lists(st.sampled_from(pool), max_size=25) if pool else st.just([])
)


@STEADY
@given(TEXTS, st.sampled_from([0.8, 0.95, 1.0]))
def test_an_exact_copy_is_always_found_and_the_first_stays(texts: list[str], similarity: float) -> None:
    found = repeats(texts, similarity)
    for index, each in enumerate(texts):
        assert index in found or each not in texts[:index]
    for index, (of, kind) in found.items():
        assert of < index
        assert of not in found
        assert (kind == "exact") == (texts[of] == texts[index])


@STEADY
@given(TEXTS, st.randoms(use_true_random=False))
def test_in_any_order_one_of_each_text_stays_when_copies_alone_are_found(
    texts: list[str], chance: random.Random
) -> None:
    chance.shuffle(texts)
    found = repeats(texts, 1.0)
    kept = [each for index, each in enumerate(texts) if index not in found]
    assert len(kept) == len(set(kept))
    assert set(kept) == set(texts)


@STEADY
@given(st.lists(st.integers(1, 40), max_size=20))
def test_texts_without_a_common_shingle_all_stay(lengths: list[int]) -> None:
    texts = [text(*(f"w{at}x{n}" for n in range(length))) for at, length in enumerate(lengths)]
    assert repeats(texts, 0.8) == {}


@st.composite
def variants(draw: st.DrawFn) -> list[str]:
    base = draw(st.lists(st.sampled_from(LETTERS), min_size=30, max_size=60))
    texts = []
    for _ in range(draw(st.integers(1, 10))):
        words = base[draw(st.integers(0, 3)) : len(base) - draw(st.integers(0, 3))]
        if draw(st.booleans()):
            words[draw(st.integers(0, len(words) - 1))] = "other"
        texts.append(text(*words))
    return texts


@STEADY
@given(variants())
def test_near_repeats_are_those_of_comparing_each_with_all_that_stay(texts: list[str]) -> None:
    found = repeats(texts, 0.9)
    kept: list[int] = []
    for index, each in enumerate(texts):
        like = [of for of in kept if jaccard(shingles(texts[of]), shingles(each)) >= 0.9]
        if like:
            assert found[index].of in like
        else:
            kept.append(index)
    assert kept == [index for index in range(len(texts)) if index not in found]


def test_a_signature_is_the_same_in_every_process() -> None:
    line = f"from stages.repeats import signature; print(signature({text(*ALONE)!r}).hex())"
    for seed in ("1", "2"):
        process = subprocess.run(
            [sys.executable, "-c", line],
            capture_output=True, check=True, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, text=True,
        )  # fmt: skip
        assert process.stdout.strip() == signature(text(*ALONE)).hex()
    assert len(signature("")) == len(signature(text(*ALONE))) == SIZE


def test_thousands_of_copies_and_forms_are_not_all_compared_with_one_another() -> None:
    calls = 0

    def text_of(index: int) -> str:
        nonlocal calls
        calls += 1
        return texts[index]

    base = [f"{one}{two}" for one in LETTERS for two in LETTERS[:8]]
    # The same but for its case; the same but for a figure; the same but for a name in its midst.
    cases = [text(base[at % 128].upper(), *base) for at in range(500)]
    numbered = [text(*base, str(at)) for at in range(500)]
    named = [text(*base[:60], "name" + "x" * at, *base[60:]) for at in range(500)]
    for texts, repeated, most in ((cases, 372, 1500), (numbered, 0, 0), (named, 0, 500 * (RIVALS + 1))):
        calls = 0
        found = find(b"".join(map(signature, texts)), text_of, 0.95)
        assert len(found) >= repeated
        assert calls <= most


def test_memory_stays_small() -> None:
    signatures = random.Random(0).randbytes(SIZE * 20_000)  # noqa: S311
    tracemalloc.start()
    try:
        find(signatures, lambda index: f"Form {index} is one of many", 0.95)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def rivals(words: list[str], *changes: int) -> str:
    return text(*("other" if at in changes else word for at, word in enumerate(words)))


def test_a_known_text_is_repeated_whatever_its_figures() -> None:
    words = [f"{one}{two}" for one in LETTERS for two in LETTERS][:44]  # 40 shingles
    known = ["one two", text(*words[:20], "in", "1999", *words[22:])]
    twice = rivals(words, 20, 21)  # 34 of 46 shingles, 0.74: the figure is changed too
    thrice = rivals(words, 5, 20, 21, 30)  # 24 of 56, 0.43
    texts = [text(*reversed(words)), twice.upper() + ".", "one two", thrice, "", text(*words)]
    assert near_repeats(texts, known, 0.7) == {1, 5}
    assert near_repeats(texts, known, 0.8) == set()
    assert near_repeats(texts, [], 0.7) == near_repeats([], texts, 0.7) == set()


@STEADY
@given(variants(), variants())
def test_repeated_texts_are_those_of_comparing_each_with_each(texts: list[str], known: list[str]) -> None:
    # 0.8 is found with probability 1 - 5e-8.
    expected = {
        at
        for at, each in enumerate(texts)
        if any(jaccard(shingles(each), shingles(of)) >= 0.8 for of in known)
    }
    assert near_repeats(texts, known, 0.8) == expected


def test_thousands_of_one_form_are_not_all_compared_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def counted(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> float:
        nonlocal calls
        calls += 1
        return jaccard(left, right)

    monkeypatch.setattr(module, "jaccard", counted)
    base = [f"{one}{two}" for one in LETTERS for two in LETTERS[:8]]
    forms = [text(*base[:40], *(f"{n}x{at}" for n in range(4)), *base[40:]) for at in range(500)]
    # A copy beyond those that are compared is for the caller to find.
    assert near_repeats(forms, forms, 0.99) >= set(range(COMPARED))
    assert 0 < calls <= 500 * COMPARED
