import math

import pytest

from stages.metric.perplexity import Perplexity

PERPLEXITY = Perplexity(name="perplexity")


def perplexity(*rows: list[float]) -> float:
    return PERPLEXITY.summary(PERPLEXITY([{"token_losses": row} for row in rows]))["perplexity"]


def test_an_answers_value_is_its_nats_and_tokens() -> None:
    assert PERPLEXITY([{"token_losses": [0.5, 1.5]}, {"token_losses": [2.0]}]) == [
        {"nats": 2.0, "tokens": 2.0},
        {"nats": 2.0, "tokens": 1.0},
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # (ln 2 + ln 8) / 2 = ln 16 / 2 = ln 4
        ([[math.log(2), math.log(8)]], 4),
        ([[math.log(2)], [math.log(8)]], 4),
        # A model that guesses evenly among 50 words is as perplexed as that.
        ([[math.log(50)] * 7], 50),
        # A certain model: e^0
        ([[0.0, 0.0]], 1),
        # The long answer weighs more: (3 ln 2 + ln 32) / 4 = ln 256 / 4 = ln 4; the mean of means is ln 8.
        ([[math.log(2)] * 3, [math.log(32)]], 4),
    ],
)
def test_perplexity_is_e_to_the_mean_loss_of_all_tokens(rows: list[list[float]], expected: float) -> None:
    assert perplexity(*rows) == pytest.approx(expected)


def test_a_broken_model_still_has_a_figure() -> None:
    assert perplexity([1e6]) == math.exp(700)
    assert perplexity([math.inf]) == math.exp(700)
