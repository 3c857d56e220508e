"""allyouneed: the format of what no other family has words for. Our own config, block by block, and our own names."""

from collections.abc import Collection, Iterable
from typing import Any

from allyouneed.errors import UserError
from allyouneed.models.build import without_memory
from allyouneed.models.family import Family, ModelConfig, Raw
from allyouneed.models.names import from_names, to_names
from allyouneed.models.weight_table import Weight, weight


def _read(raw: Raw, names: Collection[str]) -> ModelConfig:
    config = from_names(raw["model"])
    if not isinstance(config, ModelConfig):
        raise UserError(f"the config of a model should stand under 'model', not {raw['model']!r:.80}")
    return config


def _write(config: ModelConfig) -> dict[str, Any]:
    return {"model_type": "allyouneed", "model": to_names(config)}


def _table(config: ModelConfig) -> Iterable[Weight]:
    return [weight(name, name) for name, _ in without_memory(config).named_parameters()]


FAMILY = Family(name="allyouneed", read=_read, write=_write, table=_table, embedding="", head="")
