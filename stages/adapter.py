"""What training methods share: the form that train and merge rely on, and low-rank adapters."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from stages import bits
from stages.errors import FolioError
from stages.language_model import load_model
from stages.option import Option, nearest, setting

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Names = Annotated[tuple[str, ...], Field(strict=False)]
# The only embeddings that peft 0.21 keeps tied when one of them is trained whole.
TIED = {"embed_tokens", "lm_head"}


@setting
class Method(Option, ABC):
    """Which weights learn, in what precision, and how they become a model again."""

    def quantization(self, dtype: str) -> dict[str, Any]:
        """Arguments for loading the base model that computes in `dtype`; none here."""
        return {}

    @abstractmethod
    def dtype(self, source_dtype: str) -> str:
        """The dtype that the base model is loaded in to be trained."""

    @abstractmethod
    def attach(self, model: "PreTrainedModel", new_tokens: Sequence[int] = ()) -> Any:
        """Return the model to be trained, in which what learns requires gradients and is float32.

        The embeddings of `new_tokens`, ids that the base model did not come with, learn in any case.
        """

    @abstractmethod
    def parameters(self, model: Any) -> tuple[int, int]:
        """How many weights of an attached model learn, and how many there are."""

    @abstractmethod
    def save(self, model: Any, folder: Path, identity: str, state: dict[str, Any] | None = None) -> None:
        """Write what was learnt from the base model `identity` into an existing folder.

        `state` is the attached model's whole state dict, where that lies on several devices.
        """

    @abstractmethod
    def restore(self, model: Any, folder: Path) -> None:
        """Put what `save` wrote into an attached model, which learns on from there.

        Raises:
            FolioError: the folder does not hold what this method learns.
        """

    @abstractmethod
    def load(self, source_folder: Path, source_dtype: str, folder: Path) -> Any:
        """The tuned model, in evaluation mode, from the base model's folder and what `save` wrote.

        Raises:
            FolioError: one of the folders does not hold what it should.
        """

    def merged_dtype(self, source_dtype: str) -> str:
        """The dtype of the merged model: the source's."""
        return source_dtype

    @abstractmethod
    def merge(self, model: Any, source_dtype: str) -> "PreTrainedModel":
        """Turn what `load` returned, which is used up, into a plain model in `merged_dtype`."""


