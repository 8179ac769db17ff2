"""How every stage starts: compose the config, run, and turn an expected failure into a sentence."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from stages.artifact import is_refusal
from stages.errors import FolioError

CONF = str(Path(__file__).parent.parent / "conf")
# Hydra would make a dated folder and a log file for each run; DVC keeps what a stage writes.
QUIET = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
)


def _explain(error: Exception) -> str | None:
    """What a user can do about a failure that any stage may meet; None: it is a bug."""
    # Named, not imported: torch takes a second, and most stages do without.
    if type(error).__name__ == "OutOfMemoryError":
        return (
            "the device ran out of memory; lower the batch of its stage (generator, filter, train, evaluate, retain)"
        )
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
        try:
            return run(config)
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

    @functools.wraps(run)
    def main() -> Any:
        sys.argv += QUIET
        return hydra.main(version_base="1.3", config_path=CONF, config_name="config")(guarded)()

    return main
