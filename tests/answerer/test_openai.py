from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from stages.answerer.openai import OpenAI
from stages.errors import FolioError
from stages.ledger import Ledger
from stages.option import build
from tests.endpoint import CONTENT, KEY, KNOBS, PASSING, SECRET, Request, Server, faulty
from tests.imports import ROOT

PROMPT = yaml.safe_load((ROOT / "conf/prompt/answer.yaml").read_text(encoding="utf-8"))
SETTINGS: dict[str, Any] = KNOBS | {"name": "openai", "prompt": PROMPT, "watch": "w", "code": "c"}


pytestmark = pytest.mark.usefixtures("loopback")


def answerer(server: Server, **changes: Any) -> OpenAI:
    return OpenAI(**SETTINGS | {"base_url": server.url} | changes)


def questions(count: int) -> list[tuple[str, str]]:
    return [(f"Pump {n} is cleaned every {n} weeks. So it is.", "How often?") for n in range(count)]


def test_answers_come_in_order_and_nothing_is_an_answer_too(ledger: Ledger) -> None:
    def write(request: Request) -> dict[str, Any]:
        number = int(request.passage.split()[1])
        return {"answer": f" Every {number}\n weeks\x07" if number % 2 else " "}

    with Server(write=write, latency=0.02) as server:
        option = answerer(server)
        said = ["", "Every 1 weeks", "", "Every 3 weeks", ""]
        assert option(questions(5), ledger) == [(answer, None) for answer in said]
        assert option([*questions(5), questions(1)[0]], ledger)[4:] == [("", None)] * 2
        assert len(server.requests) == ledger.stored == 5
        assert option([], ledger) == []
        assert option.identity == f"writer at {server.url}"
    request = server.requests[0]
    assert (request.part("question"), request.body["messages"][0]["content"]) == (
        "How often?",
        PROMPT["system"],
    )
    assert request.body["response_format"]["json_schema"]["name"] == "answer"


def test_at_30_percent_of_faults_each_question_has_an_answer_or_a_reason(ledger: Ledger) -> None:
    with Server(faulty(0.3), retry_after=0.05) as server:
        answers = answerer(server, concurrency=16, repeats=2)(questions(250), ledger)
    assert set(server.faults) == {*PASSING, *CONTENT}
    assert len(answers) == 250
    faults = [fault for _, fault in answers if fault]
    assert 0 < len(faults) < 20
    assert set(faults) <= {"truncated", "malformed", "wrong_schema", "empty"}
    expected = [passage.partition(".")[0] + "." for passage, _ in questions(250)]
    pairs = zip(answers, expected, strict=True)
    assert all(given == right if fault is None else given is None for (given, fault), right in pairs)
    assert set(server.answered.values()) == {1}
    assert server.answered.total() == ledger.stored


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "FOLIO_WRONG_KEY"}, r"refuses model writer \(401\).*FOLIO_WRONG_KEY, which is not set"),
        ({"model": "nobody"}, r"\(404\).*check filter\.round_trip\.answerer\.model"),
    ],
)
def test_a_wrong_key_or_model_stops_at_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    monkeypatch.setenv(KEY, SECRET)
    with Server(key=SECRET) as server:
        with pytest.raises(FolioError, match=words) as caught:
            answerer(server, **changes)(questions(50), ledger)
        assert SECRET not in str(caught.value)
        assert len(server.requests) <= 4


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model=other", None),
        ("key=sk-123", r"^filter\.round_trip\.answerer\.key is the NAME"),
        ("base_url=host", r"^filter\.round_trip\.answerer\.base_url must begin with http"),
        ("tries=0", r"^filter\.round_trip\.answerer\.tries=0"),
    ],
)
def test_its_overrides_stand_below_the_filter_that_asks_it(override: str, words: str | None) -> None:
    key = "filter.round_trip.answerer"
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        option = compose("config", ["+answerer@probe=openai", f"probe.{override}"]).probe
    chosen = OmegaConf.create({"seed": 0, "filter": {"round_trip": {"answerer": option}}})
    if words is None:
        assert build(chosen, key).identity == "other at http://localhost:8000/v1"
        return
    with pytest.raises(FolioError, match=words):
        build(chosen, key)
