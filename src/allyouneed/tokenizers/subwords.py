"""A small vocabulary of pieces of words, learned from the text at hand (extra "tokenizers").

Byte pair encoding over bytes (Sennrich et al., 2016, arXiv:1508.07909; on bytes as in GPT-2): it starts from the
bytes that occur and merges the most frequent pair until the vocabulary is full.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from allyouneed.errors import require
from allyouneed.tokenizers.hf import Pretrained

PACKAGES = ("tokenizers",)  # whose version decides which pieces are learned

SPECIAL = ("<pad>", "<start>", "<end>")
PADDING, START, END = range(3)
UNKNOWN = "\ufffd"


def train_subwords(texts: Iterable[str], vocab_size: int, special: tuple[str, ...] = SPECIAL) -> Pretrained:
    """A tokenizer of at most `vocab_size` tokens; fewer if the texts have no more pieces. The same texts in the same
    order give the same tokenizer.

    Tokens 0, 1, ... are the `special` ones: `encode` never gives one, also where a text contains its name. Text made
    of bytes that occur in `texts` comes back from `decode` exactly. Another byte becomes U+FFFD, which is the token
    after the special ones: a model that is trained on the texts could learn nothing of it in any case. Raises
    ValueError if the vocabulary cannot hold every byte that occurs, MissingExtra without the `tokenizers` package.
    """
    package = require("tokenizers", "tokenizers")
    texts = list(texts)
    least = len(special) + 1 + len(set().union(*(text.encode() for text in texts)))
    if vocab_size < least:
        raise ValueError(f"vocab_size must be at least {least} for these texts, got {vocab_size}")
    tokenizer = package.Tokenizer(package.models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[*special, UNKNOWN], show_progress=False
    )
    with _one_thread():
        tokenizer.train_from_iterator(texts, trainer)
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = []  # or a text that contains "<end>" would be cut there
    return Pretrained(json.dumps(description))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Where trials share the cores, threads that wait for one another take several times as long as one."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
