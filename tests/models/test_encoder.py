"""The encoder's promises: it sees both sides, no padding, and no order without positions."""

import pytest
import torch

from allyouneed.blocks import FirstTokenPooler, LayerNorm, Learned, NoPositions, PostNorm, Rope, mean_pool
from allyouneed.models import Encoder, EncoderConfig, evaluation_mode


def encoder(positions, **options):
    config = EncoderConfig(vocab_size=11, d_model=16, max_seq_len=32, positions=positions, **options)
    model = Encoder(config, seed=2).double()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(15)
    return model.requires_grad_(False)


TOKENS = torch.randint(11, (2, 6), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("positions", [Rope(), Learned()])
def test_every_output_depends_on_every_input(positions):
    model, x = encoder(positions), torch.randn(1, 6, 16, dtype=torch.float64, requires_grad=True)
    logits = model(x)
    for t in range(6):
        (grad,) = torch.autograd.grad(logits[:, t].square().sum(), x, retain_graph=True)
        assert (grad.abs().amax(-1) > 0).all()


@pytest.mark.parametrize("positions", [Rope(), Learned(), NoPositions()])
@pytest.mark.parametrize("left", [0, 3])
def test_padding_on_either_side_changes_nothing(positions, left):
    model = encoder(positions, residual=PostNorm())
    padded = torch.full((2, 9), 7)
    mask = torch.zeros(2, 9, dtype=torch.bool)
    padded[:, left : left + 6], mask[:, left : left + 6] = TOKENS, True
    torch.testing.assert_close(model(padded, mask)[:, left : left + 6], model(TOKENS), rtol=0, atol=1e-10)


def test_documents_do_not_see_one_another():
    model = encoder(Learned())
    segments = torch.tensor([[0, 0, 1, 1, 1, 1]]).expand(2, -1)
    apart = torch.cat((model(TOKENS[:, :2]), model(TOKENS[:, 2:])), 1)
    torch.testing.assert_close(model(TOKENS, segments=segments), apart, rtol=0, atol=1e-10)


def test_without_positions_a_permutation_passes_through():
    model, order = encoder(NoPositions()), torch.tensor([3, 1, 5, 0, 4, 2])
    torch.testing.assert_close(model(TOKENS[:, order]), model(TOKENS)[:, order], rtol=0, atol=1e-10)
    assert (encoder(Rope())(TOKENS[:, order]) - encoder(Rope())(TOKENS)[:, order]).abs().max() > 1e-3


def test_a_row_of_padding_alone_is_finite_and_so_are_its_gradients():
    model, x = encoder(Rope()), torch.randn(2, 6, 16, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 6, [False] * 6])
    logits = model(x, mask)
    (grad,) = torch.autograd.grad(logits.sum(), x)
    assert logits.isfinite().all()
    assert grad.isfinite().all()


def test_evaluation_mode_gives_every_module_its_mode_back():
    model = encoder(Rope(), dropout=0.5).train()
    model.layers[0].eval()
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert model.training
    assert model.layers[1].dropout.training
    assert not model.layers[0].dropout.training


def test_token_types_add_a_vector_of_their_own():
    config = EncoderConfig(vocab_size=9, positions=NoPositions(), n_token_types=2, embedding_norm=LayerNorm())
    encoder = Encoder(config)
    tokens, types = torch.tensor([[1, 2, 3]]), torch.tensor([[0, 1, 1]])
    expected = encoder.embedding(tokens) + encoder.token_types(types)
    assert torch.equal(encoder.embed(tokens, types), expected)
    assert torch.equal(encoder.embed(tokens), encoder.embed(tokens, torch.zeros_like(types)))
    assert torch.equal(encoder.hidden(tokens), encoder.hidden(encoder.embed(tokens)))
    with pytest.raises(ValueError, match="no token types"):
        Encoder(EncoderConfig(vocab_size=9, positions=NoPositions())).embed(tokens, types)


def test_a_text_as_one_vector():
    config = EncoderConfig(vocab_size=9, positions=NoPositions(), pooler=FirstTokenPooler())
    encoder = Encoder(config)
    hidden = torch.randn(2, 4, 64, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True] * 4, [False, True, True, False]])
    first = torch.stack((hidden[0, 0], hidden[1, 1]))
    assert torch.equal(encoder.pooled(hidden, mask), encoder.pooler.dense(first).tanh())
    assert torch.equal(encoder.pooled(hidden), encoder.pooler.dense(hidden[:, 0]).tanh())
    mean = mean_pool(hidden, mask)
    assert torch.allclose(mean[0], hidden[0].mean(0))
    assert torch.allclose(mean[1], hidden[1, 1:3].mean(0))
    assert torch.equal(mean_pool(hidden), hidden.mean(1))
    assert torch.equal(mean_pool(hidden, torch.zeros_like(mask)), torch.zeros(2, 64))
    with pytest.raises(ValueError, match="no pooler"):
        Encoder(EncoderConfig(vocab_size=9, positions=NoPositions())).pooled(hidden)
