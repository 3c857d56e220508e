"""Where downloaded and built data lie, and how a file is written so that it is there whole or not at all."""

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from allyouneed.errors import UserError

_MENDABLE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a file is in the way of the folder",
    errno.ENOENT: "there can be no folder",
    errno.EISDIR: "a folder of that name is in the way",
    errno.ENAMETOOLONG: "the name is too long",
}


def cache_dir() -> Path:
    """The folder of everything that can be made or fetched again: `ALLYOUNEED_CACHE`, else `allyouneed` in the
    user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`). It need not exist yet."""
    if named := os.environ.get("ALLYOUNEED_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "allyouneed"


def make_folder(path: Path) -> Path:
    """Make `path` and its parents, and return it. Raises UserError where that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"cannot make the folder {path}: a file of that name is in the way") from None
    except OSError as error:
        _raise_mendable(error, path)
        raise
    return path


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the block ends, and leaves no trace when it fails.

    What stood at `path` stays until the new content is safely on the disk. Raises UserError if the disk is full or
    the folder may not be written.
    """
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with open(draft, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        _sync_folder(path.parent)
    except OSError as error:
        _raise_mendable(error, path)
        raise
    finally:
        with suppress(OSError):  # Gone already, or never there: its name was too long.
            draft.unlink()


def atomic_write(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all (see `atomic_file`)."""
    with atomic_file(path) as file:
        file.write(content)


def cached_text(path: Path, make: Callable[[], str]) -> str:
    """The text that `make()` gave when it was first asked for, kept at `path`.

    Its first line there is the sha256 of the rest, so a damaged file is noticed, and made again.
    """
    with suppress(OSError):
        digest, _, content = path.read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() == digest:
            return content.decode("utf-8")
    content = make().encode("utf-8")
    atomic_write(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    return content.decode("utf-8")


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` outlast a power cut, where the system can open folders (Windows cannot)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _raise_mendable(error: OSError, path: Path) -> None:
    if error.errno in _MENDABLE:
        reason = _MENDABLE[error.errno]
        raise UserError(f"cannot write {path}: {reason}. Nothing that was there before is lost.") from error