@setting
class Adapter(Method):
    """Adapters of rank `r`, scaled by `alpha / r` (Hu et al., 2021, arXiv:2106.09685, section 4.1)."""

    r: int = Field(ge=1)
    alpha: float = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    bias: Literal["none", "all", "lora_only"]
    target_modules: Literal["all-linear"] | Annotated[Names, Field(min_length=1)]
    modules_to_save: Names

    def variant(self) -> dict[str, Any]:
        """What sets this kind of adapter apart, in the words of peft's LoraConfig."""
        return {}

    def dtype(self, source_dtype: str) -> str:
        """The source's own: frozen weights need no more."""
        return source_dtype

    def attach(self, model: "PreTrainedModel", new_tokens: Sequence[int] = ()) -> Any:
        """Return the model with fresh, trainable adapters.

        Raises:
            FolioError: a named module is not in the model, or cannot be learnt in this way.
        """
        from peft import get_peft_model

        config = self._config(model, new_tokens)
        try:
            with warnings.catch_warnings():  # GPT-2's layers store their weights the other way: peft sees it
                warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
                adapted = get_peft_model(model, config)
        except (ValueError, TypeError, RuntimeError) as error:
            # peft's words may hold the whole layout of a module.
            reason = " ".join(str(error).split())[:300]
            raise FolioError(
                f"method.target_modules={self.target_modules} and "
                f"method.modules_to_save={self.modules_to_save} do not fit this model: {reason}"
            ) from error
        _complete(adapted)
        if self.bias != "none" or self.modules_to_save or new_tokens:
            _learn_in_float32(adapted)
        return adapted

    def _config(self, model: "PreTrainedModel", new_tokens: Sequence[int]) -> Any:
        from peft import LoraConfig

        return LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            bias=self.bias,
            target_modules=self._targets(model),
            modules_to_save=list(self.modules_to_save) or None,
            ensure_weight_tying=self._saves_tied(model),
            trainable_token_indices=self._rows(model, new_tokens),
            task_type="CAUSAL_LM",
            **self.variant(),
        )

    def _rows(self, model: "PreTrainedModel", new_tokens: Sequence[int]) -> dict[str, list[int]] | None:
        """Rows of the input embedding that learn beside the adapters; none where it learns as a whole.

        Rows of an output embedding that is tied to it are the same ones; else it goes on giving the new
        tokens, which only ever stand in prompts, the likelihood of an average one.
        """
        table = model.get_input_embeddings()
        name = next(name for name, module in model.named_modules() if module is table)
        if not new_tokens or _named(self.modules_to_save, [name]):
            return None
        if _tied(model) and getattr(model.get_output_embeddings(), "bias", None) is not None:
            # peft 0.21 forgets the bias of an output that is tied to rows that learn.
            raise FolioError(
                f"method={self.name} cannot learn the rows of format.tokens in a model whose tied output "
                "has a bias; set method=full"
            )
        if not isinstance(self.target_modules, str) and _named(self.target_modules, [name]):
            raise FolioError(
                f"method.target_modules: {name} gets new tokens from format.tokens, whose rows learn by "
                "themselves; name it in method.modules_to_save instead, or leave it out"
            )
        return {name: list(new_tokens)}

    def _targets(self, model: "PreTrainedModel") -> str | list[str]:
        targets = self.target_modules
        if isinstance(targets, str):
            return targets
        _check_names("target_modules", targets, model)
        if shared := _named(targets, _tied(model)):
            raise FolioError(
                f"method.target_modules: {shared[0]} shares its weights with another module of this model, "
                "so that an adapter of it cannot be merged; name it in method.modules_to_save instead"
            )
        return list(targets)

    def _saves_tied(self, model: "PreTrainedModel") -> bool:
        """Whether a module that is trained whole shares its weights, and so must go on sharing them."""
        _check_names("modules_to_save", self.modules_to_save, model)
        shared = _named(self.modules_to_save, _tied(model))
        if odd := [name for name in shared if name.rpartition(".")[2] not in TIED]:
            raise FolioError(
                f"method.modules_to_save: {odd[0]} shares its weights with another module of this model, and "
                "peft cannot train the two as one; leave it out, or set method=full"
            )
        return bool(shared)

    def parameters(self, model: Any) -> tuple[int, int]:
        """How many weights learn, and how many there are; two packed into a byte count as two."""
        trainable, total = model.get_nb_trainable_parameters()
        return trainable, total

    def save(self, model: Any, folder: Path, identity: str, state: dict[str, Any] | None = None) -> None:
        """Write adapter_model.safetensors and adapter_config.json, the same bytes each time."""
        config = model.peft_config["default"]
        # peft would name the base by its place in this machine's cache.
        config.base_model_name_or_path = identity
        # A set's order changes from process to process, and with it the bytes that are written.
        config.target_modules = sorted(config.target_modules)
        model.save_pretrained(str(folder), save_embedding_layers=False, state_dict=state)
        # peft's card names that place too, and says nothing else; the merged model gets a card of its own.
        (folder / "README.md").unlink()

    def restore(self, model: Any, folder: Path) -> None:
        """Read the adapter's weights into the model's own."""
        from peft import load_peft_weights, set_peft_model_state_dict

        refusal = (
            f"{folder} holds no adapter of method={self.name} with these settings; run `dvc repro train`"
        )
        if not (folder / "adapter_model.safetensors").is_file():
            raise FolioError(refusal)
        try:
            found = set_peft_model_state_dict(model, load_peft_weights(str(folder), device="cpu"))
        except (RuntimeError, KeyError) as error:  # other shapes, or tokens that did not learn there
            raise FolioError(refusal) from error
        learns = {name for name, weight in model.named_parameters() if weight.requires_grad}
        if found.unexpected_keys or learns & set(found.missing_keys):
            raise FolioError(refusal)

    def load(self, source_folder: Path, source_dtype: str, folder: Path) -> Any:
        """The base model in its own precision, also where it was quantised to train, and its adapter."""
        from peft import PeftModel

        if not (folder / "adapter_config.json").is_file():
            raise FolioError(f"{folder} holds no adapter of method={self.name}; run `dvc repro train`")
        return PeftModel.from_pretrained(load_model(source_folder, source_dtype), str(folder)).eval()

    def merge(self, model: Any, source_dtype: str) -> "PreTrainedModel":
        """Add the adapters to the weights that they sit on."""
        return model.merge_and_unload()


