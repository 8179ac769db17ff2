"""The local generator beside its model asked plainly, in batches and singly: python -m benchmarks.local [N]

All three write questions about the same N sentences with the same worked examples and sampling settings.
`pairs` are candidates; a token is a generated one up to the question mark. The figures are the last line, as
JSON.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from stages import language
from stages.decode import left_pad
from stages.entry import CONF
from stages.generator.local import _Writer
from stages.ledger import Ledger
from stages.option import build

PLACES = "engine room,bridge,galley,cargo hold,chart room,radio room,mess,store,locker,pump room".split(",")
PEOPLE = "captain,first officer,engineer,boatswain,surveyor,radio officer,cook,pilot,mate,owner".split(",")
FORMS = (
    "The {who} inspected every valve in the {place} twice and noted {n} faults in the log of that day.",
    "After {n} hours at sea the {who} went to the {place} and closed the doors against the rising water.",
    "Nobody but the {who} carried the {n} keys of the {place} during the long winter passage to the north.",
)


def chunks(count: int) -> list[dict[str, Any]]:
    """One passage of three sentences for each three that are wanted."""
    made = []
    for number in range(-(-count // len(FORMS))):
        place, who = PLACES[number % 10], PEOPLE[number // 10 % 10]
        text = " ".join(form.format(who=who, place=place, n=number + 2) for form in FORMS)
        made.append(
            {"id": str(number), "document": "a.pdf", "pages": [1, 1], "headings": ["1 Watch"], "text": text}
        )
    return language.mark(made, "en")


def timed(run: Callable[[], tuple[int, int]]) -> dict[str, float]:
    begun = time.perf_counter()
    pairs, tokens = run()
    seconds = time.perf_counter() - begun
    return {
        "pairs": pairs, "tokens": tokens, "seconds": round(seconds, 2),
        "pairs_per_second": round(pairs / seconds, 3), "tokens_per_second": round(tokens / seconds, 1),
    }  # fmt: skip


class Side:
    """The model and the prompts, which all three ways share."""

    def __init__(self, option: Any, sentences: int) -> None:
        self.option = option
        self.writer = _Writer(option)
        self.calls = list(option._calls(chunks(sentences)))
        self.prefix = self.writer._tokenizer(option.prompt["en"])["input_ids"]
        self.sampling = {
            "do_sample": True, "temperature": option.temperature, "top_k": option.top_k, "top_p": 1.0,
            "max_new_tokens": option.maximum_tokens, "eos_token_id": self.writer._stop,
            "pad_token_id": self.writer._tokenizer.pad_token_id,
        }  # fmt: skip

    def folio(self) -> tuple[int, int]:
        """The generator itself, ledger and all, with its model loaded."""
        import stages.generator.local as module

        module_writer, module._Writer = module._Writer, lambda _: self.writer  # type: ignore[misc,assignment]
        try:
            with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
                found = list(self.option(chunks(len(self.calls)), ledger))
        finally:
            module._Writer = module_writer  # type: ignore[misc]
        ids = self.writer._tokenizer([pair["question"] for pair in found], add_special_tokens=False)[
            "input_ids"
        ]
        return len(found), sum(map(len, ids))

    def batched(self) -> tuple[int, int]:
        """`generate` on left-padded whole prompts, in the same batches."""
        order = sorted(self.calls, key=lambda call: len(call.prompt))
        size = self.option.batch
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        return self._plain(parts, self.option.samples)

    def single(self) -> tuple[int, int]:
        """One prompt and one sample a call."""
        return self._plain([[call] for call in self.calls for _ in range(self.option.samples)], 1)

    def _plain(self, batches: list[list[Any]], samples: int) -> tuple[int, int]:
        pairs = tokens = 0
        pad = self.writer._tokenizer.pad_token_id
        for batch in batches:
            ids, mask = left_pad([self.prefix + self.writer._ids(call.prompt) for call in batch], pad)
            with torch.inference_mode():
                output = self.writer._model.generate(
                    ids, attention_mask=mask, num_return_sequences=samples, **self.sampling
                )
            for row in output[:, ids.shape[1] :].tolist():
                stop = next((i for i, token in enumerate(row) if token in self.writer._stop), len(row))
                pairs, tokens = pairs + 1, tokens + min(stop + 1, len(row))
        return pairs, tokens


def main() -> None:
    """Print the three ways side by side; the slowest on a share of the sentences."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 192
    with initialize_config_dir(CONF, version_base="1.3"):
        option = build(compose("config", ["generator.recast=false"]), "generator")
    torch.manual_seed(0)
    whole, few = Side(option, count), Side(option, max(6, count // 8))
    whole.batched()  # warm
    folio, batched, single = timed(whole.folio), timed(whole.batched), timed(few.single)
    figures = {
        "sentences": len(whole.calls),
        "samples": option.samples,
        "batch": option.batch,
        "folio": folio,
        "plain_batches": batched,
        "one_at_a_time": single | {"sentences": len(few.calls)},
        "pairs_against_one_at_a_time": round(folio["pairs_per_second"] / single["pairs_per_second"], 2),
        "tokens_against_plain_batches": round(folio["tokens_per_second"] / batched["tokens_per_second"], 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
