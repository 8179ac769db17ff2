"""An OpenAI-compatible endpoint reads one chunk and writes several pairs, each with its quote."""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WrapValidator, model_validator

from stages.endpoint.asking import Asking, Form
from stages.endpoint.languages import name_of
from stages.endpoint.settings import Compatible
from stages.endpoint.texts import Quote, Text, one_line
from stages.jsonl import Record
from stages.kinds import KINDS, allot, fault_of_shares
from stages.ledger import Ledger
from stages.option import setting
from stages.words import count as words

# For the estimate alone: tokens of a pair with its quote as JSON.
PAIR_TOKENS = 120
MOST_ENTRIES = 1_000  # of a reply, each of which is counted; a model that writes more is stuck


def _kind(value: object) -> str:
    # A pair is no worse for a kind that nobody asked for.
    return value if isinstance(value, str) and value in KINDS else KINDS[0]


class Pair(BaseModel):
    """A pair as the endpoint writes it."""

    kind: Annotated[str, BeforeValidator(_kind)] = KINDS[0]
    question: Text
    answer: Text
    quote: Quote


def _readable(value: object, validate: Callable[[object], Pair]) -> Pair | None:
    try:
        return validate(value)
    except ValidationError:
        return None


class Pairs(BaseModel):
    """What the endpoint replies; none: the passage has nothing to ask about.

    One that lacks something is None and no harm to the others; where all do, the reply is at fault.
    """

    pairs: list[Annotated[Pair | None, WrapValidator(_readable)]] = Field(max_length=MOST_ENTRIES)

    @model_validator(mode="after")
    def _some(self) -> "Pairs":
        if self.pairs and not any(self.pairs):
            raise ValueError("no pair is one")
        return self


# By hand: what pydantic writes has $ref and minLength, which not every endpoint takes.
TEXT = {"type": "string"}
PAIR = {"kind": TEXT | {"enum": list(KINDS)}, "question": TEXT, "answer": TEXT, "quote": TEXT}
FORM = Form(
    name="pairs",
    version=1,
    content=Pairs,
    schema={
        "type": "object",
        "properties": {
            "pairs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": PAIR,
                    "required": list(PAIR),
                    "additionalProperties": False,
                },
            }
        },
        "required": ["pairs"],
        "additionalProperties": False,
    },
    unit="chunk",
)


@setting
class OpenAI(Compatible):
    """One call for each chunk; every reply is kept in the ledger as it came, also one that is no JSON."""

    place: ClassVar[str] = "generator"
    needed: ClassVar[frozenset[str]] = frozenset({"passage"})
    offered: ClassVar[frozenset[str]] = frozenset({"section", "pairs", "kinds", "language"})

    kinds: dict[str, float]
    words_per_pair: int = Field(ge=1)
    maximum_pairs: int = Field(ge=1, le=50)
    watch: str
    code: str

    @model_validator(mode="after")
    def _shared(self) -> "OpenAI":
        if fault := fault_of_shares(self.kinds):
            raise ValueError(f"generator.kinds{fault}")
        return self

    def __call__(self, chunks: Iterable[Record], ledger: Ledger) -> Iterator[Record]:
        """Yield candidates (chunk, kind, question, answer, quote, evidence, score), in the chunks' order.

        The endpoint knows no place and no probability: `evidence` and `score` are None. A chunk
        that gave no pair yields one record with an empty question and the `reason`; so does each
        entry of a reply that is no pair (`wrong_schema`) or beyond `maximum_pairs` (`surplus`).

        Raises:
            FolioError: the endpoint refuses the key or the model, or is not there.
        """
        listed = list(chunks)
        replies = self.asking(ledger).ask(listed)
        for chunk, (reply, fault) in zip(listed, replies, strict=True):
            if not reply or not reply.pairs:
                yield _record(chunk) | {"reason": fault or "nothing_to_ask"}
                continue
            yield from self._records(chunk, reply.pairs)

    def _records(self, chunk: Record, pairs: Iterable[Pair | None]) -> Iterator[Record]:
        left = self.maximum_pairs
        for pair in pairs:
            if pair and left:
                left -= 1
                yield _record(chunk, pair.kind, *map(one_line, (pair.question, pair.answer, pair.quote)))
            else:
                yield _record(chunk) | {"reason": "surplus" if pair else "wrong_schema"}

    def plan(self, chunks: Iterable[Record], ledger: Ledger) -> dict[str, Any]:
        """What a run would ask for: `calls` not in the ledger, estimated tokens, and their `cost`.

        The cost is in the currency of the prices, None where one is unknown. What is beyond a budget
        is left out; calls that repeat a reply which is no valid JSON are not foreseen.
        """
        return self.asking(ledger).plan(chunks, lambda chunk: self._pairs(chunk) * PAIR_TOKENS)

    def coverage(self, chunks: Iterable[Record]) -> dict[str, Any]:
        """Further figures for metrics/generate.json: none, every chunk is asked about as a whole."""
        return {}

    def texts(self, chunk: Record) -> tuple[str, str]:
        """What the system and the user say about a chunk."""
        pairs = self._pairs(chunk)
        kinds = allot(self.kinds, pairs, chunk["text"])
        return self.filled(
            {
                "section": one_line(" > ".join(chunk["headings"]) or chunk["document"]),
                "passage": chunk["text"],
                "pairs": pairs,
                "kinds": ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
                "language": name_of(chunk["language"]) or "the passage's language",
            }
        )

    def _pairs(self, chunk: Record) -> int:
        return min(self.maximum_pairs, max(1, words(chunk["text"]) // self.words_per_pair))

    def asking(self, ledger: Ledger) -> Asking[Record, Pairs]:
        """The calls of this option, those that the ledger knows included."""
        return Asking(self, FORM, self.texts, ledger)


def _record(chunk: Record, kind: str = "", question: str = "", answer: str = "", quote: str = "") -> Record:
    pair = {"kind": kind, "question": question, "answer": answer, "quote": quote}
    return {"chunk": chunk} | pair | {"evidence": None, "score": None}
