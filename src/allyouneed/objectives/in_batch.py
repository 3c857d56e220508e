"""In-batch negatives: each question's passage against the passages of all other questions of the batch.

Karpukhin et al., "Dense Passage Retrieval for Open-Domain Question Answering", 2020, arXiv:2004.04906, section 3.2.
The loss of question i, with its passage in row i (1 + H) and its H hard negatives behind it, is

    -log( exp(q_i . p_+) / sum_j exp(q_i . p_j) ),    j over all B (1 + H) passages of the batch,

so that another question's hard negatives are negatives too.

| code | paper |
| --- | --- |
| queries, passages | E_Q(q_i), E_P(p_j), section 3.1 |
| n_hard | the negatives of a question in its batch besides the gold passages of the others, section 3.2 |
| scores | S = Q P^T, the inner product of section 3.1: no cosine, no temperature |
"""

import torch
from jaxtyping import Float
from torch import Tensor

from allyouneed.objectives.cross_entropy import cross_entropy
from allyouneed.objectives.loss import Loss

NONE_LEFT_OUT = -100


def in_batch_loss(
    queries: Float[Tensor, "batch channels"], passages: Float[Tensor, "rows channels"], n_hard: int = 0
) -> Loss:
    """Sum over the questions of the negative log likelihood (nats) of their own passage; logs "accuracy", how often
    that is the first.

    passages: (1 + n_hard) rows a question, its own first. The batch is one whole: micro-batches would have fewer
    negatives. Raises ValueError if the rows are not as many.
    """
    if n_hard < 0 or len(passages) != len(queries) * (1 + n_hard):
        raise ValueError(f"{len(queries)} questions with {n_hard} hard negatives each, but {len(passages)} passages")
    scores = queries @ passages.T
    own = torch.arange(len(queries), device=queries.device) * (1 + n_hard)
    right = (scores.argmax(dim=1) == own).to(scores.dtype).mean()
    return Loss(cross_entropy(scores, own, ignore=NONE_LEFT_OUT), len(queries), {"accuracy": right})
