import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages import jsonl
from stages.artifact import read_json
from stages.compose import compose
from stages.diagnose import diagnose, pattern, read, sentence, tally
from stages.option import build
from stages.settings.diagnose import Diagnose
from tests.imports import ROOT

PASSAGE = (
    "The incident team keeps a record of every incident on board. The captain signs the record in 4 hours. "
    "Malware is removed by the technical staff, and then the network is restored from clean backups."
)


@pytest.fixture(scope="module")
def settings() -> Diagnose:
    found: Diagnose = build(compose(ROOT / "conf"), "diagnose")
    return found


def row(answer: str, **changes: Any) -> dict[str, Any]:
    values = {
        "id": "a", "model": "base", "context": "open", "document": "ship.pdf", "language": "en",
        "passage": PASSAGE, "question": "Who signs the record of an incident?",
        "reference": "The captain signs the record of an incident.", "answer": answer,
    }  # fmt: skip
    return values | changes


# read()


def test_what_the_question_says_already_is_no_sign_of_a_right_answer() -> None:
    found = read(row("The crew signs the record of an incident."))
    # crew, signs, record, of, incident: 4 of 5 words agree, and of what was asked for none.
    assert found.words.f1 == pytest.approx(0.8)
    assert (found.key.precision, found.key.recall) == (0, 0)
    assert found.claims == {"crew"}


def test_where_the_question_says_all_of_the_reference_all_its_words_count() -> None:
    found = read(row("An incident", reference="The record of an incident."))
    assert found.key == found.words
    assert found.words.recall == pytest.approx(1 / 3)  # record, of, incident


# pattern()

LIST = "hours, malware, the network, backups, the record, the captain, the staff and every incident"


@pytest.mark.parametrize(
    ("answer", "changes", "expected"),
    [
        ("", {}, "empty"),
        (" ... \n!", {}, "empty"),
        ("The answer to the question is:", {}, "empty"),
        ("no", {"question": "Is it signed?", "reference": "No."}, "right"),
        (
            "The crew may sign it.",
            {"question": "May the crew sign it?", "reference": "The crew may not sign it."},
            "wrong_concept",
        ),
        ("1. Malware\n2. backups", {"question": "Name two.", "reference": "malware, backups"}, "right"),
        ("the record is the record is the record is the", {}, "looping"),
        # 4 of 11 4-grams stood before.
        ("The one team keeps the whole log: the one team keeps the whole log.", {}, "looping"),
        ("0 0 0", {}, "unsupported"),
        ("ho ho ho ho ho ho ho ho ho", {"reference": "Ho ho ho ho ho ho ho ho ho!"}, "right"),
        ("The captain signs the record of an incident.", {}, "right"),
        ("The captain.", {}, "right"),
        ("The answer is: The captain", {}, "right"),
        ("The captain's.", {}, "right"),
        (
            "The captain signs the record of an incident, since the law of most flags wants a master to "
            "vouch for what happened.",
            {},
            "too_verbose",
        ),
        ("The captain or the technical staff, or the crew", {}, "partial"),  # 1 of 4 right, all of 1: 0.4
        ("In 4 hours", {"reference": "In 4 hours.", "question": "When?"}, "right"),
        ("In 6 hours", {"reference": "In 4 hours.", "question": "When?"}, "partial"),
        ("The harbour pilot", {}, "unsupported"),
        ("The technical staff in 5 backups", {}, "unsupported"),  # the figure is not in the passage
        ("The technical staff", {}, "wrong_concept"),
        ("The record of an incident", {}, "wrong_concept"),  # says the question again
        # One word of a long answer is the reference's by chance: 1 of 7, and 1 of 2, which is less than 0.25.
        (f"It is about {LIST}.", {"reference": "The master and captain."}, "wrong_concept"),
    ],
)
def test_the_pattern_of_an_answer(
    answer: str, changes: dict[str, Any], expected: str, settings: Diagnose
) -> None:
    assert pattern(row(answer, **changes), settings) == expected


