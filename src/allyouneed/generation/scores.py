"""How well texts that a model wrote agree with reference texts."""

from collections.abc import Sequence

from allyouneed.errors import require


def bleu(written: Sequence[str], references: Sequence[str], tokenize: str = "13a") -> float:
    """BLEU of a whole corpus, 0 to 100, with one reference a sentence, as sacrebleu computes it.

    Papineni et al., "BLEU", 2002, and Post, "A Call for Clarity in Reporting BLEU Scores", 2018,
    arXiv:1804.08771; its signature is nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp. `tokenize` names another
    of sacrebleu's tokenizers: "char" for texts of a word or two, which have no sequence of four words. Raises
    ValueError if there is nothing to score or the numbers of sentences differ, MissingExtra without sacrebleu.
    """
    _check_pairs(written, references)
    metrics = require("sacrebleu.metrics", "translation")
    return metrics.BLEU(tokenize=tokenize, smooth_method="exp").corpus_score(written, [references]).score


def exact_match(written: Sequence[str], references: Sequence[str]) -> list[float]:
    """1 for each sentence that is its reference character for character, else 0.

    Raises ValueError if there is nothing to score or the numbers of sentences differ.
    """
    _check_pairs(written, references)
    return [float(ours == theirs) for ours, theirs in zip(written, references)]


def _check_pairs(written: Sequence[str], references: Sequence[str]) -> None:
    if not written or len(written) != len(references):
        raise ValueError(
            f"each written sentence needs one reference, and there must be one at least; "
            f"got {len(written)} sentences and {len(references)} references"
        )
