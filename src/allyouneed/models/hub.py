"""Checkpoints in and out, in Hugging Face's format wherever a family has words for the model.

A model that was loaded remembers its config.json (`model.checkpoint`), so that keys which nothing here reads survive
a round trip.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allyouneed import tokenizers
from allyouneed.data.cache import atomic_write
from allyouneed.errors import UserError, require
from allyouneed.models.build import Model, without_memory
from allyouneed.models.decoder import Decoder
from allyouneed.models.encoder import Encoder
from allyouneed.models.encoder_decoder import EncoderDecoder
from allyouneed.models.families import NATIVE, family, known_families
from allyouneed.models.family import Family, ModelConfig, Raw, last_stack
from allyouneed.models.matching import FLOATS, match, today
from allyouneed.models.shards import (
    CONFIG,
    Stored,
    no_weights,
    read_tensors,
    stored_tensors,
    whole_or_nothing,
    write_tensors,
)
from allyouneed.models.weight_table import Weight, entries
from allyouneed.tokenizers import CheckpointTokenizer

GENERATION = "generation_config.json"
WANTED = ("*.json", "model*.safetensors", "*.model", "*.txt", "*.jinja")  # of a checkpoint on the hub
SHARD_SIZE = 4 << 30
ARCHITECTURES = (  # how they end
    *("Model", "ForCausalLM", "ForMaskedLM", "ForPreTraining", "ForConditionalGeneration"),
    *("QuestionEncoder", "ContextEncoder", "ForImageClassification"),
)


@dataclass(frozen=True)
class Checkpoint:
    """What a model was read from: its folder, and its config.json."""

    folder: Path
    raw: Raw


def load(source: str | Path, dtype: str | torch.dtype | None = None, device: str = "auto") -> Model:
    """The model in a checkpoint, in evaluation mode.

    source: a folder with config.json and safetensors, or the name of one on the hub (extra "hub").
    dtype: of the weights, such as "bfloat16"; that of the files unless given.
    device: "auto" takes a GPU if there is one.

    Tensors are read file by file into a model that has no memory before. Those that need neither another precision nor
    another layout stay mapped to the file and take no copy; of the others one copy and one file are held at once. While
    it is mapped a file may be replaced (as `save` does), but not written into: such changes would reach the model.
    Raises UserError for a family that is not known, for a config that it cannot express, and for files that are damaged
    or whose tensors are not those of the config; it names them.
    """
    folder = local_folder(source)
    raw = read_json(folder / CONFIG)
    if folder != Path(source) and not any(folder.glob("*.safetensors")):
        raise no_weights(source, require("huggingface_hub", "hub").list_repo_files(str(source)))
    stored = stored_tensors(folder)
    kind = family(str(raw.get("model_type")))
    model = _from_config(kind, raw, stored, folder)
    table = table_of(kind, model)
    found = match(kind, table, _shapes(model), stored, folder)
    _fill(model, table, found, stored, dtype=_dtype(dtype) or _most(stored, found), device=device_named(device))
    model.checkpoint = Checkpoint(folder, raw)
    return model.eval()


def save(model: Model, folder: str | Path, *, shard_size: int = SHARD_SIZE) -> str:
    """Write config.json and safetensors, all or nothing; returns the `model_type` they are of.

    That is the family which the model was loaded from, or else the first whose config.json can say all of it; if none
    can, "allyouneed", which only this library reads. The matrix of a tied head is not written. shard_size: bytes
    beyond which there are several files, with an index. Raises UserError if the disk refuses.
    """
    kind = family_of(model)
    ours = {name: parameter.detach() for name, parameter in model.named_parameters()}
    dtype = str(next(iter(ours.values())).dtype).removeprefix("torch.")
    raw = _raw(model, kind) | {"dtype": dtype, "torch_dtype": dtype}
    # Files of a model without a head have names without the prefix.
    prefix = "" if last_stack(model.config).has_head else kind.prefix
    shards = _shards(table_of(kind, model), ours, shard_size)
    with whole_or_nothing(Path(folder)) as part:
        write_tensors(part, (_theirs(shard, ours, prefix) for shard in shards), len(shards))
        (part / CONFIG).write_text(json.dumps(raw, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return raw["model_type"]


def writer(
    source: str | Path, dtype: str | torch.dtype | None = None, device: str = "auto"
) -> Decoder | EncoderDecoder:
    """As `load`, for a model that is to write. Raises UserError for one that cannot."""
    model = load(source, dtype, device)
    if isinstance(model, Encoder) or not last_stack(model.config).has_head:
        raise UserError(f"{source} has no head that predicts the next token: it cannot write")
    return model


def tokenizer(source: str | Path) -> CheckpointTokenizer:
    """The tokenizer of a checkpoint: a folder, or a name on the hub. Raises UserError as `tokenizers.load` does."""
    return tokenizers.load(local_folder(source))


def copy_beside(source: str | Path, target: str | Path) -> list[str]:
    """Copy a checkpoint's tokenizer, if it has one, and its settings for generation; returns the names of the files."""
    folder, target = local_folder(source), Path(target)
    if folder.resolve() == target.resolve():
        return [file.name for file in tokenizers.files(folder)]
    copied = tokenizers.copy(folder, target) if tokenizers.files(folder) else []
    if (folder / GENERATION).is_file() and target / GENERATION not in copied:
        atomic_write(target / GENERATION, (folder / GENERATION).read_bytes())
        copied.append(target / GENERATION)
    return [file.name for file in copied]


