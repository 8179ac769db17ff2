"""Pages made by hand: lines, spans, rules and whole PDF files with text at given places."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from stages.lines import Line
from stages.sheet import Box, Sheet, Span

WIDTH, HEIGHT = 600.0, 800.0


def width_of(text: str, size: float = 10.0) -> float:
    """Every letter of these fonts is half as wide as the font is tall."""
    return 0.5 * size * len(text)


def span(
    text: str,
    left: float = 72.0,
    top: float = 100.0,
    *,
    right: float | None = None,
    size: float = 10.0,
    bold: bool = False,
) -> Span:
    right = left + width_of(text, size) if right is None else right
    return Span(text, left, top, right, top + size, size, bold)


def line(
    text: str, left: float = 72.0, top: float = 100.0, *, row: bool = False, lead: bool = False, **placed: Any
) -> Line:
    return Line(*span(text, left, top, **placed), row=row, lead=lead)


def stack(
    texts: Iterable[str], left: float = 72.0, top: float = 100.0, *, step: float = 12.0, **more: Any
) -> list[Line]:
    """Lines one below the other."""
    return [line(text, left, top + i * step, **more) for i, text in enumerate(texts)]


def sheet(spans: Sequence[Span] = (), rules: Sequence[Box] = ()) -> Sheet:
    return Sheet(1, WIDTH, HEIGHT, list(spans), lambda: list(rules))


def grid(across: Sequence[float], down: Sequence[float]) -> list[Box]:
    """The rules of a table: at these heights from side to side, and at these places from top to bottom."""
    rules = [(down[0], y, down[-1], y + 0.5) for y in across]
    return [*rules, *((x, across[0], x + 0.5, across[-1]) for x in down)]


def texts(lines: Iterable[Any]) -> list[str]:
    return [part.text for part in lines]


def letters_of(found: Iterable[str]) -> Counter[str]:
    return Counter(letter for text in found for letter in text if letter.isalnum())


PLACE = st.one_of(
    st.sampled_from([0.0, 72.0, 100.0, 310.0, 700.0]),
    st.floats(-1e4, 1e4),
    st.sampled_from([-1e9, 1e9]),
)
TEXT = st.one_of(
    st.sampled_from(
        [
            "",
            "-",
            "- x",
            "12",
            "iv",
            "Page 3 of 9",
            "a) b",
            "1.2 Title",
            "CHAPTER TWO",
            "Figure 1",
            "A-1",
            "word-",
            "of the words that go on",
            "Ends here.",
            "Contents ..... 4",
            "\x011\x02",
            "1 A note here.",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
)


@st.composite
def any_line(draw: st.DrawFn) -> Line:
    left, top = draw(PLACE), draw(PLACE)
    wide, high = (draw(st.sampled_from([0.0, 0.1, 10.0, 80.0, 1e6])) for _ in "wh")
    size = draw(st.sampled_from([0.1, 6.0, 10.0, 14.0, 500.0]))
    return Line(draw(TEXT), left, top, left + wide, top + high, size, draw(st.booleans()))


ANY_LINES = st.lists(any_line(), max_size=25)
ANY_PAGES = st.lists(ANY_LINES, max_size=6)


def pdf(
    pages: Sequence[Sequence[tuple[str, float, float, float]]],
    rotate: int = 0,
    *,
    font: str = "Helvetica",
    drawn: str = "",
    inherited: bool = False,
) -> bytes:
    """A PDF whose pages hold (text, left, baseline from the bottom, size), 600 by 800 points.

    Args:
        pages: what stands on each.
        rotate: degrees by which they are turned for reading.
        font: its name.
        drawn: operators that draw the same on every page.
        inherited: the size of the pages stands once, in the page tree.
    """
    size = f"/MediaBox[0 0 {WIDTH:g} {HEIGHT:g}]"
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}{size * inherited}>>",
        f"<</Type/Font/Subtype/Type1/BaseFont/{font}/Encoding/WinAnsiEncoding>>",
    ]
    for i, page in enumerate(pages):
        content = "\n".join(
            [drawn, *(f"BT /F {high} Tf {x} {y} Td ({text}) Tj ET" for text, x, y, high in page)]
        )
        page_of = f"/Resources<</Font<</F 3 0 R>>>>/Rotate {rotate}{size * (not inherited)}"
        objects.append(f"<</Type/Page/Parent 2 0 R{page_of}/Contents {5 + 2 * i} 0 R>>")
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    out = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj {content} endobj\n".encode("cp1252")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    return (
        out + f"{head}trailer<</Root 1 0 R/Size {len(objects) + 1}>>\nstartxref\n{len(out)}\n%%EOF".encode()
    )
