"""What training reads from and what it carries along: things whose state can be saved and put back."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Saved(Protocol):
    """Anything with a state that a checkpoint must hold: an average of the weights, a replay buffer.

    The state is a nest of dicts with string keys, lists and tuples over None, booleans, numbers,
    strings, tensors and numpy arrays.
    """

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any, /) -> Any: ...


@runtime_checkable
class Stream(Saved, Protocol):
    """An iterator over batches, each the whole of one optimiser step, that knows where it stands.

    It may look at the model being trained: what it draws from torch's, numpy's or Python's global
    generator, or from the weights, is the same again after a resume.
    """

    def __iter__(self) -> Any: ...

    def __next__(self) -> Any: ...
