import codecs
import time
from pathlib import Path

import pytest

from stages import plain
from stages.blocks import Block
from stages.errors import FolioError

UMLAUTS = "Prüfung für Öl – jährlich."


def read(tmp_path: Path, name: str, content: str | bytes) -> list[tuple[str, str]]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (sheet,) = plain.read(path)
    assert sheet.number == 1
    assert all(block.pages == (1, 1) for block in sheet.blocks or [])
    return [(_named(block), block.text) for block in sheet.blocks or []]


def _named(block: Block) -> str:
    return f"h{block.level}" if block.kind == "heading" else block.kind


def test_blank_lines_part_the_paragraphs_of_a_text(tmp_path: Path) -> None:
    content = "\n\nThe team\r\nre\x02ports  mon\u200bthly.\r\n \t\r\nIt de\u00adcides.\n\n\n"
    assert read(tmp_path, "a.txt", content) == [
        ("paragraph", "The team reports monthly."),
        ("paragraph", "It decides."),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_character_set_is_found_by_its_mark(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, "a.TXT", UMLAUTS.encode(encoding)) == [("paragraph", UMLAUTS)]
    big_endian = codecs.BOM_UTF16_BE + UMLAUTS.encode("utf-16-be")
    assert read(tmp_path, "b.txt", big_endian) == [("paragraph", UMLAUTS)]


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="windows-1252">', "cp1252"),
        ("<META http-equiv=Content-Type content='text/html; charset=ISO-8859-1'>", "cp1252"),
        ('<?xml version="1.0" encoding="macroman"?>', "mac_roman"),
        ("<meta charset=latin1>", "utf-8"),  # it says so and is not
    ],
)
def test_a_page_declares_its_character_set(tmp_path: Path, head: str, encoding: str) -> None:
    content = f"{head}<p>{UMLAUTS}</p>".encode(encoding)
    assert read(tmp_path, "a.html", content) == [("paragraph", UMLAUTS)]


@pytest.mark.parametrize(
    "head", ["", "<meta charset=rot13>", "<meta charset=unicode_escape>", "<meta charset=x>"]
)
def test_an_undeclared_character_set_is_not_guessed(tmp_path: Path, head: str) -> None:
    with pytest.raises(FolioError, match=r"a\.html is not UTF-8 .*`iconv"):
        read(tmp_path, "a.html", (head + UMLAUTS).encode("cp1252"))


