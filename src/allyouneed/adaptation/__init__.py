"""Small trainable parts beside a frozen model: LoRA, and what puts any such part in, switches and merges it."""

from allyouneed.adaptation.adapters import (
    Adapted,
    Adapter,
    Branch,
    activate,
    adapters,
    adapters_off,
    add_adapter,
    branches,
    merge,
    remove_adapters,
    unmerge,
)
from allyouneed.adaptation.lora import ALL_LINEAR, Lora
from allyouneed.adaptation.peft_format import load_adapter, save_adapter
from allyouneed.adaptation.places import fused

__all__ = [
    "ALL_LINEAR",
    "Adapted",
    "Adapter",
    "Branch",
    "Lora",
    "activate",
    "adapters",
    "adapters_off",
    "add_adapter",
    "branches",
    "fused",
    "load_adapter",
    "merge",
    "remove_adapters",
    "save_adapter",
    "unmerge",
]
