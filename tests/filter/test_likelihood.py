import pytest
from omegaconf import OmegaConf

from stages.errors import FolioError
from stages.filter.likelihood import Likelihood
from stages.option import build
from stages.verdict import Verdict
from tests.imports import ROOT

CONFIG = OmegaConf.load(ROOT / "conf/filter/likelihood.yaml")


def option(minimum: float) -> Likelihood:
    made: Likelihood = build(
        OmegaConf.create({"filter": {"likelihood": {**CONFIG, "minimum": minimum}}}), "filter.likelihood"
    )
    return made


def test_the_minimum_itself_stands_and_what_is_below_does_not() -> None:
    pairs = [{"score": score} for score in (-1.1, -1.1001, 0.0, -9.0)]
    assert option(-1.1)(pairs, None) == [  # type: ignore[arg-type]
        Verdict(None, -1.1), Verdict("unlikely", -1.1001), Verdict(None, 0.0), Verdict("unlikely", -9.0),
    ]  # fmt: skip


def test_a_question_of_unknown_likelihood_stands() -> None:
    assert option(0.0)([{"score": None}], None) == [Verdict()]  # type: ignore[arg-type]
    assert option(0.0)([], None) == []  # type: ignore[arg-type]


def test_a_probability_is_no_logarithm() -> None:
    with pytest.raises(
        FolioError, match=r"^filter\.likelihood\.minimum=0\.5: input should be less than or equal to 0$"
    ):
        option(0.5)


def test_the_default_has_a_minimum_for_the_local_generator() -> None:
    assert -3 < option(CONFIG.minimum).minimum < 0
