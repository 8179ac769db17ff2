"""What holds for every splitter, whatever the blocks and their text."""

from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.blocks import Block, Passage
from stages.measure import in_tokens, in_words
from stages.sections import sentences as cut
from stages.splitter.pages import Pages
from stages.splitter.passages import Passages
from stages.splitter.sentences import Sentences

Splitter = Callable[[Iterable[Block]], Iterator[Passage]]

STEADY = settings(derandomize=True, deadline=None, max_examples=60)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its tokens run over blanks: joined sentences have other ones than the same sentences alone."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(["the pump. The seal. A valve."] * 9, trainer)
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(file))
    return str(file)


PACKED = {
    "passages": (20, 30, 0), "overlap": (20, 30, 10), "tight": (20, 20, 5), "wide": (40, 200, 20),
    "tokens": (20, 30, 0), "tokens-overlap": (20, 25, 10),
}  # fmt: skip
COUNTED = {"sentence": (1, 0), "sentences": (3, 0), "sentences-overlap": (3, 1), "sentences-most": (4, 3)}


def make(kind: str, tokenizer: str) -> Splitter:
    if kind == "pages":
        return Pages(name="pages")
    if kind in COUNTED:
        count, overlap = COUNTED[kind]
        return Sentences(name="sentences", sentences=count, overlap=overlap, language="en")
    target, maximum, overlap = PACKED[kind]
    return Passages(
        name="passages", target=target, maximum=maximum, overlap=overlap, language="en",
        tokenizer=tokenizer if kind.startswith("tokens") else None,
    )  # fmt: skip


@pytest.fixture(scope="module", params=[*PACKED, *COUNTED, "pages"])
def splitter(request: pytest.FixtureRequest, tokenizer: str) -> Splitter:
    return make(request.param, tokenizer)


@pytest.fixture(scope="module", params=PACKED)
def packed(request: pytest.FixtureRequest, tokenizer: str) -> Splitter:
    return make(request.param, tokenizer)


@pytest.fixture(scope="module", params=COUNTED)
def counted(request: pytest.FixtureRequest) -> Splitter:
    return make(request.param, "")


PROSE = st.lists(st.integers(1, 14).map(lambda n: "Word " * (n - 1) + "end. "), max_size=9).map("".join)
ODD = st.text(alphabet="aB1.?!:\t\n '\"()é検。\u2028\u200b\u0301😀|", max_size=60)
KINDS = st.sampled_from(["paragraph", "item", "row", "footnote", "heading", "heading"])


@st.composite
def documents(draw: st.DrawFn) -> list[Block]:
    blocks, page = [], 1
    for kind in draw(st.lists(KINDS, max_size=12)):
        page += draw(st.sampled_from([0, 0, 1, 2]))
        text = draw(st.one_of(PROSE, ODD, st.text(max_size=40)))
        level = draw(st.integers(1, 4)) if kind == "heading" else 0
        blocks.append(Block(kind, text, (page, page + draw(st.sampled_from([0, 0, 0, 1]))), level))
    return blocks


def solid(text: str) -> str:
    return "".join(text.split())


def has_body(blocks: list[Block], at: int) -> bool:
    for block in blocks[at + 1 :]:
        if block.kind != "heading" and solid(block.text):
            return True
        if block.kind == "heading" and solid(block.text) and block.level <= blocks[at].level:
            return False
    return False


def expected(splitter: Splitter, blocks: list[Block]) -> list[tuple[str, int]]:
    """Each character that is not blank, with the block it is from."""
    whole = isinstance(splitter, Pages)
    return [
        (char, at)
        for at, block in enumerate(blocks)
        if whole or block.kind != "heading" or not has_body(blocks, at)
        for char in solid(block.text)
    ]