@setting
class Quantized(Adapter):
    """Adapters over a base model that bitsandbytes holds in fewer bits."""

    def check(self) -> None:
        """Bitsandbytes must be installed, and made for this machine."""
        bits.check(f"method={self.name}", "method=lora")

    def quantization(self, dtype: str) -> dict[str, Any]:
        """Arguments for loading the base model in fewer bits.

        Raises:
            FolioError: bitsandbytes is missing, too old or does not run on this device.
        """
        bits.load(f"method={self.name}", "method=lora")
        return {"quantization_config": self.bits(dtype)}

    @abstractmethod
    def bits(self, dtype: str) -> Any:
        """The BitsAndBytesConfig."""

    @abstractmethod
    def layer(self) -> type[Any]:
        """The class of a quantised layer."""

    def attach(self, model: "PreTrainedModel", new_tokens: Sequence[int] = ()) -> Any:
        """Return the quantised model, made ready for training, with fresh adapters.

        Raises:
            FolioError: as for any adapter, or what should learn is held in too few bits.
        """
        from peft import prepare_model_for_kbit_training

        quantised = [name for name, module in model.named_modules() if isinstance(module, self.layer())]
        if whole := _named(self.modules_to_save, _with_parents(quantised)):
            raise FolioError(
                f"method.modules_to_save: {whole[0]} is held in integers and cannot learn whole; leave "
                "it out (adapters may sit on it), or set method=lora"
            )
        # Whether activations are kept is the train stage's setting.
        ready = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        adapted = super().attach(ready, new_tokens)
        for name in quantised:
            bias = adapted.get_base_model().get_submodule(name).bias
            if bias is not None and bias.requires_grad:
                raise FolioError(
                    f"method.bias={self.bias}: bitsandbytes rounds the bias of {name} to the precision of "
                    "its input, in which it would not learn; set method.bias=none, or method=lora"
                )
        return adapted


def _with_parents(modules: Iterable[str]) -> list[str]:
    parts = [module.split(".") for module in modules]
    return sorted({".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)})


def _named(names: Iterable[str], modules: Iterable[str]) -> list[str]:
    """The modules that a name is the last part of, or the whole."""
    return [module for module in modules if any(f".{module}".endswith(f".{name}") for name in names)]


def _check_names(key: str, names: Sequence[str], model: "PreTrainedModel") -> None:
    # peft takes a name that fits nothing for granted as long as another one fits.
    modules = [
        name for name, module in model.named_modules() if name and any(True for _ in module.parameters())
    ]
    for name in names:
        if not _named([name], modules):
            hint = nearest(name, sorted({module.rpartition(".")[2] for module in modules}))
            raise FolioError(f"method.{key}: this model has no module {name} that holds weights{hint}")


def _tied(model: "PreTrainedModel") -> list[str]:
    """The names of the modules that share the embedding's weights, the embedding included."""
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    if last is None or first.weight is not last.weight:
        return []
    return [name for name, module in model.named_modules() if module is first or module is last]


def _complete(model: Any) -> None:
    """Give layers of tokens what peft 0.21's `disable_input_dtype_casting` asks every layer for."""
    from peft.tuners.trainable_tokens.layer import TrainableTokensLayer

    for module in model.modules():
        if isinstance(module, TrainableTokensLayer):
            module.cast_input_dtype_enabled = True


def _learn_in_float32(model: Any) -> None:
    """Make all that learns float32: a half precision would round small updates to nothing."""
    import torch

    for module in model.modules():
        own = list(module.parameters(recurse=False))
        learns = any(parameter.requires_grad for parameter in own)
        for parameter in own:
            # Autocast brings a linear layer's weight and bias together; other layers want one precision,
            # and a layer norm that of its input too.
            whole = isinstance(module, torch.nn.LayerNorm) or (
                learns and not isinstance(module, torch.nn.Linear)
            )
            if parameter.requires_grad or whole:
                parameter.data = parameter.data.float()
