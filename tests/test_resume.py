"""The real local generator, killed: no finished call is made again, and the result is the same bytes."""

import random
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

from stages import jsonl
from tests.endpoint import start

KILLS = 10
RESULTS = ("data/candidates.jsonl", "data/qa.jsonl", "data/rejected.jsonl", "metrics/verify.json")
# The first has a form that can be recast, the others make the model write.
SENTENCES = (
    "The crew must inspect the {n} lifeboats of deck {n} before the ship leaves the harbour.",
    "Nobody but the boatswain carried the {n} keys of the paint store in row {n} all winter.",
    "Every one of the {n} hatches was shut, for the swell had grown to {n} metres by then.",
)


def prepared(folder: Path) -> Path:
    texts = [" ".join(sentence.format(n=n + 2) for sentence in SENTENCES) for n in range(24)]
    common = {"pages": [1, 1], "headings": ["2.1 Watch"]}
    chunks = [
        {"id": f"c{n}", "document": f"{n // 12}.pdf", "text": text} | common for n, text in enumerate(texts)
    ]
    jsonl.write(folder / "data/chunks.jsonl", chunks)
    (folder / "cache").mkdir()
    return folder


def finished(folder: Path) -> set[str]:
    """The keys of the calls that the ledger holds; it may not be there yet."""
    try:
        base = sqlite3.connect(f"file:{folder}/cache/ledger.sqlite?mode=ro", uri=True, timeout=10)
    except sqlite3.OperationalError:
        return set()
    try:
        return {key for (key,) in base.execute("SELECT key FROM calls")}
    except sqlite3.OperationalError:
        return set()
    finally:
        base.close()


def ends(process: "subprocess.Popen[str]") -> str:
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    return said


def kill(process: "subprocess.Popen[str]", folder: Path, calls: int) -> None:
    """Send SIGKILL once the ledger holds so many calls."""
    while len(finished(folder)) < calls and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_killed_at_random_moments_it_ends_in_the_same_bytes_and_repeats_no_finished_call(
    tmp_path: Path, tiny_model: Path
) -> None:
    whole, torn = (prepared(tmp_path / name) for name in ("whole", "torn"))
    words = ["model@generator.model=folder", f"generator.model.path={tiny_model}", "generator.batch=1"]
    ends(start("generate", whole, *words))
    calls = finished(whole)
    draw = random.Random(0)  # noqa: S311
    # From before the first call to just before the last; some kills come in the middle of a call.
    for moment in sorted(draw.sample(range(len(calls)), KILLS)):
        known = finished(torn)
        kill(start("generate", torn, *words), torn, moment)
        assert known <= finished(torn) < calls
    left = len(calls - finished(torn))
    assert f"generate: {left} new calls" in ends(start("generate", torn, *words))
    assert finished(torn) == calls

    loose = ["filter=[form,length,evidence,choice]", "verify.keep_share=0"]
    kill(start("verify", torn, *loose), torn, 0)
    for folder in (whole, torn):
        ends(start("verify", folder, *loose))
        assert list(jsonl.read(folder / "data/qa.jsonl"))
    assert all((whole / name).read_bytes() == (torn / name).read_bytes() for name in RESULTS)
