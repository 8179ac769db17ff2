import pytest

from stages.account import Account
from stages.blocks import Block
from stages.furniture import remove, running_lines

# Longer than any running line, so that a page has a middle: no page repeats another's.
BODY = ("intake", "gearbox", "flywheel", "rudder", "anchor", "winch", "mast")


def paragraph(text: str, page: int = 1) -> Block:
    return Block("paragraph", text, (page, page))


def manual(pages: int, top: str = "", bottom: str = "") -> list[list[Block]]:
    """Pages of seven paragraphs, all different, below `top` and above `bottom`; {n} is the page."""
    book = []
    for n in range(1, pages + 1):
        lines = [top, *(f"The {part} was opened by {'abcdefghij'[n % 10] * n}." for part in BODY), bottom]
        book.append([paragraph(line.format(n=n), n) for line in lines if line])
    return book


def removed(pages: list[list[Block]]) -> tuple[list[list[str]], dict[str, int]]:
    account = Account("blocks")
    kept = remove(pages, account)
    # in = kept + dropped
    assert account.total == sum(map(len, pages))
    assert account.kept == sum(map(len, kept))
    return [[block.text for block in page] for page in kept], dict(account.dropped)


def texts(pages: list[list[Block]]) -> list[list[str]]:
    return [[block.text for block in page] for page in pages]


@pytest.mark.parametrize("line", ["PUMP GUIDE {n}", "{n} Pump guide", "Pump Guide, page {n} of 90"])
def test_a_line_on_three_pages_is_running_whatever_its_page_number(line: str) -> None:
    for book in (manual(3, top=line), manual(3, bottom=line)):
        assert removed(book) == (texts(manual(3)), {"running_line": 3})


def test_a_line_on_two_pages_stays() -> None:
    book = manual(2, top="PUMP GUIDE {n}")
    assert removed(book) == (texts(book), {})


def test_a_line_on_less_than_a_tenth_of_the_pages_stays() -> None:
    # 3 of 31 pages: a tenth would be 3.1.
    book = manual(3, top="PUMP GUIDE") + manual(31)[3:]
    assert removed(book) == (texts(book), {})
    assert removed(book[:30])[1] == {"running_line": 3}


def test_the_shape_of_a_running_line_has_neither_number_nor_case() -> None:
    assert running_lines(manual(3, top="PUMP GUIDE {n}")) == {"pump guide"}


def test_a_recurring_line_in_the_middle_of_a_page_stays() -> None:
    book = manual(4)
    for page in book:
        page.insert(4, paragraph("Check the oil."))
    assert removed(book) == (texts(book), {})


def test_a_long_paragraph_is_no_running_line() -> None:
    book = manual(3, top="Read this. " * 20)  # 219 characters
    assert removed(book)[1] == {}


@pytest.mark.parametrize("number", ["7", "iv", "A-3", "Page 7", "page 7 of 90"])
def test_a_page_number_at_the_edge_goes(number: str) -> None:
    assert removed([[*manual(1)[0], paragraph(number)]]) == (texts(manual(1)), {"page_number": 1})


@pytest.mark.parametrize("line", ["Chapter 7", "12345", "7.5", "Pump"])
def test_what_is_no_page_number_stays(line: str) -> None:
    assert removed([[*manual(1)[0], paragraph(line)]])[1] == {}


def test_a_number_in_the_middle_of_a_page_stays() -> None:
    page = manual(1)[0]
    page.insert(4, paragraph("7"))
    assert removed([page])[1] == {}


@pytest.mark.parametrize(
    "line", ["2.1 Seals ........ 14", "Preface . . . . . . . ix", "Annex .......B-2", "Index ........"]
)
def test_a_contents_line_goes_wherever_it_stands(line: str) -> None:
    page = manual(1)[0]
    page.insert(4, paragraph(line))
    assert removed([page]) == (texts(manual(1)), {"contents_line": 1})


def test_an_ellipsis_is_no_contents_line() -> None:
    assert removed([[paragraph("And so on...")]])[1] == {}


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        (paragraph("12 See the annex."), "footnote"),
        # As the reader writes a footnote whose mark it has found.
        (paragraph("[^32]: http://a.example/"), "footnote"),
        (paragraph("12) See the annex."), "paragraph"),
        (Block("item", "3 bolts", (1, 1)), "item"),
    ],
)
def test_a_footnote_is_marked(block: Block, kind: str) -> None:
    assert remove([[block]], Account("blocks")) == [[Block(kind, block.text, (1, 1))]]  # type: ignore[arg-type]


@pytest.mark.parametrize("glued", ["PUMP SERVICE GUIDE 3 {}", "{} 3 Pump Service Guide"])
def test_a_running_line_glued_to_a_paragraph_is_cut_off(glued: str) -> None:
    book = manual(4, top="PUMP SERVICE GUIDE {n}")
    text = "The bearing is greased."
    place = 0 if glued.startswith("PUMP") else -1
    book[3][place] = paragraph(glued.format(text), 4)
    assert removed(book)[0][3][place] == text


def test_a_paragraph_within_the_page_keeps_the_words_it_shares_with_a_running_line() -> None:
    book = manual(4, top="PUMP SERVICE GUIDE {n}")
    text = "Pump service guide authors must test each step."
    book[3].insert(5, paragraph(text, 4))
    assert removed(book)[0][3][4] == text


def test_pages_and_levels_survive() -> None:
    heading = Block("heading", "Seals", (3, 3), 2)
    assert remove([[heading]], Account("blocks")) == [[heading]]


def test_no_pages_and_empty_pages() -> None:
    assert removed([]) == ([], {})
    assert removed([[], []]) == ([[], []], {})
