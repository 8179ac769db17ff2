"""A page on this machine that asks base and tuned side by side: python -m stages.chat [override ...]"""

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from stages import jsonl
from stages.ask import require_merged
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.option import build
from stages.printable import printable
from stages.retrieval import CHUNKS, Context, Passages, look_up, read_passages
from stages.settings.ask import Ask
from stages.speaker import Answering, Reply, checked, load_speaker

TEST = Path("data/test.jsonl")
LOCAL = ("127.0.0.1", "localhost", "[::1]")
# Nothing of the page comes from elsewhere, goes elsewhere or is shown within another page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; "
    "frame-ancestors 'none'; form-action 'none'; base-uri 'self'"
)
# A screen reader says what the status line says.
ANNOUNCED = """<script>
new MutationObserver((_, watch) => {
  const line = document.getElementById("status");
  if (line) { line.setAttribute("role", "status"); watch.disconnect(); }
}).observe(document, {childList: true, subtree: true});
</script>"""
CSS = ".gradio-container { max-width: 72rem !important; margin: auto; } #status { min-height: 1.5rem; }"
# No programming interface, and no bar over what is being read.
QUIETLY: Any = {"show_progress": "minimal", "api_visibility": "private"}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Refuses uploads and what another site's page asks of the server, and tells the browser POLICY."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (the interface is ASGI's)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin, host = headers.get(b"origin"), headers.get(b"host", b"")
        foreign = origin is not None and origin.partition(b"://")[2] != host
        if foreign or scope["path"].rstrip("/").endswith("/upload"):
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return

        ended = False

        async def sealed(message: MutableMapping[str, Any]) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                more = [(b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message["headers"] = [*message["headers"], *more]
            ended = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await self._app(scope, receive, sealed)
        except asyncio.CancelledError:  # Ctrl-C, while an open page listens
            if not ended:
                raise


def together(streams: Mapping[str, Iterator[Reply]]) -> Iterator[dict[str, Reply]]:
    """Yield what every stream has said so far, a piece of each in turn; closing it closes them."""
    going, said = dict(streams), {}
    with contextlib.ExitStack() as stack:
        for stream in streams.values():
            stack.callback(getattr(stream, "close", lambda: None))
        while going:
            for name, stream in [*going.items()]:
                reply = next(stream, None)
                if reply is None:
                    del going[name]
                else:
                    said[name] = reply
                    yield dict(said)


class Conversation:
    """What happens between a question and its answers."""

    def __init__(self, speakers: Mapping[str, Answering], passages: Passages | None, settings: Ask) -> None:
        self._speakers, self._passages, self._settings = speakers, passages, settings

    def ask(self, question: str, context: str) -> Iterator[tuple[str, ...]]:
        """Yield status, passage and the answers of all models as they grow; a refusal is a status alone."""
        empty = ("",) * len(self._speakers)
        try:
            asked = checked(question, self._settings.characters)
            found = Context(None, "")
            if context == "retrieved":
                found = look_up(self._passages, asked, self._settings.passages)
            yield ("Reading the question ...", found.shown, *empty)
            streams = {name: one.answer(asked, found.passage) for name, one in self._speakers.items()}
            for said in together(streams):
                notes = "; ".join(f"{name}: {reply.note()}" for name, reply in said.items())
                texts = (said[name].text if name in said else "" for name in self._speakers)
                yield (notes, found.shown, *texts)
        except FolioError as error:
            yield (f"Not asked: {error}.", "", *empty)


def examples(most: int, characters: int) -> list[str]:
    """Held-out questions that stand alone, those first whose ids, which are hashes, come first."""
    if not TEST.is_file():
        return []
    rows = [row for row in jsonl.read(TEST) if not row.get("options") and not row.get("history")]
    chosen = sorted(rows, key=lambda row: str(row["id"]))[:most]
    return [printable(row["question"], characters) for row in chosen]


def page(
    speakers: Mapping[str, Answering], passages: Passages | None, offered: Sequence[str], settings: Ask
) -> Any:
    """The page as Gradio's Blocks: answers and passages stand in text fields, which show text as it is."""
    import gradio

    with gradio.Blocks(title="Folio: ask base and tuned", analytics_enabled=False) as blocks:
        gradio.Markdown("# Ask base and tuned\nThe same question to the model before and after tuning.")
        question = gradio.Textbox(label="Question", lines=1, max_lines=6, max_length=settings.characters)
        context = _switch(settings.context, passages)
        with gradio.Row():
            send = gradio.Button("Ask", variant="primary", min_width=120)
            stop = gradio.Button("Stop", min_width=120)
        if offered:
            gradio.Examples([[text] for text in offered], question, label="Held-out questions")
        status = gradio.Markdown(elem_id="status")  # of Folio's own words alone
        with gradio.Row():
            answers = [_text_field(f"Answer of {name}", 4) for name in speakers]
        shown = _text_field("Passage", 3)
        talk = Conversation(speakers, passages, settings)
        asked = gradio.on(
            [send.click, question.submit],
            talk.ask,
            [question, context],
            [status, shown, *answers],
            concurrency_limit=1,
            show_progress_on=[status],
            **QUIETLY,
        )
        stop.click(lambda: "Stopped.", outputs=status, cancels=[asked], queue=False, **QUIETLY)
    return blocks.queue(max_size=settings.waiting, api_open=False)


def _switch(context: str, passages: Passages | None) -> Any:
    import gradio

    return gradio.Radio(
        [("the one that fits best", "retrieved"), ("none", "none")],
        value=context if passages else "none",
        interactive=passages is not None,
        label="Passage before the question" if passages else f"No passages: there is no {CHUNKS}",
    )


def _text_field(label: str, lines: int) -> Any:
    """A field that grows with its text: what is scrolled, a keyboard would not reach."""
    import gradio

    return gradio.Textbox(
        label=label,
        lines=lines,
        max_lines=500,
        min_width=300,
        interactive=False,
        autoscroll=False,
        buttons=[],  # its label would be the button's, not the field's
    )


def application(blocks: Any, host: str) -> Any:
    """The page as an ASGI application: it serves no files, and on a local host this machine's names alone."""
    import gradio
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    silent = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    app = FastAPI(**silent)
    app.add_middleware(Guard)
    # A name that leads here from elsewhere (DNS rebinding) is refused.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL if is_local(host) else ["*"])
    mounted: Any = gradio.mount_gradio_app(
        app,
        blocks,
        path="/",
        server_name=host,
        app_kwargs=silent,
        allowed_paths=[],
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=_theme(),
        css=CSS,
        head=ANNOUNCED,
    )
    return mounted


def _theme() -> Any:
    """The machine's own fonts, and a button whose words stand out (white on blue, 6.7 to 1)."""
    import gradio

    blue = dict.fromkeys(
        ("button_primary_background_fill", "button_primary_background_fill_dark"), "*primary_700"
    )
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return gradio.themes.Default(primary_hue="blue", **fonts).set(**blue)


def is_local(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        FolioError: the port is taken, or the host is none of this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise FolioError(
            f"the page cannot be served at {host}, port {port} ({str(error.strerror).partition(' (')[0]}); "
            "choose others by ask.host and ask.port"
        ) from error


def serve(blocks: Any, settings: Ask) -> None:
    """Serve the page until Ctrl-C, after saying where it is."""
    import uvicorn

    listening = bound(settings.host, settings.port)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    if not is_local(settings.host):
        print(
            f"chat: ask.host={host} opens the page to every machine that reaches it; it asks for no password"
        )
    app = application(blocks, settings.host)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    print(f"chat: open http://{host}:{listening.getsockname()[1]}/ (Ctrl-C ends it)", flush=True)
    uvicorn.Server(config).run(sockets=[listening])


def close_to_the_outside() -> None:
    """Leave no variable by which Gradio would report, count, share or open more than this page.

    Raises:
        FolioError: Gradio is not installed.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    # Its own statistics of every question would be made anew after each.
    counting = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9)}
    os.environ.update(counting, HF_HUB_OFFLINE="1")
    try:
        import gradio  # noqa: F401 - before the models are loaded
    except ImportError as error:
        raise FolioError(
            f"the page needs Gradio ({error}): run `make chat`, or pip install -e '.[chat]'"
        ) from error


@entrypoint
def main(config: DictConfig) -> None:
    """Serve the page."""
    settings, form, source = (build(config, key) for key in ("ask", "format", "model"))
    require_merged()
    close_to_the_outside()
    passages = read_passages(settings.language)
    offered = examples(settings.examples, settings.characters)
    speakers = {name: load_speaker(source, name, form, settings) for name in ("base", "tuned")}
    serve(page(speakers, passages, offered, settings), settings)


if __name__ == "__main__":
    main()
