import re
from typing import Any

import pytest
from lxml import etree

from stages.pictures import MOST_POINTS, course, intervals, thinned, training
from tests.runs import one

ROWS = [
    {"place": "with passage", "base": one(0.4, 0.3, 0.5), "tuned": one(0.7, 0.6, 0.8)},
    {"place": "without passage", "base": one(0.2, None, None), "tuned": one(0.3, None, None)},
]
STEPS = [float(n) for n in range(9)]
LOSSES = {"train": (STEPS, [2.0 - n / 8 for n in range(9)]), "validation": ([0.0, 8.0], [2.0, 1.25])}
DRAWN = {
    "intervals": lambda: intervals("squad f1", ROWS),
    "training": lambda: training(LOSSES, (STEPS, [n / 1e4 for n in STEPS])),
}


@pytest.fixture(params=DRAWN)
def picture(request: pytest.FixtureRequest) -> str:
    return str(DRAWN[request.param]())


def test_the_same_figures_are_the_same_bytes(request: pytest.FixtureRequest) -> None:
    for draw in DRAWN.values():
        assert draw() == draw()


def test_a_picture_takes_the_pages_colours_and_brings_nothing_of_its_own(picture: str) -> None:
    root = etree.fromstring(picture)
    assert root.tag == "svg"
    assert {element.tag for element in root.iter()} <= {
        "svg",
        "g",
        "path",
        "text",
        "defs",
        "use",
        "clipPath",
        "rect",
    }
    assert "var(--base)" in picture
    assert "var(--tuned)" in picture
    assert "currentColor" in picture
    assert not re.search(r"#0102|http|<!--|\d{4}-\d\d-\d\d", picture)
    # Colours of its own would be lost on a dark page.
    assert not set(re.findall(r"#[0-9a-f]{6}\b", picture)) - {"#ffffff"}


def test_what_refers_within_the_picture_finds_its_target(picture: str) -> None:
    root = etree.fromstring(picture)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    targets = set(re.findall(r"#([\w-]+)", " ".join(re.findall(r'(?:href="|url\()(#[\w-]+)', picture))))
    assert targets
    assert targets == set(ids)
    assert len(ids) == len(set(ids))


def test_two_pictures_of_a_page_share_no_id() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', intervals(name, ROWS))) for name in ("squad f1", "squad exact")]
    assert not ids[0] & ids[1]


def test_who_cannot_see_a_picture_is_told_its_numbers() -> None:
    root = etree.fromstring(intervals("squad f1", ROWS))
    assert root.get("role") == "img"
    assert root.get("aria-label") == (
        "Base and tuned with 95% intervals: squad f1. with passage: base 0.400 (0.300 to 0.500), tuned 0.700 "
        "(0.600 to 0.800); without passage: base 0.200, tuned 0.300"
    )
    label = etree.fromstring(DRAWN["training"]()).get("aria-label")
    assert label.endswith("validation: 2.000 at step 0, 1.250 at step 8, lowest 1.250 at step 8")


def test_words_are_text_and_markup_in_them_is_not() -> None:
    rows = [ROWS[0] | {"place": "<b>$x$ & y"}]
    root = etree.fromstring(intervals("a", rows))
    assert "<b>$x$ & y" in [element.text for element in root.iter("text")]


def test_base_and_tuned_differ_in_shape() -> None:
    root = etree.fromstring(intervals("squad f1", ROWS))
    paths = {path.get("d") for defs in root.iter("defs") for path in defs.iter("path")}
    marks = [path for path in paths if path and len(path.split()) > 5]
    assert any("C" in path for path in marks)  # a circle
    assert any("C" not in path for path in marks)  # a square


@pytest.mark.parametrize(
    "values",
    [(1.0, None, None), (0.0, 0.0, 0.0), (1e9, 1.0, 1e10), (-3.0, -4.0, -2.0)],
    ids=["no interval", "no width", "vast", "negative"],
)
def test_any_figure_can_be_drawn(values: tuple[Any, Any, Any]) -> None:
    row = {"place": "with passage", "base": one(*values), "tuned": one(*values)}
    assert "<path" in intervals("odd", [row])


@pytest.mark.parametrize("kept", ["train", "validation"])
def test_training_without_one_of_its_curves_is_drawn(kept: str) -> None:
    assert "<path" in training({kept: LOSSES[kept]}, None)


def test_a_course_in_words() -> None:
    assert (
        course([0.0, 5.0, 10.0], [2.0, 1.0, 1.5])
        == "2.000 at step 0, 1.500 at step 10, lowest 1.000 at step 5"
    )


def test_a_long_curve_shows_means() -> None:
    assert thinned([1.0, 2.0], [3.0, 4.0]) == ([1.0, 2.0], [3.0, 4.0])
    steps = [float(n) for n in range(2 * MOST_POINTS)]
    found = thinned(steps, steps)
    assert len(found[0]) == MOST_POINTS
    assert found[1][:2] == [0.5, 2.5]
