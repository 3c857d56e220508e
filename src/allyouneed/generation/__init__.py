"""Generation: choosing tokens and writing on from a prompt."""

from allyouneed.generation.generate import generate as generate
from allyouneed.generation.sampling import filter_logits as filter_logits
from allyouneed.generation.sampling import sample as sample

__all__ = ["filter_logits", "generate", "sample"]
