from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoTokenizer, LlamaConfig

from stages import preflight
from stages.errors import FolioError
from stages.prompt import answer_ids, prompt_ids
from stages.tokens import Row
from tests.forms import CHAT

QUESTION, ANSWER = "who handles the incident", "the incident response team"
COUNTS = ("no_target", "answer_cut", "stop_inside", "bos_inside", "differs")


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def config(tiny_model: Path) -> Any:
    return AutoConfig.from_pretrained(tiny_model)


def row(tokenizer: Any, name: str, answer: str = ANSWER, passage: str = "", **changes: Any) -> Row:
    """A row as the tokenize stage makes it."""
    ids = prompt_ids(tokenizer, CHAT, {"question": QUESTION}, False), answer_ids(tokenizer, answer)
    return replace(Row(name, passage or f"p-{name}", "closed", answer, *ids), **changes)


def sides(tokenizer: Any, *bad: Row, good: int = 8) -> dict[str, list[Row]]:
    """Good rows on both sides and the bad ones first among those to train on."""
    train = [row(tokenizer, f"t{i}") for i in range(good)]
    return {"train": [*bad, *train], "validation": [row(tokenizer, "v0"), row(tokenizer, "v1")]}


def refusal(rows: dict[str, list[Row]], tokenizer: Any, config: Any, bad_share: float = 0.0) -> str:
    with pytest.raises(FolioError) as failure:
        preflight.check(rows, tokenizer, config, bad_share)
    text = str(failure.value)
    assert text.isascii()
    assert text.isprintable()
    return text


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def test_good_rows_all_pass(tokenizer: Any, config: Any) -> None:
    rows = sides(tokenizer)
    checked = preflight.check(rows, tokenizer, config, 0.0)
    assert checked.rows == rows
    assert checked.figures == {"rows": 10, "kept": 10, "notes": []} | dict.fromkeys(COUNTS, 0)


def faulty(tokenizer: Any) -> dict[str, list[Row]]:
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    body = ids(tokenizer, ANSWER)
    return {
        "no_target": [row(tokenizer, "b", completion=[]), row(tokenizer, "b", completion=[eos])],
        "answer_cut": [row(tokenizer, "b", completion=body)],
        "stop_inside": [
            row(tokenizer, "b", completion=[*body, eos, eos]),
            row(tokenizer, "b", answer="one</s>two"),  # a document may spell a token out
        ],
        "bos_inside": [row(tokenizer, "b", completion=[bos, *body, eos])],
        "differs": [row(tokenizer, "b", completion=[*body[:-1], eos])],
    }