def test_what_is_no_text_or_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FolioError, match=r"a\.txt is no text"):
        read(tmp_path, "a.txt", b"ab\0\0cd")
    monkeypatch.setitem(plain.LARGEST, ".md", plain.MIB)
    with pytest.raises(FolioError, match=r"a\.md is larger than 1 MiB"):
        read(tmp_path, "a.md", b"x" * (plain.MIB + 1))


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html"])
def test_an_empty_file_has_no_blocks(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(" \n", encoding="utf-8")
    (sheet,) = plain.read(tmp_path / name)
    assert (sheet.blocks, sheet.problem) == ([], "")


MARKDOWN = """---
title: The plan
tags: [a, b]
---
# The *plan*

Read [the guide](https://example.org) & `config.yaml`
first.<br>Then ~~not~~ go on.

## Steps

1. Look
2. Act

   at once

- alone

```python
x = 1

y = "# no heading"
```

| a | b |
|---|---|
| 1 |   |

<div align="center"><b>Made</b> by us</div>
<!-- a note -->

    indented code
"""


def test_markdown_keeps_its_structure_and_drops_its_front_matter(tmp_path: Path) -> None:
    assert read(tmp_path, "a.md", MARKDOWN) == [
        ("h1", "The plan"),
        ("paragraph", "Read the guide & config.yaml first. Then not go on."),
        ("h2", "Steps"),
        ("item", "1. Look"),
        ("item", "2. Act"),
        ("item", "at once"),
        ("item", "- alone"),
        ("paragraph", 'x = 1\ny = "# no heading"'),
        ("row", "a | b"),
        ("row", "1 |"),
        ("paragraph", "Made by us"),
        ("paragraph", "indented code"),
    ]


def test_a_rule_at_the_start_is_no_front_matter(tmp_path: Path) -> None:
    content = "---\nIt begins.\n\n---\n\nIt ends."
    assert read(tmp_path, "a.markdown", content) == [("paragraph", "It begins."), ("paragraph", "It ends.")]


def test_a_tag_that_is_only_mentioned_hides_nothing(tmp_path: Path) -> None:
    content = "Set the <title> and the <script> of it.\n\n<style>p {}</style>\n\nThe rest."
    assert read(tmp_path, "a.md", content) == [
        ("paragraph", "Set the <title> and the <script> of it."),
        ("paragraph", "The rest."),
    ]


PAGE = """<!DOCTYPE html><html><head><title>Shop - Plan</title><style>p {}</style></head><body>
<header><h1>Shop</h1></header><nav><ul><li>Home</ul></nav>
<article><header><h2>The&nbsp;plan</h2></header>
Loose text<p>AT&amp;T &lt;reports&gt; &#8211; <b>every</b> mon<i>th</i><script>track()</script>
<p>Second<br>line<br><br>After a gap
<p hidden>secret</p><p style="color:red; display : none">secret</p><span aria-hidden="true">¶</span>
<!-- secret --><template>secret</template><noscript>secret</noscript>
<ol start="4"><li>four<ul><li>inner</ul><li><p>five</p><p>more</p></ol>
<table><caption>Levels</caption><tr><th>Level<th>Effort<tr><td><p>Low<p>est</td><td></td></tr></table>
<dl><dt>Term<dd>Meaning</dl><pre>a
  b</pre><details><summary>More</summary>hidden until clicked</details>
<footer>by Ann</footer></article><div role="navigation">Next</div><footer>Imprint</footer>"""


def test_a_page_gives_what_it_shows_without_its_frame(tmp_path: Path) -> None:
    assert read(tmp_path, "a.htm", PAGE) == [
        ("h2", "The plan"),
        ("paragraph", "Loose text"),
        ("paragraph", "AT&T <reports> – every month"),
        ("paragraph", "Second line"),
        ("paragraph", "After a gap"),
        ("item", "4. four"),
        ("item", "- inner"),
        ("item", "5. five"),
        ("item", "more"),
        ("paragraph", "Levels"),
        ("row", "Level | Effort"),
        ("row", "Low est |"),
        ("paragraph", "Term"),
        ("paragraph", "Meaning"),
        ("paragraph", "a\nb"),
        ("paragraph", "More"),
        ("paragraph", "hidden until clicked"),
        ("paragraph", "by Ann"),
    ]


def test_a_table_that_lays_out_a_page_gives_no_rows(tmp_path: Path) -> None:
    content = (
        "<table><tr><td><p>One.<p>Two.</td></tr>"
        "<tr><td>Menu<td><h2>News</h2>Text.<table><tr><td>1<td>2</table>End.</td></tr></table>"
    )
    assert read(tmp_path, "a.html", content) == [
        ("paragraph", "One."),
        ("paragraph", "Two."),
        ("paragraph", "Menu"),
        ("h2", "News"),
        ("paragraph", "Text."),
        ("row", "1 | 2"),
        ("paragraph", "End."),
    ]


def test_the_main_part_stands_for_a_page_where_it_is_most_of_it(tmp_path: Path) -> None:
    content = "<div>Press ? for help</div><main><p>A long enough paragraph.</p></main>"
    assert read(tmp_path, "a.html", content) == [("paragraph", "A long enough paragraph.")]
    content = "<p>A long enough paragraph.</p><main>Short.</main>"
    assert len(read(tmp_path, "b.html", content)) == 2


@pytest.mark.parametrize("content", ["<div>" * 200_000, "<table><tr><td>x" * 60_000, "<b>x" * 150_000])
def test_endless_nesting_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(FolioError, match=r"a\.html nests more than 5000 elements"):
        read(tmp_path, "a.html", content)


@pytest.mark.parametrize(
    "content",
    [
        "<p>word <li>" * 80_000,
        "<!--" * 200_000,
        "<a href='" * 100_000,
        "</a " * 200_000,
        "<div " + " ".join(f"a{i}=1" for i in range(100_000)) + ">x",
        "<div>" * 4_000 + "</p>" * 100_000,
        "<br>" * 200_000,
    ],
    ids=["unclosed", "comments", "quotes", "end tags", "attributes", "stray end tags", "breaks"],
)
def test_a_megabyte_of_broken_tags_is_read_in_seconds(tmp_path: Path, content: str) -> None:
    before = time.process_time()
    read(tmp_path, "a.html", content)
    assert time.process_time() - before < 10


def test_the_borders_of_what_the_parser_is_fed_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(tmp_path, "a.html", PAGE)
    monkeypatch.setattr(plain, "FEED", 7)
    assert read(tmp_path, "a.html", PAGE) == whole


def test_the_items_of_a_list_in_a_text_are_parted_and_its_hyphens_joined(tmp_path: Path) -> None:
    text = "Do this:\n- open the\n  valve\n- close it\n1. first\nA hyphen-\nated word.\n"
    assert read(tmp_path, "a.txt", text) == [
        ("paragraph", "Do this:"),
        ("item", "- open the valve"),
        ("item", "- close it"),
        ("item", "1. first A hyphenated word."),
    ]


@pytest.mark.parametrize(
    "html",
    [
        "<h1>Pumps</h1><main><p>The pump moves water up.</p></main>",
        '<header id="title-block-header"><h1>Pumps</h1></header><p>The pump moves water up.</p>',
        '<h1>Pumps<a class="headerlink" href="#p">\u00b6</a></h1><p>The pump moves water up.</p>',
    ],
)
def test_the_title_of_a_page_stays(tmp_path: Path, html: str) -> None:
    assert read(tmp_path, "a.html", html) == [("h1", "Pumps"), ("paragraph", "The pump moves water up.")]
