"""Rotary positions in a config.json: as transformers 5 writes them, in one object, and as older tools do."""

import math
from typing import Any

from allyouneed.blocks.positions import LinearScaling, Llama3Scaling, Rope, Yarn
from allyouneed.blocks.positions.rope_scaling import RopeScaling
from allyouneed.errors import UserError
from allyouneed.models.family import Raw


def read_rope(raw: Raw, theta: float = 1e4, rotary_factor: float = 1.0) -> Rope:
    """The scheme that the config asks for; `theta` and `rotary_factor` are the family's defaults.

    Raises UserError for a kind of scaling that is not supported, or an incomplete one.
    """
    given = raw.get("rope_scaling") or raw.get("rope_parameters") or {}
    if any(isinstance(value, dict) for value in given.values()):
        raise UserError("config.json has rotary positions that differ from layer to layer, which is not supported")
    said = {**raw, **given}
    for key in ("rope_theta", "partial_rotary_factor"):
        if not isinstance(said.get(key) or 1.0, int | float):
            raise UserError(f"config.json says {key} = {said[key]!r}, which is no number")
    try:
        scaling = _scaling(given, raw)
    except KeyError as error:
        raise UserError(f"config.json scales its rotary positions but has no {error.args[0]}") from None
    return Rope(
        theta=said.get("rope_theta") or theta,
        partial_rotary_factor=said.get("partial_rotary_factor") or rotary_factor,
        scaling=scaling,
    )


def _scaling(given: Raw, raw: Raw) -> RopeScaling | None:
    kind = given.get("rope_type", given.get("type", "default"))
    if kind == "default":
        return None
    if kind == "linear":
        return LinearScaling(given["factor"])
    original = given.get("original_max_position_embeddings") or raw["max_position_embeddings"]
    if kind == "llama3":
        return Llama3Scaling(given["factor"], given["low_freq_factor"], given["high_freq_factor"], original)
    if kind == "yarn":
        factor = given["factor"] or raw["max_position_embeddings"] / original
        return Yarn(
            factor,
            original,
            beta_fast=given.get("beta_fast") or 32,
            beta_slow=given.get("beta_slow") or 1,
            attention_factor=_attention_factor(given, factor),
            truncate=given.get("truncate", True),
        )
    why = ": it turns the keys anew at every length, which cached keys cannot follow" if kind == "dynamic" else ""
    raise UserError(f"rotary positions scaled by the rule {kind!r} are not supported (linear, llama3, yarn are){why}")


def _attention_factor(given: Raw, factor: float) -> float | None:
    """As given, or from DeepSeek's pair of coefficients; None for Yarn's own rule."""
    over, under = given.get("mscale"), given.get("mscale_all_dim")
    if given.get("attention_factor") is None and over and under:
        growth = 0.1 * math.log(max(factor, 1.0))
        return (growth * over + 1) / (growth * under + 1)
    return given.get("attention_factor")


def write_rope(rope: Rope) -> dict[str, Any]:
    """The keys of both generations. Raises ValueError for interleaved pairs, which the format cannot say."""
    if rope.interleaved:
        raise ValueError("a config.json has no word for interleaved rotary pairs")
    scaling = _written(rope.scaling)
    whole = {"rope_theta": rope.theta} | (scaling or {"rope_type": "default"})
    partial = {"partial_rotary_factor": rope.partial_rotary_factor} if rope.partial_rotary_factor != 1 else {}
    older = {"rope_theta": rope.theta, "rope_scaling": scaling and scaling | {"type": scaling["rope_type"]}}
    return {"rope_parameters": whole | partial, **older, **partial}


def _written(scaling: RopeScaling | None) -> dict[str, Any] | None:
    if scaling is None:
        return None
    if isinstance(scaling, LinearScaling):
        return {"rope_type": "linear", "factor": scaling.factor}
    if isinstance(scaling, Llama3Scaling):
        return {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_max_seq_len,
        }
    if isinstance(scaling, Yarn):
        optional = {"attention_factor": scaling.attention_factor} if scaling.attention_factor is not None else {}
        return {
            "rope_type": "yarn",
            "factor": scaling.factor,
            "original_max_position_embeddings": scaling.original_max_seq_len,
            "beta_fast": scaling.beta_fast,
            "beta_slow": scaling.beta_slow,
            "truncate": scaling.truncate,
        } | optional
    raise ValueError(f"a config.json has no word for {scaling}")
