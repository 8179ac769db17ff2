"""The merged model as a GGUF file for llama.cpp and Ollama: python -m stages.export [override ...]"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from stages import gguf_weights, tokens
from stages.artifact import whole_folder, write_json, write_text
from stages.entry import entrypoint
from stages.errors import FolioError
from stages.gguf_vocabulary import add_tokenizer
from stages.language_model import generation_stops, load_model, load_tokenizer
from stages.merge import compare, log_probs
from stages.option import build
from stages.settings.export import Export

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MERGED = Path("models/merged")
EXPORTED = Path("models/gguf")
VALIDATION = Path("data/tokens/validation.parquet")
METRICS = Path("metrics/export.json")


def write(source: Path, target: Path, weights: str) -> int:
    """Write the model in `source` as the GGUF file `target`; return how many tensors it has.

    Raises:
        FolioError: the architecture or the tokenizer is none that is written right here.
    """
    import gguf
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    known = config.to_dict() | {
        key: getattr(config, key, None)
        for key in ("hidden_size", "num_attention_heads", "num_hidden_layers", "max_position_embeddings")
    }
    kind = gguf.GGMLQuantizationType[weights.upper()]
    architecture = gguf_weights.check(known)
    tensors = gguf_weights.plan(source, known, kind)
    writer = gguf.GGUFWriter(target, architecture)
    try:
        writer.add_type("model")
        writer.add_name("tuned with Folio")
        named = {"f32": "ALL_F32"}.get(weights, f"MOSTLY_{weights.upper()}")
        writer.add_file_type(gguf.LlamaFileType[named])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        gguf_weights.add_hyperparameters(writer, known)
        add_tokenizer(writer, load_tokenizer(source), known["vocab_size"])
        gguf_weights.write(writer, tensors, known)
    finally:
        writer.close()
    return len(tensors)


def compared(source: Path, target: Path, rows: list[tokens.Row]) -> dict[str, Any]:
    """How far the file's model, as transformers reads it back, lies from the one in `source`.

    Raises:
        FolioError: the file's tokenizer gives other tokens.
    """
    from transformers import AutoTokenizer

    tokenizer = load_tokenizer(source)
    written = AutoTokenizer.from_pretrained(target.parent, gguf_file=target.name, local_files_only=True)
    for row in rows:
        text = tokenizer.decode([*row.prompt, *row.completion])
        if tokenizer(text).input_ids != written(text).input_ids:
            raise FolioError(
                f"the tokenizer of {target.name} gives other tokens than {source}: nothing is written"
            )
    pad = tokenizer.pad_token_id
    model = load_model(source, "float32")
    # Of GPT-2 transformers reads the number of positions back under a name that the model does not use.
    how = {"config": model.config} if model.config.model_type == "gpt2" else {}
    before = log_probs(model, rows, pad)
    del model
    back = load_model(target.parent, "float32", gguf_file=target.name, **how)
    return compare(before, log_probs(back, rows, pad))


def modelfile(name: str, stops: list[str]) -> str:
    """What `ollama create` reads; the chat template is in the file itself."""
    lines = [f"FROM ./{name}", "PARAMETER temperature 0"]
    return "\n".join([*lines, *(f'PARAMETER stop """{stop}"""' for stop in stops)]) + "\n"


def stops(source: Path, tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """The texts of the tokens that end an answer."""
    ids = sorted({tokenizer.eos_token_id, *generation_stops(source)})
    return [str(text) for text in tokenizer.convert_ids_to_tokens(ids)]


def check(figures: dict[str, Any], settings: Export) -> None:
    """Refuse a file whose model answers differently.

    Raises:
        FolioError: the difference is above `export.tolerance`, or no number.
    """
    if not figures["difference"] <= settings.tolerance:
        raise FolioError(
            f"read back, the {settings.weights} file's log-probabilities differ from models/merged by "
            f"{figures['difference']:g} nats, more than export.tolerance={settings.tolerance:g}; "
            "set export.weights=f16, or raise the tolerance knowingly"
        )


@entrypoint
def main(config: DictConfig) -> None:
    """Write models/gguf/ and metrics/export.json."""
    settings = build(config, "export")
    rows = tokens.read(VALIDATION)[: settings.rows]
    name = f"model-{settings.weights}.gguf"
    with whole_folder(EXPORTED) as folder:
        count = write(MERGED, folder / name, settings.weights)
        figures = compared(MERGED, folder / name, rows)
        check(figures, settings)
        write_text(folder / "Modelfile", modelfile(name, stops(MERGED, load_tokenizer(MERGED))))
        length = (folder / name).stat().st_size
    write_json(METRICS, figures | {"tensors": count, "bytes": length})
    told = f"{length / 1e6:.0f} MB, differs from the merged model by {figures['difference']:g} nats a token"
    print(f"export: {name}, {told}")


if __name__ == "__main__":
    main()
