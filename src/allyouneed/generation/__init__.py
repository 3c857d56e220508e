"""Generation: choosing tokens, writing on from a prompt, and scores of what was written."""

from allyouneed.generation.beam import Beams as Beams
from allyouneed.generation.beam import beam_search as beam_search
from allyouneed.generation.draws import Draws as Draws
from allyouneed.generation.draws import row_seeds as row_seeds
from allyouneed.generation.generate import Written as Written
from allyouneed.generation.generate import generate as generate
from allyouneed.generation.generate import stream as stream
from allyouneed.generation.likelihood import Likelihood as Likelihood
from allyouneed.generation.likelihood import score as score
from allyouneed.generation.reading import Begins as Begins
from allyouneed.generation.reading import left_pad as left_pad
from allyouneed.generation.reading import right_pad as right_pad
from allyouneed.generation.sampling import Sampling as Sampling
from allyouneed.generation.sampling import draw as draw
from allyouneed.generation.sampling import sample as sample
from allyouneed.generation.sampling import seen_tokens as seen_tokens
from allyouneed.generation.sampling import warp as warp
from allyouneed.generation.scores import bleu as bleu
from allyouneed.generation.scores import exact_match as exact_match
from allyouneed.generation.speculative import Speculated as Speculated
from allyouneed.generation.speculative import speculate_step as speculate_step
from allyouneed.generation.speculative import speculative as speculative
from allyouneed.generation.stop import Stop as Stop
from allyouneed.generation.text import score_texts as score_texts
from allyouneed.generation.text import stream_text as stream_text
from allyouneed.generation.text import write_texts as write_texts
from allyouneed.generation.translate import translate as translate

__all__ = [
    "Beams",
    "Begins",
    "Draws",
    "Likelihood",
    "Sampling",
    "Speculated",
    "Stop",
    "Written",
    "beam_search",
    "bleu",
    "draw",
    "exact_match",
    "generate",
    "left_pad",
    "right_pad",
    "row_seeds",
    "sample",
    "score",
    "score_texts",
    "seen_tokens",
    "speculate_step",
    "speculative",
    "stream",
    "stream_text",
    "translate",
    "warp",
    "write_texts",
]
