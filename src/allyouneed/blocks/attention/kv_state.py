"""The state of attention: the keys and values of the tokens read so far."""

from weakref import WeakSet

import torch
from jaxtyping import Float, Int
from torch import Tensor

from allyouneed.blocks.attention.masks import Kept, Keys

SMALLEST = 64  # slots that a buffer starts with; it doubles whenever it is full


class KVState:
    """Keys and values by slot, in the order they were read, padding included.

    Appending gives a new state and leaves this one true, at no cost: both look into one buffer, which is
    written in place behind the end of every state that can still be asked, and copied only where one
    would lose its slots (two continuations of one state), where it is full, or where gradients flow.
    """

    def __init__(self, buffer: "_Buffer", start: int, end: int, slots: Keys | None) -> None:
        self.buffer, self.start, self.end, self.slots = buffer, start, end, slots
        buffer.readers.add(self)

    @staticmethod
    def empty(
        batch_size: int, n_kv_heads: int, head_dim: int, device: torch.device | None, dtype: torch.dtype | None
    ) -> "KVState":
        """Nothing read."""
        nothing = torch.empty(batch_size, n_kv_heads, 0, head_dim, device=device, dtype=dtype)
        return KVState(_Buffer(nothing, nothing), 0, 0, None)

    @property
    def used(self) -> int:
        """Slots held."""
        return self.end - self.start

    @property
    def keys(self) -> Float[Tensor, "batch kv_heads slots score_dim"]:
        """As they are scored: position schemes have done their work."""
        return self.buffer.keys[:, :, self.start : self.end]

    @property
    def values(self) -> Float[Tensor, "batch kv_heads slots head_dim"]:
        """As the projection gave them."""
        return self.buffer.values[:, :, self.start : self.end]

    @property
    def lengths(self) -> Int[Tensor, "batch"]:
        """Valid tokens read, row by row, those included that are no longer held."""
        keys = self.buffer.keys
        if self.slots is None:
            return torch.zeros(len(keys), dtype=torch.long, device=keys.device)
        held = self.used if self.slots.valid is None else self.slots.valid.sum(1)
        return (self.slots.forgotten + held).expand(len(keys))

    def append(
        self,
        k: Float[Tensor, "batch kv_heads seq score_dim"],
        v: Float[Tensor, "batch kv_heads seq head_dim"],
        slots: Keys,
    ) -> "KVState":
        """The state with these keys and values behind its own; `slots` tells of all of them."""
        if torch.is_grad_enabled():
            if self.used:
                k, v = torch.cat((self.keys, k), dim=2), torch.cat((self.values, v), dim=2)
            return KVState(_Buffer(k, v), 0, k.shape[2], slots)
        start, end = self.start, self.end + k.shape[2]
        buffer = self.buffer
        if not buffer.writable(self.end, end):
            start, end = 0, end - start
            buffer = self._copy(k, v, end)
        buffer.keys[:, :, end - k.shape[2] : end] = k
        buffer.values[:, :, end - k.shape[2] : end] = v
        return KVState(buffer, start, end, slots)

    def keep(self, kept: Kept, slots: Keys) -> "KVState":
        """The state of only the slots that are `kept`; `slots` tells of them."""
        if not isinstance(kept, int):
            index = kept[:, None, :, None]
            keys, values = (old.take_along_dim(index, dim=2) for old in (self.keys, self.values))
            return KVState(_Buffer(keys, values), 0, kept.shape[1], slots)
        start = self.end - kept
        if self.buffer.keys.shape[2] <= 2 * (kept + SMALLEST):
            return KVState(self.buffer, start, self.end, slots)
        # A long prompt was read at once: what it needed is given back.
        keys, values = (old[:, :, start : self.end].clone() for old in (self.buffer.keys, self.buffer.values))
        return KVState(_Buffer(keys, values), 0, kept, slots)

    def _copy(self, k: Tensor, v: Tensor, end: int) -> "_Buffer":
        """A buffer of this state's slots with room for `end` and some, in the type and width of `k` and `v`."""
        # One that forgets stays about as large as it is; another will double time and again.
        capacity = end + max(SMALLEST, end // 8) if self.start else max(SMALLEST, 1 << (end - 1).bit_length())
        buffer = _Buffer(*(new.new_empty(*new.shape[:2], capacity, new.shape[-1]) for new in (k, v)))
        if self.used:
            buffer.keys[:, :, : self.used] = self.keys
            buffer.values[:, :, : self.used] = self.values
        return buffer

    def select(self, rows: Int[Tensor, "rows"]) -> "KVState":
        """The given rows, in that order, repeated where `rows` repeats them; with the room that this one has."""
        buffer = _Buffer(self.buffer.keys.index_select(0, rows), self.buffer.values.index_select(0, rows))
        return KVState(buffer, self.start, self.end, None if self.slots is None else self.slots.select(rows))

    def snapshot(self) -> "KVState":
        """This state: what is appended later does not change it."""
        return self

    def restore(self, snapshot: "KVState") -> "KVState":
        """The snapshot. Once nobody holds a later state, appending overwrites what was given up."""
        return snapshot


class _Buffer:
    """Room for keys and values, of which each reader sees the slots from its start to its end."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values
        self.readers: WeakSet[KVState] = WeakSet()

    def writable(self, start: int, end: int) -> bool:
        """Slots from `start` to `end` exist and no reader sees any of them."""
        if end > self.keys.shape[2] or any(reader.end > start for reader in self.readers):
            return False
        # PyTorch forbids writing to what inference mode made from outside of it.
        return torch.is_inference_mode_enabled() or not self.keys.is_inference()
