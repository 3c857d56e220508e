"""U-Nets in and out, in diffusers' format (its UNet2DModel): config.json beside diffusion_pytorch_model.safetensors."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from allyouneed.errors import UserError
from allyouneed.models.family import Family, Raw, only
from allyouneed.models.hub import read_json
from allyouneed.models.matching import match
from allyouneed.models.shards import CONFIG, read_tensors, stored_tensors, whole_or_nothing
from allyouneed.models.unet import UNet, UNetConfig
from allyouneed.models.weight_table import Weight, linear

WEIGHTS = "diffusion_pytorch_model.safetensors"
DOWN = {"DownBlock2D": False, "AttnDownBlock2D": True}  # with attention?
UP = {"UpBlock2D": False, "AttnUpBlock2D": True}
PLAIN = {  # keys that say what is not varied here, and the values that say so
    "act_fn": ("silu", "swish"),
    "add_attention": (True, False),
    "attn_norm_num_groups": (None,),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "downsample_padding": (0, 1),
    "downsample_type": ("conv",),
    "mid_block_scale_factor": (1,),
    "mid_block_type": ("UNetMidBlock2D",),
    "num_class_embeds": (None,),
    "resnet_time_scale_shift": ("default",),
    "time_embedding_dim": (None,),
    "time_embedding_type": ("positional",),
    "upsample_type": ("conv",),
}
OLD_ATTENTION = {  # of files from before 2023
    rf"\.{old}\.(weight|bias)": rf".{new}.\1"
    for old, new in {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}.items()
}


def load_unet(folder: Path, device: str = "cpu") -> UNet:
    """The U-Net in a folder, in evaluation mode and in the precision of its file.

    Raises UserError, with the name of what is wrong, for a config with parts that are not known here and for files
    that are damaged or whose tensors are not those of the config.
    """
    raw = read_json(folder / CONFIG)
    try:
        config = _read(raw)
    except (UserError, ValueError, TypeError) as error:
        raise UserError(f"{folder / CONFIG}: {error}") from error
    with torch.device("meta"):
        model = UNet(config)
    stored = stored_tensors(folder, WEIGHTS)
    table = _table(config)
    found = match(FAMILY, table, {name: p.shape for name, p in model.named_parameters()}, stored, folder)
    ours = {entry.theirs[0]: entry.ours[0] for entry in table}
    weights: dict[str, torch.Tensor] = {}
    for file in {tensor.file for tensor in stored.values()}:
        here = {name: their for their, name in found.items() if stored[name].file == file}
        weights |= {ours[here[name]]: tensor.to(device) for name, tensor in read_tensors(file, here)}
    model.load_state_dict(weights, assign=True)
    return model.eval()


def save_unet(model: UNet, folder: Path) -> None:
    """Write a U-Net, all or nothing. Raises UserError if the disk refuses."""
    ours = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    tensors = {entry.theirs[0]: ours[entry.ours[0]] for entry in _table(model.config)}
    with whole_or_nothing(folder) as part:
        save_file(tensors, part / WEIGHTS, metadata={"format": "pt"})
        (part / CONFIG).write_text(json.dumps(_write(model.config), indent=2) + "\n", encoding="utf-8")


def _read(raw: Raw, names: Any = ()) -> UNetConfig:
    if raw.get("_class_name", "UNet2DModel") != "UNet2DModel":
        raise UserError(f"it is of a {raw['_class_name']}; only UNet2DModel is read")
    for key, values in PLAIN.items():
        only(raw, key, *values)
    if raw.get("sample_size") is None:
        raise UserError("it has no sample_size, the height and width of a picture")
    size, n_levels = raw["sample_size"], len(raw.get("block_out_channels", (224, 448, 672, 896)))
    height, width = (size, size) if isinstance(size, int) else size
    up = _attention(raw, "up_block_types", UP, ("AttnUpBlock2D",) * (n_levels - 1) + ("UpBlock2D",))
    return UNetConfig(
        height=height,
        width=width,
        in_channels=raw.get("in_channels", 3),
        out_channels=raw.get("out_channels", 3),
        channels=tuple(raw.get("block_out_channels", (224, 448, 672, 896))),
        layers_per_level=raw.get("layers_per_block", 2),
        down_attention=_attention(
            raw, "down_block_types", DOWN, ("DownBlock2D",) + ("AttnDownBlock2D",) * (n_levels - 1)
        ),
        up_attention=up[::-1],  # theirs are listed as they are passed through, coarsest first
        mid_attention=raw.get("add_attention", True),
        head_dim=raw.get("attention_head_dim", 8),
        norm_groups=raw.get("norm_num_groups", 32),
        norm_eps=raw.get("norm_eps", 1e-5),
        dropout=raw.get("dropout", 0.0),
        frequency_shift=raw.get("freq_shift", 0),
        cosine_first=raw.get("flip_sin_to_cos", True),
        even_padding=raw.get("downsample_padding", 1) == 1,
    )


def _attention(raw: Raw, key: str, known: dict[str, bool], default: tuple[str, ...]) -> tuple[bool, ...]:
    types = raw.get(key, default)
    for name in types:
        if name not in known:
            raise UserError(f"{key} has a {name}; supported blocks: {', '.join(known)}")
    return tuple(known[name] for name in types)


def _write(config: UNetConfig) -> dict[str, Any]:
    down = {attention: name for name, attention in DOWN.items()}
    up = {attention: name for name, attention in UP.items()}
    square = config.height == config.width
    return {
        "_class_name": "UNet2DModel",
        "act_fn": "silu",
        "add_attention": config.mid_attention,
        "attention_head_dim": config.head_dim,
        "block_out_channels": list(config.channels),
        "center_input_sample": False,
        "down_block_types": [down[attention] for attention in config.down_attention],
        "downsample_padding": int(config.even_padding),
        "dropout": config.dropout,
        "flip_sin_to_cos": config.cosine_first,
        "freq_shift": config.frequency_shift,
        "in_channels": config.in_channels,
        "layers_per_block": config.layers_per_level,
        "mid_block_scale_factor": 1,
        "norm_eps": config.norm_eps,
        "norm_num_groups": config.norm_groups,
        "out_channels": config.out_channels,
        "sample_size": config.height if square else [config.height, config.width],
        "time_embedding_type": "positional",
        "up_block_types": [up[attention] for attention in reversed(config.up_attention)],
    }


def _table(config: UNetConfig) -> list[Weight]:
    """Ours and theirs, tensor for tensor."""
    pairs = {
        "time.first": "time_embedding.linear_1",
        "time.second": "time_embedding.linear_2",
        "conv_in": "conv_in",
        "norm_out": "conv_norm_out",
        "conv_out": "conv_out",
    }
    for way, resizers, n_layers in (("down", "downsamplers", 0), ("up", "upsamplers", 1)):
        for level in range(len(config.channels)):
            theirs = f"{way}_blocks.{level}"
            pairs[f"{way}.{level}.resize.conv"] = f"{theirs}.{resizers}.0.conv"
            for layer in range(config.layers_per_level + n_layers):
                pairs |= _residual(f"{way}.{level}.residuals.{layer}", f"{theirs}.resnets.{layer}")
                pairs |= _pixels(f"{way}.{level}.attentions.{layer}", f"{theirs}.attentions.{layer}")
    for layer in range(2):
        pairs |= _residual(f"middle.residuals.{layer}", f"mid_block.resnets.{layer}")
    pairs |= _pixels("middle.attention", "mid_block.attentions.0")
    with torch.device("meta"):
        present = {name for name, _ in UNet(config).named_parameters()}
    table = [entry for ours, theirs in pairs.items() for entry in linear(ours, theirs)]
    return [entry for entry in table if entry.ours[0] in present]


def _residual(ours: str, theirs: str) -> dict[str, str]:
    parts = {"time": "time_emb_proj", "shortcut": "conv_shortcut"}
    names = ("norm1", "conv1", "time", "norm2", "conv2", "shortcut")
    return {f"{ours}.{name}": f"{theirs}.{parts.get(name, name)}" for name in names}


def _pixels(ours: str, theirs: str) -> dict[str, str]:
    parts = {"norm": "group_norm", "mixer.q": "to_q", "mixer.k": "to_k", "mixer.v": "to_v", "mixer.out": "to_out.0"}
    return {f"{ours}.{name}": f"{theirs}.{their}" for name, their in parts.items()}


FAMILY = Family(  # not among those of `hub`, whose models are of tokens
    name="UNet2DModel",
    read=_read,  # type: ignore[arg-type]
    write=_write,
    table=_table,
    embedding="",
    head="",
    renamed=OLD_ATTENTION,
)
