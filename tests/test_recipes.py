"""Each recipe's variant for two cores, run as a whole for real with a tiny model and few rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages import jsonl
from tests.imports import ROOT
from tests.recipe import composed, run

WORDS = "anchor bell cable deck engine flag galley hatch iron jib keel ladder mast net oar pump".split()
# A model of two layers, a few tokens to an answer.
TINY = [
    "model=folder", "model.dtype=float32", "tokenize.maximum_tokens=2048", "tokenize.keep_share=0.5",
    "tokenize.test_share=0.3", "tokenize.validation_share=0.3", "evaluate.maximum_questions=6",
    "evaluate.maximum_trained=2", "evaluate.maximum_tokens=6", "retain.maximum_tokens=32",
    "train.questions=2", "train.answer_tokens=4", "train.epochs=1", "train.check_memory=false",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, tiny_model: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLIO_CACHE", str(session_cache))
    (tmp_path / "data").mkdir()
    # A few general texts are enough to see that forgetting is measured.
    jsonl.write(tmp_path / "data/general.jsonl", list(jsonl.read(ROOT / "data/general.jsonl"))[:3])
    return tmp_path


def tiny(model: Path, recipe: str, *words: str) -> Any:
    return composed(f"experiment={recipe}", *TINY, f"model.path={model}", *words)


def balanced(place: Path) -> None:
    """Every account of the run holds: in = kept + dropped."""
    for path in (place / "metrics").rglob("*.json"):
        for account in _accounts(json.loads(path.read_text(encoding="utf-8"))):
            assert account["in"] == account["kept"] + sum(account["dropped"].values()), path


def _accounts(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    own = [value] if {"in", "kept", "dropped"} <= value.keys() else []
    return [*own, *(account for one in value.values() for account in _accounts(one))]


def verdict(place: Path) -> str:
    return (place / "report/summary.md").read_text(encoding="utf-8").splitlines()[2]


def test_medmcqa(place: Path, tiny_model: Path) -> None:
    letters = ("opa", "opb", "opc", "opd")
    rows: list[dict[str, Any]] = [
        {"question": f"Which part has number {n}?", "cop": n % 4 + 1, "exp": "not read"}
        | dict(zip(letters, WORDS[n % 8 : n % 8 + 4], strict=True))
        for n in range(40)
    ]
    rows[7]["cop"] = 9
    rows[8].pop("opb")
    jsonl.write(place / "data/medmcqa.jsonl", rows)
    few = ["vary.questions=2", "vary.seeds=[0]", "vary.maximum_tokens=4", "source.choice.keep_share=0.5"]
    ran = run(tiny(tiny_model, "medmcqa_small", *few))
    assert "chunk@documents" not in ran
    assert {"gather@choice", "score@choice", "vary@tuned"} <= set(ran)
    balanced(place)
    gathered = json.loads((place / "metrics/gather/choice.json").read_text(encoding="utf-8"))
    assert gathered["rows"]["dropped"] == {"label_out_of_range": 1, "empty_option": 1}
    assert [row["line"] for row in jsonl.read(place / "data/refused/choice.jsonl")] == [8, 9]
    scored = json.loads((place / "metrics/score/choice.json").read_text(encoding="utf-8"))["closed"]
    assert set(scored["base"]) == {"accuracy", "accuracy_per_token", "exact", "partial"}
    assert "choice accuracy" in verdict(place)


def test_instruct_qlora(place: Path, tiny_model: Path) -> None:
    rows = [
        {"instruction": f"Say what the {word} is for.", "response": f"The {word} holds rope {n}.",
         "context": "" if n % 2 else f"The {word} holds rope {n}."}
        for n, word in enumerate(WORDS * 2)
    ]  # fmt: skip
    jsonl.write(place / "data/instructions.jsonl", rows)
    ran = run(tiny(tiny_model, "instruct_qlora_small"))
    assert {"gather@instruct", "score@rouge", "tabulate"} <= set(ran)
    balanced(place)
    assert (place / "evaluation/rows.sqlite").is_file()
    contexts = {row["context"] for row in jsonl.read(place / "evaluation/tuned.jsonl")}
    assert contexts == {"open", "closed", "trained"}  # some have a passage, some have none


def test_preference_simpo(place: Path, tiny_model: Path) -> None:
    rows = [
        {"conversations": [{"from": "human", "value": f"Name part {n}."}],
         "chosen": {"from": "gpt", "value": f"Part {n} is the {WORDS[n % 16]}."},
         "rejected": {"from": "gpt", "value": "I cannot say."}}
        for n in range(40)
    ]  # fmt: skip
    (place / "data/preferences.json").write_text(json.dumps(rows), encoding="utf-8")
    few = ["align.maximum_tokens=2048", "align.steps=3", "align.evaluate_steps=2", "align.batch=2"]
    ran = run(tiny(tiny_model, "preference_simpo_small", *few, "align.check_memory=false"))
    assert (
        ran.index("train") < ran.index("align@cpo_simpo") < ran.index("merge") < ran.index("ablate@trained")
    )
    balanced(place)
    # No prompt that is tested on has been learnt from.
    tested = {row["chunk"] for row in jsonl.read(place / "data/test.jsonl")}
    learnt = [
        row
        for name in ("train", "validation")
        for row in jsonl.read(place / f"data/preferences/{name}.jsonl")
    ]
    assert learnt
    assert not tested & {row["group"] for row in learnt}
    assert json.loads((place / "metrics/prefer.json").read_text(encoding="utf-8"))["rows"]["dropped"][
        "held_out"
    ]
    steps = json.loads((place / "metrics/ablate.json").read_text(encoding="utf-8"))["squad"]["closed"]
    assert set(steps["trained to aligned"]) >= {"trained", "aligned", "difference", "n"}


def test_manual_qa(place: Path, tiny_model: Path) -> None:
    import pypdfium2

    (place / "data/raw").mkdir()
    source = next((ROOT / "data/raw").glob("*.pdf"))
    with pypdfium2.PdfDocument(source) as whole, pypdfium2.PdfDocument.new() as part:
        part.import_pages(whole, list(range(13, 18)))
        part.save(place / "data/raw/manual.pdf")
    asking = [
        "model@generator.model=folder", f"generator.model.path={tiny_model}", "generator.model.dtype=float32",
        "generator.samples=1", "filter.fit.foreign_words=3", "filter.fit.order=0.0", "filter.fit.openings={}",
        "filter.likelihood.minimum=-9.0",
    ]  # fmt: skip
    ran = run(tiny(tiny_model, "manual_qa_small", *asking, "method.target_modules=all-linear"))
    assert ran[0] == "chunk@documents"
    assert {"generate@documents", "gather@pairs", "score@bertscore", "retain"} <= set(ran)
    balanced(place)
    found = json.loads((place / "metrics/score/squad.json").read_text(encoding="utf-8"))
    assert set(found) == {"open", "closed", "trained"}


def faq(path: Path, first: int, last: int, name: str) -> None:
    words = [(n, WORDS[n % 16]) for n in range(first, last)]
    lines = [f"What is the {word} of ship {n}?,It is part {n} of the {name} {word}." for n, word in words]
    path.write_text("\n".join(["question,answer", *lines]) + "\n", encoding="utf-8")


FEW = [
    "tokenize.validation_share=0.2", "train.epochs=1", "train.questions=0", "train.check_memory=false",
    "evaluate.maximum_questions=6", "evaluate.maximum_trained=2", "evaluate.maximum_tokens=6",
    "retain.maximum_tokens=32", "reinforce.prompts=2", "reinforce.samples=2", "reinforce.batch=4",
    "reinforce.steps=2", "reinforce.save_steps=2",
    "reinforce.evaluate_steps=2", "reinforce.maximum_tokens=6", "reinforce.validation_share=0.3",
    "reinforce.validation_questions=4", "tokenize.maximum_tokens=256", "tokenize.keep_share=0.5",
]  # fmt: skip


def test_faq_rl(place: Path) -> None:
    faq(place / "data/faq_train.csv", 0, 60, "old")
    faq(place / "data/faq_test.csv", 50, 70, "new")  # ten of its questions stand in the training file too
    small = ["model.layers=1", "model.heads=2", "model.width=32", "model.vocabulary=320", "model.context=256"]
    scored = [
        "pairs.maximum_questions=16", "pairs.samples=2", "pairs.maximum_tokens=6", "pairs.margin=0.0001",
        "pairs.reference_chosen=true", "pairs.validation_share=0.3", "appraise.steps=2",
        "appraise.maximum_tokens=32", "vary.questions=2", "vary.maximum_tokens=4",
    ]  # fmt: skip
    ran = run(composed("experiment=faq_rl_small", *FEW, *small, *scored))
    order = [
        "gather@exam",
        "create@base",
        "train",
        "pairs@tuned",
        "appraise@reward",
        "reinforce@grpo",
        "merge",
    ]
    assert [name for name in ran if name in order] == order
    assert {"ablate@trained", "vary@tuned"} <= set(ran)
    balanced(place)
    tokens = json.loads((place / "metrics/tokenize.json").read_text(encoding="utf-8"))
    assert tokens["sources"]["test"] == {"exam": 20}
    assert tokens["rows"]["dropped"] == {"held_out_too": 10}
    aligned = json.loads((place / "metrics/align.json").read_text(encoding="utf-8"))["aligned"]
    assert set(aligned["controls"]) == {"good", "bad"}
    compared = json.loads((place / "metrics/vary/tuned.json").read_text(encoding="utf-8"))["settings"]
    assert set(compared) == {"good", "bad"}
    created = json.loads((place / "metrics/create.json").read_text(encoding="utf-8"))
    assert created["vocabularies"]["own"] == 320


def test_faq_grpo(place: Path, tiny_model: Path) -> None:
    faq(place / "data/faq_train.csv", 0, 40, "old")
    faq(place / "data/faq_test.csv", 40, 60, "new")
    own = ["model=folder", "model.dtype=float32", f"model.path={tiny_model}", "tokenize.maximum_tokens=2048"]
    ran = run(composed("experiment=faq_grpo", *FEW, *own))
    assert ran.index("reinforce@grpo") < ran.index("ablate@trained")
    balanced(place)
    found = json.loads((place / "metrics/align.json").read_text(encoding="utf-8"))["aligned"]
    assert {"reward", "kl", "probes/words", "probes/empty"} <= set(found)


def test_the_five_recipes_have_a_variant_for_two_cores_and_a_page() -> None:
    for name in ("manual_qa", "medmcqa", "faq_rl", "instruct_qlora", "preference_simpo"):
        assert (ROOT / f"conf/experiment/{name}.yaml").is_file()
        assert (ROOT / f"conf/experiment/{name}_small.yaml").is_file()
        assert (ROOT / f"docs/{name}.md").is_file()