def family_of(model: Model) -> Family:
    """The family that a model is saved as."""
    checkpoint = getattr(model, "checkpoint", None)
    before = checkpoint.raw.get("model_type") if checkpoint is not None else None
    for name in sorted(known_families(), key=lambda name: (name != before, name == NATIVE, name)):
        kind = family(name)
        try:
            names = [their for entry in table_of(kind, model) for their in entry.theirs]
        except (ValueError, AttributeError, TypeError):
            continue  # its table is of other weights
        if kind.expresses(model.config, names):
            return kind
    raise UserError(f"no format has words for {model.config}")


def local_folder(source: str | Path) -> Path:
    """The folder of a checkpoint: as given, or fetched from the hub into its own cache.

    Raises UserError if it is neither a folder nor a name that the hub gives files for.
    """
    folder = Path(source)
    if folder.is_dir():
        if (folder / "adapter_config.json").is_file() and not (folder / CONFIG).is_file():
            merged = f"allyouneed merge {folder} --out DIR"
            raise UserError(f"{folder} is an adapter and no checkpoint; to make one of it and its base: {merged}")
        return folder
    name = str(source)
    if isinstance(source, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise UserError(f"there is no folder {source}")
    hub = require("huggingface_hub", "hub")
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(WANTED)))
    except Exception as error:  # its own errors, those of its HTTP client, and OSError
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"there is no folder {name}, and the hub gave no checkpoint of that name: {reason}") from error


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file. Raises UserError, with its name, if there is none."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file.parent} is not a checkpoint: it has no {file.name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {file}: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"cannot read {file}: it must hold an object")
    return values


def _from_config(kind: Family, raw: Raw, stored: Mapping[str, Stored], folder: Path) -> Model:
    """The model that a config.json asks for, without memory."""
    if raw.get("quantization_config"):
        raise UserError(f"the weights in {folder} are quantized, which is not read: take those they were made from")
    unread = [name for name in raw.get("architectures") or () if not str(name).endswith(ARCHITECTURES)]
    if unread or "T5EncoderModel" in (raw.get("architectures") or ()):
        raise UserError(f"{folder} holds a {raw['architectures'][0]}, whose head is not read")
    try:
        config = kind.read(raw, [today(kind, name)[0] for name in stored])
        tied = last_stack(config).tie_embeddings
        return without_memory(_untied(config) if tied and _heads_differ(kind, stored) else config)
    except KeyError as error:
        raise UserError(f"{folder / CONFIG} has no {error.args[0]}") from error
    except (UserError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"{folder / CONFIG}: {error}") from error


def _heads_differ(kind: Family, stored: Mapping[str, Stored]) -> bool:
    """The head has a matrix of its own, whatever the config says of tying."""
    named = {known: name for name in stored for known in today(kind, name)}
    if kind.head not in named or kind.embedding not in named:
        return False
    both = (named[kind.head], named[kind.embedding])
    one, other = (next(read_tensors(stored[name].file, [name]))[1].float() for name in both)
    return not torch.equal(one, other)


def _untied(config: Any) -> ModelConfig:
    if hasattr(config, "decoder"):
        return replace(config, decoder=_untied(config.decoder))
    return replace(config, tie_embeddings=False)


