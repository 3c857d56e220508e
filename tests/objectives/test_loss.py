"""Sums and counts add up."""

import pytest
import torch

from allyouneed.objectives import Loss


def test_the_mean_is_the_total_over_the_count():
    assert Loss(torch.tensor(6.0), 4).mean == 1.5
    assert Loss(torch.tensor(6.0), torch.tensor(4)).mean == 1.5


def test_an_auxiliary_loss_raises_the_mean_by_its_weighted_value():
    auxiliary = torch.tensor(3.0, requires_grad=True)
    loss = Loss(torch.tensor(6.0), 4, {"kept": torch.tensor(1.0)}).plus(auxiliary, weight=0.5, name="balance")
    assert loss.mean.item() == 1.5 + 0.5 * 3.0
    assert loss.metrics == {"kept": 1.0, "balance": 3.0}
    assert not loss.metrics["balance"].requires_grad
    (gradient,) = torch.autograd.grad(loss.mean, auxiliary)
    assert gradient == 0.5


def test_parts_with_auxiliary_losses_add_up_to_the_count_weighted_mean():
    parts = [Loss(torch.tensor(0.0), n).plus(torch.tensor(value)) for n, value in ((1, 2.0), (3, 6.0))]
    total, count = sum(float(part.total) for part in parts), sum(part.count for part in parts)
    assert float(total / count) == pytest.approx((1 * 2.0 + 3 * 6.0) / 4)
