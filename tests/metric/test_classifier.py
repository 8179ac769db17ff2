from pathlib import Path
from typing import Any

import pytest

from stages.errors import FolioError
from stages.metric.classifier import Classifier
from stages.model.embedded import Embedded
from stages.model.folder import Folder

LABELS = {0: "calm", 1: "rude", 2: "vile"}
TEXTS = ["the valve", "", "open the valve by hand and wait", "by hand", "the pump " * 20, " \n"]


def make(folder: Path, **settings: Any) -> Path:
    """A classifier of random weights that reads 12 tokens, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"the valve open by hand and wait pump".split()]
    plain = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=plain, **special).save_pretrained(folder)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    labels = {"id2label": LABELS, "label2id": {name: at for at, name in LABELS.items()}}
    torch.manual_seed(0)
    sizes |= {"vocab_size": len(words), "max_position_embeddings": 12}
    config = BertConfig(initializer_range=1.0, **(sizes | labels | settings))
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("classifier"))


def classifier(folder: Path, labels: tuple[str, ...] = (), better: Any = "neither") -> Classifier:
    model = Folder(name="folder", path=str(folder), dtype="auto", watch="")
    options: dict[str, Any] = {"labels": list(labels), "better": better, "question": False}
    return Classifier(name="classifier", model=model, batch=3, **options)


def rows(*texts: str) -> list[dict[str, str]]:
    return [{"answer": text} for text in texts]


def logits(folder: Path, text: str) -> Any:
    """One text alone, by the model's own forward pass."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text)["input_ids"]
    ids = ids if len(ids) <= 12 else [*ids[:11], ids[-1]]
    with torch.inference_mode():
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        return model(input_ids=torch.tensor([ids])).logits[0]


def test_the_probabilities_are_those_of_one_text_at_a_time(folder: Path) -> None:
    found = classifier(folder)(rows(*TEXTS))
    assert found[1] == found[5] == {}
    for text, value in zip(TEXTS, found, strict=True):
        if value:
            alone = logits(folder, text).softmax(-1).tolist()
            assert [value[name] for name in LABELS.values()] == pytest.approx(alone, abs=1e-6)
            assert value["truncated"] == (len(text.split()) > 10)
    assert len({round(value["rude"], 4) for value in found if value}) == 4


def test_the_labels_of_the_settings_alone_are_measured(folder: Path) -> None:
    (value,) = classifier(folder, ("rude",))(rows("the valve"))
    assert sorted(value) == ["rude", "truncated"]
    assert value["rude"] == pytest.approx(float(logits(folder, "the valve").softmax(-1)[1]), abs=1e-6)


def test_better_is_said_of_the_labels(folder: Path) -> None:
    lower, higher = classifier(folder, ("rude",), "lower"), classifier(folder, (), "higher")
    assert (lower.lower_is_better, lower.neutral) == (("rude",), ("truncated",))
    assert (higher.lower_is_better, higher.neutral) == ((), ("truncated",))
    assert classifier(folder).neutral == ("calm", "rude", "vile", "truncated")


def test_several_labels_at_once_have_a_sigmoid_each(tmp_path: Path) -> None:
    folder = make(tmp_path, problem_type="multi_label_classification")
    (value,) = classifier(folder)(rows("the valve"))
    alone = logits(folder, "the valve").sigmoid().tolist()
    assert [value[name] for name in LABELS.values()] == pytest.approx(alone, abs=1e-6)


def test_a_regression_keeps_its_output(tmp_path: Path) -> None:
    folder = make(tmp_path, problem_type="regression", id2label={0: "score"}, label2id={"score": 0})
    (value,) = classifier(folder)(rows("the valve"))
    assert value["score"] == pytest.approx(float(logits(folder, "the valve")[0]), abs=1e-6)


def test_no_answer_needs_no_model(tmp_path: Path) -> None:
    assert classifier(tmp_path)(rows("", " ")) == [{}, {}]


def test_an_unknown_label_is_refused_with_the_nearest(folder: Path) -> None:
    with pytest.raises(FolioError, match=r"labels: .* has no label rudee; did you mean rude\?; it has calm"):
        classifier(folder, ("rudee",)).check()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"^metric\.classifier: .* holds no config\.json"):
        classifier(tmp_path).check()


def test_a_language_model_is_no_classifier(tiny_model: Path) -> None:
    with pytest.raises(FolioError, match=r"is no text classifier: its weights lack score\.weight"):
        classifier(tiny_model)(rows("the team"))


def test_the_embedded_language_model_is_no_choice() -> None:
    model = Embedded(name="embedded", package="p", file="f", dtype="auto", watch="")
    with pytest.raises(ValueError, match="choose folder or hub"):
        Classifier(name="classifier", model=model, labels=[], better="neither", question=False, batch=1)
