"""The levels of headings: what their numbering says, else their font."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from stages.blocks import Block
from stages.numbering import NUMBERED
from stages.rows import Style

COUNTED = re.compile(r"(?P<number>\d{1,3}(?:[.–-]\d{1,3}){1,4})\.?\s+(?=[“\"‘(\[]?[^\W\d_])")
COUNTED_LEAST = 5  # paragraphs so numbered: fewer may begin with a number by chance
COUNTED_GAP = 3  # between one number and the next, at most
CHAPTERS = 10  # without such paragraphs between two that have them, at most
LOWEST = 6
LABEL = 40  # a heading that recurs so often names a kind of text, not a section


def levelled(units: list[list[tuple[Block, Style]]]) -> list[list[Block]]:
    """Give every heading its level, and every numbered paragraph a heading; styles come in, blocks go out.

    A heading's level is that of its number ("3.1.6": 3; "CHAPTER TWO": 1), else that of the numbered
    headings in its font, else one below those in a larger font. A document whose paragraphs are
    numbered in order ("4-61. ...") has their numbers as headings at the lowest level.
    """
    headings = [(block.text, style) for unit in units for block, style in unit if block.kind == "heading"]
    often = {text for text, count in Counter(text for text, _ in headings).items() if count >= LABEL}
    depths = _depths(headings)
    counted = _counted([block for unit in units for block, _ in unit])
    arranged = []
    for unit in units:
        blocks: list[Block] = []
        for block, style in unit:
            if number := counted.get(id(block)):
                blocks += [replace(block, kind="heading", text=number[0], level=LOWEST), number[1]]
            elif block.kind != "heading":
                blocks.append(block)
            elif block.text in often and not NUMBERED.match(block.text):
                blocks.append(replace(block, kind="paragraph"))
            else:
                _add_heading(blocks, replace(block, level=depths[block.text, style]))
        arranged.append(blocks)
    return arranged


def _counted(blocks: Sequence[Block]) -> dict[int, tuple[str, Block]]:
    """The paragraphs whose numbers count through the document: the number and the text behind it."""
    found: dict[int, tuple[str, Block]] = {}
    last: tuple[int, ...] = ()
    strays = 0
    for block in blocks:
        match = COUNTED.match(block.text) if block.kind in ("paragraph", "item") else None
        if match is None:
            continue
        number = tuple(map(int, re.findall(r"\d+", match["number"])))
        if _follows(number, last):
            text = replace(block, kind="paragraph", text=block.text[match.end() :])
            found[id(block)] = (match["number"], text)
            last = number
        else:
            strays += 1
    return found if len(found) >= COUNTED_LEAST and len(found) > 4 * strays else {}


def _follows(number: tuple[int, ...], last: tuple[int, ...]) -> bool:
    """Whether a number comes next, or after a few that are headings: 4-61, 4-62; 8.1, 8.1.1, 8.2, 9.1."""
    if not last:
        return True
    for i, part in enumerate(number):
        before = last[i] if i < len(last) else 0
        if part != before:
            near = before < part <= before + (COUNTED_GAP if i else CHAPTERS)
            return near and all(rest <= COUNTED_GAP for rest in number[i + 1 :])
    return False


def _add_heading(blocks: list[Block], block: Block) -> None:
    last = blocks[-1] if blocks else None
    match = NUMBERED.match(block.text)
    if last and last.kind == "heading" and not match and _names_part(last.text):
        # "CHAPTER TWO" stands above its title.
        blocks[-1] = replace(last, text=f"{last.text} {block.text}")
    elif (
        match
        and match["number"]
        and block.text.endswith(".")
        and len(block.text.split()) > 4
        and not block.text.isupper()
    ):
        # A numbered sentence is text; its number is the heading.
        blocks += [
            replace(block, text=match["number"]),
            Block("paragraph", block.text[match.end() :], block.pages),
        ]
    else:
        blocks.append(block)


def _names_part(text: str) -> bool:
    match = NUMBERED.fullmatch(text.rstrip(".:—– "))
    return bool(match and (match["part"] or match["annex"]))


def _depths(headings: list[tuple[str, Style]]) -> dict[tuple[str, Style], int]:
    """The level of each heading, 1 to 6."""
    numbered = {(text, style): depth for text, style in headings if (depth := _depth(text))}
    known: defaultdict[Style, Counter[int]] = defaultdict(Counter)
    for (_, style), depth in numbered.items():
        known[style][depth] += 1
    usual = {style: depths.most_common(1)[0][0] for style, depths in known.items()}
    largest = {
        depth: max(style[0] for (_, style), d in numbered.items() if d == depth)
        for depth in set(numbered.values())
    }
    ranked = sorted({style for _, style in headings}, reverse=True)
    levels: dict[tuple[str, Style], int] = {}
    for text, style in headings:
        depth = numbered.get((text, style), 0)
        level = depth or usual.get(style)
        if depth and text[0].isdigit() and style[0] <= largest[depth] - 1:  # a list's numbers
            level = depth + 1
        if level is None:
            above = [usual[other] for other in ranked[: ranked.index(style)] if other in usual]
            level = max(above) + 1 if above else 1 if usual else 1 + ranked.index(style)
        levels[text, style] = min(level, 6)
    return levels


def _depth(text: str) -> int:
    match = NUMBERED.match(text)
    if not match:
        return 0
    if match["number"]:
        return len(re.findall(r"\w+", match["number"]))
    return 2 if match["section"] else 1
