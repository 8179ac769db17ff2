"""How every stage starts: compose the config, run, and turn an expected failure into a sentence."""

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from stages.artifact import is_refusal, write_json
from stages.errors import FolioError

CONF = str(Path(__file__).parent.parent / "conf")
# Hydra would make a dated folder and a log file for each run; DVC keeps what a stage writes.
QUIET = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
)

# What each stage cost when DVC last ran it here: a file per stage, of which git and DVC know nothing.
SECONDS = Path(".dvc/tmp/folio/seconds")


def _note(seconds: float) -> None:
    """Keep the wall seconds of a stage that DVC runs, of several processes those of the first."""
    stage = os.environ.get("DVC_STAGE")
    if not stage or int(os.environ.get("RANK", "0")) > 0:
        return
    # No stage fails for its note: the report says which stages have none.
    with contextlib.suppress(OSError, FolioError):
        name = stage.rpartition(":")[2]
        write_json(SECONDS / f"{name}.json", {"stage": name, "seconds": round(seconds, 1)})


def _explain(error: Exception) -> str | None:
    """What a user can do about a failure that any stage may meet; None: it is a bug."""
    # Named, not imported: torch takes a second, and most stages do without.
    if type(error).__name__ == "OutOfMemoryError":
        stages = "generator, filter, train, pairs, appraise, align, reinforce, evaluate, retain, metric"
        return f"the device ran out of memory; lower the batch of its stage ({stages})"
    if is_refusal(error):
        place = getattr(error, "filename", None) or "a file"
        return f"could not write {place}: {error}; free some space or check the permissions"
    return None


def entrypoint(run: Callable[[DictConfig], Any]) -> Callable[[], Any]:
    """Make a stage's `main`: `python -m stages.NAME [override ...]`.

    A `FolioError` ends the process with status 1 and its one sentence on standard error; Ctrl-C
    ends it with status 130.
    """

    @functools.wraps(run)
    def guarded(config: DictConfig) -> Any:
        start = time.perf_counter()
        try:
            result = run(config)
        except FolioError as error:
            sys.exit(f"folio: {error}")
        except Exception as error:
            sentence = _explain(error)
            if sentence is None:
                raise
            sys.exit(f"folio: {sentence}")
        except KeyboardInterrupt:
            print("folio: stopped; the next run goes on from what is finished", file=sys.stderr)
            sys.exit(130)
        _note(time.perf_counter() - start)
        return result

    @functools.wraps(run)
    def main() -> Any:
        sys.argv += QUIET
        return hydra.main(version_base="1.3", config_path=CONF, config_name="config")(guarded)()

    return main
