from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel

from stages.decode import Decoder, left_pad
from stages.likelihood import completion_logits

PROMPTS = [[5, 6, 7, 8, 9, 10], [11, 12], [13, 14, 15]]
STOP = [2]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> PreTrainedModel:
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    return loaded


def greedy(model: PreTrainedModel, ids: list[int], steps: int) -> tuple[list[int], float]:
    """One token at a time from the whole text, no cache: what decoding means."""
    chosen: list[int] = []
    logs: list[float] = []
    for _ in range(steps):
        with torch.no_grad():
            scores = model(torch.tensor([ids + chosen])).logits[0, -1].log_softmax(-1)
        token = int(scores.argmax())
        if token in STOP:
            break
        chosen.append(token)
        logs.append(float(scores[token]))
    return chosen, sum(logs) / len(logs) if logs else 0.0


def test_padding_goes_in_front() -> None:
    ids, mask = left_pad([[1, 2, 3], [4]], pad=0)
    assert ids.tolist() == [[1, 2, 3], [0, 0, 4]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize("prefix", [[], [20, 21, 22, 23]])
def test_a_batch_with_a_shared_prefix_decodes_what_each_prompt_gives_alone(
    model: PreTrainedModel, prefix: list[int]
) -> None:
    completions = Decoder(model, pad=2, prefix=prefix).complete(PROMPTS, STOP, max_new_tokens=6)
    for prompt, (completion,) in zip(PROMPTS, completions, strict=True):
        expected, mean = greedy(model, prefix + prompt, 6)
        assert completion.ids == expected
        assert completion.mean_log_prob == pytest.approx(mean, abs=1e-4)


def test_samples_are_reproducible_and_there_are_as_many_as_asked(model: PreTrainedModel) -> None:
    decoder = Decoder(model, pad=2, prefix=[20, 21])
    runs = []
    for _ in range(2):
        torch.manual_seed(7)
        sampling = {"do_sample": True, "temperature": 1.0, "top_k": 50}
        runs.append(decoder.complete(PROMPTS, STOP, 5, samples=3, **sampling))
    assert runs[0] == runs[1]
    assert [len(row) for row in runs[0]] == [3, 3, 3]


def penalised(model: PreTrainedModel, ids: list[int], steps: int, penalty: float) -> list[int]:
    """Greedy, where what stood there is less likely (arXiv:1909.05858, section 4.1)."""
    text = list(ids)
    for _ in range(steps):
        with torch.no_grad():
            logits = model(torch.tensor([text])).logits[0, -1]
        for token in set(text):
            logits[token] *= penalty if logits[token] < 0 else 1 / penalty
        text.append(int(logits.argmax()))
    return text[len(ids) :]


def test_a_repetition_penalty_counts_prompt_and_answer_and_no_padding(model: PreTrainedModel) -> None:
    completions = Decoder(model, pad=2).complete(PROMPTS, [299], 9, repetition_penalty=1.5)
    expected = [penalised(model, prompt, 9, 1.5) for prompt in PROMPTS]
    assert [completion.ids for (completion,) in completions] == expected
    plain = Decoder(model, pad=2).complete(PROMPTS, [299], 9)
    assert [completion.ids for (completion,) in plain] != expected


def test_a_cut_completion_says_so(model: PreTrainedModel) -> None:
    ((completion,),) = Decoder(model, pad=2).complete([PROMPTS[0]], [299], max_new_tokens=2)
    assert len(completion.ids) == 2
    assert completion.stop is None


ROWS = [
    (PROMPTS[0], [[30, 31, 32], [33], [34, 35, 36, 37, 38]]),
    (PROMPTS[1], [[30, 31, 32]]),
    (PROMPTS[2], [[40, 41], [42, 43, 44, 45]]),
    ([16], [[46]]),
]


@pytest.mark.parametrize("prefix", [[], [20, 21, 22, 23]])
def test_scores_are_the_mean_log_probabilities_of_each_completion_alone(
    model: PreTrainedModel, prefix: list[int]
) -> None:
    scores = Decoder(model, pad=2, prefix=prefix).score(ROWS)
    for (prompt, completions), found in zip(ROWS, scores, strict=True):
        logits = completion_logits(
            model, [(prefix + prompt, completion) for completion in completions], pad=2
        )
        pairs = zip(logits, completions, strict=True)
        expected = [-float(cross_entropy(row, torch.tensor(completion))) for row, completion in pairs]
        assert found == pytest.approx(expected, abs=1e-5)


def test_a_score_is_worked_out_by_hand(model: PreTrainedModel) -> None:
    with torch.no_grad():
        logs = model(torch.tensor([[5, 6, 7, 8]])).logits[0].log_softmax(-1)
    expected = (float(logs[1, 7]) + float(logs[2, 8])) / 2
    assert Decoder(model, pad=2).score([([5, 6], [[7, 8]])]) == [[pytest.approx(expected, abs=1e-5)]]


def test_a_single_token_is_prompt_enough(model: PreTrainedModel) -> None:
    ((first,),) = Decoder(model, pad=2).score([([5], [[6, 7]])])
    ((second,),) = Decoder(model, pad=2, prefix=[5]).score([([6], [[7]])])
    with torch.no_grad():
        logs = model(torch.tensor([[5, 6, 7]])).logits[0].log_softmax(-1)
    assert first == pytest.approx((float(logs[0, 6]) + float(logs[1, 7])) / 2, abs=1e-5)
    assert second == pytest.approx(float(logs[1, 7]), abs=1e-5)


def test_scoring_leaves_the_prefix_as_it_was(model: PreTrainedModel) -> None:
    decoder = Decoder(model, pad=2, prefix=[20, 21, 22])
    first = decoder.score(ROWS)
    decoder.complete(PROMPTS, STOP, max_new_tokens=2)
    assert decoder.score(ROWS) == first


def test_a_completion_scores_what_it_was_given_when_it_was_decoded(model: PreTrainedModel) -> None:
    decoder = Decoder(model, pad=2, prefix=[20, 21])
    ((completion,),) = decoder.complete([PROMPTS[0]], [299], max_new_tokens=4)
    assert decoder.score([(PROMPTS[0], [completion.ids])]) == [
        [pytest.approx(completion.mean_log_prob, abs=1e-4)]
    ]
