"""How much memory a training step takes, before one is tried."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.errors import FolioError

if TYPE_CHECKING:
    import torch

# Three lengths determine a quadratic; multiples of 32, to which attention kernels round up.
LENGTHS = (32, 64, 96)
# On the CPU: a share of what the forward pass keeps without checkpointing; with it the holes are as large.
# Tensors of some megabytes come and go in the heap, which gives nothing back from below one that stays
# (measured with glibc 2.36; by the bytes of a number).
HOLES = {2: 0.35, 4: 0.85}
# bitsandbytes keeps the states of a smaller tensor in 32 bits, and a scale for each block of 256.
SMALLEST_8BIT, BLOCK = 4096, 256


@dataclass(frozen=True)
class Batch:
    """The largest batch that the model gets at once."""

    rows: int  # side by side
    length: int  # tokens of a row, padding included
    targets: int  # positions over all rows whose logits are computed, padding included


@dataclass(frozen=True)
class Step:
    """How a step computes, as far as it takes memory."""

    dtype: "torch.dtype"  # of products: the autocast dtype, fp32 where there is none
    optimiser: str  # the trainer's name for it: adamw_torch, adamw_torch_fused, paged_adamw_8bit, ...
    checkpointing: bool  # activations of a layer are computed again in the backward pass, not kept
    accumulation: int  # batches to an update


@dataclass(frozen=True)
class Kept:
    """What a forward pass keeps for the backward pass, in bytes.

    A batch of rows takes `fixed + rows * (token * length + pair * length²)`.
    """

    fixed: float  # whatever the batch: matrices that autocast copied
    token: float  # for each token
    pair: float  # for each two tokens of a row: the mask, and scores where attention keeps them

    def of(self, batch: Batch) -> int:
        """Bytes that grow with the batch."""
        return round(batch.rows * (self.token * batch.length + self.pair * batch.length**2))


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak of a step; the weights are there once the model is loaded."""

    weights: int
    gradients: int
    optimiser: int
    activations: int  # what the backward pass needs of the forward pass, and gradients of activations
    holes: int  # of the CPU's heap
    accumulates: bool  # gradients stay from batch to batch

    @property
    def further(self) -> int:
        """Bytes beside the loaded weights; without accumulation gradients take the place of activations."""
        both = self.gradients, self.activations
        return self.optimiser + self.holes + (sum(both) if self.accumulates else max(both))

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.weights + self.further


def estimate(model: Any, batch: Batch, step: Step) -> Estimate:
    """Estimate the peak of a training step.

    Args:
        model: loaded, its method attached, gradient checkpointing not yet switched on. It reads
            `LENGTHS` tokens to see what it keeps of them; no random state is used up.
        batch: the largest one.
        step: how it is computed.
    """
    seen = kept(model, step.dtype)
    return Estimate(
        weights=weight_bytes(model),
        gradients=gradient_bytes(model),
        optimiser=state_bytes(model, step.optimiser),
        activations=activation_bytes(model, seen, batch, step.checkpointing),
        holes=round(HOLES[step.dtype.itemsize] * seen.of(batch)) if model.device.type == "cpu" else 0,
        accumulates=step.accumulation > 1,
    )


