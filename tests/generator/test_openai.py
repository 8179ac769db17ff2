import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from stages import jsonl
from stages.endpoint import client as endpoint_module
from stages.errors import FolioError
from stages.generator.openai import OpenAI
from stages.ledger import Ledger
from stages.option import build
from tests.endpoint import CONTENT, MODEL, PASSING, Request, Server, faulty
from tests.imports import ROOT

SECRET = "sk-very-secret-0123456789"  # noqa: S105
PROMPT = yaml.safe_load((ROOT / "conf/prompt/pairs.yaml").read_text(encoding="utf-8"))
SETTINGS: dict[str, Any] = {
    "name": "openai", "model": MODEL, "key": "FOLIO_TEST_KEY", "prompt": PROMPT, "concurrency": 4,
    "words_per_pair": 20, "maximum_pairs": 3, "temperature": 0.5, "seed": 0, "maximum_tokens": 64,
    "structured": "json_schema", "repeats": 3, "timeout": 5.0, "tries": 8, "patience": 60.0,
    "similarity": 0.9, "budget_calls": None, "budget_tokens": None, "input_price": None,
    "output_price": None, "watch": "w", "code": "c",
}  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(endpoint_module, "BACKOFF", 0.01)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def option(server: Server, **changes: Any) -> OpenAI:
    return OpenAI(**SETTINGS | {"base_url": server.url} | changes)


def chunks(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"c{n}",
            "document": "a.pdf",
            "pages": [1, 1],
            "headings": ["2.1 Pumps"],
            "text": f"Pump {n} must be cleaned every {n} weeks. Its valve {n} is closed before that.",
        }
        for n in range(count)
    ]


def reasons(candidates: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for candidate in candidates:
        if "reason" in candidate:
            found.setdefault(candidate["reason"], []).append(candidate["chunk"]["id"])
    return found


def test_pairs_come_in_the_chunks_order_with_their_evidence(ledger: Ledger) -> None:
    with Server(latency=0.05) as server:
        candidates = list(option(server)(chunks(9), ledger))
    assert [pair["chunk"]["id"] for pair in candidates] == [f"c{n}" for n in range(9) for _ in range(2)]
    for pair in candidates:
        start, end = pair["evidence"]
        assert pair["chunk"]["text"][start:end] == pair["answer"]
        assert (pair["topic"], pair["score"]) == ("Pumps", 1.0)
        assert list(pair) == ["chunk", "topic", "question", "answer", "evidence", "score"]
    assert server.most_at_once == 4


def test_what_is_asked_is_planned_by_the_length_of_the_chunk(ledger: Ledger) -> None:
    long = [chunks(1)[0] | {"text": " ".join(["word"] * words)} for words in (5, 45, 500)]
    with Server() as server:
        list(option(server)(long, ledger))
    asked = sorted(request.body["messages"][1]["content"].splitlines()[-1] for request in server.requests)
    assert asked == ["Write up to 1 pairs.", "Write up to 2 pairs.", "Write up to 3 pairs."]
    body = server.requests[0].body
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.5, 0, 64)
    assert body["response_format"]["json_schema"]["strict"]


def test_what_the_ledger_knows_is_not_asked_again(ledger: Ledger) -> None:
    with Server() as server:
        first = list(option(server)(chunks(5), ledger))
        assert list(option(server)(chunks(5), ledger)) == first
        assert len(server.requests) == ledger.stored == 5
        # A new passage is asked about alone; what only reads the replies asks nothing.
        list(option(server, similarity=0.8, concurrency=1)(chunks(6), ledger))
        assert len(server.requests) == 6


@pytest.mark.parametrize("change", [{"seed": 7}, {"temperature": 0.0}, {"maximum_tokens": 70}])
def test_another_setting_is_another_call(ledger: Ledger, change: dict[str, Any]) -> None:
    with Server() as server:
        list(option(server)(chunks(2), ledger))
        list(option(server, **change)(chunks(2), ledger))
        assert len(server.requests) == 4


def test_equal_chunks_cost_one_call(ledger: Ledger) -> None:
    twins = [chunks(1)[0] | {"id": name} for name in "ab"]
    with Server(latency=0.05) as server:
        candidates = list(option(server)(twins, ledger))
        assert len(server.requests) == 1
    assert [pair["chunk"]["id"] for pair in candidates] == ["a", "a", "b", "b"]


