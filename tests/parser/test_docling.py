import importlib.util
from pathlib import Path
from typing import Any

import pytest

from stages.blocks import Block
from stages.errors import FolioError
from stages.parser.docling import Docling, to_sheets

SIZE = 612.0, 792.0


@pytest.fixture
def core() -> Any:
    return pytest.importorskip("docling_core.types.doc", reason="docling-core is not installed")


class Pages:
    """A document of docling's own type, filled item by item."""

    def __init__(self, core: Any, pages: int) -> None:
        self.core = core
        self.document = core.DoclingDocument(name="made")
        for number in range(1, pages + 1):
            self.document.add_page(page_no=number, size=core.Size(width=SIZE[0], height=SIZE[1]))

    def at(self, page: int) -> Any:
        box = self.core.BoundingBox(l=72, t=72, r=540, b=90)
        return self.core.ProvenanceItem(page_no=page, bbox=box, charspan=(0, 0))

    def text(self, label: str, text: str, page: int, **more: Any) -> Any:
        named = self.core.DocItemLabel(label)
        return self.document.add_text(label=named, text=text, prov=self.at(page), **more)

    def table(self, page: int, cells: list[tuple[str, int, int, int, int]], rows: int, columns: int) -> None:
        made = [
            self.core.TableCell(
                text=text,
                start_row_offset_idx=top,
                end_row_offset_idx=bottom,
                start_col_offset_idx=left,
                end_col_offset_idx=right,
            )
            for text, top, bottom, left, right in cells
        ]
        data = self.core.TableData(table_cells=made, num_rows=rows, num_cols=columns)
        self.document.add_table(data=data, prov=self.at(page))


def test_each_item_becomes_its_block_on_its_page(core: Any) -> None:
    made = Pages(core, 2)
    made.document.add_heading("2 Plan", level=1, prov=made.at(1))
    made.document.add_heading("2.1 Roles", level=2, prov=made.at(1))
    made.text("text", "The team  re\u00adports\nmonthly.", 1)
    items = made.document.add_list_group()
    made.document.add_list_item("first", enumerated=False, marker="•", parent=items, prov=made.at(1))
    made.document.add_list_item("second", enumerated=True, marker="2.", parent=items, prov=made.at(1))
    made.text("footnote", "1 See the annex.", 1)
    made.text("caption", "Table 1. Levels", 2)
    made.text("formula", "", 2, orig="a = b")
    first, second = to_sheets(made.document, 2)
    assert first.blocks == [
        Block("heading", "2 Plan", (1, 1), 1),
        Block("heading", "2.1 Roles", (1, 1), 2),
        Block("paragraph", "The team reports monthly.", (1, 1)),
        Block("item", "- first", (1, 1)),
        Block("item", "2. second", (1, 1)),
        Block("footnote", "1 See the annex.", (1, 1)),
    ]
    assert second.blocks == [
        Block("paragraph", "Table 1. Levels", (2, 2)),
        Block("paragraph", "a = b", (2, 2)),
    ]
    assert (first.number, first.width, first.height, first.problem) == (1, *SIZE, "")


def test_a_title_sets_the_headings_one_level_deeper_and_none_below_six(core: Any) -> None:
    made = Pages(core, 1)
    made.document.add_title("The Plan", prov=made.at(1))
    for level in (1, 6):
        made.document.add_heading(f"at {level}", level=level, prov=made.at(1))
    (sheet,) = to_sheets(made.document, 1)
    assert [(block.text, block.level) for block in sheet.blocks or []] == [
        ("The Plan", 1),
        ("at 1", 2),
        ("at 6", 6),
    ]


def test_a_table_gives_rows_and_a_wide_cell_stands_once(core: Any) -> None:
    made = Pages(core, 1)
    cells = [("Effort", 0, 1, 0, 2), ("Low", 1, 2, 0, 1), ("one day", 1, 2, 1, 2), ("High", 2, 3, 0, 1)]
    made.table(1, cells, rows=4, columns=2)
    (sheet,) = to_sheets(made.document, 1)
    assert sheet.blocks == [Block("row", text, (1, 1)) for text in ("Effort |", "Low | one day", "High |")]


def test_running_lines_and_the_words_in_a_picture_are_left_out(core: Any) -> None:
    made = Pages(core, 1)
    furniture = {"content_layer": core.ContentLayer.FURNITURE}
    made.text("page_header", "INCIDENT GUIDE", 1, **furniture)
    made.text("page_footer", "11", 1, **furniture)
    picture = made.document.add_picture(prov=made.at(1))
    made.text("text", "arrow label", 1, parent=picture)
    made.text("text", "Kept.", 1)
    (sheet,) = to_sheets(made.document, 1)
    assert sheet.blocks == [Block("paragraph", "Kept.", (1, 1))]


def test_a_paragraph_over_a_page_end_names_both_and_a_missing_page_says_why(core: Any) -> None:
    made = Pages(core, 2)
    made.text("text", "It goes on.", 1).prov.append(made.at(2))
    sheets = to_sheets(made.document, 4, {3: "Page failed to parse.", None: "out of time"})
    assert sheets[0].blocks == [Block("paragraph", "It goes on.", (1, 2))]
    assert [sheet.problem for sheet in sheets] == ["", "", "Page failed to parse.", "out of time"]
    assert [sheet.number for sheet in sheets] == [1, 2, 3, 4]


@pytest.mark.skipif(importlib.util.find_spec("docling") is not None, reason="docling is installed")
def test_without_docling_the_extra_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"parser=docling needs docling: pip install .*\[docling\]"):
        Docling(name="docling", models=None)(tmp_path / "any.pdf")


@pytest.mark.skipif(importlib.util.find_spec("docling") is None, reason="docling is not installed")
def test_a_folder_of_models_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"parser.models=.*nowhere is no folder"):
        Docling(name="docling", models=str(tmp_path / "nowhere")).check()
