"""Where a checkpoint, as it is read here, first differs from what transformers makes of it (extra "transformers")."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allyouneed.errors import UserError, require
from allyouneed.models.build import Model
from allyouneed.models.encoder_decoder import EncoderDecoder
from allyouneed.models.family import last_stack
from allyouneed.models.hub import load, local_folder, read_json
from allyouneed.models.stack import Stack
from allyouneed.models.vision import VisionEncoder

TOLERANCE = 1e-4  # of the largest value; float32 differs by about 1e-6 a layer, a wrong layout by 1
AUTO = {"ForCausalLM": "CausalLM", "LMHeadModel": "CausalLM", "ForMaskedLM": "MaskedLM"}
AUTO |= {"ForConditionalGeneration": "Seq2SeqLM", "ForPreTraining": "MaskedLM"}
AUTO |= {"ForImageClassification": "ImageClassification"}


@dataclass(frozen=True)
class Difference:
    """How far the two are apart at one place, as a share of the largest value there."""

    place: str
    relative: float

    @property
    def is_one(self) -> bool:
        """More than rounding."""
        return not self.relative <= TOLERANCE  # nor is a NaN rounding


def diff(source: str | Path, *, seq: int = 24, seed: int = 0) -> list[Difference]:
    """Place by place, from the embedding to the logits: how far ours is from the reference's, in float32 on the CPU.

    Both read the same random tokens, two rows of `seq`, or two random pictures. The first entry that `is_one` is where
    they part: what comes after it is a consequence. Raises UserError if either cannot read the checkpoint, MissingExtra
    without transformers.
    """
    require("transformers", "transformers")
    folder = local_folder(source)
    ours = load(folder, dtype="float32", device="cpu")
    theirs = _reference(folder)
    inputs = _inputs(ours, seq, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        mine, reference = _places(ours, inputs), _reference_places(theirs, inputs, ours)
    if mine.keys() != reference.keys():
        raise UserError(f"the two have different places to compare: {[*mine]} and {[*reference]}")
    return [Difference(place, _relative(mine[place], reference[place])) for place in mine]


def _inputs(ours: Model, seq: int, generator: torch.Generator) -> Tensor:
    if isinstance(ours, VisionEncoder):
        size = ours.config
        return torch.randn(2, size.patches.channels, size.height, size.width, generator=generator)
    stack = ours.encoder if isinstance(ours, EncoderDecoder) else ours
    seq = min(seq, stack.config.max_seq_len)
    return torch.randint(1, stack.config.vocab_size, (2, seq), generator=generator)


def _reference(folder: Path) -> Any:
    transformers = require("transformers", "transformers")
    architecture = (read_json(folder / "config.json").get("architectures") or [""])[0]
    kind = next((auto for ending, auto in AUTO.items() if architecture.endswith(ending)), "")
    auto = getattr(transformers, f"AutoModelFor{kind}" if kind else "AutoModel")
    try:
        model = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True)
    except Exception as error:  # it raises what its readers raise
        raise UserError(f"transformers cannot read {folder}: {error}") from error
    return model.eval()


def _relative(ours: Tensor, theirs: Tensor) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12))


def _reference_places(model: Any, inputs: Tensor, ours: Model) -> dict[str, Tensor]:
    places: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, stack in _stacks(ours).items():
            part = model if name == "" else getattr(model, name, None) or getattr(model.model, name)
            hooks.enter_context(_recorded(_layers(part, stack.config.n_layers), name, places))
        given = {"decoder_input_ids": inputs} if model.config.is_encoder_decoder else {}
        found = model(**{model.main_input_name: inputs}, **given)
    return places | ({"logits": found.logits} if "logits" in found else {})


def _places(model: Model, inputs: Tensor) -> dict[str, Tensor]:
    places: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, stack in _stacks(model).items():
            hooks.enter_context(_recorded(stack.layers, name, places))
        hidden = model.hidden(inputs, inputs) if isinstance(model, EncoderDecoder) else model.hidden(inputs)
    if not last_stack(model.config).has_head:
        return places
    return places | {"logits": model.head(hidden[:, 0] if isinstance(model, VisionEncoder) else hidden)}


def _stacks(model: Model) -> dict[str, Stack]:
    if isinstance(model, EncoderDecoder):
        return {"encoder": model.encoder, "decoder": model.decoder}
    return {"": model}


def _layers(model: nn.Module, n_layers: int) -> nn.ModuleList:
    """The reference's list of its layers: the first list of modules that is as long."""
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            return module
    raise UserError(f"transformers' model has no list of {n_layers} layers")


@contextmanager
def _recorded(layers: nn.ModuleList, prefix: str, places: dict[str, Tensor]) -> Iterator[None]:
    """Within the block a forward fills `places`: with what enters the layers, and what leaves each."""

    def enters(module: nn.Module, args: Any, kwargs: Any) -> None:
        places[f"{prefix} embedding".strip()] = args[0] if args else kwargs["hidden_states"]

    def leaves(place: str) -> Any:
        def keep(module: nn.Module, args: Any, output: Any) -> None:
            places[place] = output[0] if isinstance(output, tuple) else output

        return keep

    hooks = [layers[0].register_forward_pre_hook(enters, with_kwargs=True)]
    for index, layer in enumerate(layers):
        hooks.append(layer.register_forward_hook(leaves(f"{prefix} layer {index}".strip())))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
