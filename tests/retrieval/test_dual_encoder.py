"""The stream of questions, hard negatives, and a dual encoder that learns by the loop that everything learns by."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from allyouneed.blocks import FirstToken, NoHead, Rope
from allyouneed.models import Encoder, EncoderConfig
from allyouneed.retrieval import BM25, DualEncoder, InBatch, QuestionStream, hard_negatives
from allyouneed.retrieval.dual_encoder import TokenEncoder, Tokens, vectors_at
from allyouneed.training import fit

OWN = np.array([7, 3, 9, 1, 5, 0, 2])
HARD = np.array([[10, 11, -1]] * 6 + [[12, -1, -1]])


def stream(batch_size=3, seed=0, n_hard=2, hard=HARD):
    return QuestionStream(OWN, lambda rows: rows, lambda rows: rows, batch_size, seed, hard, n_hard)


def test_each_questions_own_passage_stands_before_its_hard_ones():
    for _, batch in zip(range(20), stream()):
        rows = batch.passages.reshape(3, 3)
        assert rows[:, 0].tolist() == OWN[batch.queries].tolist()
        for row, question in zip(rows, batch.queries):
            assert set(row[1:]) <= set(HARD[question]) - {-1}


def test_an_epoch_has_each_question_once_but_the_short_rest():
    batches = [batch.queries.tolist() for _, batch in zip(range(8), stream())]
    for epoch in range(4):
        seen = batches[2 * epoch] + batches[2 * epoch + 1]
        assert len(set(seen)) == 6
    assert batches[:2] != batches[2:4]
    without = [batch for _, batch in zip(range(2), stream(n_hard=0, hard=None))]
    assert [batch.passages.tolist() for batch in without] == [OWN[batch.queries].tolist() for batch in without]


def test_a_stream_goes_on_where_it_stood():
    one, other = stream(), stream()
    for _ in range(3):
        next(one)
    other.load_state_dict(one.state_dict())
    assert (next(one).passages == next(other).passages).all()
    with pytest.raises(ValueError, match="another source"):
        stream(hard=HARD + 1).load_state_dict(one.state_dict())


def test_what_makes_no_batch_is_refused():
    with pytest.raises(ValueError, match="only 7"):
        stream(batch_size=8)
    with pytest.raises(ValueError, match="none are given"):
        stream(hard=None)
    with pytest.raises(ValueError, match="no hard negative"):
        next(stream(hard=np.full((7, 2), -1)))


def test_hard_negatives_are_the_best_that_do_not_answer():
    passages = ["ant bee cat", "ant bee", "ant", "dog"]
    found = hard_negatives(BM25.of(passages), ["ant bee", "cat", "dog"], [[1], [0], []], 2, 4)
    assert found[[0, 2]].tolist() == [[0, 2], [3, -1]]
    assert found[1, 0] in (1, 2, 3)  # no word finds a wrong one: any other
    assert found[1, 1] == -1
    with pytest.raises(ValueError, match="empty"):
        hard_negatives(BM25.of(passages), ["cat"], [[0, 1, 2, 3]], 1, 4)


def test_it_learns_a_rotation():
    """Passages are rotated questions; two matrices must undo it."""
    generator = torch.Generator().manual_seed(0)
    queries = 4 * F.normalize(torch.randn(64, 8, generator=generator), dim=1)  # of one length: the best is itself
    rotation, _ = torch.linalg.qr(torch.randn(8, 8, generator=generator))
    model = DualEncoder(lambda: nn.Linear(8, 8), seed=0)
    assert not torch.equal(model.query.weight, model.passage.weight)
    batches = QuestionStream(np.arange(64), vectors_at(queries), vectors_at(queries @ rotation), 32, seed=0)
    first = model.query(queries) @ model.passage(queries @ rotation).T
    result = fit(model, InBatch(), batches, max_steps=200, lr=1e-2, weight_decay=0.0, grad_clip=None)
    last = model.query(queries) @ model.passage(queries @ rotation).T
    right = torch.arange(64)
    assert (first.argmax(1) == right).float().mean() < 0.2
    assert (last.argmax(1) == right).float().mean() > 0.95
    assert result.log[-1]["accuracy"] > 0.9


def test_two_transformers_learn_which_token_belongs_to_which():
    config = EncoderConfig(
        vocab_size=40, d_model=16, n_layers=1, n_heads=2, positions=Rope(), pooler=FirstToken(), head=NoHead()
    )
    model = DualEncoder(lambda: TokenEncoder(Encoder(config)), seed=0)
    padding = torch.tensor([[True, True, False]])

    def at(offset):
        def tokens(rows):
            column = torch.from_numpy(rows)[:, None]
            return Tokens(
                torch.cat([torch.ones_like(column), column + offset, 0 * column], 1), padding.expand(len(rows), 3)
            )

        return tokens

    batches = QuestionStream(np.arange(16), at(2), at(20), 16, seed=0)
    result = fit(model, InBatch(), batches, max_steps=60, lr=1e-2, weight_decay=0.0)
    assert result.log[0]["loss"] > 2
    assert result.loss < 0.3
