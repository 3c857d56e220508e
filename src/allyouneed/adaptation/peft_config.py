"""adapter_config.json: what of it is read, what makes no difference here, and what cannot be done."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from allyouneed.adaptation.lora import Lora
from allyouneed.errors import UserError

READ = ("peft_type", "r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern")
# What was chosen before training: the tensors show it, or it concerns other ways of running.
WITHOUT_EFFECT = (
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "target_modules",
    "task_type",
)
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")  # others change the weights of the model, too


@dataclass(frozen=True)
class LoraSettings:
    """Settings of each module: its own where a pattern names it, else those of all.

    lora: of all. ranks, alphas: by pattern of their module names, a regular expression for the end of a name.
    """

    lora: Lora
    ranks: Mapping[str, int] = field(default_factory=dict)
    alphas: Mapping[str, float] = field(default_factory=dict)

    def alpha_of(self, module: str) -> float:
        """The alpha of one of their modules."""
        named = (value for key, value in self.alphas.items() if re.match(rf"(.*\.)?({key})$", module))
        return float(next(named, self.lora.alpha))


def read_config(raw: Mapping[str, Any], where: str) -> LoraSettings:
    """What an adapter_config.json says. Raises UserError, which names the key, for what cannot be done here."""
    if raw.get("peft_type", "LORA") != "LORA":
        raise UserError(f"{where}: peft_type is {raw['peft_type']!r}; only 'LORA' is read")
    if raw.get("init_lora_weights", True) not in PLAIN_STARTS:
        start = raw["init_lora_weights"]
        raise UserError(
            f"{where}: init_lora_weights is {start!r}, which belongs to a base with other weights; "
            "have peft convert it (path_initial_model_for_weight_conversion), or merge it there"
        )
    known = {*READ, *WITHOUT_EFFECT, "init_lora_weights"}
    for key, value in raw.items():
        if key not in known and value and value != "none":
            raise UserError(f"{where}: {key} is {value!r:.80}, which this library cannot do")
    try:
        lora = Lora(
            rank=raw["r"],
            alpha=raw["lora_alpha"],
            dropout=raw.get("lora_dropout", 0.0),
            scaling="alpha/sqrt(rank)" if raw.get("use_rslora") else "alpha/rank",
        )
        return LoraSettings(lora, dict(raw.get("rank_pattern") or {}), dict(raw.get("alpha_pattern") or {}))
    except (KeyError, TypeError, ValueError) as error:
        missing = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{where}: {missing}") from error


def write_config(settings: LoraSettings, targets: list[str], *, transposed: bool, base: str | None) -> dict[str, Any]:
    """The adapter_config.json of an adapter at `targets`, their names of modules or how these end."""
    lora = settings.lora
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": lora.rank,
        "lora_alpha": _plain(lora.alpha),
        "lora_dropout": lora.dropout,
        "use_rslora": lora.scaling == "alpha/sqrt(rank)",
        "rank_pattern": dict(settings.ranks),
        "alpha_pattern": {name: _plain(alpha) for name, alpha in settings.alphas.items()},
        "target_modules": targets,
        "fan_in_fan_out": transposed,
        "bias": "none",
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
        "task_type": None,
        "use_dora": False,
    }


def _plain(alpha: float) -> float | int:
    """3.0 as 3, for readers that expect whole numbers."""
    return int(alpha) if float(alpha).is_integer() else alpha