def test_at_30_percent_of_faults_each_chunk_ends_in_pairs_or_a_reason(ledger: Ledger) -> None:
    with Server(faulty(0.3)) as server:
        candidates = list(option(server, timeout=0.5, concurrency=16, repeats=2)(chunks(250), ledger))
    assert set(server.faults) == {*PASSING, *CONTENT}
    assert {pair["chunk"]["id"] for pair in candidates} == {f"c{n}" for n in range(250)}
    lost = reasons(candidates)
    assert set(lost) <= {"truncated", "malformed", "wrong_schema", "empty"}
    unanswered = sum(map(len, lost.values()))
    assert 0 < unanswered < 20
    assert len(candidates) == 2 * (250 - unanswered) + unanswered
    # Whatever was answered was asked for once.
    assert set(server.answered.values()) == {1}
    assert sum(server.answered.values()) == ledger.stored


@pytest.mark.parametrize(
    ("kind", "reason", "calls"),
    [
        ("truncated", "truncated", 3),
        ("malformed", "malformed", 3),
        ("wrong-schema", "wrong_schema", 3),
        ("empty", "empty", 3),
        ("endless", "too_large", 1),
        ("400", "bad_request", 2),
    ],
)
def test_a_chunk_without_pairs_has_its_reason(ledger: Ledger, kind: str, reason: str, calls: int) -> None:
    with Server(lambda request: kind if "Pump 0" in request.passage else "good") as server:
        candidates = list(option(server, concurrency=1)(chunks(2), ledger))
    assert reasons(candidates) == {reason: ["c0"]}
    assert candidates[0] | {"chunk": None} == {
        "chunk": None, "topic": "Pumps", "question": "", "answer": "", "evidence": [0, 0], "score": 0.0,
        "reason": reason,
    }  # fmt: skip
    asked = [r.body["seed"] for r in server.requests if "Pump 0" in r.passage]
    assert asked == (list(range(calls)) if calls == 3 else [0] * calls)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("500", "server_error"), ("drop", "unreachable"), ("html", "malformed_response")],
)
def test_tries_are_bounded(ledger: Ledger, kind: str, reason: str) -> None:
    with Server(lambda request: kind if "Pump 0" in request.passage else "good") as server:
        candidates = list(option(server, tries=3, concurrency=1)(chunks(2), ledger))
    assert reasons(candidates) == {reason: ["c0"]}
    assert len(server.requests) == 4
    # It was not answered, so the next run asks again.
    assert ledger.stored == 1


@pytest.mark.parametrize("kind", ["429", "429-date"])
def test_retry_after_is_obeyed(ledger: Ledger, kind: str) -> None:
    with Server(lambda request: "good" if request.before else kind) as server:
        assert not reasons(list(option(server)(chunks(1), ledger)))
    first, second = (request.arrived for request in server.requests)
    # A date has whole seconds: one from now is up to a second less.
    assert second - first >= (1.0 if kind == "429" else 0.0)


def test_a_retry_after_beyond_patience_is_not_waited_for(ledger: Ledger) -> None:
    with Server(lambda request: "429") as server:
        assert reasons(list(option(server, patience=0.5)(chunks(1), ledger))) == {"rate_limited": ["c0"]}
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "FOLIO_WRONG_KEY"}, r"refuses model writer \(401\).*FOLIO_WRONG_KEY, which is not set"),
        ({"model": "nobody"}, r"refuses model nobody \(404\).*FOLIO_TEST_KEY.*check generator\.model"),
    ],
)
def test_a_wrong_key_or_model_stops_at_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    monkeypatch.setenv("FOLIO_TEST_KEY", SECRET)
    with Server(key=SECRET) as server:
        with pytest.raises(FolioError, match=words) as caught:
            list(option(server, **changes)(chunks(50), ledger))
        assert server.url in str(caught.value)
        assert SECRET not in str(caught.value)
        assert len(server.requests) <= 4


def test_an_account_without_quota_and_a_server_that_is_not_there_stop_at_once(ledger: Ledger) -> None:
    with Server(lambda request: "quota") as server, pytest.raises(FolioError, match="no quota left"):
        list(option(server)(chunks(50), ledger))
    with pytest.raises(FolioError, match="cannot be reached"):
        list(OpenAI(**SETTINGS, base_url="http://127.0.0.1:9/v1")(chunks(50), ledger))


def test_an_endpoint_that_breaks_down_ends_the_run_and_keeps_what_it_answered(ledger: Ledger) -> None:
    def behave(request: Request) -> str:
        return "good" if request.passage < "Pump 2" else "500"

    with Server(behave) as server, pytest.raises(FolioError, match=r"none of 2 calls in a row.*server_error"):
        list(option(server, tries=2, concurrency=1)(chunks(10), ledger))
    assert ledger.stored == 2


