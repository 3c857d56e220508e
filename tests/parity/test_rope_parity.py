"""Rotary positions against the implementations in transformers: both layouts, partial rotation, far positions."""

import pytest
import torch
from transformers import GPTNeoXConfig, LlamaConfig
from transformers.models.gpt_neox import modeling_gpt_neox as neox
from transformers.models.gptj import modeling_gptj as gptj
from transformers.models.llama import modeling_llama as llama
from transformers.models.roformer.modeling_roformer import RoFormerSelfAttention

from allyouneed.blocks import Context, Rope
from allyouneed.blocks.positions.rope import half_split_order, rope_angles, rotate
from allyouneed.blocks.protocols import Sizes

# near, far, and a million out
POSITIONS = torch.tensor([[0, 1, 2, 3, 100, 4095, 131_071, 1_000_000], [7, 8, 9, 10, 11, 12, 13, 14]])


def queries_and_keys(head_dim, heads=4, kv_heads=2):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 8, heads, head_dim, generator=generator, dtype=torch.float64)
    return q, torch.randn(2, 8, kv_heads, head_dim, generator=generator, dtype=torch.float64)


def ours(q, k, rope):
    head_dim = q.shape[-1]
    sizes = Sizes(4 * head_dim, 1, 4, 2, head_dim, 8, 8, norm_eps=1e-5, dropout=0.0)
    return rope.build(sizes).rotate(q, k, Context.of(q.flatten(2), positions=POSITIONS, causal=True))


def of_llama(q, k, theta, in_float64):
    config = LlamaConfig(
        hidden_size=4 * q.shape[-1],
        num_attention_heads=4,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )
    with in_float64():
        cos, sin = llama.LlamaRotaryEmbedding(config)(q, POSITIONS)
        assert cos.dtype == torch.float64
        return llama.apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=2)


@pytest.mark.parametrize("theta", [1e4, 5e5])
@pytest.mark.parametrize("head_dim", [2, 8, 18])
def test_half_split_is_llamas(theta, head_dim, in_float64, assert_parity):
    q, k = queries_and_keys(head_dim)
    for mine, reference in zip(ours(q, k, Rope(theta)), of_llama(q, k, theta, in_float64)):
        assert_parity(mine, reference)


def test_gradients_are_llamas(in_float64, assert_parity):
    q, k = (t.requires_grad_() for t in queries_and_keys(8))
    upstream = torch.randn(q.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (mine,) = torch.autograd.grad((ours(q, k, Rope())[0] * upstream).sum(), q)
    (reference,) = torch.autograd.grad((of_llama(q, k, 1e4, in_float64)[0] * upstream).sum(), q)
    assert_parity(mine, reference)


@pytest.mark.parametrize(("head_dim", "factor"), [(16, 0.25), (8, 0.5), (7, 0.6), (20, 0.3)])
def test_partial_rotation_is_gpt_neox(head_dim, factor, in_float64, assert_parity):
    q, k = queries_and_keys(head_dim)
    config = GPTNeoXConfig(
        hidden_size=4 * head_dim,
        num_attention_heads=4,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": factor},
    )
    with in_float64():
        cos, sin = neox.GPTNeoXRotaryEmbedding(config)(q, POSITIONS)
        reference = neox.apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=2)
    for mine, theirs in zip(ours(q, k, Rope(partial_rotary_factor=factor)), reference):
        assert_parity(mine, theirs)


def exact_sines(head_dim):
    """Sine and cosine of each position and pair, in the shape that the interleaved references take."""
    angles = rope_angles(POSITIONS, head_dim, 1e4, torch.float64)
    return angles.sin(), angles.cos()


def test_interleaved_is_gptjs(assert_parity):
    q, k = queries_and_keys(16)
    sin, cos = exact_sines(16)
    for mine, x in zip(ours(q, k, Rope(interleaved=True)), (q, k)):
        assert_parity(mine, gptj.apply_rotary_pos_emb(x, sin, cos))


def test_interleaved_is_roformers_own(assert_parity):
    q, k = queries_and_keys(16, kv_heads=4)
    sinusoidal = torch.cat(exact_sines(16), -1)[:, None]
    heads_first = q.transpose(1, 2), k.transpose(1, 2)
    reference = RoFormerSelfAttention.apply_rotary_position_embeddings(sinusoidal, *heads_first)
    for mine, theirs in zip(ours(q, k, Rope(interleaved=True)), reference):
        assert_parity(mine, theirs.transpose(1, 2))


def test_the_references_own_frequencies_are_ours():
    table = gptj.create_sinusoidal_positions(50, 16).double()
    sin, cos = (f(rope_angles(torch.arange(50), 16, 1e4, torch.float64)) for f in (torch.sin, torch.cos))
    # the reference's table is in float32: 50 radians carry 4e-6
    torch.testing.assert_close(table, torch.cat((sin, cos), 1), rtol=0, atol=1e-5)


def test_the_wrong_layout_is_far_off(in_float64, assert_parity):
    """What 1e-10 must be able to see: the same call with the other pairing, and with the wrong base."""
    q, k = queries_and_keys(8)
    reference, _ = of_llama(q, k, 1e4, in_float64)
    for wrong in (Rope(interleaved=True), Rope(theta=1.01e4), Rope(partial_rotary_factor=0.75)):
        mine, _ = ours(q, k, wrong)
        assert float((mine - reference).abs().max()) > 0.1
        with pytest.raises(AssertionError):
            assert_parity(mine, reference)


def test_reordered_channels_take_one_layout_to_the_other(in_float64, assert_parity):
    q, k = queries_and_keys(8)
    order = half_split_order(8, 8)
    reference, _ = of_llama(q[..., order], k[..., order], 1e4, in_float64)
    angles = rope_angles(POSITIONS, 8, 1e4, torch.float64)[:, :, None]
    assert_parity(rotate(q, angles, interleaved=True)[..., order], reference)
