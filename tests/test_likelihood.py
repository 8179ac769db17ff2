from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from stages.likelihood import token_losses


def test_batched_losses_are_those_of_each_row_read_in_full(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    rows = [([3, 4, 5, 6], [7, 8, 2]), ([9], [10, 2]), ([11, 12], [2])]
    for (prompt, completion), losses in zip(rows, token_losses(model, rows, pad=2), strict=True):
        with torch.no_grad():
            scores = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
        # The token at place i is predicted by the logits at place i - 1.
        places = range(len(prompt), len(prompt) + len(completion))
        expected = [-float(scores[i - 1, (prompt + completion)[i]]) for i in places]
        assert losses == pytest.approx(expected, abs=1e-4)
