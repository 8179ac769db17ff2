import copy
from typing import Any

import pytest

from stages.conclusion import Conclusion, change, conclude, digits, forgot, general, leaks, outcome
from tests.runs import METRICS, RETAINED, SQUAD, cell

CLEAN = METRICS["audit"]
LEAKY = {
    "questions": {"in": 62, "clean": 60, "affected": 2},
    "reasons": {"same_question": 1, "near_question": 0, "near_passage": 1},
}
BETTER = cell("f1", 0.4, (0.3, 0.2, 0.4), 1.0)
WORSE = cell("f1", 0.5, (-0.1, -0.15, -0.05), 0.0)
SAME = cell("f1", 0.4, (0.02, -0.05, 0.09), 0.7)
UNSURE = cell("f1", 0.4, (0.1, None, None), None, n=3, passages=1)


def judged(open_book: dict[str, Any] | None = None, **more: Any) -> Conclusion:
    squad = copy.deepcopy(SQUAD)
    if open_book is not None:
        squad["open"] = open_book
    squad |= more.pop("squad", {})
    scores = {"squad": squad} | more.pop("scores", {})
    given = {"main": "squad.f1", "retained": RETAINED, "audited": CLEAN, "forgetting": 0.05} | more
    return conclude(scores, **given)


# outcome()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (BETTER, "better"),
        (WORSE, "worse"),
        (SAME, "same"),
        (UNSURE, "unsure"),
        ({"n": 0, "passages": 0}, "missing"),
        # Of perplexity less is better: its draws say so.
        (cell("f1", 9.0, (-3.0, -4.0, -2.0), 1.0), "better"),
        (cell("f1", 9.0, (3.0, 2.0, 4.0), 0.0), "worse"),
        # An interval without width, or one that touches 0, shows nothing.
        (cell("f1", 0.0, (0.0, 0.0, 0.0), 0.5), "same"),
        (cell("f1", 0.1, (0.1, 0.0, 0.2), 0.99), "same"),
        (cell("f1", 5.0, (1.0, 0.5, 1.5), None), "neutral"),
    ],
)
def test_outcome(found: dict[str, Any], expected: str) -> None:
    assert outcome(found, "f1") == expected


# conclude(): the verdict


@pytest.mark.parametrize(
    ("found", "expected", "first"),
    [
        (
            BETTER,
            "better",
            "Tuning helped: with the passage squad f1 rose from 0.400 to 0.700 (+0.300, 95% "
            "interval 0.200 to "
            "0.400); 62 questions on 38 passages.",
        ),
        (
            WORSE,
            "worse",
            "Tuning made the answers worse: with the passage squad f1 fell from 0.500 to 0.400 (-0.100, 95% "
            "interval -0.150 to -0.050); 62 questions on 38 passages.",
        ),
        (
            SAME,
            "same",
            "No difference was found: with the passage squad f1 rose from 0.400 to 0.420 (+0.020, "
            "95% interval "
            "-0.050 to 0.090); the interval contains 0, and 62 questions on 38 passages would detect only "
            "differences above 0.070.",
        ),
        (
            UNSURE,
            "unsure",
            "Too few questions to tell: with the passage squad f1 rose from 0.400 to 0.500 "
            "(+0.100); 3 questions on "
            "1 passage, and an interval needs two passages.",
        ),
    ],
    ids=["better", "worse", "same", "unsure"],
)
def test_the_verdict_is_that_of_the_interval(found: dict[str, Any], expected: str, first: str) -> None:
    conclusion = judged(found)
    assert (conclusion.outcome, conclusion.verdict[0]) == (expected, first)
    assert len(conclusion.verdict) == 2
    assert conclusion.warnings == ()


def test_a_figure_of_which_less_is_better_falls_for_the_better() -> None:
    less = {name: cell("perplexity", 9.0, (-3.0, -4.0, -2.0), 1.0) for name in ("open", "closed", "trained")}
    found = conclude({"perplexity": less}, "perplexity.perplexity", RETAINED, CLEAN, 0.05)
    assert found.verdict[0].startswith(
        "Tuning helped: with the passage perplexity fell from 9.000 to 6.000 (-3.000"
    )
    assert "not clearly more" in found.verdict[1]


@pytest.mark.parametrize(
    ("squad", "said"),
    [
        ({}, "not clearly more: that may be the style of the answers, not the document's content."),
        (
            {"trained": cell("f1", 0.2, (0.5, 0.4, 0.6), 1.0)},
            "on trained questions it rose from 0.200 to 0.700 (+0.500, 95% interval 0.400 to "
            "0.600), clearly more: "
            "what was trained on was learnt.",
        ),
        (
            {"trained": cell("f1", 0.2, (0.0, -0.1, 0.1), 0.5)},
            "on trained questions it stayed at 0.200 (0.000, 95% interval -0.100 to 0.100), so "
            "nothing shows that "
            "the document was learnt.",
        ),
        ({"trained": {"n": 0, "passages": 0}}, "does not tell whether the document was learnt."),
        (
            {"closed": cell("f1", 0.2, (-0.1, -0.2, -0.05), 0.0)},
            "Without the passage it fell from 0.200 to 0.100 (-0.100, 95% interval -0.200 to "
            "-0.050): these answers "
            "got worse; on trained",
        ),
        (
            {"closed": cell("f1", 0.2, (0.0, -0.1, 0.1), 0.5)},
            "the interval contains 0, and 62 questions on 38 passages would detect only "
            "differences above 0.070; on",
        ),
        ({"closed": cell("f1", 0.2, (0.1, None, None), None)}, "on too few passages to tell."),
        ({"closed": {"n": 0, "passages": 0}}, "Without the passage it was not measured."),
    ],
)
def test_what_was_learnt_is_told_by_trained_beside_held_out_questions(
    squad: dict[str, Any], said: str
) -> None:
    assert said in judged(squad=squad).verdict[1]