@pytest.mark.parametrize("offers", [("json_schema",), ("json_object",), ()])
def test_an_endpoint_without_structured_output_is_asked_without_once_for_the_run(
    ledger: Ledger, offers: tuple[str, ...]
) -> None:
    with Server(offers=offers) as server:
        assert not reasons(list(option(server, concurrency=1)(chunks(3), ledger)))
    assert ["response_format" in request.body for request in server.requests] == (
        [True] * 3 if "json_schema" in offers else [True, False, False, False]
    )


def test_a_parameter_that_is_refused_by_name_is_left_out_or_renamed(ledger: Ledger) -> None:
    def behave(request: Request) -> str:
        unwanted = (name for name in ("max_tokens", "temperature") if name in request.body)
        return next((f"refuses {name}" for name in unwanted), "good")

    with Server(behave) as server:
        assert not reasons(list(option(server, concurrency=1)(chunks(2), ledger)))
    assert server.requests[-1].body["max_completion_tokens"] == 64
    assert len(server.requests) == 4


def test_a_quote_that_stands_nowhere_is_a_rejected_candidate(ledger: Ledger) -> None:
    def write(passage: str) -> list[dict[str, str]]:
        quotes = [
            "Zebras graze here.",
            passage[:20].replace("must", "shall"),
            passage[:38].replace("be", "bee"),
        ]
        return [{"question": "What\nis\x00 it?", "answer": " A \n pump ", "quote": quote} for quote in quotes]

    with Server(write=write) as server:
        first, second, third = option(server)(chunks(1), ledger)
    assert first["reason"] == second["reason"] == "evidence_missing"
    assert first["evidence"] == [0, 0]
    assert 0.7 < second["score"] < 0.9
    assert "reason" not in third
    assert 0.9 <= third["score"] < 1
    assert third["question"] == "What is it?"
    json.dumps(third, ensure_ascii=False).encode()


@pytest.mark.parametrize("frame", ["```json\n{}\n```", "<think>a {b} c</think>{}", "Here you are: {}"])
def test_json_is_found_among_what_models_write_around_it(frame: str) -> None:
    from stages.generator.openai import read

    text = frame.replace("{}", '{"pairs": [{"question": "Q?", "answer": "A", "quote": "A"}]}')
    pairs, fault = read({"text": text, "finish": "stop", "tokens": [1, 1]})
    assert fault is None
    assert [pair.question for pair in pairs] == ["Q?"]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"pairs": [{"question": "\\ud800', '{"pairs": [NaN]}', "{}"]
)
def test_a_hostile_reply_is_a_fault(text: str) -> None:
    from stages.generator.openai import read

    assert read({"text": text, "finish": "stop", "tokens": [1, 1]})[1] in (
        "malformed",
        "truncated",
        "wrong_schema",
    )


def test_a_passage_with_nothing_to_ask_is_counted_and_not_asked_twice(ledger: Ledger) -> None:
    with Server(write=lambda passage: []) as server:
        assert reasons(list(option(server)(chunks(2), ledger))) == {"nothing_to_ask": ["c0", "c1"]}
        assert len(server.requests) == 2


def test_a_budget_of_calls_holds_over_runs_and_is_spent_in_the_chunks_order(ledger: Ledger) -> None:
    with Server() as server:
        for _ in range(2):
            lost = reasons(list(option(server, budget_calls=5)(chunks(9), ledger)))
            assert lost == {"budget": ["c5", "c6", "c7", "c8"]}
            assert len(server.requests) == 5
        assert len(reasons(list(option(server, budget_calls=7)(chunks(9), ledger)))["budget"]) == 2


def test_a_budget_of_tokens_is_never_exceeded(ledger: Ledger) -> None:
    with Server() as server:
        lost = reasons(list(option(server, budget_tokens=3000)(chunks(20), ledger)))
        used = sum(200 + 60 for _ in server.requests)
    assert 0 < len(server.requests) < 20
    assert used <= 3000
    assert lost["budget"] == [f"c{n}" for n in range(len(server.requests), 20)]


def test_a_plan_calls_nobody(ledger: Ledger) -> None:
    with Server() as server:
        prices = {"input_price": 2.0, "output_price": 10.0}
        plan = option(server, **prices).plan(chunks(4), ledger)
        assert not server.requests
        assert plan["calls"] == 4
        # One pair each: 110 tokens, of which 64 are allowed.
        assert plan["reply_tokens"] == 4 * 64
        assert plan["cost"] == pytest.approx((plan["prompt_tokens"] * 2 + 256 * 10) / 1e6)
        assert option(server).plan(chunks(4), ledger)["cost"] is None
        list(option(server)(chunks(3), ledger))
        assert option(server).plan(chunks(4), ledger)["calls"] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": SECRET}, "is the NAME of an environment variable"),
        ({"base_url": f"http://me:{SECRET}@host/v1"}, "must hold no user, password"),
        ({"base_url": f"https://host/v1?key={SECRET}"}, "must hold no user, password"),
        ({"base_url": "ftp://host/v1"}, "must begin with http:// or https://"),
        ({"base_url": "http://host:x/v1"}, "is no URL"),
        ({"prompt.user": "Ask."}, r"must hold \$passage"),
        ({"prompt.user": "$passage $price"}, r"must hold \$passage"),
    ],
)
def test_a_wrong_setting_is_named_and_a_key_in_it_is_not_repeated(change: dict[str, str], words: str) -> None:
    config = OmegaConf.create(
        {"generator": SETTINGS | {"base_url": "http://host/v1", "_target_": "stages.generator.openai.OpenAI"}}
    )
    for key, value in change.items():
        OmegaConf.update(config, f"generator.{key}", value)
    with pytest.raises(FolioError, match=words) as caught:
        build(config, "generator")
    assert SECRET not in str(caught.value)


