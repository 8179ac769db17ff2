"""The page that asks both models: a real server on loopback, a real browser."""

import http.client
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from stages import jsonl
from stages.chat import (
    Conversation,
    application,
    bound,
    close_to_the_outside,
    examples,
    is_local,
    page,
    together,
)
from stages.compose import compose
from stages.errors import FolioError
from stages.option import build
from stages.retrieval import Passages
from stages.settings.ask import Ask
from stages.speaker import Reply
from tests.imports import ROOT
from tests.test_report_browser import CHROMIUM, FLAGS
from tests.test_retrieval import SHIP, chunk

# A busy machine needs longer than the five seconds that are usual.
expect.set_options(timeout=60_000)
# Gradio leaves event loops to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")
browses = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium")
# What would run if it were not text.
SCRIPT = "document.title='owned';console.error('owned');fetch('https://a.example/')"
PLANT = (
    f'</textarea><img src=x onerror="{SCRIPT}"><script>{SCRIPT}</script> **bold** [a](javascript:{SCRIPT})'
)


@dataclass
class Recorded:
    """A model that says what it was given, and keeps what it was asked."""

    words: tuple[str, ...]
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, question: str, passage: str | None) -> Iterator[Reply]:
        self.asked.append((question, passage))
        for n in range(1, len(self.words) + 1):
            ended = "complete" if n == len(self.words) else None
            yield Reply(" ".join(self.words[:n]), n, 0.5, ended)


@dataclass
class Endless:
    """A model that says one word more whenever it is let, and tells when it begins and when it is stopped."""

    let: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(3))
    began: list[str] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def answer(self, question: str, passage: str | None) -> Iterator[Reply]:
        self.began.append(question)
        try:
            for n in range(1, 100_000):
                assert self.let.acquire(timeout=30)
                yield Reply(f"{question} " * n, n, 0.5, None)
        finally:
            self.closed.set()


@dataclass
class Opened:
    """A page with what it said on its console, and what it asked for elsewhere."""

    page: Page
    address: str
    said: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def ask(self, question: str) -> None:
        self.page.get_by_label("Question").fill(question)
        self.page.get_by_role("button", name="Ask").click()

    @property
    def status(self) -> Any:
        return expect(self.page.locator("#status"))

    def text_of(self, label: str) -> Any:
        return expect(self.page.get_by_label(label))

    def quiet(self) -> bool:
        return not self.said and not self.outside


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "GRADIO_SHARE", "GRADIO_ALLOWED_PATHS"):
            patch.setenv(name, "1")
        before = dict(os.environ)
        close_to_the_outside()
        assert "GRADIO_ALLOWED_PATHS" not in os.environ
        assert "GRADIO_SHARE" not in os.environ
        assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
        yield
        for name in set(os.environ) - set(before):
            del os.environ[name]


@pytest.fixture(scope="module")
def settings() -> Ask:
    return replace(build(compose(ROOT / "conf"), "ask"), characters=300)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@contextmanager
