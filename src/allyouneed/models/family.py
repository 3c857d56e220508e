"""What a family of checkpoints is: how its config.json reads, and which of its tensors are which of ours."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from allyouneed.errors import UserError
from allyouneed.models.config import DecoderConfig, EncoderConfig
from allyouneed.models.encoder_decoder import EncoderDecoderConfig
from allyouneed.models.weight_table import Weight

ModelConfig = DecoderConfig | EncoderConfig | EncoderDecoderConfig
Raw = Mapping[str, Any]
"""What a config.json says."""


@dataclass(frozen=True)
class Family:
    """One architecture with its Hugging Face format.

    name: the `model_type` of its config.json.
    read: our config, from a config.json and the names of the tensors that are there. Raises UserError for what the
        library cannot do. Whether the head is tied is decided afterwards, by the tensors.
    write: a config.json for one of our configs. It need not check that the family can express it: that shows when it
        is read again.
    table: the weight table of a config.
    embedding, head: what they call the embedding's matrix, and the head's where it has its own.
    prefix: what their names begin with, the head's apart. Files of a model without a head leave it out; so do some
        others.
    outer: what some files put in front of all names besides; left out in reading, and not written.
    ignored: names of tensors that are recomputed, or that nothing here is made of (shell patterns).
    renamed: endings of names in other files (regular expressions), and what the table calls them.
    unused: sizes of ours that nothing in the family reads, and no config.json of it holds.
    """

    name: str
    read: Callable[[Raw, Collection[str]], ModelConfig]
    write: Callable[[Any], dict[str, Any]]
    table: Callable[[Any], Iterable[Weight]]
    embedding: str
    head: str
    prefix: str = ""
    outer: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()

    def expresses(self, config: ModelConfig, names: Collection[str]) -> bool:
        """A config.json of this family, beside tensors of these names, can say all of it: it reads as it was written.

        Dropout need not be said: it is training's.
        """
        try:
            read = self.read(self.write(config), names)
        except (UserError, ValueError, AttributeError, TypeError):
            return False  # a block that its format has no word for
        return self.plain(read) == self.plain(config)

    def plain(self, config: ModelConfig) -> ModelConfig:
        """The config with its sizes filled in, and without what no checkpoint depends on."""
        if isinstance(config, EncoderDecoderConfig):
            encoder, decoder = self.plain(config.encoder), self.plain(config.decoder)
            return replace(config, encoder=encoder, decoder=decoder)  # type: ignore[arg-type]
        filled = {name: getattr(config.sizes, name) for name in ("n_kv_heads", "head_dim", "d_ff")}
        tied = {"tie_embeddings": config.tie_embeddings or not config.has_head}
        return replace(config, **filled | tied | {"dropout": 0.0} | dict.fromkeys(self.unused, 1))


def last_stack(config: ModelConfig) -> DecoderConfig | EncoderConfig:
    """The stack that has the head."""
    return config.decoder if isinstance(config, EncoderDecoderConfig) else config


def sizes(raw: Raw, names: Mapping[str, str], defaults: Raw) -> dict[str, Any]:
    """Our fields, each from the key that `names` gives it, or from `defaults`.

    Raises UserError for one that is in neither.
    """
    values = {}
    for ours, theirs in names.items():
        value = raw.get(theirs, defaults.get(theirs))
        if value is None:
            raise UserError(f"config.json has no {theirs}")
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UserError(f"config.json says {theirs} = {value!r}, which is no number")
        values[ours] = value
    return values


def is_bare(raw: Raw) -> bool:
    """The config is of a model without a head."""
    names = raw.get("architectures") or ()
    return any(name.endswith("Model") and not name.endswith(("LMHeadModel", "HeadsModel")) for name in names)


def only(raw: Raw, key: str, *supported: Any) -> None:
    """Raises UserError unless the key is absent or has one of these values: a wrong model must not load silently."""
    if key in raw and raw[key] not in supported:
        values = " or ".join(repr(value) for value in supported)
        raise UserError(f"config.json says {key} = {raw[key]!r}; only {values} is supported")


def named(raw: Raw, key: str, default: str, blocks: Mapping[str, Any]) -> Any:
    """The block that goes by the name under `key`. Raises UserError for a name without a block."""
    name = raw.get(key) or default
    if name not in blocks:
        raise UserError(f"config.json says {key} = {name!r}; supported: {', '.join(blocks)}")
    return blocks[name]


def name_of(block: Any, blocks: Mapping[str, Any]) -> str:
    """The first name of `block`. Raises ValueError if it has none."""
    for name, known in blocks.items():
        if known == block:
            return name
    raise ValueError(f"{block} has no name here; these have one: {', '.join(blocks)}")