def test_many_calls_wait_for_the_server_alone(ledger: Ledger) -> None:
    with Server(latency=0.2) as server:
        list(option(server)(chunks(1), ledger))  # the client library is imported by now
        begun = time.perf_counter()
        list(option(server, concurrency=16)(chunks(97), ledger))
        seconds = time.perf_counter() - begun
    assert server.most_at_once == 16
    # 96 calls, 16 at once: six rounds; server and client share a core here.
    assert seconds < 6 * 0.2 * 1.6


def start(server: Server, folder: Path) -> "subprocess.Popen[str]":
    words = [
        "generator=openai", f"generator.base_url={server.url}", f"generator.model={MODEL}",
        "generator.key=FOLIO_TEST_KEY", "generator.timeout=1", "generator.concurrency=6",
        "generator.repeats=2", "generate.foreign_words=99", "generate.keep_share=0",
        "generate.answer_share=0",
    ]  # fmt: skip
    cache = {"FOLIO_CACHE": str(folder / "cache"), "FOLIO_TEST_KEY": SECRET, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "stages.generate", *words],
        cwd=folder,
        env=os.environ | cache,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(folder: Path, generator: OpenAI) -> set[tuple[str, int]]:
    """Passage and seed of each call that the ledger holds."""
    with Ledger(folder / "cache/ledger.sqlite") as ledger:
        calls = [generator.call(chunk) for chunk in chunks(60)]
        return {(c.chunk["text"], n) for c in calls for n, key in enumerate(c.keys) if ledger.get([key])}


def test_killed_at_random_moments_it_ends_in_the_same_bytes_and_repeats_no_finished_call(
    tmp_path: Path,
) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for folder in (whole, torn):
        jsonl.write(folder / "data/chunks.jsonl", chunks(60))
        (folder / "cache").mkdir()
    draw, log = random.Random(0), ""  # noqa: S311
    with Server(faulty(0.3), latency=0.03, key=SECRET) as server:
        generator = option(
            server, repeats=2, maximum_tokens=1024, temperature=0.7, maximum_pairs=5, words_per_pair=60
        )
        done = start(server, whole)
        log += done.communicate(timeout=60)[0]
        assert done.returncode == 0, log
        before = finished(whole, generator)
        assert before == set(server.answered)
        for _ in range(4):
            known, answered = finished(torn, generator), server.answered.copy()
            until = sum(answered.values()) + draw.randrange(1, 20)
            process = start(server, torn)
            while sum(server.answered.values()) < until and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            log += process.communicate(timeout=60)[0]
            assert all(server.answered[call] == answered[call] for call in known)
        last = start(server, torn)
        log += last.communicate(timeout=60)[0]
        assert last.returncode == 0, log
        assert finished(torn, generator) == before
    for name in ("data/qa.jsonl", "data/rejected.jsonl", "metrics/generate.json"):
        assert (whole / name).read_bytes() == (torn / name).read_bytes()
    assert all(SECRET not in f.read_bytes().decode("latin-1") for f in tmp_path.rglob("*") if f.is_file())
    assert SECRET not in log
    assert SECRET not in repr(generator)
