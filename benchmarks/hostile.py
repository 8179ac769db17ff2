"""Each file of a folder alone through the chunk stage: chunks, or the reason why there are none.

    python -m benchmarks.hostile FOLDER [--limit 10]

A file passes that ends within the limit (seconds, process start included) in chunks or in one
sentence that says why not; anything else is a fault. The last line is one JSON object.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.checkout import Checkout
from tests.corpus import is_reason

COMMAND = [sys.executable, "-m", "stages.chunk", "chunk.keep_share=0"]
WIDTH = 110  # characters of a reason that the table shows


def outcome(checkout: Checkout, file: Path, limit: float) -> tuple[str, str, float]:
    """What became of `file` (chunks, reason or fault), in words, and after how many seconds."""
    inside = checkout.folder / "data/raw" / file.name
    chunks = checkout.folder / "data/chunks.jsonl"
    chunks.unlink(missing_ok=True)
    shutil.copyfile(file, inside)
    start = time.perf_counter()
    try:
        done = subprocess.run(
            COMMAND,
            cwd=checkout.folder,
            env=checkout.environment,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "fault", f"no end within {limit:g} s", limit
    finally:
        inside.unlink()
    seconds = time.perf_counter() - start
    if done.returncode == 0 and chunks.exists():
        return "chunks", str(len(chunks.read_text(encoding="utf-8").splitlines())), seconds
    last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    sentence = last.removeprefix("folio: ")
    named = done.returncode == 1 and sentence != last and is_reason(sentence, file)
    return ("reason" if named else "fault"), f"exit {done.returncode}: {last}", seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=float, default=10.0)
    options = parser.parse_args()
    ends = {"chunks": 0, "reason": 0, "fault": 0}
    slowest = 0.0
    with tempfile.TemporaryDirectory() as place:
        checkout = Checkout(Path(place) / "folio", Path(place) / "cache")
        for file in sorted(options.folder.rglob("*.pdf")):
            kind, words, seconds = outcome(checkout, file, options.limit)
            ends[kind] += 1
            slowest = max(slowest, seconds)
            print(f"{file.name:42} {seconds:5.1f} s  {kind:6}  {words[:WIDTH]}", flush=True)
    print(json.dumps({"files": sum(ends.values()), **ends, "slowest_seconds": round(slowest, 2)}))


if __name__ == "__main__":
    main()