@pytest.mark.parametrize("fault", COUNTS)
def test_a_bad_row_is_left_out_and_counted_or_stops_the_run(fault: str, tokenizer: Any, config: Any) -> None:
    for bad in faulty(tokenizer)[fault]:
        rows = sides(tokenizer, bad, good=7)
        checked = preflight.check(rows, tokenizer, config, 0.1)
        assert bad not in checked.rows["train"]
        assert [*checked.rows["train"], *checked.rows["validation"]] == [
            *rows["train"][1:],
            *rows["validation"],
        ]
        assert checked.figures["kept"] == 9
        assert {name: checked.figures[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0) | {fault: 1}
        text = refusal(rows, tokenizer, config, bad_share=0.09)
        assert text.startswith(
            "1 of 10 rows cannot be trained on, more than train.bad_share=0.09 allows: 1 "
            f"{preflight.FAULTS[fault]} (row 'b'"
        )
        assert text.endswith(
            "run `dvc repro --force --single-item tokenize`, or raise train.bad_share to leave them out"
        )


def test_the_commonest_fault_is_named_first(tokenizer: Any, config: Any) -> None:
    bad = [row(tokenizer, name, completion=[5, 6]) for name in "xy"]
    text = refusal(sides(tokenizer, row(tokenizer, "a", completion=[]), *bad), tokenizer, config, 0.1)
    assert "3 of 13 rows" in text
    assert (
        "2 do not end in a stop token, so that their answer was cut (row 'x'); besides 1 no_target;" in text
    )


def test_a_side_that_would_lose_its_last_row_stops_the_run(tokenizer: Any, config: Any) -> None:
    rows = sides(tokenizer) | {"validation": [row(tokenizer, "v", completion=[])]}
    assert "which leaves no row to validation" in refusal(rows, tokenizer, config, 0.9)


def test_another_stop_token_of_the_model_ends_an_answer_too(tokenizer: Any, config: Any) -> None:
    other = ids(tokenizer, "team")[-1]
    bad = row(tokenizer, "b", answer="the incident", completion=[*ids(tokenizer, "the incident"), other])
    rows = sides(tokenizer, bad, good=1)
    for row_ in rows["train"] + rows["validation"]:
        assert other not in row_.completion[:-1] or row_ is not bad
    rows = {name: [bad] if name == "train" else [replace(bad, id="v", passage="v")] for name in rows}
    assert preflight.check(rows, tokenizer, config, 0.0, stops=[other]).figures["kept"] == 2
    assert "2 do not end in a stop token" in refusal(rows, tokenizer, config)


@pytest.mark.parametrize("answer", ["ﬁne ½", "Ａ１", "non breaking", " two  blanks\n", "naïve", "été"])
def test_spelling_and_blanks_make_no_other_answer(answer: str, tokenizer: Any, config: Any) -> None:
    other = " ".join(answer.split())
    same = row(tokenizer, "b", answer=answer, completion=answer_ids(tokenizer, other))
    assert preflight.check(sides(tokenizer, same), tokenizer, config, 0.0).figures["differs"] == 0


def test_both_texts_are_shown_from_where_they_part_escaped_and_cut(tokenizer: Any, config: Any) -> None:
    said, meant = "a" * 5000 + "\x1b[2J <b>", "a" * 5000 + "é" * 5000
    bad = row(tokenizer, "b" * 5000, answer=meant, completion=answer_ids(tokenizer, said))
    config.max_position_embeddings = 100_000
    text = refusal(sides(tokenizer, bad), tokenizer, config)
    same, escaped = "a" * 20, r"\xe9" * 40
    assert rf"row '{'b' * 60}'...: '{same}\x1b[2J <b>' for '{same}{escaped}'..." in text
    assert len(text) < 700


def test_an_empty_side_is_refused(tokenizer: Any, config: Any) -> None:
    rows = sides(tokenizer) | {"validation": []}
    assert "0 of 8 rows are on the validation side" in refusal(rows, tokenizer, config)


def test_a_passage_on_both_sides_is_refused(tokenizer: Any, config: Any) -> None:
    rows = sides(tokenizer)
    rows["validation"].append(row(tokenizer, "leak", passage="p-t3"))
    text = refusal(rows, tokenizer, config, bad_share=1.0)
    assert "1 of 11 rows are on passages of another side (row 'leak', passage 'p-t3')" in text


@pytest.mark.parametrize("token", [300, -1])
def test_ids_that_the_model_lacks_are_refused(token: int, tokenizer: Any, config: Any) -> None:
    bad = row(tokenizer, "b", prompt=[tokenizer.bos_token_id, token])
    text = refusal(sides(tokenizer, bad), tokenizer, config, bad_share=1.0)
    assert "1 of 11 rows hold ids outside the model's vocabulary of 300 (row 'b'" in text


def test_a_tokenizer_larger_than_the_model_is_refused_unless_the_rest_is_added_tokens(
    tokenizer: Any, config: Any
) -> None:
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    (note,) = preflight.check(sides(tokenizer), tokenizer, config, 0.0).figures["notes"]
    assert "has 1 added tokens that the model has no embedding for" in note
    config.vocab_size = 299
    assert "has 301 tokens, the model's vocabulary 299" in refusal(sides(tokenizer), tokenizer, config)


@pytest.mark.parametrize(("name", "word"), [("eos_token", "EOS"), ("pad_token", "padding")])
def test_a_tokenizer_without_a_token_that_training_needs_is_refused(
    name: str, word: str, tokenizer: Any, config: Any
) -> None:
    rows = sides(tokenizer)
    setattr(tokenizer, name, None)
    assert f"the tokenizer's {word} token is None" in refusal(rows, tokenizer, config)


def test_a_row_longer_than_the_model_reads_is_refused(tokenizer: Any, config: Any) -> None:
    longest = max(len(r.prompt) + len(r.completion) for r in sides(tokenizer)["train"])
    config.max_position_embeddings = longest
    assert preflight.check(sides(tokenizer), tokenizer, config, 0.0).figures["kept"] == 10
    config.max_position_embeddings = longest - 1
    text = refusal(sides(tokenizer), tokenizer, config, bad_share=1.0)
    assert f"10 of 10 rows are longer than the model's {longest - 1} positions (row 't0'" in text
    assert f"tokenize.maximum_tokens={longest - 1}" in text


def test_the_text_part_of_a_nested_config_counts(tokenizer: Any) -> None:
    from transformers import Gemma3Config

    text = {"vocab_size": 300, "max_position_embeddings": 4, "eos_token_id": tokenizer.eos_token_id}
    assert "the model's 4 positions" in refusal(sides(tokenizer), tokenizer, Gemma3Config(text_config=text))


def test_two_bos_are_refused(tokenizer: Any, config: Any) -> None:
    good = row(tokenizer, "b")
    bad = replace(good, prompt=[tokenizer.bos_token_id, *good.prompt])
    text = refusal(sides(tokenizer, bad), tokenizer, config, bad_share=1.0)
    assert "1 of 11 rows begin with two BOS (row 'b')" in text


def test_bos_that_the_template_writes_is_missed(tokenizer: Any, config: Any) -> None:
    bad = row(tokenizer, "b", prompt=row(tokenizer, "b").prompt[1:])
    text = refusal(sides(tokenizer, bad), tokenizer, config, bad_share=1.0)
    assert "1 of 11 rows do not begin with the BOS" in text


def one_bos(tokenizer: Any) -> None:
    """A template with BOS at the start alone."""
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{{ m['role'] }}\n{{ m['content'] }}"
        "{% if m['role'] == 'assistant' %}</s>{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant\n{% endif %}"
    )


