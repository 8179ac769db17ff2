"""What a user gets wrong ends in one sentence, exit status 1 and no half-written artifact."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.artifact import write_text
from tests.checkout import Checkout
from tests.imports import ROOT


@pytest.fixture
def checkout(tmp_path: Path, session_cache: Path) -> Checkout:
    return Checkout(tmp_path, session_cache)


def fails(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("folio: "), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in last


# What data/ holds before any stage has run.
GIVEN = {"raw", "general.jsonl", "general.md"}


def artifacts(checkout: Checkout) -> list[str]:
    made = [checkout.folder / name for name in ("models", "evaluation", "metrics", "plots", "report")]
    made += [path for path in (checkout.folder / "data").glob("*") if path.name not in GIVEN]
    return [path.name for path in made if path.is_file() or (path.is_dir() and any(path.iterdir()))]


def test_no_document(checkout: Checkout) -> None:
    fails(
        checkout.python("-m", "stages.chunk"),
        "no PDF, text, Markdown or HTML file in data/raw",
        "put at least one there",
    )
    assert artifacts(checkout) == []


def test_a_file_that_is_no_pdf(checkout: Checkout) -> None:
    (checkout.folder / "data/raw/notes.pdf").write_text("just words", encoding="utf-8")
    fails(checkout.python("-m", "stages.chunk"), "data/raw/notes.pdf cannot be read")
    assert artifacts(checkout) == []


def test_a_bad_file_beside_a_good_one_is_reported_and_under_strict_fatal(checkout: Checkout) -> None:
    (checkout.folder / "data/raw/notes.pdf").write_text("just words", encoding="utf-8")
    checkout.pages("good.pdf", 14, 16)
    done = checkout.python("-m", "stages.chunk")
    assert done.returncode == 0
    assert "notes.pdf cannot be read" in done.stdout
    assert "notes.pdf" in (checkout.folder / "metrics/chunk.json").read_text(encoding="utf-8")
    fails(checkout.python("-m", "stages.chunk", "chunk.strict=true"), "data/raw/notes.pdf cannot be read")


def test_a_password_comes_from_the_environment_and_stands_nowhere(checkout: Checkout) -> None:
    shutil.copy(ROOT / "tests/data/nasty/enc_aes256r6_needs_password.pdf", checkout.folder / "data/raw")
    run = ("-m", "stages.chunk", "chunk.minimum_words=1")
    fails(checkout.python(*run), "encrypted and needs a password: set FOLIO_PDF_PASSWORD")
    checkout.environment["FOLIO_PDF_PASSWORD"] = "usersecret"  # noqa: S105
    done = checkout.python(*run)
    assert done.returncode == 0, done.stderr
    assert "Hello World" in (checkout.folder / "data/chunks.jsonl").read_text(encoding="utf-8")
    written = [checkout.folder / "data/chunks.jsonl", checkout.folder / "metrics/chunk.json"]
    assert not any("usersecret" in path.read_text(encoding="utf-8") for path in written)
    assert "usersecret" not in done.stdout + done.stderr


def test_no_text_in_any_page(checkout: Checkout) -> None:
    import pypdfium2

    with pypdfium2.PdfDocument.new() as document:
        document.new_page(600, 800)
        document.save(checkout.folder / "data/raw/scan.pdf")
    fails(
        checkout.python("-m", "stages.chunk"),
        "scan.pdf gives no text: page 1 has no text layer: run with ocr=tesseract",
    )
    assert artifacts(checkout) == []


def test_every_pair_rejected(checkout: Checkout, tiny_model: Path) -> None:
    checkout.pages("few.pdf", 14, 14)
    assert checkout.python("-m", "stages.chunk").returncode == 0
    words = ["model@generator.model=folder", f"generator.model.path={tiny_model}"]
    assert checkout.python("-m", "stages.generate", *words, "generator.recast=false").returncode == 0
    fails(checkout.python("-m", "stages.verify"), "kept 0 of", "verify.keep_share", "malformed")
    assert sorted(artifacts(checkout)) == ["candidates.jsonl", "chunks.jsonl", "metrics", "rejected.jsonl"]


@pytest.fixture
def paired(checkout: Checkout) -> Checkout:
    write_text(
        checkout.folder / "data/sources/pairs.jsonl",
        "".join(
            f'{{"id": "{n}", "chunk": "c{n}", "document": "d.pdf", "pages": [1, 1], '
            f'"passage": "passage {n}", "question": "What is {n}?", '
            f'"answer": "It is {n}.", "source": "pairs"}}\n'
            for n in range(40)
        ),
    )
    return checkout


def test_a_model_that_the_hub_does_not_have(paired: Checkout) -> None:
    done = paired.python("-m", "stages.tokenize", "model=hub", "model.id=nobody/no-such-model")
    fails(done, "nobody/no-such-model (model.id)", "check the network")
    assert not (paired.folder / "data/tokens").exists()


def test_a_gguf_file_that_is_not_there(paired: Checkout) -> None:
    done = paired.python("-m", "stages.tokenize", "model=gguf", "model.path=/nowhere/model.gguf")
    fails(done, "/nowhere/model.gguf is missing", "model.path")


def test_a_gguf_file_that_is_none(paired: Checkout) -> None:
    (paired.folder / "fake.gguf").write_text("GGUF? no.", encoding="utf-8")
    done = paired.python("-m", "stages.tokenize", "model=gguf", "model.path=fake.gguf")
    fails(done, "fake.gguf cannot be read as a GGUF model")


def test_pickled_weights_are_not_opened(paired: Checkout) -> None:
    folder = paired.folder / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    done = paired.python("-m", "stages.tokenize", "model=folder", "model.path=pickled")
    fails(done, "holds no safetensors", "convert the model")


def test_nf4_where_bitsandbytes_does_not_load(paired: Checkout, tiny_model: Path, tmp_path: Path) -> None:
    words = ["model=folder", f"model.path={tiny_model}", "tokenize.maximum_tokens=2048"]
    assert paired.python("-m", "stages.tokenize", *words).returncode == 0
    broken = tmp_path / "broken/bitsandbytes"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('no kernel for this machine')", encoding="utf-8")
    paired.environment["PYTHONPATH"] = str(broken.parent)
    done = paired.python("-m", "stages.train", "method=qlora", *words)
    fails(done, "method=qlora needs bitsandbytes", "no kernel for this machine", "method=lora")
    assert not (paired.folder / "models").exists()


def test_a_full_disk(checkout: Checkout) -> None:
    checkout.pages("some.pdf", 14, 24)
    done = subprocess.run(
        [sys.executable, "-m", "stages.chunk"],
        cwd=checkout.folder,
        env=checkout.environment,
        capture_output=True,
        text=True,
        check=False,
        # No file may grow beyond 4 KiB: the kernel refuses as a full disk does.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    fails(done, "could not write below ", "free some space")
    assert artifacts(checkout) == []
    assert {path.name for path in (checkout.folder / "data").iterdir()} == GIVEN


def test_an_unknown_key_on_the_command_line(checkout: Checkout) -> None:
    done = checkout.python("-m", "stages.chunk", "chunk.strikt=true")
    assert done.returncode == 1
    assert "chunk.strikt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_metric_that_is_not_chosen(checkout: Checkout) -> None:
    fails(checkout.python("-m", "stages.score", "score.metric=squat"), "squat", "did you mean squad?")


def test_a_missing_input_names_the_command_that_makes_it(checkout: Checkout) -> None:
    fails(checkout.python("-m", "stages.generate"), "data/chunks.jsonl is missing", "dvc repro")


def test_too_few_pairs_for_a_split(checkout: Checkout, tiny_model: Path) -> None:
    line = '{"id": "1", "chunk": "c", "passage": "p", "question": "Q?", "answer": "A"}\n'
    write_text(checkout.folder / "data/sources/pairs.jsonl", line)
    done = checkout.python("-m", "stages.tokenize", "model=folder", f"model.path={tiny_model}")
    fails(done, "no pair fell to", "add documents")
