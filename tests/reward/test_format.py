import time

import pytest
from pydantic import ValidationError

from stages.reward.format import Format


def reward(pattern: str, *answers: str) -> list[float]:
    return Format(name="format", weight=1.0, pattern=pattern)([{"answer": answer} for answer in answers])


def test_the_whole_answer_must_match() -> None:
    assert reward(r"\d+ weeks", "4 weeks", "4 weeks.", "every 4 weeks", "4 weeks\n") == [1, 0, 0, 0]
    assert reward(r"yes|no", "yes", "no", "yesno", "not") == [1, 1, 0, 0]
    assert reward(r"(?s).*[.!?]", "First.\nSecond.", "First") == [1, 0]
    assert reward(r"(?i)ja", "JA", "Jà") == [1, 0]


# Under an engine that goes back, the first takes as many steps as 2 to the power of the answer's length.
@pytest.mark.parametrize("pattern", ["(a+)+", "(a|a)*", "(.*a){20}", "(?:a?){30}a{30}"])
def test_no_answer_makes_it_run_away(pattern: str) -> None:
    start = time.perf_counter()
    reward(pattern, "a" * 20_000 + "!", "b" * 20_000)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("pattern", ["(", "a)(b", r"(a)\1", "(?=a)a", "a{9999}"])
def test_what_is_no_expression_of_that_kind_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"reward\.format\.pattern=.*no regular expression of RE2"):
        reward(pattern)
