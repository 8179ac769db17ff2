"""Figures as pictures to stand in a page: SVG whose colours are the page's own and whose text is text."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# matplotlib knows no CSS variables: it draws in colours that occur nowhere else, which are then replaced.
BASE, TUNED, INK, FAINT = "#010203", "#010204", "#010205", "#010206"
COLOURS = {BASE: "var(--base)", TUNED: "var(--tuned)", INK: "currentColor", FAINT: "var(--line)"}
# Base and tuned differ in shape, too.
MARKERS = {"base": ("o", BASE, -0.14), "tuned": ("s", TUNED, 0.14)}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "ytick.major.pad": 8,
}
# Points for the eye; a longer curve shows the means of as many parts.
MOST_POINTS = 300

Curve = tuple[list[float], list[float]]  # steps and values


def intervals(name: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Base and tuned of one figure in each context, as points with their intervals.

    Args:
        name: of the picture, unique in the page.
        rows: each with `place` (the context in a word or two) and, per model, value, low and high
            (None: no interval).
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 0.7 + 0.5 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            for model, (marker, colour, shift) in MARKERS.items():
                value, low, high = (row[model][key] for key in ("value", "low", "high"))
                if low is not None:
                    axes.plot([low, high], [place + shift] * 2, color=colour, linewidth=2)
                axes.plot([value], [place + shift], marker, color=colour, markersize=7)
        axes.set_yticks(range(len(rows)), [row["place"] for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(*_limits(axes))
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_axisbelow(True)
        return _svg(figure, name, f"Base and tuned with 95% intervals: {name}", _told(rows))


def _limits(axes: "Axes") -> tuple[float, float]:
    # A share is seen as such: from 0 to 1. Other figures begin at 0 where that is not far.
    low, high = axes.dataLim.x0, axes.dataLim.x1
    if 0 <= low <= high <= 1:
        return -0.02, 1.02
    margin = 0.04 * (high - low or 1)
    return (0.0 if 0 <= low < 0.5 * high else low - margin), high + margin


def _told(rows: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(
        f"{row['place']}: " + ", ".join(f"{model} {_number(row[model])}" for model in MARKERS) for row in rows
    )


def _number(one: Mapping[str, Any]) -> str:
    ends = "" if one["low"] is None else f" ({one['low']:.3f} to {one['high']:.3f})"
    return f"{one['value']:.3f}{ends}"


def training(losses: Mapping[str, Curve], rate: Curve | None) -> Markup:
    """Training and validation loss over steps (nats per target token), and below them the learning rate.

    Args:
        losses: curves under the names `train` and `validation`, either or both.
        rate: of the learning rate, if it was written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(4.8, 3.8 if rate else 2.8), layout="constrained")
        ratios = {"height_ratios": [3.2, 1] if rate else [1]}
        grid = figure.subplots(2 if rate else 1, sharex=True, squeeze=False, gridspec_kw=ratios)
        upper, lower = grid[0, 0], grid[-1, 0]
        _draw(upper, losses)
        upper.set_ylabel("loss, nats a token")
        upper.grid()
        if rate:
            lower.plot(*thinned(*rate), color=INK, linewidth=1.2)
            lower.set_ylabel("learning rate")
            lower.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=False)
            lower.grid()
        lower.set_xlabel("step")
        return _svg(figure, "training", "Loss over training steps", _courses(losses))


def alignment(name: str, curves: Mapping[str, Curve]) -> Markup:
    """One figure of an alignment over its steps.

    Args:
        name: of the figure, unique in the page.
        curves: under the names `train` and `validation`, either or both.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(4.4, 2.4), layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, curves)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.set_xlabel("step")
        axes.grid()
        return _svg(figure, f"alignment {name}", f"{name} over steps of alignment", _courses(curves))


def _draw(axes: "Axes", curves: Mapping[str, Curve]) -> None:
    for name, form in (("train", "-"), ("validation", "-s")):
        if name in curves:
            steps, values = thinned(*curves[name])
            colour, width = (BASE, 1.2) if name == "train" else (TUNED, 2)
            axes.plot(steps, values, form, color=colour, linewidth=width, markersize=6)


def _courses(curves: Mapping[str, Curve]) -> str:
    return "; ".join(f"{name}: {course(*curve)}" for name, curve in curves.items())


def course(steps: Sequence[float], values: Sequence[float]) -> str:
    """`1.287 at step 0, 0.826 at step 96, lowest 0.826 at step 96`."""
    least = min(range(len(values)), key=values.__getitem__)
    ends = f"{values[0]:.3f} at step {steps[0]:g}, {values[-1]:.3f} at step {steps[-1]:g}"
    return f"{ends}, lowest {values[least]:.3f} at step {steps[least]:g}"


def thinned(steps: Sequence[float], values: Sequence[float]) -> Curve:
    """The curve itself, or the means of at most MOST_POINTS parts of as many points each."""
    size = math.ceil(len(steps) / MOST_POINTS) or 1
    parts = range(0, len(steps), size)
    return (
        [sum(steps[i : i + size]) / len(steps[i : i + size]) for i in parts],
        [sum(values[i : i + size]) / len(values[i : i + size]) for i in parts],
    )


def _svg(figure: "Figure", name: str, title: str, description: str) -> Markup:
    """The drawing as an element of HTML: nothing in it depends on the hour, and no id recurs in the page."""
    from lxml import etree
    from matplotlib import rc_context

    drawn = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", metadata=nothing)
    text = drawn.getvalue().decode()
    root = etree.fromstring(drawn.getvalue(), etree.XMLParser(remove_comments=True, no_network=True))
    for element in list(root.iter()):
        _clean(element, text)
    etree.cleanup_namespaces(root)
    for key in ("width", "height", "version"):  # the page says how large
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", f"{title}. {description}")
    markup = etree.tostring(root, encoding="unicode")
    for sentinel, colour in COLOURS.items():
        markup = markup.replace(sentinel, colour)
    return Markup(markup)  # noqa: S704 - matplotlib's drawing of numbers, its words escaped by lxml


def _clean(element: Any, text: str) -> None:
    """Make an SVG element one of HTML: no namespace, no idle id, no metadata, no style for the whole page."""
    element.tag = element.tag.rpartition("}")[2]
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        if key != "id" or f"#{value}" in text:
            element.set(key.rpartition("}")[2], value)
    if element.tag in ("metadata", "style"):
        element.getparent().remove(element)
