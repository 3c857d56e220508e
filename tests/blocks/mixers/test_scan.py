"""The selective scan: the fast path against the plain loop, closed forms, and what the fast path keeps."""

import pytest
import torch
from torch.nn import functional as F

from allyouneed.blocks.mixers import scan
from allyouneed.blocks.mixers.scan import CHUNK, selective_scan, selective_scan_reference

EXACT = {"rtol": 0, "atol": 1e-12}  # float64 on both sides; the order of sums differs
FORMS = [selective_scan, selective_scan_reference]


def inputs(batch=2, seq=7, d_inner=5, d_state=3, dtype=torch.float64, seed=0):
    """x, delta, A, B, C, h: steps of all lengths, states that decay within a few steps and hardly at all."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (batch, seq, d_inner), (batch, seq, d_inner), (d_inner, d_state), *[(batch, seq, d_state)] * 2
    x, delta, A, B, C, h = (
        torch.randn(shape, generator=generator, dtype=dtype) for shape in (*shapes, (batch, d_inner, d_state))
    )
    return [v.requires_grad_() for v in (x, F.softplus(delta), -A.exp(), B, C, h)]


def random_opens(batch, seq):
    return torch.rand(batch, seq, generator=torch.Generator().manual_seed(5)) < 0.2


def with_gradients(form, tensors, opens):
    """y, the last state and the gradient of each input, all outputs taking part."""
    outputs = form(*tensors, opens)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(o.shape, generator=generator, dtype=o.dtype) for o in outputs]
    return *outputs, *torch.autograd.grad(sum((o * w).sum() for o, w in zip(outputs, weights)), tensors)


@pytest.mark.parametrize("documents", [False, True])
@pytest.mark.parametrize("seq", [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_the_fast_path_is_the_plain_loop_in_values_and_gradients(seq, documents):
    tensors, opens = inputs(seq=seq), random_opens(2, seq) if documents else None
    for fast, plain in zip(with_gradients(selective_scan, tensors, opens), with_gradients(FORMS[1], tensors, opens)):
        torch.testing.assert_close(fast, plain, **EXACT)


@pytest.mark.parametrize("documents", [False, True])
def test_gradients_are_those_of_finite_differences(documents, monkeypatch):
    monkeypatch.setattr(scan, "CHUNK", 3)
    opens = random_opens(2, 7) if documents else None
    assert torch.autograd.gradcheck(lambda *tensors: selective_scan(*tensors, opens), inputs(d_inner=2, d_state=2))


@pytest.mark.parametrize("unused", [0, 1])
def test_either_output_may_go_unused(unused):
    tensors = inputs(seq=CHUNK + 2)
    fast, plain = (
        torch.autograd.grad(form(*tensors)[1 - unused].sum(), tensors, materialize_grads=True) for form in FORMS
    )
    for a, b in zip(fast, plain):
        torch.testing.assert_close(a, b, **EXACT)


def test_float32_is_as_near_to_float64_as_the_plain_loop_is():
    exact = with_gradients(selective_scan_reference, inputs(seq=200), None)
    single = [v.detach().float().requires_grad_() for v in inputs(seq=200)]
    fast, plain = ([v.double() for v in with_gradients(form, single, None)] for form in FORMS)
    for a, b, truth in zip(fast, plain, exact):
        # Both round once a step; which of them is luckier is chance.
        assert (a - truth).abs().max() <= 3 * (b - truth).abs().max()


def test_autocast_leaves_it_alone():
    tensors = inputs(seq=CHUNK + 3, dtype=torch.float32)
    outside = with_gradients(selective_scan, tensors, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = with_gradients(selective_scan, tensors, None)
    assert all(torch.equal(a, b) for a, b in zip(inside, outside))


@pytest.mark.parametrize("form", FORMS)
def test_one_number_a_state_is_a_gated_rnn(form):
    """Theorem 1: with N = 1, A = -1, B = 1 and the paper's discrete B, g = sigmoid(z) gates between h and x."""
    generator = torch.Generator().manual_seed(0)
    z, x = (torch.randn(2, 40, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    delta, one = F.softplus(z), torch.ones(1, 1, dtype=torch.float64)
    held = -torch.expm1(-delta) / delta  # the paper's B over delta B, which the scan has
    y, _ = form(x, delta, -one, held, torch.ones_like(held), torch.zeros(2, 1, 1, dtype=torch.float64))
    h = torch.zeros(2, 1, dtype=torch.float64)
    for t in range(40):
        gate = z[:, t].sigmoid()
        h = (1 - gate) * h + gate * x[:, t]
        torch.testing.assert_close(y[:, t], h, **EXACT)


@pytest.mark.parametrize("form", FORMS)
def test_without_selection_it_is_a_convolution(form):
    """The same delta, B and C at every step: y = x * K with K_j = C exp(j delta A) delta B (equation 3), by FFT."""
    x, delta, A, B, C, h = (v.detach() for v in inputs(seq=50))
    delta, B, C = (v[:1, :1].expand(2, 50, -1) for v in (delta, B, C))
    y, _ = form(x, delta, A, B, C, torch.zeros_like(h))
    steps = torch.arange(50, dtype=torch.float64)[:, None, None]
    kernel = ((steps * delta[0, 0, :, None] * A).exp() * (B * C)[0, 0]).sum(-1) * delta[0, 0]
    spectrum = torch.fft.rfft(x, n=100, dim=1) * torch.fft.rfft(kernel, n=100, dim=0)
    torch.testing.assert_close(y, torch.fft.irfft(spectrum, n=100, dim=1)[:, :50], **EXACT)


def test_what_a_document_opens_with_is_all_that_it_knows():
    tensors = [v.detach() for v in inputs(batch=1, seq=9)]
    x, delta, A, B, C, h = tensors
    opens = torch.arange(9)[None] == 4
    y, last = selective_scan(*tensors, opens)
    second = (x[:, 4:], delta[:, 4:], A, B[:, 4:], C[:, 4:], torch.zeros_like(h))
    alone, alone_last = selective_scan(*second)
    torch.testing.assert_close(y[:, 4:], alone, **EXACT)
    torch.testing.assert_close(last, alone_last, **EXACT)


def test_what_is_kept_for_the_backward_grows_with_chunks_not_with_steps():
    kept = []
    tensors = inputs(seq=20 * CHUNK, d_inner=64, d_state=64)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        selective_scan(*tensors)
    all_states = 2 * 20 * CHUNK * 64 * 64
    assert 0 < sum(kept) < all_states / 4


def test_it_does_not_write_into_its_inputs():
    tensors = inputs(seq=CHUNK + 1)
    before = [v.detach().clone() for v in tensors]
    with_gradients(selective_scan, tensors, random_opens(2, CHUNK + 1))
    assert all(torch.equal(a, b) for a, b in zip(tensors, before))
