from typing import Any

from stages.doubts import by_page, choose, flags, least


def figures(pages: int, **more: Any) -> dict[str, Any]:
    return {"pages": pages, "chunks": pages, **more}


def apart(pages: int, *worst: tuple[int, float]) -> dict[str, Any]:
    """A document of recall 0.9 with the recall of its worst pages."""
    return figures(pages, recall=0.9, surplus=0.0, apart=[[page, recall, 0.0] for page, recall in worst])


# choose


def test_pages_come_in_document_and_page_order() -> None:
    chosen = choose({"b.pdf": figures(40), "a.pdf": figures(40)}, 10)
    assert len(chosen) == 10
    assert chosen == sorted(set(chosen))


def test_documents_give_pages_in_turn() -> None:
    documents = {"a.pdf": figures(300), "b.pdf": figures(2), "c.pdf": figures(50)}
    names = [name for name, _ in choose(documents, 8)]
    # Two each, which is all that b has; the others share the rest.
    assert {name: names.count(name) for name in documents} == {"a.pdf": 3, "b.pdf": 2, "c.pdf": 3}


def test_of_many_documents_each_gives_at_most_one() -> None:
    chosen = choose({f"{number}.pdf": figures(9) for number in range(100)}, 24)
    assert len({name for name, _ in chosen}) == 24


def test_the_draw_is_the_same_in_any_order_of_documents() -> None:
    documents = {f"{number}.pdf": figures(9) for number in range(100)}
    chosen = choose(documents, 24)
    assert chosen == choose(dict(reversed(documents.items())), 24)
    assert chosen != [(name, 1) for name, _ in chosen]


def test_doubtful_pages_are_shown_and_others_beside_them() -> None:
    documents = {"a.pdf": apart(30, (17, 0.2), (4, 0.5)), "b.pdf": figures(30, no_text=[9])}
    chosen = choose(documents, 8)
    assert {("a.pdf", 17), ("a.pdf", 4), ("b.pdf", 9)} <= set(chosen)
    assert len(set(chosen)) == 8


def test_half_of_the_pages_are_without_doubts_where_there_are_so_many() -> None:
    scan, book = figures(100, no_text=list(range(1, 101))), figures(100)
    names = [name for name, _ in choose({"book.pdf": book, "scan.pdf": scan}, 10)]
    assert (names.count("book.pdf"), names.count("scan.pdf")) == (5, 5)
    assert len(choose({"scan.pdf": scan}, 10)) == 10
    assert len(choose({"book.pdf": figures(3), "scan.pdf": scan}, 10)) == 10


def test_no_pages_and_no_more_than_there_are() -> None:
    assert choose({"a.pdf": figures(5, no_text=[1])}, 0) == []
    assert choose({"a.pdf": figures(3, no_text=[2]), "failed.pdf": figures(0)}, 24) == [
        ("a.pdf", 1),
        ("a.pdf", 2),
        ("a.pdf", 3),
    ]
    assert choose({"a.pdf": figures(3, no_text=[2])}, 1) == [("a.pdf", 2)]


# by_page, flags, least


def test_a_page_that_agrees_better_than_its_document_is_not_doubtful() -> None:
    found = by_page(apart(3, (2, 0.704), (1, 0.9), (3, 0.99)) | {"garbage": [3], "unreadable": [5]})
    assert found == {
        2: ["the readers differ: recall 0.70, surplus 0.00"],
        1: ["the readers differ: recall 0.90, surplus 0.00"],
        3: ["no readable characters"],
        5: ["cannot be read"],
    }


def test_a_document_is_flagged_in_words() -> None:
    document = apart(9, (2, 0.7), (1, 0.5)) | {"no_text": [3, 4, 5], "unreadable": [9]}
    assert list(flags(document, 4)) == [
        "The two readers differ, most of all on pages 2 (recall 0.70, surplus 0.00), "
        "1 (recall 0.50, surplus 0.00)",
        "Pages 3 to 5: no text layer",
        "Page 9: cannot be read",
    ]
    assert list(flags(figures(2, recall=1.0, surplus=0.0), 2)) == []
    assert list(flags(figures(2), 0)) == ["Every chunk was dropped"]


def test_the_least_of_recall_and_surplus() -> None:
    assert least(figures(1, recall=0.9, surplus=0.25)) == 0.75
    assert least(figures(1)) == 1
