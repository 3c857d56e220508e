"""The in-batch loss against cross entropy on the matrix of scores, in float64 with gradients."""

import pytest
import torch
from torch.nn import functional as F

from allyouneed.objectives import in_batch_loss


def draw(batch, channels, n_hard, scale=3.0):
    generator = torch.Generator().manual_seed(batch + n_hard)
    shapes = ((batch, channels), (batch * (1 + n_hard), channels))
    return [torch.randn(s, generator=generator, dtype=torch.float64).mul(scale).requires_grad_() for s in shapes]


@pytest.mark.parametrize(("batch", "n_hard"), [(1, 0), (5, 0), (4, 1), (3, 4)])
def test_it_is_cross_entropy_over_all_passages_of_the_batch(batch, n_hard):
    queries, passages = draw(batch, 7, n_hard)
    loss = in_batch_loss(queries, passages, n_hard)
    # written out: rows of the matrix, question i's own passage at i (1 + H)
    matrix = torch.stack([torch.stack([q @ p for p in passages]) for q in queries])
    own = torch.tensor([i * (1 + n_hard) for i in range(batch)])
    expected = F.cross_entropy(matrix, own)
    assert float(loss.mean.detach()) == pytest.approx(float(expected.detach()), rel=1e-12)
    ours = torch.autograd.grad(loss.mean, (queries, passages))
    theirs = torch.autograd.grad(expected, (queries, passages))
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert float(loss.metrics["accuracy"]) == pytest.approx(float((matrix.argmax(1) == own).double().mean()))


def test_another_questions_hard_negative_is_a_negative():
    queries, passages = draw(3, 5, 1, scale=0.5)
    (gradient,) = torch.autograd.grad(in_batch_loss(queries, passages, 1).total, passages)
    (alone,) = torch.autograd.grad(in_batch_loss(queries[:1], passages[:2], 1).total, passages)
    assert (gradient[3] != 0).any()
    assert not torch.allclose(gradient[1], alone[1])


@pytest.mark.parametrize(("rows", "n_hard"), [(3, 0), (8, 2), (2, -1)])
def test_rows_that_do_not_fit_are_refused(rows, n_hard):
    with pytest.raises(ValueError, match="passages"):
        in_batch_loss(torch.zeros(4, 2), torch.zeros(rows, 2), n_hard)