def served(blocks: Any) -> Iterator[str]:
    """The address of a page while it is served."""
    import uvicorn

    listening = bound("127.0.0.1", 0)
    config = uvicorn.Config(
        application(blocks, "127.0.0.1"), log_level="warning", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def opened(browser: Browser, settings: Ask) -> Iterator[Any]:
    with ExitStack() as stack:

        def visit(address: str, **options: Any) -> Opened:
            context = stack.enter_context(browser.new_context(**options))
            found = Opened(context.new_page(), address)
            found.page.on("console", lambda message: found.said.append(message.text))
            found.page.on("pageerror", lambda error: found.said.append(str(error)))
            found.page.on("dialog", lambda dialog: found.said.append(dialog.message))
            found.page.on(
                "request",
                lambda request: (
                    None
                    if request.url.startswith((address, "data:", "blob:"))
                    else found.outside.append(request.url)
                ),
            )
            found.page.goto(address)
            expect(found.page.get_by_label("Question")).to_be_visible()
            return found

        def start(
            base: Any, tuned: Any, chunks: Any = SHIP, offered: tuple[str, ...] = (), **options: Any
        ) -> Opened:
            passages = Passages(chunks, "en") if chunks else None
            blocks = page({"base": base, "tuned": tuned}, passages, offered, settings)
            return visit(stack.enter_context(served(blocks)), **options)

        start.visit = visit  # type: ignore[attr-defined]
        yield start


@browses
def test_a_question_gets_an_answer_from_both_models(opened: Any, tmp_path: Path) -> None:
    # Everything real: the embedded model before tuning, and a copy of it in place of the tuned one.
    model = build(compose(ROOT / "conf"), "model")
    shutil.copytree(model.folder(), tmp_path / "models/merged")
    jsonl.write(tmp_path / "data/chunks.jsonl", SHIP)
    words = ["ask.port=0", "ask.maximum_tokens=8"]
    with subprocess.Popen(
        [sys.executable, "-m", "stages.chat", *words], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"},
    ) as server:  # fmt: skip
        try:
            assert server.stdout
            address = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
            assert address
            found = opened.visit(address[0])
            found.ask("Who steers the ship?")
            found.status.to_have_text(
                re.compile(r"base: \d tokens in [\d.]+ s, c.*; tuned: \d tokens in [\d.]+ s, c"),
                timeout=120_000,
            )
            answers = [
                found.page.get_by_label(f"Answer of {name}").input_value() for name in ("base", "tuned")
            ]
            assert answers[0] == answers[1]
            assert "ship" in answers[0]
            found.text_of("Passage").to_have_value(f"ship.pdf, page 3\n\n{SHIP[2]['text']}")
            assert found.quiet()
        finally:
            server.terminate()


@browses
def test_html_and_markdown_of_answers_passages_and_examples_are_shown_as_text(opened: Any) -> None:
    chunks = [chunk(f"The pilot steers. {PLANT}") | {"document": f"{PLANT}.pdf"}]
    found = opened(Recorded((PLANT,)), Recorded(("Plain.", PLANT)), chunks, offered=(f"Pilot? {PLANT}",))
    before = found.page.locator("script, img").count()
    found.ask(f"Does the pilot steer? {PLANT}")
    found.status.to_have_text("base: 1 tokens in 0.5 s, complete; tuned: 2 tokens in 0.5 s, complete")
    found.text_of("Answer of base").to_have_value(PLANT)
    found.text_of("Answer of tuned").to_have_value(f"Plain. {PLANT}")
    shown = found.page.get_by_label("Passage").input_value()
    assert shown.startswith("</textarea><img src=x onerror=")
    assert shown.endswith(f"The pilot steers. {PLANT}")
    found.page.get_by_role("button", name="Pilot?").click()
    found.text_of("Question").to_have_value(f"Pilot? {PLANT}")
    assert found.page.title() == "Folio: ask base and tuned"
    assert found.page.locator("script, img").count() == before
    assert found.quiet()


@browses
def test_the_passage_is_given_to_both_models_or_to_none(opened: Any) -> None:
    base, tuned = Recorded(("No",)), Recorded(("Yes",))
    found = opened(base, tuned)
    found.ask("Who steers?")
    found.text_of("Answer of tuned").to_have_value("Yes")
    found.page.get_by_label("none").check()
    found.ask("Who cooks?")
    found.text_of("Passage").to_have_value("")
    found.status.to_contain_text("tuned: 1 tokens")
    asked = [("Who steers?", SHIP[2]["text"]), ("Who cooks?", None)]
    assert base.asked == tuned.asked == asked
    # What nobody can answer is not asked; the field stops a longer one, the server does too.
    found.ask("  ")
    found.status.to_have_text("Not asked: the question is empty.")
    assert base.asked == asked
    assert found.page.get_by_label("Question").get_attribute("maxlength") == "300"
    assert found.quiet()


@browses
def test_answers_grow_and_stop_ends_them(opened: Any) -> None:
    base, tuned = Endless(), Endless()
    found = opened(base, tuned)
    found.ask("Why?")
    found.text_of("Answer of base").to_have_value("Why? Why? Why? ")
    base.let.release()
    tuned.let.release()
    found.text_of("Answer of tuned").to_have_value("Why? Why? Why? Why? ")
    found.page.get_by_role("button", name="Stop").click()
    found.status.to_have_text("Stopped.")
    for speaker in (base, tuned):
        speaker.let.release(50)  # what it was just about to say
        assert speaker.closed.wait(20)
    assert found.quiet()


@browses
def test_a_second_question_waits_and_a_closed_page_stops_its_own(opened: Any) -> None:
    base, tuned = Endless(), Recorded(("Yes",))
    found = opened(base, tuned)
    found.ask("First?")
    found.text_of("Answer of base").to_have_value("First? First? First? ")
    second = opened.visit(found.address)
    second.ask("Second?")
    expect(second.page.locator("body")).to_contain_text("queue: 1/1")
    assert base.began == ["First?"]
    found.page.close()
    base.let.release(500)
    assert base.closed.wait(30)
    second.text_of("Answer of tuned").to_have_value("Yes", timeout=30_000)
    assert base.began == ["First?", "Second?"]
    assert second.quiet()
    base.closed.clear()
    second.page.get_by_role("button", name="Stop").click()
    base.let.release(50_000)
    assert base.closed.wait(30)


@browses
def test_without_passages_the_page_says_so(opened: Any) -> None:
    base = Recorded(("No",))
    found = opened(base, Recorded(("Yes",)), chunks=None)
    assert found.page.get_by_label("the one that fits best").is_disabled()
    assert "No passages: there is no data/chunks.jsonl" in found.page.locator("body").inner_text()
    found.ask("Who steers?")
    found.text_of("Answer of tuned").to_have_value("Yes")
    assert base.asked == [("Who steers?", None)]


@browses
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_reads_in_light_and_dark(opened: Any, scheme: str) -> None:
    long = Recorded(("x" * 500,))
    found = opened(long, long, color_scheme=scheme, viewport={"width": 390, "height": 844})
    found.ask("Who steers?")
    found.text_of("Answer of tuned").to_have_value("x" * 500)
    field = found.page.get_by_label("Answer of tuned")
    style = "(all) => [getComputedStyle(all).color, getComputedStyle(all).backgroundColor]"
    text, ground = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in field.evaluate(style))
    assert (ground > 600) == (scheme == "light")
    assert abs(text - ground) > 400
    assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert field.evaluate("(all) => all.scrollHeight <= all.clientHeight + 2")