def test_of_a_figure_that_falls_clearly_more_is_further_down() -> None:
    cells = {
        "open": cell("perplexity", 9.0, (-3.0, -4.0, -2.0), 1.0),
        "closed": cell("perplexity", 9.0, (-3.0, -4.0, -2.0), 1.0),
        "trained": cell("perplexity", 19.0, (-9.0, -10.0, -8.0), 1.0),
    }
    found = conclude({"perplexity": cells}, "perplexity.perplexity", RETAINED, CLEAN, 0.05)
    assert "clearly more: what was trained on was learnt" in found.verdict[1]
    assert "not clearly" not in found.verdict[1]


@pytest.mark.parametrize(
    ("scores", "main", "said"),
    [
        ({"squad": SQUAD}, "rouge.l", "choose its metric in conf/config.yaml, or name one of squad.f1."),
        ({"squad": SQUAD}, "squad.exact", "squad.exact (report.main) was not measured"),
        ({"squad": {"open": {"n": 0, "passages": 0}}}, "squad.f1", "no figure could be measured"),
        ({}, "squad.f1", "no figure could be measured"),
        ({"length": {"open": cell("words", 9.0, (3.0, 2.0, 4.0), None)}}, "length.words", "neither more"),
    ],
)  # fmt: skip
def test_without_the_main_figure_there_is_no_verdict(scores: Any, main: str, said: str) -> None:
    found = conclude(scores, main, RETAINED, CLEAN, 0.05)
    assert found.outcome in ("missing", "neutral")
    (only,) = found.verdict
    assert only.startswith("No verdict: ")
    assert said in only


# conclude(): the warnings


def test_leaks_are_warned_of_with_the_figure_without_them() -> None:
    told = "Leakage: 2 of 62 held-out questions, or their passages, were seen in training "
    told += "(1 same question, 1 near passage)."
    assert judged(audited=LEAKY).warnings == (told,)
    clean = cell("f1", 0.4, (0.25, 0.15, 0.35), 1.0, n=60)
    assert judged(BETTER | {"clean": clean}, audited=LEAKY).warnings == (
        f"{told} Without them f1 rose from 0.400 to 0.650 (+0.250, 95% interval 0.150 to 0.350): "
        "the verdict stands.",
    )
    (warning,) = judged(BETTER | {"clean": SAME}, audited=LEAKY).warnings
    assert warning.endswith("the verdict does not stand without them.")


def test_forgetting_is_warned_of_where_it_is_sure_and_large() -> None:
    large = cell("perplexity", 20.0, (2.0, 1.0, 3.0), 0.0, n=80)
    assert judged(retained=large).warnings == (
        "Forgetting: perplexity on 80 general texts rose from 20.0 to 22.0 (+2.000, 95% "
        "interval 1.000 to 3.000), "
        "that is +10.0%.",
    )
    small, unsure = (cell("perplexity", 20.0, gap, 0.0) for gap in ((0.9, 0.5, 1.3), (2.0, -0.5, 4.5)))
    assert not judged(retained=small).warnings
    assert not judged(retained=unsure).warnings
    # Of one text there is no interval, of none no figure.
    assert not forgot(cell("perplexity", 20.0, (9.0, None, None), None), 0.05)
    assert not forgot({"n": 0}, 0.05)
    assert general({"n": 0}) == "perplexity on general text was not measured"


def test_a_figure_that_says_the_opposite_is_named() -> None:
    contrary = {"rouge": {"open": cell("l", 0.5, (-0.1, -0.2, -0.05), 0.0)}}
    assert judged(scores=contrary).warnings == (
        "Other figures contradict; worse by their intervals: rouge l with the passage fell "
        "from 0.500 to 0.400 "
        "(-0.100, 95% interval -0.200 to -0.050).",
    )
    # So is one that got worse where the main one shows nothing; of the main one the verdict speaks.
    assert len(judged(SAME, scores=contrary).warnings) == 1
    assert judged(squad={"closed": WORSE}).warnings == ()
    agreeing = {"rouge": {"open": cell("l", 0.5, (0.1, 0.05, 0.2), 1.0)}}
    assert judged(scores=agreeing).warnings == ()
    assert "better by their intervals" in judged(WORSE, scores=agreeing).warnings[0]


def test_of_many_that_contradict_the_first_are_named_and_the_rest_counted() -> None:
    many = {f"m{n}": {"open": cell("x", 0.5, (-0.1, -0.2, -0.05), 0.0)} for n in range(9)}
    (warning,) = judged(scores=many).warnings
    assert "m5 x" in warning
    assert "m6 x" not in warning
    assert warning.endswith("; and 3 more.")


# digits() and the rest


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (-9.5, "-9.500"), (12.06, "12.1"), (12345.6, "12,346")]
)
def test_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_no_leak_and_one_leak_read_well() -> None:
    assert leaks(CLEAN) == "none of 2 held-out questions was seen in training, nor its passage"
    one = {"questions": {"in": 62, "clean": 61, "affected": 1}, "reasons": {"near_question": 1}}
    assert leaks(one).startswith("1 of 62 held-out questions, or its passage, was seen")


def test_a_change_without_an_interval_names_none() -> None:
    assert change(UNSURE, "f1") == "rose from 0.400 to 0.500 (+0.100)"
