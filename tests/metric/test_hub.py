from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.errors import FolioError
from stages.metric.hub import Hub

SCRIPT = """\
import datasets
import evaluate


class Shared(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references, weight=1.0):
        said, known = set(predictions[0].split()), set(references[0].split())
        share = len(said & known) / len(known) if said else float("nan")
        return {"share": weight * share, "each": [share], "said": "words"}
"""


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Scripts are copied to where they are imported from: not the user's own cache."""
    from evaluate import config

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "HF_MODULES_CACHE", tmp_path_factory.mktemp("modules"))
        yield


@pytest.fixture
def script(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "shared.py").write_text(SCRIPT, encoding="utf-8")
    return folder


def hub(path: object, **settings: Any) -> Hub:
    standard = {
        "config_name": None, "revision": None, "prediction": "predictions", "reference": "references",
        "arguments": {}, "keep": ["share"], "better": "higher", "trust_code": True,
    }  # fmt: skip
    return Hub(name="hub", path=str(path), **(standard | settings))


def rows(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"answer": answer, "reference": reference} for answer, reference in pairs]


def test_each_answer_is_measured_by_the_script(script: Path) -> None:
    found = hub(script)(rows(("fuel oil", "oil"), ("fuel", "fuel oil"), ("", "oil")))
    # What is no number for one answer is measured of the others.
    assert found == [{"share": 1.0}, {"share": 0.5}, {}]


def test_arguments_go_to_the_script_and_lists_of_one_are_numbers(script: Path) -> None:
    metric = hub(script, keep=["share", "each"], arguments={"weight": 4.0})
    assert metric(rows(("fuel", "fuel oil"))) == [{"share": 2.0, "each": 0.5}]


def test_better_is_said_of_what_is_kept(script: Path) -> None:
    assert hub(script, better="lower").lower_is_better == ("share",)
    assert hub(script, better="neither").neutral == ("share",)
    assert (hub(script).lower_is_better, hub(script).neutral) == ((), ())


def test_a_script_runs_only_where_a_person_allows_it(script: Path) -> None:
    metric = hub(script, trust_code=False)
    for use in (metric.check, lambda: metric(rows(("oil", "oil")))):
        with pytest.raises(FolioError, match=r"runs a script, .*shared, .*metric\.hub\.trust_code=true"):
            use()


@pytest.mark.parametrize("key", ["none", "said"])
def test_a_result_that_is_no_number_is_refused(script: Path, key: str) -> None:
    with pytest.raises(FolioError, match=f"gives no number named {key}; its result has share, each, said"):
        hub(script, keep=[key])(rows(("oil", "oil")))


def test_a_script_that_fails_is_named_with_its_fault(script: Path) -> None:
    with pytest.raises(FolioError, match=r"shared \(metric\.hub\.path\) fails: ZeroDivisionError"):
        hub(script)(rows(("oil", "")))


def test_a_folder_without_a_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"none \(metric\.hub\.path\) is no folder with a script"):
        hub(tmp_path / "none")(rows(("oil", "oil")))


def test_a_script_that_needs_a_package_says_which(script: Path) -> None:
    (script / "shared.py").write_text("import no_such_package\n" + SCRIPT, encoding="utf-8")
    with pytest.raises(FolioError, match=r"needs a package: .*no_such_package"):
        hub(script)(rows(("oil", "oil")))
