"""Keys and values with room for more: transformers' own cache copies all of them for each new token."""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

# Tokens for which there is room, beside those that are kept.
ROOM = 64


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """A layer of a cache whose keys and values are views of larger tensors."""

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self.keys, self.values = layer.keys, layer.values
        self._wide: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add new keys and values, both [rows, heads, tokens, size], and return all."""
        used = self.keys.shape[-2]
        length = used + key_states.shape[-2]
        roomy = self._roomy(length)
        for wide, new in zip(roomy, (key_states, value_states), strict=True):
            wide[..., used:length, :] = new
        self.keys, self.values = (wide[..., :length, :] for wide in roomy)
        return self.keys, self.values

    def _roomy(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What holds keys and values and has room for so many tokens; others may have replaced the keys."""
        wide = self._wide
        if wide and (wide[0].data_ptr() != self.keys.data_ptr() or len(wide[0]) != len(self.keys)):
            wide = None
        if wide is None or wide[0].shape[-2] < length:
            room = length + ROOM
            wide = self._wide = _widened(self.keys, room), _widened(self.values, room)
        return wide

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows alone."""
        self._wide = None  # else it would be held beside what is kept of it
        super().batch_select_indices(indices)


def _widened(states: torch.Tensor, length: int) -> torch.Tensor:
    """The same in a longer tensor; what is behind is never read before it is written."""
    rows, heads, used, size = states.shape
    wide = states.new_empty(rows, heads, length, size)
    wide[..., :used, :] = states
    return wide


def growing(past: Any) -> Any:
    """Give the plain layers of a cache room; others, such as sliding windows, stay as they are."""
    layers = getattr(past, "layers", [])
    for at, layer in enumerate(layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            layers[at] = GrowingLayer(layer)
    return past
