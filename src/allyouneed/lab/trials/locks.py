"""Waiting for another process without looking dead."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from allyouneed.data.cache import make_folder

HEARTBEAT_SECONDS = 1.0


@contextmanager
def held(path: Path, while_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path`; `while_waiting` is called every second until it is free.

    The lock of a process that dies is free at once.
    """
    make_folder(path.parent)
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=HEARTBEAT_SECONDS)
            break
        except Timeout:
            while_waiting()
    try:
        yield
    finally:
        lock.release()
