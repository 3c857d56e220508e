"""How a public data set comes to be here.

A file is looked for in the cache, then in the folder that `ALLYOUNEED_DATA` names (as it is or packed with gzip, in
a folder of the data set's name), then at its address. Wherever it comes from, it is used only if its bytes are the
ones pinned here.
"""

import gzip
import hashlib
import http.client
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Protocol

from filelock import FileLock

from allyouneed.data.cache import atomic_file, cache_dir, make_folder
from allyouneed.data.datasets import DATASETS, Dataset, File
from allyouneed.errors import UserError

Place = Literal["cached", "in ALLYOUNEED_DATA", "not here"]

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # seconds without a byte from the network
_LARGEST = 1 << 30  # bytes accepted of a file whose size is not known


def list_datasets() -> list[Dataset]:
    """All data sets known here."""
    return list(DATASETS)


def find(name: str) -> Dataset:
    """The data set of that name. Raises UserError with the nearest names if there is none."""
    known = {dataset.name: dataset for dataset in DATASETS}
    if name not in known:
        near = get_close_matches(name, known, cutoff=0.4) or list(known)
        raise UserError(f"there is no data set {name!r}; did you mean {', '.join(near)}?")
    return known[name]


def status(dataset: Dataset) -> Place:
    """Whether all files of a data set can be had without the network; looks at names, not at bytes."""
    places = {file_status(dataset, file) for file in dataset.files}
    if "not here" in places:
        return "not here"
    return "in ALLYOUNEED_DATA" if "in ALLYOUNEED_DATA" in places else "cached"


def file_status(dataset: Dataset, file: File) -> Place:
    """The same for one file."""
    if (_folder(dataset) / file.path).exists():
        return "cached"
    return "in ALLYOUNEED_DATA" if local_copy(dataset, file) else "not here"


def get(name: str, *, progress: bool = False) -> Path:
    """The folder with all files of a data set, verified; what is missing is fetched, with a progress bar if wanted.

    Raises UserError if a file cannot be had or its bytes are not the pinned ones; it then names the file, and no
    part of it is left behind.
    """
    return get_dataset(find(name), progress=progress)


def get_dataset(dataset: Dataset, *, progress: bool = False) -> Path:
    """As `get`, for a data set that need not be in the list."""
    for file in dataset.files:
        get_file(dataset, file, progress=progress)
    return _folder(dataset)


def get_file(dataset: Dataset, file: File, *, progress: bool = False) -> Path:
    """One verified file of a data set, in the cache."""
    target = _folder(dataset) / file.path
    with FileLock(make_folder(target.parent) / f".{target.name}.lock"):
        if target.exists() and _fault(file, target) is None:
            return target
        with _opened(dataset, file) as (source, origin), atomic_file(target) as copy, _bar(file, progress) as advance:
            for chunk in _chunks(source, file, origin):
                copy.write(chunk)
                advance(len(chunk))
            copy.flush()
            if fault := _fault(file, Path(copy.name)):
                raise UserError(f"{origin} is not the {file.path} that is expected: {fault}. It was not kept.")
    return target


def _folder(dataset: Dataset) -> Path:
    return cache_dir() / "datasets" / dataset.name


def local_copy(dataset: Dataset, file: File) -> Path | None:
    """The file or its gzip-packed copy in the folder that `ALLYOUNEED_DATA` names."""
    named = os.environ.get("ALLYOUNEED_DATA")
    if not named:
        return None
    path = Path(named).expanduser() / dataset.name / file.path
    return next((found for found in (path, path.with_name(path.name + ".gz")) if found.is_file()), None)


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def _opened(dataset: Dataset, file: File) -> Iterator[tuple[_Source, str]]:
    """The bytes of the file wherever they can be had, unpacked, and the name of that place."""
    local = local_copy(dataset, file)
    if local is None:
        with _answer(file) as answer:
            # Some addresses give the file packed; its name here says that it is not.
            packed = file.url.endswith(".gz") and not file.path.endswith(".gz")
            yield gzip.GzipFile(fileobj=answer) if packed else answer, file.url
    else:
        packed = local.name == Path(file.path).name + ".gz"
        with gzip.open(local) if packed else open(local, "rb") as opened:
            yield opened, str(local)


def _answer(file: File) -> http.client.HTTPResponse:
    """The server's answer to a request for the file, its body unread."""
    try:
        return urllib.request.urlopen(file.url, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        reason = f"the server answers {error.code} {error.reason}"
        error.close()
    except (OSError, http.client.HTTPException) as error:
        reason = f"no connection ({getattr(error, 'reason', error)})"
    raise UserError(
        f"cannot download {file.path} from {file.url}: {reason}. Without a network, put the file into a folder and "
        "name that in ALLYOUNEED_DATA."
    )


def _chunks(source: _Source, file: File, origin: str) -> Iterator[bytes]:
    """What can be read, up to a little more than the file should have: a packed or endless source may hold anything."""
    room = _LARGEST if file.size is None else file.size
    while room >= 0:
        try:
            chunk = source.read(_CHUNK)
        except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
            raise UserError(f"{origin} broke off or is damaged ({error}). {file.path} was not kept.") from error
        if not chunk:
            return
        yield chunk
        room -= len(chunk)


def _fault(file: File, path: Path) -> str | None:
    """What is wrong with the bytes at `path`, None if they are the pinned ones."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"it has {'more than' if size > file.size else f'only {size} of'} {file.size} bytes"
    kind, pin = ("sha256", file.sha256) if file.sha256 else ("git blob id", file.git_blob)
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % size)
    with open(path, "rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return None if digest.hexdigest() == pin else f"its {kind} is {digest.hexdigest()}, not {pin}"


@contextmanager
def _bar(file: File, shown: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, if it is a terminal; what is yielded takes the number of new bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bars:
        task = bars.add_task(file.path, total=file.size)
        yield lambda n_bytes: bars.advance(task, n_bytes)
