"""A small decoder that talks like a set of preferences, from nothing: what alignment on text starts from."""

import json
from typing import Any

import numpy as np

from allyouneed.alignment import sft_on_chosen
from allyouneed.blocks import RMSNorm, Rope, SwiGLU
from allyouneed.data.cache import atomic_write
from allyouneed.data.preferences import Preferences
from allyouneed.data.preferences.batches import encode_texts
from allyouneed.data.text.windows import Windows
from allyouneed.models import Decoder, DecoderConfig
from allyouneed.models.hub import save, tokenizer
from allyouneed.objectives import causal_lm
from allyouneed.tokenizers.subwords import train_subwords
from allyouneed.training import fit

END = "<end>"
LR = 2e-3  # at width 128


def preference_base(
    run: Any, vocab_size: int, d_model: int, n_layers: int, max_len: int, lm_steps: int, sft_steps: int
) -> None:
    """Learn a vocabulary and all train texts of the run's data, then the preferred answers alone; save a checkpoint.

    Batches are 8 windows of `max_len` tokens, then 16 answers. The rejected answers are text like any other in the
    first stage; the second has the preferred ones only.
    """
    data: Preferences = run.data
    texts = [pair.asked + answer for pair in data.train for answer in (pair.chosen, pair.rejected)]
    words = train_subwords(texts, vocab_size, special=(END,))
    atomic_write(run.dir / "tokenizer.json", words.to_dict()["description"].encode())
    atomic_write(run.dir / "tokenizer_config.json", json.dumps({"eos_token": END}).encode())
    written = tokenizer(run.dir)
    end = written.eos_ids[0]
    config = DecoderConfig(
        vocab_size=words.vocab_size,
        d_model=d_model,
        n_layers=n_layers,
        max_seq_len=max_len,
        positions=Rope(),
        norm=RMSNorm(),
        feedforward=SwiGLU(),
    )
    model = Decoder(config, seed=run.seed).to(run.device)
    every = {"seed": run.seed, "log": run.log, "warmup_steps": lm_steps // 10}
    running = np.array([token for text in texts for token in (*written.encode(text), end)])
    windows = Windows(running, min(max_len, len(running) - 1))
    fit(model, causal_lm, windows.stream(8, run.seed), max_steps=lm_steps, lr=LR * 128 / d_model, **every)
    pairs, _ = encode_texts(data.train, written, max_len)
    every["warmup_steps"] = sft_steps // 10
    lr = LR / 4 * 128 / d_model
    fit(model, sft_on_chosen, pairs.stream(16, run.seed), max_steps=sft_steps, lr=lr, **every)
    save(model, run.dir)
