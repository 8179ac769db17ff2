"""How near a slow endpoint's own limit the openai generator comes: python -m benchmarks.generate [CHUNKS]

The endpoint is a process of its own that takes 200 ms for each call. Ideal is that no worker ever waits.
The figures are the last line, as JSON.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from hydra import compose, initialize_config_dir

from stages.entry import CONF
from stages.ledger import Ledger
from stages.option import build

LATENCY = 0.2
CONCURRENCY = 32
MIB = 2**20


def chunk(number: int) -> dict[str, Any]:
    text = " ".join(f"Valve {number} of row {row} is closed before the pump is opened." for row in range(18))
    return {"id": str(number), "document": "a.pdf", "pages": [1, 1], "headings": ["1 Valves"]} | {
        "language": "en",
        "text": text,
    }


def measure(url: str, count: int) -> dict[str, Any]:
    start = psutil.Process().memory_info().rss
    words = ["generator=openai", f"generator.base_url={url}", "generator.model=writer"]
    with initialize_config_dir(CONF, version_base="1.3"):
        generator = build(compose("config", [*words, f"generator.concurrency={CONCURRENCY}"]), "generator")
    chunks = [chunk(number) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        begun, processor = time.perf_counter(), time.process_time()
        covered = {pair["chunk"]["id"] for pair in generator(chunks, ledger) if "reason" not in pair}
        seconds, processor = time.perf_counter() - begun, time.process_time() - processor
        stored = ledger.stored
    ideal = count / CONCURRENCY * LATENCY
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "chunks": count,
        "calls": stored,
        "chunks_with_pairs": len(covered),
        "seconds": round(seconds, 2),
        "ideal_seconds": round(ideal, 2),
        "share_of_ideal": round(ideal / seconds, 4),
        "processor_seconds": round(processor, 2),
        "memory_above_start_mib": round((peak - start) / MIB, 1),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.endpoint", str(LATENCY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        url = server.stdout.readline().strip() if server.stdout else ""
        print(json.dumps(measure(url, count)))
        server.communicate()


if __name__ == "__main__":
    main()
