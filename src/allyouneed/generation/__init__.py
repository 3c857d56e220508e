"""Generation: choosing tokens, writing on from a prompt, and scores of what was written."""

from allyouneed.generation.beam import Beams as Beams
from allyouneed.generation.beam import beam_search as beam_search
from allyouneed.generation.generate import generate as generate
from allyouneed.generation.sampling import filter_logits as filter_logits
from allyouneed.generation.sampling import sample as sample
from allyouneed.generation.scores import bleu as bleu
from allyouneed.generation.scores import exact_match as exact_match
from allyouneed.generation.translate import translate as translate

__all__ = ["Beams", "beam_search", "bleu", "exact_match", "filter_logits", "generate", "sample", "translate"]
