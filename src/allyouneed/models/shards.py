"""Tensors on disk: the safetensors files of a checkpoint, one or several with an index.

Reading looks at the headers first, so that what is wrong is known before anything is read. Writing is all or
nothing: files are completed beside their place and then moved there.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from allyouneed.errors import UserError

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
OURS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")  # what a save writes, the config apart
PICKLES = (
    *("pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth", "model.pt"),
    "diffusion_pytorch_model.bin",
)


@dataclass(frozen=True)
class Stored:
    """What a file's header says of a tensor; its dtype in the format's letters, such as BF16."""

    file: Path
    shape: torch.Size
    dtype: str


def stored_tensors(folder: Path, weights: str = WEIGHTS) -> dict[str, Stored]:
    """All tensors of a checkpoint by name, from the headers alone. weights: what its file of tensors is called.

    Raises UserError, with the file's name, for files that are missing, cut short or otherwise not safetensors, for an
    index that does not fit them, and for a checkpoint that is there as a pickle only.
    """
    found: dict[str, Stored] = {}
    for file in _files(folder, weights):
        for name, tensor in _header(file).items():
            if name in found:
                raise UserError(f"{file}: the tensor {name} is in {found[name].file.name} as well")
            found[name] = tensor
    return found


def read_tensors(file: Path, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
    """Those tensors of one file, one at a time. Raises UserError if the file cannot be read."""
    try:
        with safe_open(file, framework="pt") as opened:
            for name in names:
                yield name, opened.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read {file}: {error}") from error


def _files(folder: Path, weights: str) -> list[Path]:
    if (folder / weights).is_file():
        return [folder / weights]
    if (folder / f"{weights}.index.json").is_file():
        return _indexed(folder / f"{weights}.index.json")
    raise no_weights(folder, [file.name for file in folder.iterdir()], weights)


def no_weights(where: str | Path, names: Iterable[str], weights: str = WEIGHTS) -> UserError:
    """What to say of a place with files of these names, none of them safetensors."""
    pickles = sorted(set(PICKLES) & set(names))
    if not pickles:
        return UserError(f"{where} has no weights: there is neither {weights} nor {weights}.index.json")
    return UserError(
        f"{where} has its weights in {pickles[0]}, a pickle: reading one can run any code that its maker put "
        "there, so it is not read. Ask for a copy in safetensors (hubs convert on request), or convert it "
        "yourself where you trust it: transformers' from_pretrained(...), then save_pretrained(...)"
    )


def _indexed(index: Path) -> list[Path]:
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(places.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot read {index}: it is not an index of tensors ({error})") from error
    files = []
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise UserError(f"{index} names {name!r}, which is not a file beside it")
        if not os.path.isfile(index.parent / name):
            raise UserError(f"{index} names {name:.80}, which is missing")
        files.append(index.parent / name)
    held = {tensor: file.name for file in files for tensor in _header(file)}
    for tensor, name in places.items():
        if held.get(tensor) != name:
            raise UserError(f"{index} places {tensor} in {name}, which does not hold it")
    return files


def _header(file: Path) -> dict[str, Stored]:
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
            kinds = {name: (torch.Size(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} is damaged or is not a safetensors file: {error}") from error
    return {name: Stored(file, shape, dtype) for name, (shape, dtype) in kinds.items()}


@contextmanager
def whole_or_nothing(folder: Path) -> Iterator[Path]:
    """A new folder to write files into; when the block ends well they are moved into `folder`.

    Files there of the same names are replaced, and weights of an earlier save that are not among the new ones removed.
    Raises UserError if the disk refuses; until the first move what was in `folder` is then as it was.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".incomplete-", dir=folder))
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error}") from error
    try:
        try:
            yield part
            for file in part.iterdir():
                _force_to_disk(file)
            new = {file.name for file in part.iterdir()}
            blocked = [name for name in new if (folder / name).is_dir()]
            if blocked:
                raise IsADirectoryError(f"{blocked[0]} is a folder there")
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder} could not be written ({error}); nothing there was changed") from error
        try:
            _move(part, new, folder)
        except OSError as error:
            raise UserError(f"{folder} is not complete ({error}): save again") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _move(part: Path, new: set[str], folder: Path) -> None:
    """The new files into their places, and those of an earlier save away. The config goes first and comes last: without
    one a folder is no checkpoint, so that what is interrupted half way is not taken for either."""
    (folder / CONFIG).unlink(missing_ok=True)
    for stale in folder.iterdir():
        if OURS.fullmatch(stale.name) and stale.name not in new:
            stale.unlink()
    for name in sorted(new, key=lambda name: name == CONFIG):
        os.replace(part / name, folder / name)


def write_tensors(folder: Path, shards: Iterable[dict[str, Tensor]], n_shards: int) -> None:
    """One file for each of the `n_shards`, which are asked for one after the other; several get an index."""
    places: dict[str, str] = {}
    size = 0
    for number, shard in enumerate(shards, start=1):
        name = WEIGHTS if n_shards == 1 else f"model-{number:05d}-of-{n_shards:05d}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(shard, name)
        size += sum(tensor.nbytes for tensor in shard.values())
    if n_shards > 1:
        index = {"metadata": {"total_size": size}, "weight_map": places}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _force_to_disk(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
