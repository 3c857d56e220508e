"""Ctrl-C between two steps instead of in the middle of one, so that the state it leaves is whole."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held_back_interrupt() -> Iterator[Callable[[], bool]]:
    """Within the block a first Ctrl-C only makes the yielded function return True; a second one interrupts at once.

    Where Python's own handler is not in place (another one is installed, or this is not the main
    thread), nothing is changed and the function returns False.
    """
    caught = False

    def handler(signal_number: int, frame: FrameType | None) -> None:
        nonlocal caught
        if caught:
            raise KeyboardInterrupt
        caught = True

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: caught
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