def origins(splitter: Splitter, blocks: list[Block]) -> list[tuple[Passage, list[int]]]:
    """Each passage with the block of each of its characters; checks that they are all there, in order."""
    left = expected(splitter, blocks)
    found: list[tuple[Passage, list[int]]] = []
    for passage in splitter(blocks):
        repeated, new = solid(passage.text[: passage.overlap]), solid(passage.text[passage.overlap :])
        taken, left = left[: len(new)], left[len(new) :]
        assert new == "".join(char for char, _ in taken)
        before = found[-1][1] if found else []
        found.append((passage, before[len(before) - len(repeated) :] + [at for _, at in taken]))
    assert not left
    return found


@STEADY
@given(documents())
def test_nothing_is_lost_doubled_or_moved_and_the_pages_are_right(
    splitter: Splitter, blocks: list[Block]
) -> None:
    for passage, owners in origins(splitter, blocks):
        first, last = zip(*(blocks[at].pages for at in owners), strict=True)
        assert passage.pages == (min(first), max(last))


@STEADY
@given(documents())
def test_the_overlap_is_the_end_of_the_passage_before_in_the_same_section(
    splitter: Splitter, blocks: list[Block]
) -> None:
    before = Passage("", (0, 0), ())
    for passage in splitter(blocks):
        repeated = passage.text[: passage.overlap]
        assert before.text.endswith(repeated)
        assert not repeated or (before.headings == passage.headings and len(repeated) < len(before.text))
        assert passage.text[passage.overlap :].strip()
        before = passage


@STEADY
@given(documents())
def test_the_same_blocks_give_the_same_passages_from_a_list_or_a_stream(
    splitter: Splitter, blocks: list[Block]
) -> None:
    assert list(splitter(blocks)) == list(splitter(iter(blocks)))


@STEADY
@given(documents())
def test_text_stands_under_the_headings_above_it(splitter: Splitter, blocks: list[Block]) -> None:
    path: dict[int, str] = {}
    above: list[tuple[str, ...]] = []
    for block in blocks:
        if block.kind == "heading" and solid(block.text):
            path = {level: text for level, text in path.items() if level < block.level}
            path[block.level] = block.text
        above.append(tuple(path.values()))
    for passage, owners in origins(splitter, blocks):
        body = [at for at in owners if blocks[at].kind != "heading"]
        if body and not isinstance(splitter, Pages):
            assert {above[at] for at in body} == {passage.headings}
        elif body and owners[0] == body[0]:
            assert above[body[0]] == passage.headings


def own_sentences(blocks: list[Block]) -> set[str]:
    return {piece.text for block in blocks for piece in cut(block, "en")}


@STEADY
@given(documents())
def test_only_a_single_sentence_passes_the_maximum(packed: Passages, blocks: list[Block]) -> None:
    length = in_tokens(packed.tokenizer) if packed.tokenizer else in_words
    for passage in packed(blocks):
        assert length(passage.text) <= packed.maximum or passage.text in own_sentences(blocks)
        assert length(passage.text[: passage.overlap]) <= packed.overlap


@STEADY
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_every_passage_but_the_last_has_the_sentences_asked_for(
    counted: Sentences, counts: list[int]
) -> None:
    blocks = [Block("item", "It ends. " * count, (1, 1)) for count in counts]
    *full, last = (passage.text.count("ends.") for passage in counted(blocks))
    assert set(full) <= {counted.sentences}
    assert (counted.overlap if full else 0) < last <= counted.sentences


@STEADY
@given(documents())
def test_sentences_stay_whole(splitter: Splitter, blocks: list[Block]) -> None:
    if isinstance(splitter, Pages):
        return
    texts = [passage.text for passage in splitter(blocks)]
    for at, block in enumerate(blocks):
        if block.kind != "heading" or not has_body(blocks, at):
            assert all(any(piece.text in text for text in texts) for piece in cut(block, "en"))


@STEADY
@given(documents())
def test_a_page_is_one_passage(blocks: list[Block]) -> None:
    pages = [passage.pages[0] for passage in Pages(name="pages")(blocks)]
    assert pages == sorted({block.pages[0] for block in blocks if solid(block.text)})