def test_a_passage_that_spells_bos_out_is_a_fault_where_bos_marks_no_turns(
    tokenizer: Any, config: Any
) -> None:
    spelt = "what does <s> mean"
    # Here BOS begins each turn: what stands in the middle says nothing.
    turns = row(tokenizer, "b", prompt=prompt_ids(tokenizer, CHAT, {"question": spelt}, False))
    assert preflight.check(sides(tokenizer, turns), tokenizer, config, 0.0).figures["bos_inside"] == 0
    one_bos(tokenizer)
    bad = row(tokenizer, "b", prompt=prompt_ids(tokenizer, CHAT, {"question": spelt}, False))
    checked = preflight.check(sides(tokenizer, bad), tokenizer, config, 0.1)
    assert checked.figures["bos_inside"] == 1
    assert checked.figures["notes"] == []


def test_bos_that_the_tokenizer_adds_and_the_template_leaves_out_is_missed(
    tokenizer: Any, config: Any
) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer.chat_template = tokenizer.chat_template.replace("<s>", "")
    rows = sides(tokenizer)
    assert preflight.check(rows, tokenizer, config, 0.0).figures["kept"] == 10
    bos = tokenizer.bos_token_id
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    text = refusal(rows, tokenizer, config)
    assert "10 of 10 rows do not begin with the BOS that the model expects (row 't0')" in text


@pytest.mark.parametrize(
    ("template", "note"),
    [
        (  # thoughts that the prompt alone has
            "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
            "{% if add_generation_prompt %}<s>assistant\n<think></think>{% endif %}",
            "the chat template writes a prompt that is no beginning of the whole conversation",
        ),
        (
            "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}[END]\n{% endfor %}"
            "{% if add_generation_prompt %}<s>assistant\n{% endif %}",
            "the chat template ends an answer in '[END]\\n', the rows end it in '</s>'",
        ),
    ],
)
def test_an_odd_template_is_noted(template: str, note: str, tokenizer: Any, config: Any) -> None:
    tokenizer.chat_template = template
    (found,) = preflight.check(sides(tokenizer), tokenizer, config, 0.0).figures["notes"]
    assert found.startswith(note)


@pytest.mark.parametrize("template", ["{{ raise_exception('no user') }}", "{% if %}", None, "{{ 1 + 'a' }}"])
def test_a_template_that_does_not_render_is_refused(
    template: str | None, tokenizer: Any, config: Any
) -> None:
    rows = sides(tokenizer)
    tokenizer.chat_template = template
    assert "the chat template cannot render a question and its answer" in refusal(rows, tokenizer, config)


@pytest.mark.parametrize(("declared", "noted"), [([7, 1], False), (1, False), (7, True), (None, True)])
def test_an_eos_at_which_the_model_does_not_stop_is_noted(
    declared: int | Sequence[int] | None, noted: bool, tokenizer: Any
) -> None:
    assert tokenizer.eos_token_id == 1
    config = LlamaConfig(vocab_size=300, eos_token_id=declared)
    notes = preflight.check(sides(tokenizer), tokenizer, config, 0.0).figures["notes"]
    assert [note.startswith("the tokenizer's EOS '</s>'") for note in notes] == [True] * noted
