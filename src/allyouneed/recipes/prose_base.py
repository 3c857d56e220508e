"""A small language model of English prose: the base that studies of adaptation share.

It has read what sympy, networkx and numpy document, and nothing of scipy, of which `data.chats.docstring_chats` are
made. In Llama's shape with biases, and with a vocabulary of its own (extra "tokenizers").
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from safetensors.numpy import load_file, save_file

from allyouneed.blocks import Attention, RMSNorm, Rope, SwiGLU
from allyouneed.data.cache import atomic_write
from allyouneed.data.documents import SPLITS, in_splits, without_repeats
from allyouneed.data.ngram import ngram_loss
from allyouneed.data.text.corpora import docstrings
from allyouneed.data.text.windows import Windows
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.models.hub import save
from allyouneed.objectives import causal_lm
from allyouneed.tokenizers.protocol import Tokenizer
from allyouneed.tokenizers.subwords import train_subwords
from allyouneed.training import evaluate, fit
from allyouneed.training.fit import Precision

READ = ("sympy", "networkx", "numpy")
PACKAGES = ("sympy", "networkx", "numpy", "tokenizers")  # whose versions decide what it reads
END = "<end>"  # of a document: token 0
LEARNED_FROM = 2_000_000  # characters, for the vocabulary
HELD_OUT = 10_000  # tokens
FACTS, HELD_OUT_FILE = "base.json", "held_out.safetensors"


def prose_base(
    run: Any,
    *,
    packages: tuple[str, ...] = READ,
    d_model: int,
    n_layers: int,
    n_heads: int,
    vocab_size: int,
    train_len: int,
    batch_size: int,
    max_steps: int,
    lr: float = 3e-3,
    precision: Precision = "fp32",
) -> None:
    """A recipe: a checkpoint with its tokenizer, the held-out prose as tokens, and its loss there beside that of a
    trigram model of what it read. See `read_base`."""
    splits = in_splits(without_repeats(docstrings(packages)))
    # In an order that mixes the packages, or the first of them would be most of what is read.
    texts = {split: [text.decode("utf-8") for text in sorted(splits[split], key=_mixed)] for split in SPLITS}
    learned = train_subwords(["\n".join(texts["train"])[:LEARNED_FROM]], vocab_size, special=(END,))
    train = _tokens(learned, texts["train"], most=max_steps * batch_size * train_len)
    held_out = _tokens(learned, texts["test"], most=HELD_OUT)
    config = DecoderConfig(
        vocab_size=learned.vocab_size,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        max_seq_len=train_len,
        positions=Rope(),
        norm=RMSNorm(),
        mixer=Attention(bias=True),
        feedforward=SwiGLU(bias=True),
    )
    model = Decoder(config, seed=run.seed).to(run.device)
    fit(
        model,
        causal_lm,
        Windows(train, train_len).stream(batch_size, seed=run.seed),
        max_steps=max_steps,
        warmup_steps=max_steps // 20,
        lr=lr,
        precision=precision,
        seed=run.seed,
        log=run.log,
        log_every=max(1, max_steps // 50),
    )
    loss = evaluate(model, causal_lm, Windows(held_out, train_len).batches(64))
    trigram = ngram_loss(train, held_out, order=3, vocab_size=learned.vocab_size)
    save(model, run.dir)
    atomic_write(run.dir / "tokenizer.json", learned.to_dict()["description"].encode())
    atomic_write(run.dir / "tokenizer_config.json", json.dumps({"eos_token": END}).encode())
    atomic_write(run.dir / FACTS, json.dumps({"loss": loss, "trigram": trigram}).encode())
    save_file({"tokens": held_out}, run.dir / HELD_OUT_FILE)


@dataclass(frozen=True)
class Prose:
    """What is known of a base on prose that it has not read: the prose as tokens, its loss there (nats a token), and
    that of a trigram model of what it read."""

    tokens: Int[np.ndarray, "total"]
    loss: float
    trigram: float


def read_base(folder: Path) -> Prose:
    """What `prose_base` left beside its checkpoint."""
    facts = json.loads((folder / FACTS).read_text())
    return Prose(load_file(folder / HELD_OUT_FILE)["tokens"], facts["loss"], facts["trigram"])


def _mixed(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _tokens(tokenizer: Tokenizer, documents: list[str], most: int) -> Int[np.ndarray, "total"]:
    """The first documents that have `most` tokens together, with the end token after each."""
    rows: list[int] = []
    for document in documents:
        rows += [*tokenizer.encode(document), 0]
        if len(rows) >= most:
            break
    return np.array(rows, dtype=np.int32)