def table_of(kind: Family, model: Model) -> list[Weight]:
    """The family's weight table, entry by entry and layer by layer, for the tensors of a model.

    Raises ValueError if the model has tensors that the family knows nothing of.
    """
    config: Any = model.config
    stacks = (config.encoder, config.decoder) if hasattr(config, "decoder") else (config,)
    return entries(kind.table(config), _shapes(model), max(stack.n_layers for stack in stacks))


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in model.named_parameters()}


def _dtype(dtype: Any) -> torch.dtype | None:
    found: Any = getattr(torch, dtype, "unknown") if isinstance(dtype, str) else dtype
    if found is None or found in FLOATS.values():
        return found
    names = ", ".join(str(known).removeprefix("torch.") for known in FLOATS.values())
    raise UserError(f"dtype must be one of {names}, got {dtype!r}")


def _most(stored: Mapping[str, Stored], found: Mapping[str, str]) -> torch.dtype:
    """The type that most of the weights are stored in: a few may be kept more exactly."""
    n_weights: Counter[str] = Counter()
    for name in found.values():
        n_weights[stored[name].dtype] += stored[name].shape.numel()
    return FLOATS[n_weights.most_common(1)[0][0]]


def device_named(device: str) -> str:
    """What PyTorch calls it; "auto" is a GPU if there is one. Raises UserError for one that is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
        raise UserError(f"device {device!r} is not there: auto, cpu, or cuda where torch finds a GPU")
    return device


def _fill(
    model: Model,
    table: list[Weight],
    found: dict[str, str],
    stored: Mapping[str, Stored],
    *,
    dtype: torch.dtype,
    device: str,
) -> None:
    """Give every parameter its tensor, file by file; one that needs several tensors waits until the last is read.

    What is on the CPU, in the files' own precision and layout, is not copied: it stays mapped to the file, whose pages
    are read when they are first used, and no write reaches it.
    """
    shapes = _shapes(model)
    entry_of = {name: entry for entry in table for name in entry.theirs}
    by_file: dict[Path, dict[str, str]] = {}
    for their, name in found.items():
        by_file.setdefault(stored[name].file, {})[name] = their
    waiting: dict[str, Tensor] = {}
    for file, names in by_file.items():
        for name, tensor in read_tensors(file, names):
            entry = entry_of[names[name]]
            waiting[names[name]] = tensor
            if all(their in waiting for their in entry.theirs):
                theirs = [waiting.pop(their) for their in entry.theirs]
                for our, value in zip(entry.ours, entry.layout.read(theirs, [shapes[our] for our in entry.ours])):
                    module, _, parameter = our.rpartition(".")
                    given = nn.Parameter(value.to(device, dtype).contiguous())
                    setattr(model.get_submodule(module), parameter, given)


def _raw(model: Model, kind: Family) -> dict[str, Any]:
    """The model's config.json: what it was loaded with, and what the family says of it."""
    written = kind.write(model.config)
    checkpoint = getattr(model, "checkpoint", None)
    if checkpoint is None or checkpoint.raw.get("model_type") != kind.name:
        # Said, or readers would take the family's own for tokens of a vocabulary that may be another.
        return dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id")) | written
    names = [their for entry in table_of(kind, model) for their in entry.theirs]
    unchanged = kind.plain(kind.read(checkpoint.raw, names)) == kind.plain(model.config)
    raw = {**written, **checkpoint.raw} if unchanged else {**checkpoint.raw, **written}
    return raw | {name: written[name] for name in ("architectures",) if name in written}


def _shards(table: list[Weight], ours: dict[str, Tensor], shard_size: int) -> list[list[Weight]]:
    """The entries, in their order, in as few stretches as keep below `shard_size`."""
    shards: list[list[Weight]] = [[]]
    size = 0
    for entry in table:
        bytes_ = sum(ours[name].nbytes for name in entry.ours)
        if shards[-1] and size + bytes_ > shard_size:
            shards.append([])
            size = 0
        shards[-1].append(entry)
        size += bytes_
    return shards


def _theirs(shard: list[Weight], ours: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Their tensors of some entries, on the CPU."""
    tensors: dict[str, Tensor] = {}
    for entry in shard:
        written = entry.layout.write([ours[name] for name in entry.ours])
        for name, tensor in zip(entry.theirs, written):
            tensors[name.removeprefix(prefix)] = tensor.cpu().contiguous()
    return tensors
