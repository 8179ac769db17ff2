"""What every low-rank method shares: rank, scale, dropout and where the adapters sit."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from stages.errors import FolioError
from stages.option import Option, setting

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@setting
class Adapter(Option):
    """Adapters of rank `r`, scaled by `alpha / r` (Hu et al., 2021, arXiv:2106.09685, section 4.1)."""

    r: int = Field(ge=1)
    alpha: float = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    target_modules: Literal["all-linear"] | Annotated[tuple[str, ...], Field(strict=False)]

    def quantization(self, dtype: str) -> dict[str, Any]:
        """Arguments for loading the base model; none here."""
        return {}

    def attach(self, model: "PreTrainedModel") -> Any:
        """Return the model with fresh, trainable adapters.

        Raises:
            FolioError: no module of the model is called as `target_modules` says.
        """
        from peft import LoraConfig, get_peft_model

        targets = self.target_modules
        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets if isinstance(targets, str) else list(targets),
            task_type="CAUSAL_LM",
        )
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise FolioError(f"method.target_modules={targets}: {error}") from error