def answered(address: str, path: str, headers: Mapping[str, str], method: str = "GET") -> int:
    connection = http.client.HTTPConnection(address.split("/")[2], timeout=20)
    body = None if method == "GET" else b"x" * 2000
    connection.request(method, path, body, dict(headers))
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_server_answers_its_own_page_alone_and_serves_no_files(settings: Ask, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    speaker = Recorded(("Yes",))
    with served(page({"base": speaker}, None, (), settings)) as address:
        own = address.split("/")[2]
        assert answered(address, "/", {}) == 200
        assert answered(address, "/config", {"Origin": f"http://{own}"}) == 200
        assert answered(address, "/config", {"Origin": "http://a.example"}) == 403
        assert answered(address, "/config", {"Origin": "null"}) == 403
        assert answered(address, "/", {"Host": "a.example"}) == 400
        files = [secret, Path("README.md").absolute(), Path("data/test.jsonl")]
        assert {answered(address, f"/gradio_api/file={file}", {}) for file in files} == {403}
        assert answered(address, "/docs", {}) == answered(address, "/openapi.json", {}) == 404
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        assert answered(address, "/gradio_api/upload", kind, "POST") == 403
        assert answered(address, "/gradio_api/run/ask", {"Content-Type": "application/json"}, "POST") >= 400
    assert speaker.asked == []


def test_a_question_is_bounded_on_the_server_too(settings: Ask) -> None:
    speaker = Recorded(("Yes",))
    said = list(Conversation({"tuned": speaker}, None, settings).ask("x" * 301, "none"))
    assert said == [("Not asked: the question has 301 characters; ask.characters=300 are the most.", "", "")]
    assert speaker.asked == []


def test_pieces_are_taken_in_turn_and_a_closed_conversation_closes_both() -> None:
    one, other = Recorded(("a", "b", "c")), Endless()
    pieces = together({"one": one.answer("?", None), "other": other.answer("?", None)})
    texts = [{name: reply.text for name, reply in next(pieces).items()} for _ in range(3)]
    assert texts == [{"one": "a"}, {"one": "a", "other": "? "}, {"one": "a b", "other": "? "}]
    pieces.close()
    assert other.closed.is_set()


def test_examples_are_held_out_questions_that_stand_alone(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert examples(3, 20) == []
    rows = [{"id": name, "question": f"Who commands {name}?"} for name in "dbca"]
    rows += [
        {"id": "0", "question": "Which?", "options": ["A. x"]},
        {"id": "1", "question": "And?", "history": [1]},
    ]
    jsonl.write(Path("data/test.jsonl"), rows)
    assert examples(3, 300) == ["Who commands a?", "Who commands b?", "Who commands c?"]
    assert examples(1, 10) == ["Who …"]
    assert examples(0, 300) == []


def test_hosts_of_this_machine_are_told_from_others() -> None:
    assert all(map(is_local, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_local, ("0.0.0.0", "::", "10.0.0.1", "a.example")))  # noqa: S104 - what is not local


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    with bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            FolioError, match=rf"127\.0\.0\.1, port {port} \(Address already in use\); choose"
        ):
            bound("127.0.0.1", port)
    with pytest.raises(FolioError, match=r"a\.invalid"):
        bound("a.invalid", 0)
