from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stages.errors import FolioError
from stages.model.embedded import Embedded
from stages.model.folder import Folder
from stages.reward.classifier import Classifier
from tests.metric.test_classifier import classifier, make, rows

TEXTS = ("the valve", "by hand", "open the pump " * 9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("classifier"))


def reward(folder: Path, label: str = "rude") -> Classifier:
    model = Folder(name="folder", path=str(folder), dtype="auto", watch="")
    options: dict[str, Any] = {"question": False, "watch": "", "code": ""}
    return Classifier(name="classifier", weight=1.0, model=model, label=label, batch=2, **options)


def test_the_value_is_the_labels_probability(folder: Path) -> None:
    found = reward(folder)(rows(*TEXTS))
    measured = classifier(folder, ("rude",))(rows(*TEXTS))
    assert found == pytest.approx([value["rude"] for value in measured], abs=1e-6)
    assert len(set(found)) == 3


def test_a_label_that_the_model_lacks_is_named_by_the_rewards_own_key(folder: Path) -> None:
    with pytest.raises(FolioError, match=r"^reward\.classifier\.label: .* no label rud; did you mean rude"):
        reward(folder, "rud").check()


def test_a_missing_model_is_found_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"^reward\.classifier: .*no model folder"):
        reward(tmp_path / "none").check()


def test_another_kind_of_model_is_refused() -> None:
    embedded = Embedded(name="embedded", package="p", file="f", dtype="auto", watch="")
    options: dict[str, Any] = {"question": False, "watch": "", "code": ""}
    with pytest.raises(ValidationError, match=r"reward\.classifier\.model=embedded: choose folder or hub"):
        Classifier(name="classifier", weight=1.0, model=embedded, label="a", batch=1, **options)
