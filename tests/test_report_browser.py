"""The report in a real browser: what it shows, what it runs and what it asks for."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from stages.artifact import write_json, write_text
from stages.report import page as made
from tests.runs import cell, write_run
from tests.test_report import PLANTED, facts

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu"]
NAMES = tuple(f"q{n}" for n in range(170))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium")
# What would run if it were not text: as an element, out of an attribute, by its own event, as a link.
SCRIPT = "document.title='owned';console.error('owned');fetch('https://a.example/')"
PLANTS = [
    f"<script>{SCRIPT}</script>",
    f'"><img src=x onerror="{SCRIPT}">',
    f'\'><svg onload="{SCRIPT}">',
    f"javascript:{SCRIPT}",
    f"</textarea></style></title></table><script>{SCRIPT}</script>",
    "\u202ethgir ot tfel\u2066 " + "x" * 3000,
]


@dataclass
class Opened:
    """A page with what it said on its console, and what it asked for besides itself."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.page.locator("#answers-table tbody tr:visible").count()

    @property
    def hits(self) -> str:
        return self.page.locator("#hits").inner_text()

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_role("combobox", name=label).select_option(label=option)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.chdir(tmp_path)
    contexts = []

    def open_run(names: tuple[str, ...] = ("a", "b"), changes: Any = None, **options: Any) -> Opened:
        write_run(tmp_path, names, **(changes or {}))
        write_text(tmp_path / "report/index.html", made(facts()))
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("console", lambda message: found.said.append(message.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on("request", lambda request: found.asked.append(request.url))
        found.page.on("dialog", lambda dialog: found.said.append(dialog.message))
        address = (tmp_path / "report/index.html").as_uri()
        found.page.goto(address)
        assert found.asked == [address]
        assert found.said == []
        return found

    yield open_run
    for context in contexts:
        context.close()


def test_search_and_filters_find_at_once_in_five_hundred_answers(opened: Any) -> None:
    found = opened(NAMES)
    assert found.hits == "500 of 500 answers"
    search = found.page.get_by_role("searchbox")
    search.fill("COMMANDS q17?")
    assert (found.rows, found.hits) == (3, "3 of 500 answers")
    found.choose("Context", "without passage")
    assert found.rows == 1
    assert "without passage" in found.page.locator("#answers-table tbody tr:visible").inner_text()
    found.choose("Pattern of tuned", "right")
    found.choose("Tuned is", "worse")
    assert (found.rows, found.hits) == (0, "0 of 500 answers")
    found.page.get_by_role("button", name="Show all").click()
    found.page.wait_for_function("document.getElementById('hits').textContent === '500 of 500 answers'")
    assert found.rows == 500
    # The work of one keystroke, in milliseconds.
    spent = found.page.evaluate(
        """() => {
          const field = document.querySelector('input[type=search]');
          field.value = 'captain q1';
          const start = performance.now();
          field.dispatchEvent(new Event('input', {bubbles: true}));
          document.body.getBoundingClientRect();
          return performance.now() - start;
        }"""
    )
    assert spent < 1000
    assert found.hits.endswith("of 500 answers")
    assert found.said == []
    assert len(found.asked) == 1


def test_the_table_is_searched_by_keyboard_and_hits_are_announced(opened: Any) -> None:
    found = opened()
    for _ in range(60):
        found.page.keyboard.press("Tab")
        if found.page.evaluate("document.activeElement.name") == "search":
            break
    found.page.keyboard.type("a?")
    assert found.hits == "3 of 6 answers"
    assert found.page.get_by_role("status").get_attribute("aria-live") == "polite"
    assert found.page.get_by_role("img").count() >= 2


@pytest.mark.parametrize("plant", PLANTS, ids=["script", "img", "svg", "link", "closing tags", "bidi"])
def test_what_is_planted_in_documents_and_answers_does_not_run(opened: Any, plant: str) -> None:
    keys = ("question", "reference", "answer", "document")
    write = dict.fromkeys(keys, plant)
    found = opened(changes=write)
    assert found.page.title() == "Folio: did tuning help?"
    shown = found.page.locator("#answers-table tbody tr").first.inner_text()
    assert plant[:20].replace("\u202e", "\ufffd") in shown
    assert found.page.locator("body script").count() == 1
    assert found.page.locator("img").count() == 0
    # A link of the page leads to a folder of the project, whatever the document is called.
    targets = found.page.locator("a:not([href^='#'])").evaluate_all("(all) => all.map((one) => one.protocol)")
    assert set(targets) == {"file:"}
    # Nor does a long word make the page wider than the window.
    assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (found.said, len(found.asked)) == ([], 1)


def test_the_policy_stops_a_script_that_is_not_the_pages_own(opened: Any) -> None:
    found = opened()
    found.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
    )
    assert found.page.title() == "Folio: did tuning help?"
    assert "Content Security Policy" in found.said[0]


def test_without_scripts_every_answer_is_a_plain_table(opened: Any) -> None:
    found = opened(java_script_enabled=False)
    assert found.rows == 6
    assert found.hits == "6 answers"
    assert not found.page.locator("#filters").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (1280, 900)], ids=["phone", "desk"])
def test_it_fits_the_window_and_reads_in_light_and_dark(
    opened: Any, scheme: Any, size: tuple[int, int]
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    found = opened(viewport=viewport, color_scheme=scheme)
    assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    colours = found.page.evaluate(
        """() => {
          const text = document.querySelector('figure svg text');
          const mark = document.querySelector('figure svg use');
          return [getComputedStyle(text).fill, getComputedStyle(mark).fill,
                  getComputedStyle(document.querySelector('.card')).backgroundColor];
        }"""
    )
    light = {"light": lambda colour: sum(colour) > 600, "dark": lambda colour: sum(colour) < 150}[scheme]
    text, mark, ground = ([int(part) for part in colour[4:-1].split(",")] for colour in colours)
    assert light(ground)
    assert abs(sum(text) - sum(ground)) > 400
    assert abs(sum(mark) - sum(ground)) > 250
    heights = found.page.locator("figure svg text").evaluate_all(
        "(all) => all.map((one) => one.getBoundingClientRect().height)"
    )
    assert min(heights) >= 9


def test_a_name_of_a_metric_is_text_too(opened: Any, tmp_path: Path) -> None:
    squad = {context: cell(PLANTED, 0.4, (0.3, 0.2, 0.4), 1.0) for context in ("open", "closed")}
    found = opened()
    write_json(tmp_path / "metrics/score/squad.json", squad)
    write_text(tmp_path / "report/index.html", made(facts()))
    found.page.reload()
    assert found.page.locator("figcaption", has_text="alert(1)").count() == 1
    assert found.said == []
