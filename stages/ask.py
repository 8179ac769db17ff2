"""A question to the tuned model, or the base: python -m stages.ask "question" [override ...]"""

import sys

from omegaconf import DictConfig

from stages.contenders import MERGED
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.option import build
from stages.retrieval import look_up, read_passages
from stages.settings.ask import Ask
from stages.speaker import Answering, checked, load_speaker

USAGE = 'ask something: python -m stages.ask "question" [override ...]'


def passage_for(question: str, settings: Ask) -> str | None:
    """What goes before the question, after printing where it is from."""
    if settings.context == "none":
        return None
    found = look_up(read_passages(settings.language), question, settings.passages)
    print(f"{found.shown}\n", flush=True)
    return found.passage


def say(speaker: Answering, question: str, passage: str | None) -> None:
    """Print an answer as it is written, and what it took."""
    printed, reply = 0, None
    for reply in speaker.answer(question, passage):
        print(reply.text[printed:], end="", flush=True)
        printed = max(printed, len(reply.text))
    print(f"\n[{reply.note()}]\n" if reply else "", flush=True)


def require_merged() -> None:
    """See that there is a tuned model.

    Raises:
        FolioError: there is none.
    """
    if not (MERGED / "config.json").is_file():
        raise FolioError(f"there is no tuned model in {MERGED} yet; run `make run` or `dvc repro merge`")


def main() -> None:
    """Take the question off the command line; what follows it are overrides."""
    if len(sys.argv) < 2:
        sys.exit(f"folio: {USAGE}")
    # Hydra's own options, --help among them, stand alone.
    question = "" if sys.argv[1].startswith("-") else sys.argv.pop(1)

    @entrypoint
    def run(config: DictConfig) -> None:
        settings, form = build(config, "ask"), build(config, "format")
        asked = checked(question, settings.characters)
        names = ["base", "tuned"] if settings.model == "both" else [settings.model]
        if "tuned" in names:
            require_merged()
        passage = passage_for(asked, settings)
        source = build(config, "model")
        for name in names:
            speaker = load_speaker(source, name, form, settings)
            print(f"{name}: ", end="", flush=True)
            say(speaker, asked, passage)

    run()


if __name__ == "__main__":
    main()
