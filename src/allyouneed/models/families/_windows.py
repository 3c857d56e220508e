"""Windows that only some layers have, in a config.json."""

from dataclasses import replace
from typing import Any

from allyouneed.blocks import Attention
from allyouneed.errors import UserError
from allyouneed.models.config import DecoderConfig
from allyouneed.models.family import Raw

FULL, WINDOW = "full_attention", "sliding_attention"


def read_windows(raw: Raw, plain: Attention) -> Attention | tuple[Attention, ...]:
    """`plain` for all layers, or one for each where `layer_types` (or, before it, `max_window_layers`) says so."""
    window = raw.get("sliding_window", 4096) if raw.get("use_sliding_window", False) else None
    if window is None:
        return plain
    n_layers, first = raw["num_hidden_layers"], raw.get("max_window_layers", 28)
    kinds = raw.get("layer_types") or [WINDOW if layer >= first else FULL for layer in range(n_layers)]
    if len(kinds) != n_layers or set(kinds) - {FULL, WINDOW}:
        raise UserError(f"config.json: layer_types must be {n_layers} times {FULL} or {WINDOW}, got {kinds}")
    mixers = tuple(replace(plain, window=window) if kind == WINDOW else plain for kind in kinds)
    return mixers[0] if len(set(mixers)) == 1 else mixers


def write_windows(config: DecoderConfig) -> tuple[Attention, dict[str, Any]]:
    """The first layer's attention without its window, and the keys that tell which layers have one."""
    mixers: Any = config.mixer if isinstance(config.mixer, tuple) else (config.mixer,) * config.n_layers
    windows = {mixer.window for mixer in mixers} - {None}
    if len(windows) > 1:
        raise ValueError(f"a config.json has room for one size of window, not {sorted(windows)}")
    kinds = [FULL if mixer.window is None else WINDOW for mixer in mixers]
    keys = {
        "use_sliding_window": bool(windows),
        "sliding_window": windows.pop() if windows else None,
        "max_window_layers": kinds.index(WINDOW) if WINDOW in kinds else config.n_layers,
        "layer_types": kinds,
    }
    return replace(mixers[0], window=None), keys
