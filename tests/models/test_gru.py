"""The recurrent translators: reading and writing by any steps, padding, and what each way of looking back sees."""

import pytest
import torch
from torch import nn

from allyouneed.models.gru import FinalState, GlobalAttention, GRUTranslator, GRUTranslatorConfig

LOOKS = [GlobalAttention(), FinalState()]
EXACT = {"rtol": 0, "atol": 1e-12}  # float64 on both sides; the order of sums may differ


def model_of(look, n_layers=2, seed=0, **settings) -> GRUTranslator:
    config = GRUTranslatorConfig(vocab_size=23, d_model=10, n_layers=n_layers, look=look, **settings)
    return GRUTranslator(config, seed=seed).double()


def sentences(batch=3, source=7, target=6):
    generator = torch.Generator().manual_seed(1)
    tokens, written = (torch.randint(1, 23, (batch, n), generator=generator) for n in (source, target))
    mask = torch.arange(source) < torch.tensor([source, 4, 1])[:batch, None]
    return tokens, written, mask


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("chunks", [[1] * 6, [2, 3, 1], [6]])
def test_writing_by_steps_equals_writing_at_once(look, n_layers, chunks):
    model = model_of(look, n_layers)
    tokens, written, mask = sentences()
    whole = model(tokens, written, mask=mask)
    state, at = model.new_state(tokens, mask), 0
    for n in chunks:
        logits, state = model.step(written[:, at : at + n], state)
        at += n
        torch.testing.assert_close(logits, whole[:, at - 1], **EXACT)
    assert state.lengths.tolist() == [6, 6, 6]


@pytest.mark.parametrize("look", LOOKS)
def test_padding_is_never_seen(look):
    model = model_of(look)
    tokens, written, mask = sentences()
    torch.testing.assert_close(
        model(tokens, written, mask=mask), model(tokens.where(mask, 9), written, mask=mask), **EXACT
    )
    alone = torch.cat([model(t[m][None], w[None]) for t, m, w in zip(tokens, mask, written)])
    torch.testing.assert_close(model(tokens, written, mask=mask), alone, **EXACT)


@pytest.mark.parametrize("look", LOOKS)
def test_selected_rows_go_on_as_if_alone(look):
    model = model_of(look)
    tokens, written, mask = sentences()
    _, state = model.step(written[:, :3], model.new_state(tokens, mask))
    rows = torch.tensor([2, 0, 0, 1])
    logits, _ = model.step(written[rows, 3:4], state.select(rows))
    torch.testing.assert_close(logits, model(tokens, written, mask=mask)[rows, 3], **EXACT)


def test_attention_is_a_softmax_over_what_was_read():
    model = model_of(GlobalAttention())
    tokens, written, mask = sentences()
    record = {}
    model(tokens, written, mask=mask, record=record)
    (weights,) = record["cross_attention"]
    assert weights.shape == (3, 1, 6, 7)
    state = model.new_state(tokens, mask)
    states, _ = model.writer(model._embedded(written), state.hidden)
    for row, length in enumerate(mask.sum(1)):
        scores = torch.stack([model.look.score(h) @ state.memory.vectors[row, :length].T for h in states[row]])
        torch.testing.assert_close(weights[row, 0, :, :length], scores.softmax(-1), **EXACT)
        assert not weights[row, 0, :, length:].any()


def test_the_reader_ends_in_both_directions_where_its_gru_does():
    model = model_of(FinalState())
    tokens, _, mask = sentences()
    for row, length in enumerate(mask.sum(1)):
        _, last = model.reader(model._embedded(tokens[row : row + 1, :length]))
        torch.testing.assert_close(model.new_state(tokens, mask).last[row], last[-2:, 0].flatten(), **EXACT)


@pytest.mark.parametrize("look", LOOKS)
def test_every_weight_learns(look):
    model = model_of(look)
    tokens, written, mask = sentences()
    model(tokens, written, mask=mask).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())


def test_weights_follow_from_the_seed_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = (model_of(GlobalAttention(), seed=seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters()))
    assert not torch.equal(first.reader.weight_hh_l0, other.reader.weight_hh_l0)


def test_dropout_acts_in_training_alone():
    model = model_of(GlobalAttention(), dropout=0.5)
    tokens, written, _ = sentences()
    assert not torch.equal(model(tokens, written), model(tokens, written))
    model.eval()
    assert torch.equal(model(tokens, written), model(tokens, written))
    assert isinstance(model.dropout, nn.Dropout)


def test_bad_settings_and_sources():
    with pytest.raises(ValueError, match="even"):
        GRUTranslatorConfig(vocab_size=5, look=FinalState(), d_model=7)
    model = model_of(FinalState())
    tokens, _, mask = sentences()
    with pytest.raises(ValueError, match="padded on the right"):
        model.new_state(tokens, mask.flip(1))
    with pytest.raises(ValueError, match="begin with a real token"):
        model.new_state(tokens, torch.zeros_like(mask))
