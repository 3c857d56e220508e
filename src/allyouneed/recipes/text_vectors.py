"""The vectors that MiniLM gives to a collection's passages and questions: made once, shared by all trials."""

from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from allyouneed.recipes.minilm import minilm
from allyouneed.retrieval.text_encoder import TextEncoder

FILE = "vectors.safetensors"
SPLITS = ("train", "tune", "test")
_SHARE = 512  # texts between two signs of life


def text_vectors(run: Any, part: tuple[int, int, int] | None = None) -> None:
    """A recipe: writes "passages", "train", "tune" and "test" of `run.data`, or of a part of it, a row a text."""
    data = run.data.part(*part) if part else run.data
    encode = TextEncoder(minilm(), device=run.device)
    texts = {"passages": data.passages} | {name: getattr(data, name).texts for name in SPLITS}
    vectors = {}
    for name, some in texts.items():
        parts = []
        for first in range(0, len(some), _SHARE):
            parts.append(encode(some[first : first + _SHARE]))
            run.heartbeat()
        if parts:
            vectors[name] = torch.from_numpy(np.concatenate(parts))
    save_file(vectors, run.dir / FILE)


def read_vectors(run: Any, part: tuple[int, int, int] | None = None) -> dict[str, torch.Tensor]:
    """The artifact's vectors; of a split without questions, none."""
    found = load_file(run.artifact(text_vectors, part=part) / FILE)
    width = found["passages"].shape[1]
    return {name: found.get(name, torch.empty(0, width)) for name in ("passages", *SPLITS)}
