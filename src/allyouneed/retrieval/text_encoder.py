"""Texts as vectors, by a checkpoint with its tokenizer: a sentence encoder, or one of DPR's two.

The vector of a text is what the checkpoint says: the mean over its tokens divided by its length (Reimers and Gurevych,
arXiv:1908.10084, and MiniLM), or the first token's as it is (Karpukhin et al., arXiv:2004.04906).
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from allyouneed import tokenizers
from allyouneed.blocks import FirstToken, mean_pool
from allyouneed.errors import UserError
from allyouneed.generation import right_pad
from allyouneed.models import Encoder, hub

Pool = Callable[[Tensor, Tensor], Tensor]
_SETTINGS = ("config.json", "1_Pooling/config.json", "sentence_bert_config.json", "modules.json")


class TextEncoder:
    """The encoder of a checkpoint: a folder, or a name on the hub.

    Raises UserError if it is no encoder, has no tokenizer, or makes its vectors in a way that is not known here.
    """

    def __init__(self, source: str | Path, device: str = "auto", dtype: str | None = None) -> None:
        self.folder = hub.local_folder(source)
        model = hub.load(self.folder, dtype, device)
        if not isinstance(model, Encoder):
            raise UserError(f"{source} is no encoder: vectors of texts come from models such as MiniLM, BERT or DPR")
        self._model = model.requires_grad_(False)
        self._tokenizer = hub.tokenizer(self.folder)
        self._pool = _pooling(model, self.folder)
        longest = _setting(self.folder / "sentence_bert_config.json", "max_seq_length") or model.config.max_seq_len
        self.max_tokens = min(int(longest), model.config.max_seq_len)

    @property
    def version(self) -> str:
        """The sha256 (hex) over all files that decide a vector."""
        files = [*sorted(self.folder.glob("model*.safetensors")), *tokenizers.files(self.folder)]
        files += [self.folder / name for name in _SETTINGS if (self.folder / name).is_file()]
        digest = hashlib.sha256()
        for file in dict.fromkeys(files):
            with file.open("rb") as opened:
                digest.update(f"{file.relative_to(self.folder)}\n".encode())
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()

    def __call__(
        self, texts: Sequence[str], batch_size: int = 32, progress: Callable[[int], object] = lambda n: None
    ) -> Float[np.ndarray, "texts channels"]:
        """The vectors of texts, in float32; what is beyond `max_tokens` of a text is not read.

        Texts of about equal length share a batch. progress: called with the number of texts after each batch.
        """
        rows = [self._tokens(text) for text in texts]
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        vectors: list[Tensor] = [torch.empty(0)] * len(rows)
        device = self._model.embedding.weight.device
        for first in range(0, len(order), batch_size):
            places = order[first : first + batch_size]
            tokens, mask = right_pad([rows[place] for place in places], device=device)
            with torch.inference_mode():
                pooled = self._pool(self._model.hidden(tokens, mask), mask).float().cpu()
            for place, vector in zip(places, pooled):
                vectors[place] = vector
            progress(len(places))
        if not vectors:
            return np.empty((0, 0), dtype=np.float32)
        return torch.stack(vectors).numpy()

    def _tokens(self, text: str) -> list[int]:
        tokens = self._tokenizer.encode(text, special=True)
        if len(tokens) <= self.max_tokens:
            return tokens
        end = tokens[-1:] if tokens[-1] in self._tokenizer.special_tokens.values() else []
        return tokens[: self.max_tokens - len(end)] + end


def _pooling(model: Encoder, folder: Path) -> Pool:
    """How a checkpoint's texts become vectors: DPR's by its format, others' by what sentence-transformers writes beside
    them, else by the mean."""
    if isinstance(model.config.pooler, FirstToken):
        return model.pooled
    settings = folder / "1_Pooling" / "config.json"
    modes = hub.read_json(settings) if settings.is_file() else {"pooling_mode_mean_tokens": True}
    asked = [mode for mode, wanted in modes.items() if mode.startswith("pooling_mode_") and wanted is True]
    if asked == ["pooling_mode_cls_token"]:
        return lambda hidden, mask: F.normalize(hidden[:, 0], dim=1)
    if asked == ["pooling_mode_mean_tokens"]:
        return normalised_mean
    raise UserError(f"{settings} asks for {', '.join(asked) or 'no pooling'}; known are the mean and the first token")


def normalised_mean(
    hidden: Float[Tensor, "batch seq channels"], mask: Bool[Tensor, "batch seq"]
) -> Float[Tensor, "batch channels"]:
    """The mean over a text's tokens, of length 1."""
    return F.normalize(mean_pool(hidden, mask), dim=1)


def _setting(file: Path, key: str) -> Any:
    return hub.read_json(file).get(key) if file.is_file() else None