def activation_bytes(model: Any, kept: Kept, batch: Batch, checkpointing: bool) -> int:
    """Bytes of activations at the peak, which is in the backward pass: at the logits or in a layer.

    With checkpointing (Chen et al., 2016, arXiv:1604.06174) the layers keep their inputs, and one at
    a time what it computes. Gradients on their way through a layer take up to half of what it has kept.
    """
    config = model.config.get_text_config()
    layers, hidden = int(config.num_hidden_layers), int(config.hidden_size)
    everything = kept.of(batch)
    layer = everything // layers
    logits = logit_bytes(config.vocab_size, batch.targets)
    if not checkpointing:
        return round(kept.fixed) + everything + max(logits, layer // 2)
    stream = int(model.get_input_embeddings().weight.element_size())
    inputs = layers * hidden * stream * batch.rows * batch.length
    return round(kept.fixed) + inputs + max(logits, layer + layer // 2)


def logit_bytes(vocabulary: int, targets: int) -> int:
    """Bytes of the loss: log-probabilities, their gradient and that of the logits, all in fp32."""
    return 3 * 4 * vocabulary * targets


def weight_bytes(model: Any) -> int:
    """Bytes of parameters and buffers as stored, with the scales of 4-bit weights."""
    tensors = [*model.parameters(), *model.buffers()]
    for weight in model.parameters():
        state = getattr(weight, "quant_state", None)
        while state is not None:
            tensors += [state.absmax, state.code]
            state = state.state2
    return sum(tensor.untyped_storage().nbytes() for tensor in {_place(t): t for t in tensors}.values())


def gradient_bytes(model: Any) -> int:
    """Bytes of all gradients, and of the largest again: while its parts are summed it is there twice."""
    sizes: list[int] = [
        weight.numel() * weight.element_size() for weight in model.parameters() if weight.requires_grad
    ]
    return sum(sizes) + max(sizes, default=0)


def state_bytes(model: Any, optimiser: str) -> int:
    """Bytes of Adam's moments, in 8 bits if `optimiser` says so (Dettmers et al., 2021, arXiv:2110.02861)."""
    from torch.nn import Embedding

    tables = {id(module.weight) for module in model.modules() if isinstance(module, Embedding)}
    total = 0
    for weight in (weight for weight in model.parameters() if weight.requires_grad):
        count = weight.numel()
        # The trainer asks for 32 bits where a table of embeddings learns.
        if "8bit" in optimiser and count >= SMALLEST_8BIT and id(weight) not in tables:
            total += 2 * (count + 4 * -(-count // BLOCK))
        else:  # torch keeps them in the weight's dtype, bitsandbytes in fp32
            total += 2 * count * (weight.element_size() if "torch" in optimiser else 4)
    return total


def kept(model: Any, dtype: "torch.dtype") -> Kept:
    """See what the model keeps of rows of `LENGTHS` tokens, and draw the quadratic through them."""
    first, second, third = (_saved_bytes(model, dtype, length) for length in LENGTHS)
    step = LENGTHS[1] - LENGTHS[0]
    pair = (third - 2 * second + first) / (2 * step**2)
    token = (second - first) / step - pair * (LENGTHS[0] + LENGTHS[1])
    return Kept(first - token * LENGTHS[0] - pair * LENGTHS[0] ** 2, token, pair)


def _saved_bytes(model: Any, dtype: "torch.dtype", length: int) -> int:
    """Bytes that a row of `length` tokens keeps for the backward pass, the model's own tensors left out."""
    import torch

    owned = {_place(tensor) for tensor in (*model.parameters(), *model.buffers())}
    saved: dict[int, torch.Tensor] = {}  # they are held, so that no place is used twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if _place(tensor) not in owned:
            saved[_place(tensor)] = tensor
        return tensor

    device = model.device
    ids = torch.ones(1, length, dtype=torch.long, device=device)
    mask = ids.clone()
    mask[0, 0] = 0  # padding, without which no mask is made
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        _training(model),
        torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        model(input_ids=ids, attention_mask=mask, logits_to_keep=1, use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


@contextlib.contextmanager
def _training(model: Any) -> Iterator[None]:
    """Put the model into training as the train stage does: dropout on, no cast of an adapter's input."""
    from peft.helpers import disable_input_dtype_casting

    before = model.training
    model.train()
    try:
        with disable_input_dtype_casting(model):
            yield
    finally:
        model.train(before)


def _place(tensor: "torch.Tensor") -> int:
    return tensor.untyped_storage().data_ptr()


def available(device: "torch.device") -> int | None:
    """Bytes that this process can still take on `device`; None where nothing tells.

    On the CPU what the system has to spare or, if it is less, what the limits of the process's control
    groups leave (a container's): memory of the page cache counts as free.
    """
    import torch

    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What the allocator holds and does not use comes first.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    places = [_system(), *_groups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))]
    return min((room for room in places if room is not None), default=None)


def _system() -> int | None:
    """Bytes that the system can give without swapping; where it does not say, all that it has."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _groups(listing: Path, root: Path) -> Iterator[int]:
    """Bytes that each control group with a limit leaves, from the process's own up to the root.

    Args:
        listing: the groups of the process, /proc/self/cgroup: number:controllers:path lines.
        root: where the groups are mounted.
    """
    with contextlib.suppress(OSError):
        for line in listing.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                base, names = root, ("memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                base = root / "memory"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            else:
                continue
            own = base / path.strip("/")
            for group in (own, *own.parents):
                if group.is_relative_to(base) and (room := _room(group, *names)) is not None:
                    yield room


def _room(group: Path, limit: str, usage: str, idle: str) -> int | None:
    """What a group's limit leaves; None if it has no limit ("max") or is not to be read."""
    try:
        most, used = (int((group / name).read_text(encoding="utf-8")) for name in (limit, usage))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
        return max(most - used + int(stat[idle]), 0)
    except (OSError, ValueError, KeyError):
        return None


def remedy(stage: str) -> str:
    """What helps where a step of train or align does not fit."""
    return (
        f"halve {stage}.batch and double {stage}.accumulation, set {stage}.gradient_checkpointing=true, "
        "or method=qlora"
    )


def check(estimate: Estimate, free: int | None, stage: str) -> None:
    """Refuse a step of train or align that will not fit beside the loaded weights.

    Raises:
        FolioError: the estimate is above the `free` bytes; None passes.
    """
    if free is not None and estimate.further > free:
        raise FolioError(f"{sentence(estimate)}, but {_gib(free)} are free; {remedy(stage)}")


def sentence(estimate: Estimate) -> str:
    """What a step takes and what for, without a full stop: also for the handler of a full device."""
    parts = {
        "gradients": estimate.gradients,
        "the optimiser": estimate.optimiser,
        "activations and logits": estimate.activations,
    }
    listed = ", ".join(f"{_gib(count)} for {name}" for name, count in parts.items())
    return (
        f"a training step takes about {_gib(estimate.further)} at its peak ({listed}) "
        f"beside {_gib(estimate.weights)} of weights"
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