def test_a_wrong_figure_is_never_right(settings: Diagnose) -> None:
    reference = "The captain signs the record of every incident on board within 4 hours of the alarm."
    asked = {"question": "What is done?", "reference": reference}
    assert pattern(row(reference.replace("board", "deck"), **asked), settings) == "right"
    assert pattern(row(reference.replace("4", "14"), **asked), settings) == "partial"


# diagnose()


def test_function_words_are_those_of_the_documents_language(settings: Diagnose) -> None:
    passage = (
        "Der Kapitän unterschreibt das Protokoll eines Vorfalls innerhalb von vier Stunden. Die Mannschaft "
        "hält jeden Vorfall an Bord fest, und die technische Abteilung stellt danach das Netz wieder her."
    )
    asked = {"question": "Wer unterschreibt das Protokoll?", "reference": "Der Kapitän unterschreibt es."}
    answers = [row("Das ist der Kapitän.", passage=passage, **asked)]
    del answers[0]["language"]
    assert diagnose(answers, settings)[0] == {
        "id": "a", "model": "base", "context": "open", "pattern": "right"
    }  # fmt: skip


def test_every_answer_has_one_pattern_in_order(settings: Diagnose) -> None:
    rows = [row(said, id=str(n)) for n, said in enumerate(["", "The captain", "The pilot"])]
    assert [(one["id"], one["pattern"]) for one in diagnose(rows, settings)] == [
        ("0", "empty"), ("1", "right"), ("2", "unsupported")
    ]  # fmt: skip
    assert diagnose([], settings) == []


# tally(), sentence()


def failure(name: str, model: str, found: str, context: str = "open") -> dict[str, Any]:
    return {"id": name, "model": model, "context": context, "pattern": found}


def test_patterns_and_what_became_of_them() -> None:
    base = {"a": "too_verbose", "b": "too_verbose", "c": "right", "d": "empty"}
    tuned = {"c": "right", "a": "right", "b": "right", "e": "partial"}
    failures = [failure(name, "base", found) for name, found in base.items()]
    failures += [failure(name, "tuned", found) for name, found in tuned.items()]
    failures += [failure("a", "base", "right", "closed"), failure("a", "tuned", "empty", "closed")]
    found = tally(failures)
    assert found["open"] == {
        "base": {"n": 4, "counts": {"empty": 1, "right": 1, "too_verbose": 2}},
        "tuned": {"n": 4, "counts": {"right": 3, "partial": 1}},
        # Of d and e one answer is missing.
        "transitions": [
            {"base": "too_verbose", "tuned": "right", "count": 2},
            {"base": "right", "tuned": "right", "count": 1},
        ],
        "unpaired": 2,
    }
    assert found["closed"]["transitions"] == [{"base": "right", "tuned": "empty", "count": 1}]
    assert "unpaired" not in found["closed"]
    # In the order of the patterns, whatever the order of the answers.
    assert list(found["open"]["base"]["counts"]) == ["empty", "right", "too_verbose"]
    assert (
        sentence("open", found["open"])
        == "diagnose: open: base 1 empty, 1 right, 2 too verbose of 4; tuned 3 right, 1 partial of 4"
    )
    assert tally([]) == {}


# The command


def command() -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    line = [sys.executable, "-m", "stages.diagnose"]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


def test_the_command_writes_a_pattern_for_each_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = command()
    assert (failed.returncode, failed.stderr) == (
        1,
        "folio: evaluation/base.jsonl is missing; run `dvc repro`\n",
    )
    assert not Path("metrics").exists()
    for model, said in (("base", "The pilot <b>"), ("tuned", "The captain")):
        jsonl.write(Path(f"evaluation/{model}.jsonl"), [row(said, model=model)])
    done = command()
    assert done.returncode == 0, done.stderr
    assert done.stdout == "diagnose: open: base 1 unsupported of 1; tuned 1 right of 1\n"
    assert list(jsonl.read(Path("evaluation/failures.jsonl"))) == [
        failure("a", "base", "unsupported"),
        failure("a", "tuned", "right"),
    ]
    assert read_json(Path("metrics/diagnose.json"))["open"]["tuned"] == {"n": 1, "counts": {"right": 1}}
