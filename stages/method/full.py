"""Full fine-tuning: every weight learns."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.adapter import Method
from stages.language_model import load_model, pick_dtype
from stages.option import setting

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@setting
class Full(Method):
    """Weights learn in float32, also where products are computed in less (Micikevicius et al., 2018)."""

    def dtype(self, source_dtype: str) -> str:
        """Float32: most updates are smaller than what bf16 resolves."""
        return "float32"

    def attach(self, model: "PreTrainedModel", new_tokens: Sequence[int] = ()) -> Any:
        """Return the model itself, all of whose weights learn."""
        model.requires_grad_(requires_grad=True)
        return model

    def parameters(self, model: Any) -> tuple[int, int]:
        """How many weights learn, and how many there are; shared ones count once."""
        return model.num_parameters(only_trainable=True), model.num_parameters()

    def save(self, model: Any, folder: Path, identity: str, state: dict[str, Any] | None = None) -> None:
        """Write the weights as safetensors, and config.json."""
        if state is not None:
            # Gathered, weights that are shared are copies of each other; the config says that they are one.
            state = {key: value for key, value in state.items() if key not in model.all_tied_weights_keys}
        model.save_pretrained(str(folder), state_dict=state)

    def restore(self, model: Any, folder: Path) -> None:
        """Read the weights into the model's own."""
        model.load_state_dict(load_model(folder, "float32").state_dict())

    def load(self, source_folder: Path, source_dtype: str, folder: Path) -> Any:
        """The weights as they were learnt; nothing of the base model is needed."""
        return load_model(folder, "float32")

    def merged_dtype(self, source_dtype: str) -> str:
        """Float32 unless another dtype is asked for by name: rounding undoes what a short run learnt."""
        return "float32" if source_dtype == "auto" else source_dtype

    def merge(self, model: Any, source_dtype: str) -> "PreTrainedModel":
        """Round the weights to the merged model's dtype.

        In bf16 that loses what moved a weight by less than half a step, 2 ** -9 of its size: after a
        short run most of what was learnt, which the merge stage's comparison then shows.
        """
        dtype = pick_dtype(self.merged_dtype(source_dtype), model.device)
        for parameter in model.parameters():  # buffers, such as rotary frequencies, keep theirs
            parameter.data = parameter.data.to(dtype)
        return model
