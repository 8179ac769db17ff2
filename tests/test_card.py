import copy
from typing import Any

import yaml
from huggingface_hub import ModelCard

from stages import card
from tests.runs import METRICS, RETAINED, SQUAD

FACTS: dict[str, Any] = {
    "title": "A ship's clerk",
    "base": {"id": "owner/base", "told": "owner/base at revision 1a2b"},
    "licence": {"license": "apache-2.0"},
    "datasets": ["owner/questions"],
    "tags": ["lora"],
    "documents": {"named": [("ship.pdf", 5, 2)], "others": 3},
    "rows": METRICS["tokenize"],
    "train": METRICS["train"],
    "merge": METRICS["merge"],
    "retained": RETAINED,
    "audited": METRICS["audit"],
    "scores": {"squad": SQUAD},
    "main": "squad.f1",
    "forgetting": 0.05,
    "recipe": [("method.r", "8"), ("train.learning_rate", "0.0005")],
    "dtypes": {"measured": "bfloat16", "published": "bfloat16"},
}


def written(**changes: Any) -> str:
    return card.write(copy.deepcopy(FACTS) | changes)


def test_the_front_matter_is_what_the_hub_reads() -> None:
    data = ModelCard(written()).data
    assert (data.base_model, data.license, data.datasets) == ("owner/base", "apache-2.0", ["owner/questions"])
    assert (data.library_name, data.pipeline_tag, data.tags) == (
        "transformers",
        "text-generation",
        ["folio", "lora"],
    )
    found = {(one.dataset_name, one.metric_name): one.metric_value for one in data.eval_results}
    assert found == {
        ("held-out questions, with the passage", "squad f1"): SQUAD["open"]["tuned"]["f1"]["value"],
        ("held-out questions, without the passage", "squad f1"): SQUAD["closed"]["tuned"]["f1"]["value"],
    }


def test_each_figure_stands_with_both_models_its_interval_and_n() -> None:
    lines = written().splitlines()
    assert "| squad f1 | with the passage | 0.400 | 0.700 | 0.300 [0.200, 0.400] | 62 |" in lines
    assert (
        "| squad f1 | trained questions, without the passage | 0.200 | 0.320 | 0.120 [0.050, 0.200] | 62 |"
        in lines
    )


def test_figures_that_judge_nothing_are_left_out() -> None:
    scores = copy.deepcopy(SQUAD)
    for cell in scores.values():
        for name, values in {"words": (9.0, None), "empty": (0.0, 0.5)}.items():
            value, better = values
            one = {"value": value, "low": value, "high": value}
            for side in ("base", "tuned"):
                cell[side][name] = one
            cell["difference"][name] = one | {"improvement": better, "detectable": 0.0}
    text = written(scores={"length": scores})
    assert "length f1" in text
    assert "length words" not in text
    assert "| length empty" not in text


def test_a_difference_that_may_be_none_is_marked() -> None:
    scores = copy.deepcopy(SQUAD)
    scores["open"]["difference"]["f1"] |= {"low": -0.1, "high": 0.5}
    assert "| 0.300 [-0.100, 0.500] (n.s.) | 62 |" in written(scores={"squad": scores})


def test_data_recipe_limits_and_licence_are_told() -> None:
    text = " ".join(written().split())
    for part in (
        "5 question-answer pairs to train, 1 to validate, 2 held out",
        "None of 2 held-out questions was seen in training",
        "| ship.pdf | 5 | 2 |",
        "3 more sources are counted above and not named here.",
        "| train.learning\\_rate | 0.0005 |",
        "8 of 80 parameters learnt, in 4 steps",
        "2.000 before, 1.235 after",
        "The weights are bfloat16, as they were measured.",
        "Forgetting: perplexity on 80 general texts rose from 20.0 to 20.5",
        "The base model names the licence `apache-2.0`.",
    ):
        assert part in text, part


def test_other_numbers_than_were_measured_are_told() -> None:
    text = " ".join(written(dtypes={"measured": "float32", "published": "float16"}).split())
    assert "The weights here are float16; every figure was measured with float32." in text


def test_a_licence_that_nobody_named_is_said_to_be_unknown() -> None:
    text = written(licence={}, base={"told": "model.gguf"}, datasets=[])
    assert "The licence of the base model is not known" in text
    front = yaml.safe_load(text.split("---\n")[1])
    assert not {"license", "base_model", "base_model_relation", "datasets"} & front.keys()


def test_nothing_that_a_document_or_a_model_says_becomes_markup() -> None:
    evil = "x | y\n# <script>`[a](b)` --- *z*"
    scores = copy.deepcopy(SQUAD)
    for cell in scores.values():
        cell["by"] = evil
    given = {
        "title": f"{evil}: &a !!python/name:os.system",
        "documents": {"named": [(evil, 1, 1)], "others": 0},
        "base": {"told": evil},
        "licence": {"license": "other", "license_name": evil, "license_link": evil},
        "recipe": [("method.name", evil)],
        "scores": {"squad": scores},
    }
    text = written(**given)
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["model-index"][0]["name"] == given["title"]
    assert yaml.safe_load(front)["license_name"] == evil
    prose = body.replace("```", "")
    for raw in ("\n# <", "<script", " `[", "](b)", "*z*", "x | y"):
        assert raw not in prose.replace("\\" + raw.strip(), ""), raw


def test_the_recipe_holds_what_decides_and_nothing_of_the_machine() -> None:
    config = {
        "method": {"_target_": "a.B", "name": "lora", "r": 8, "target_modules": ["q_proj", "v_proj"]},
        "train": {
            "launch": "python",
            "learning_rate": 5e-4,
            "metrics": [{"name": "squad"}],
            "packing": "prefix",
        },
        "align": {"adapter": "models/adapter", "fresh": False},
    }
    assert card.recipe(config, ("method", "train", "align", "none")) == [
        ("method.name", "lora"),
        ("method.r", "8"),
        ("method.target_modules", "q_proj, v_proj"),
        ("train.learning_rate", "0.0005"),
        ("train.packing", "prefix"),
        ("align.fresh", "False"),
    ]
