"""Two pairs whose losses can be worked out by hand, and trl's formulas on the same log-probabilities."""

import os
from types import SimpleNamespace
from typing import Any

import torch

from stages.preference import Answers

# Means per token: chosen -1 and -1.5, rejected -3 and -0.5. The second pair is in the wrong order.
POLICY = Answers(
    torch.tensor([-4.0, -3.0]), torch.tensor([-9.0, -2.0]), torch.tensor([4, 2]), torch.tensor([3, 4])
)
# Means: chosen -1.25 and -1, rejected -2 and -0.75.
REFERENCE = Answers(
    torch.tensor([-5.0, -2.0]), torch.tensor([-6.0, -3.0]), torch.tensor([4, 2]), torch.tensor([3, 4])
)
OPTION: dict[str, Any] = {"stages": ["align"], "adapter": "models/aligned"}


def trl_cpo(loss_type: str, beta: float, gamma: float, chosen: Any, rejected: Any) -> Any:
    """Losses and rewards of trl's CPOTrainer; for SimPO it is given means per token."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from trl.experimental.cpo import CPOTrainer

    settings = SimpleNamespace(
        alpha=0.0, beta=beta, simpo_gamma=gamma, loss_type=loss_type, label_smoothing=0.0,
        accelerator=SimpleNamespace(device="cpu"),
    )  # fmt: skip
    return CPOTrainer.cpo_loss(settings, chosen, rejected)
