"""The selective scan (Gu and Dao, arXiv:2312.00752, algorithm 2): a plain loop over time, and a fast path.

    h_t = exp(delta_t A) h_(t-1) + delta_t B_t x_t
    y_t = C_t h_t

Autograd through a loop over time keeps several states a step, and one step is too little work to be worth its
bookkeeping. The fast path has its backward written by hand. Forward it keeps one state in every `CHUNK`; backward
it computes those between again. A step is then a single operation in place, and all else runs over whole chunks.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

# Steps whose states are held at a time. With many they leave the cache; with few there are many kept states and many
# calls. 8, 16 and 32 took the same time within a tenth (batch 4, seq 512, d_inner 512, d_state 16, one core).
CHUNK = 16


def selective_scan_reference(
    x: Float[Tensor, "batch seq d_inner"],
    delta: Float[Tensor, "batch seq d_inner"],
    A: Float[Tensor, "d_inner d_state"],
    B: Float[Tensor, "batch seq d_state"],
    C: Float[Tensor, "batch seq d_state"],
    h: Float[Tensor, "batch d_inner d_state"],
    opens: Bool[Tensor, "batch seq"] | None = None,
) -> tuple[Float[Tensor, "batch seq d_inner"], Float[Tensor, "batch d_inner d_state"]]:
    """Every y, and the last h: reading on from the state `h`.

    opens: True where a token reads on from 0 instead of the state before it.
    """
    outputs = []
    for t in range(x.shape[1]):
        if opens is not None:
            h = h.masked_fill(opens[:, t, None, None], 0)
        step = delta[:, t, :, None]
        h = (step * A).exp() * h + step * B[:, t, None, :] * x[:, t, :, None]
        outputs.append((h * C[:, t, None, :]).sum(-1))
    return torch.stack(outputs, dim=1), h


def selective_scan(
    x: Float[Tensor, "batch seq d_inner"],
    delta: Float[Tensor, "batch seq d_inner"],
    A: Float[Tensor, "d_inner d_state"],
    B: Float[Tensor, "batch seq d_state"],
    C: Float[Tensor, "batch seq d_state"],
    h: Float[Tensor, "batch d_inner d_state"],
    opens: Bool[Tensor, "batch seq"] | None = None,
) -> tuple[Float[Tensor, "batch seq d_inner"], Float[Tensor, "batch d_inner d_state"]]:
    """What `selective_scan_reference` computes, in the precision of its inputs whatever autocast says.

    The inputs must have one precision. Gradients may be taken once. Besides what is as large as `x`, memory holds
    the states of seq / CHUNK + 3 CHUNK steps.
    """
    if x.shape[1] == 1:  # no loop: in decoding the plain form is twice as fast
        return selective_scan_reference(x, delta, A, B, C, h, opens)
    rows = (v.transpose(0, 1).contiguous() for v in (delta * x, delta, B, C))
    with _exactly(x):
        y, h = _Scan.apply(*rows, A.T.contiguous(), h.transpose(1, 2), None if opens is None else opens.T)
    return y.transpose(0, 1), h.transpose(1, 2)


class _Scan(torch.autograd.Function):
    """The scan with time first and states as (d_state, d_inner): a step is one block of memory, and sums over d_state
    are products along the long axis. `drive` is delta x."""

    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, delta: Tensor, B: Tensor, C: Tensor, A: Tensor, h: Tensor, opens: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        y, kept, room = torch.empty_like(drive), [], _room(2, drive, A)
        for at in _chunks(drive):
            kept.append(h)
            _, states = _states(at, drive, delta, B, A, h, opens, room)
            y[at] = (C[at, :, None] @ states).squeeze(2)
            h = states[-1].clone()
        ctx.save_for_backward(drive, delta, B, C, A, opens, torch.stack(kept))
        return y, h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_h: Tensor) -> tuple[Tensor | None, ...]:
        drive, delta, B, C, A, opens, kept = ctx.saved_tensors
        grad_drive, grad_delta, grad_B, grad_C = (torch.empty_like(v) for v in (drive, delta, B, C))
        grad_A, room = torch.zeros_like(A), _room(3, drive, A)
        with _exactly(drive):
            for at, h in zip(reversed(_chunks(drive)), kept.flip(0)):
                decays, states = _states(at, drive, delta, B, A, h, opens, room)
                dy = grad_y[at, :, None]
                # The gradient of each state, through its own y and through the state after it.
                grads = torch.mul(dy, C[at, ..., None], out=room[2][: len(states)])
                grads[-1] += grad_h
                for t in range(len(grads) - 1, 0, -1):
                    grads[t - 1].addcmul_(decays[t], grads[t])
                grad_h = decays[0] * grads[0]
                grad_drive[at] = (B[at, :, None] @ grads).squeeze(2)
                grad_B[at] = (drive[at, :, None] @ grads.mT).squeeze(2)
                grad_C[at] = (dy @ states.mT).squeeze(2)
                # The gradient of delta A, in place of the decays: the states before, decayed, times those gradients.
                exponents = decays.mul_(grads)
                exponents[1:] *= states[:-1]
                exponents[0] *= h
                grad_delta[at] = torch.mul(exponents, A, out=grads).sum(2)
                grad_A += torch.mul(exponents, delta[at, :, None], out=grads).sum((0, 1))
        return grad_drive, grad_delta, grad_B, grad_C, grad_A, grad_h, None


def _chunks(rows: Tensor) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, len(rows), CHUNK)]


def _room(n: int, drive: Tensor, A: Tensor) -> Tensor:
    """Room for n values of each state of a chunk: taking it anew for each chunk took half of the backward's time."""
    return drive.new_empty(n, min(CHUNK, len(drive)), drive.shape[1], *A.shape)


def _states(
    at: slice, drive: Tensor, delta: Tensor, B: Tensor, A: Tensor, h: Tensor, opens: Tensor | None, room: Tensor
) -> tuple[Tensor, Tensor]:
    """The decays exp(delta A) and the states of the steps `at`, that follow on `h`; they lie in `room`."""
    n = len(drive[at])
    decays = torch.mul(delta[at, :, None], A, out=room[0, :n]).exp_()
    if opens is not None:
        decays.masked_fill_(opens[at, :, None, None], 0)
    states = torch.mul(drive[at, :, None], B[at, ..., None], out=room[1, :n])
    for decay, state in zip(decays, states):
        h = state.addcmul_(decay, h)
    return decays, states


def _exactly(x: Tensor) -> torch.autocast:
    """No autocast, which would round what products read."""
    return torch.autocast(x.device.type, enabled=False)
